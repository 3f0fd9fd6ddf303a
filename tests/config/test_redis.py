"""The section `redis`: the address that is made of it, certificates, and no secret in a message."""

from pathlib import Path

import pytest
import redis
import trustme

from gimel.config.redis import ManagedRedis, managed_environment
from tests.support.configurations import URL, mistakes, parsed, with_redis


@pytest.mark.parametrize(
    ("settings", "address"),
    [
        ({"host": "h"}, "redis://h:6379/0"),
        ({"host": "h", "port": "6380"}, "redis://h:6380/0"),
        ({"host": "h", "ssl": True, "db": 3}, "rediss://h:6379/3"),
        ({"host": "::1"}, "redis://[::1]:6379/0"),
        ({"host": "h", "username": "u"}, "redis://u:@h:6379/0"),
        ({"host": "h", "username": "a:b", "password": "p@/ :#%é"},
         "redis://a%3Ab:p%40%2F%20%3A%23%25%C3%A9@h:6379/0"),
        ({"host": "fe80::1%eth0"}, "redis://[fe80::1%eth0]:6379/0"),
        ({"host": "10.0.0.1"}, "redis://10.0.0.1:6379/0"),
        ({"host": "redis_1.shop.example."}, "redis://redis_1.shop.example.:6379/0"),
        ({"url": URL}, URL),
        ({"url": f"{URL}?ssl_cert_reqs=none"}, f"{URL}?ssl_cert_reqs=none"),
        ({"url": "redis://h/?db=1&socket_timeout=2"}, "redis://h/?db=1&socket_timeout=2"),
        ({"url": "redis://12:12%2F%23%3F@h"}, "redis://12:12%2F%23%3F@h"),
    ],
)  # fmt: skip
def test_the_address(settings: dict[str, object], address: str) -> None:
    assert parsed(with_redis(**settings)).redis.address == address


@pytest.mark.parametrize("password", ["hunter2", "p@/ :#%é", "100%25", "a+b"])
def test_redis_py_finds_in_the_address_what_was_put_in(password: str) -> None:
    settings = parsed(with_redis(host="h", username="u:1", password=password, db=2)).redis
    with redis.Redis.from_url(settings.address) as client:
        options = client.connection_pool.connection_kwargs
    given = {"host": "h", "port": 6379, "username": "u:1", "password": password, "db": 2}
    assert given.items() <= options.items()


SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/redis-a1B2c3"
PARAMETER = "arn:aws-us-gov:ssm:us-gov-west-1:123456789012:parameter/shop/redis"


@pytest.mark.parametrize("secret", [SECRET, PARAMETER])
@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({"host": "h", "ssl": True}, "rediss://h:6379/0"),
        ({"host": "h", "username": "u"}, "redis://u:@h:6379/0"),
        ({"url": "rediss://u@h/1"}, "rediss://u@h/1"),
    ],
)
def test_a_secret_stands_for_the_password(
    settings: dict[str, object], url: str, secret: str
) -> None:
    environment = parsed(with_redis(**settings, secret=secret)).redis.environment
    assert environment == {"GIMEL_REDIS_URL": url, "GIMEL_REDIS_SECRET": secret}


PASSWORD_ELSEWHERE = (
    'redis: url may name only the user, before the host: "secret" holds the password'
)


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"secret": SECRET}, 'redis: give either "url" or "host" (with "port", "password", …), '
         'or write "managed"'),
        ({"host": "h", "secret": SECRET, "password": "hunter2"},
         'redis: "secret" holds the password: remove "password"'),
        ({"url": "redis://:hunter2@h", "secret": SECRET}, PASSWORD_ELSEWHERE),
        ({"url": "redis://h?password=hunter2", "secret": SECRET}, PASSWORD_ELSEWHERE),
        ({"url": "redis://h?username=u", "secret": SECRET}, PASSWORD_ELSEWHERE),
    ],
)  # fmt: skip
def test_with_a_secret_there_is_one_place_for_the_password(
    settings: dict[str, object], line: str
) -> None:
    assert mistakes(with_redis(**settings)) == [line]


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2",
        "shop/redis",
        SECRET.removesuffix("-a1B2c3"),
        SECRET.replace("secretsmanager", "iam"),
        PARAMETER.replace("parameter", "document"),
    ],
)
def test_a_secret_is_the_whole_arn(secret: str) -> None:
    (line,) = mistakes(with_redis(host="h", secret=secret))
    assert line.startswith("redis.secret: must look like arn:aws:secretsmanager:")
    assert "hunter2" not in line


@pytest.mark.parametrize("settings", ["managed", {"managed": {}}])
def test_a_managed_redis_has_limits_and_no_address(settings: object) -> None:
    found = parsed({"redis": settings}).redis
    assert found.managed == ManagedRedis(gigabytes=1, ecpu=10_000, snapshot_days=7)
    with pytest.raises(LookupError):
        _ = found.environment
    assert managed_environment("gimel-1", "gimel-1.example:6379") == {
        "GIMEL_REDIS_URL": "rediss://gimel-1.example:6379/0",
        "GIMEL_REDIS_IAM": "gimel-1",
    }


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ("hunter2", 'redis: must be "managed" or an object, {…}'),
        ("Managed", 'redis: must be "managed" or an object, {…}'),
        (["managed"], "redis: must be an object, {…}, not a list"),
        ({"managed": "hunter2"}, "redis.managed: must be an object, {…}, not text"),
        ({"managed": {}, "host": "h", "ca": None}, 'redis: "managed" needs no other key: remove '
         "ca, host"),
        ({"managed": {"gigabyte": 1}},
         'redis.managed.gigabyte: unknown key; did you mean "gigabytes"?'),
        ({"managed": {"gigabytes": 0}}, "redis.managed.gigabytes: must be at least 1"),
        ({"managed": {"gigabytes": 5001}}, "redis.managed.gigabytes: must be at most 5000"),
        ({"managed": {"ecpu": 999}}, "redis.managed.ecpu: must be at least 1000"),
        ({"managed": {"ecpu": 15_000_001}}, "redis.managed.ecpu: must be at most 15000000"),
        ({"managed": {"snapshot_days": -1}}, "redis.managed.snapshot_days: must be at least 0"),
        ({"managed": {"snapshot_days": 36}}, "redis.managed.snapshot_days: must be at most 35"),
    ],
)  # fmt: skip
def test_what_a_managed_redis_cannot_be(settings: object, line: str) -> None:
    assert mistakes({"redis": settings}) == [line]


HOSTS = ["redis://u:hunter2@h:6379", "h:6379", "u:hunter2@h", "a b", "", "[::1]", "::1%]/", "h\n"]


@pytest.mark.parametrize("host", [*HOSTS, "hunter2/", "1:2", "\ud800", "hunter2\0"])
def test_a_host_that_is_none(host: str) -> None:
    (line,) = mistakes(with_redis(host=host))
    assert line.startswith("redis.host: ")
    assert "redis.url" in line or host == "\ud800"
    assert "hunter2" not in line


@pytest.mark.parametrize("place", ["username", "password", "url"])
def test_half_a_character_is_refused(place: str) -> None:
    settings = {"url": "redis://u:\ud800@h"} if place == "url" else {"host": "h", place: "\udfff"}
    assert mistakes(with_redis(**settings)) == [
        rf"redis.{place}: contains an incomplete character, written as \ud800 to \udfff"
    ]


def test_half_a_character_in_a_key_is_refused() -> None:
    assert mistakes(with_redis(host="h") | {"tags": {"\ud800": "x"}}) == [
        "a key contains an incomplete character"
    ]


def test_whole_characters_are_taken() -> None:
    assert parsed(with_redis(host="h", password="\U0001f600")).redis.address.startswith(
        "redis://:%F0"
    )


def authority(folder: Path) -> str:
    """A certificate that signs itself, and its key, in one PEM text."""
    made = trustme.CA()
    made.cert_pem.write_to_path(folder / "ca.pem")
    return made.private_key_pem.bytes().decode() + (folder / "ca.pem").read_text()


def test_of_a_file_only_the_certificates_are_kept(tmp_path: Path) -> None:
    both = authority(tmp_path)
    (tmp_path / "both.pem").write_text(both)
    for given in (both, str(tmp_path / "both.pem")):
        kept = parsed(with_redis(host="h", ca=given)).redis.ca
        assert kept == (tmp_path / "ca.pem").read_text().strip()


@pytest.mark.parametrize("name", ["empty", "host", "key", "binary", "cut"])
def test_a_file_without_a_certificate_is_refused(tmp_path: Path, name: str) -> None:
    holds = {
        "empty": b"",
        "host": b"hunter2\n",
        "key": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "binary": b"\x30\x82\xff",
        "cut": b"-----BEGIN CERTIFICATE-----\nAAAA\n",
    }[name]
    path = tmp_path / "ca.pem"
    path.write_bytes(holds)
    given = [str(path), *([holds.decode()] if b"BEGIN" in holds else [])]
    for ca in given:
        assert mistakes(with_redis(host="h", ca=ca)) == [
            "redis.ca: contains no certificate (-----BEGIN CERTIFICATE----- …)"
        ]


@pytest.mark.parametrize(
    ("ca", "said"),
    [
        ("hunter2", "cannot be read: No such file or directory"),
        ("/", "cannot be read: Is a directory"),
        ("hunter2\0", "is neither a certificate nor the path of a file"),
        ("hunter2\ud800", "is neither a certificate nor the path of a file"),
        ("~hunter2/ca.pem", "is neither a certificate nor the path of a file"),
    ],
)
def test_what_was_put_into_ca_by_mistake_is_not_quoted(ca: str, said: str) -> None:
    assert mistakes(with_redis(host="h", ca=ca)) == [f"redis.ca: {said}"]


LEAKY_URLS = [
    "http://gimel:hunter2@h",
    "redis://gimel:hunter2/@h:6379",
    "redis://gimel:hunter2@h:port",
    "redis://gimel:hunter2@h:99999",
    "redis://gimel:hunter2@",
    "redis://:hunter2/abc@h",
    "redis://[hunter2]@h",
    "redis://gimel:[hunter2@h",
    "redis://gimel:hunter2\u2100@h",
    "gimel:hunter2@h",
    "redis://gimel:12/hunter2@h",
    "redis://gimel:12#hunter2@h",
    "redis://gimel:12?hunter2@h",
    "redis://gimel:12?hunter2=1@h",
    "redis://:12/34hunter2@h",
    "redis://gimel:x@12/hunter2@h",
    "redis://h/hunter2",
    "redis://h/1/hunter2",
    "redis://h/1#hunter2",
    "redis://h/1?db=hunter2",
]


@pytest.mark.parametrize("url", LEAKY_URLS)
def test_a_wrong_url_is_not_told_to_the_terminal(url: str) -> None:
    (line,) = mistakes(with_redis(url=url))
    assert line.startswith("redis: url ")
    assert "hunter2" not in line
    assert "12" not in line
