"""config.json: what it may say, where it is looked for, and what a mistake sounds like."""

import json
import stat
import subprocess
from pathlib import Path

import pytest
import redis

from gimel.config.file import ConfigError, load, locate, parse, write_template
from gimel.config.settings import Config
from tests.tooling import run

OLD = {
    "redis": {"host": "redis.example.com", "port": 6379, "password": "hunter2"},
    "extra_wiring": [
        {
            "lambda": {"FunctionName": "gimel-track", "Handler": "gimel.track", "Timeout": 3},
            "api_gateway": {"pathPart": "kcart", "method": {"httpMethod": "GET"}},
        }
    ],
}
URL = "rediss://gimel:hunter2@redis.example.com:6380/2"


def parsed(content: object) -> Config:
    return parse(json.dumps(content))


def mistakes(content: object) -> list[str]:
    """What is wrong with it, a line for each mistake, without the file's name."""
    with pytest.raises(ConfigError) as raised:
        parse(json.dumps(content), "here.json")
    assert str(raised.value) == "\n".join(raised.value.mistakes)
    # A chained error would print what was typed.
    assert raised.value.__context__ is None or raised.value.__suppress_context__
    lines = list(raised.value.mistakes)
    assert all(line.startswith("here.json: ") and "\n" not in line for line in lines)
    return [line.removeprefix("here.json: ") for line in lines]


def with_redis(**settings: object) -> dict[str, object]:
    return {"redis": settings}


def test_a_file_of_gimel_1_works_as_it_is() -> None:
    read = parsed(OLD)
    assert read.redis.address == "redis://:hunter2@redis.example.com:6379/0"
    assert [wiring.route for wiring in read.extra_wiring] == ["GET /kcart"]
    assert (read.stack, read.shards) == ("gimel", 64)


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


MISTAKES = [
    ({}, ["redis: is missing"]),
    (with_redis(), ['redis: give either "url" or "host" (with "port", "password", …)']),
    (with_redis(url=URL, host="h"),
     ['redis: give either "url" or "host" (with "port", "password", …)']),
    (with_redis(hots="h"), ['redis.hots: unknown key; did you mean "host"?']),
    (with_redis(host="h", pasword="hunter2"),
     ['redis.pasword: unknown key; did you mean "password"?']),
    (with_redis(host="h") | {"aws": {"regoin": "eu-west-1"}},
     ['aws.regoin: unknown key; did you mean "region"?']),
    (with_redis(host="h") | {"shard": 64}, ['shard: unknown key; did you mean "shards"?']),
    (with_redis(host="h") | {"zzzzzz": 64}, ["zzzzzz: unknown key"]),
    (with_redis(url="http://h"), ["redis: url must start with redis:// or, for TLS, rediss://"]),
    (with_redis(url="redis://"),
     ["redis: url has no host: it must look like redis://[user:password@]host[:port][/db]"]),
    (with_redis(url="redis://h?foo=hunter2"),
     ['redis: url has the unknown option "foo"']),
    (with_redis(url="redis://h?foo"),
     ['redis: url has the unknown option "foo"']),
    (with_redis(url="redis://h?timeout=2"),
     ['redis: url has the unknown option "timeout"']),
    (with_redis(url="redis://h?ssl_cert_reqs=none"),
     ['redis: url has the option "ssl_cert_reqs", which needs TLS: start the URL with rediss://']),
    (with_redis(host="h", port=0), ["redis.port: must be at least 1"]),
    (with_redis(host="h") | {"shards": 0, "memory": 64},
     ["shards: must be at least 1",
      "memory: must be at least 128"]),
    (with_redis(host="h") | {"stack": "Not A Name"},
     ["stack: must look like shop-2: 1 to 32 lowercase letters, digits and -"]),
    (with_redis(host="h") | {"aws": {"region": "Ireland"}},
     ["aws.region: must look like eu-west-1"]),
    ([], ["must contain one JSON object, {…}"]),
    ("text", ["must contain one JSON object, {…}"]),
]  # fmt: skip


@pytest.mark.parametrize(("content", "expected"), MISTAKES)
def test_each_mistake_is_named_with_its_place(content: object, expected: list[str]) -> None:
    assert mistakes(content) == expected


@pytest.mark.parametrize("runtime", ["python3.8", "python3.10", "nodejs22.x", 3.12])
def test_a_runtime_that_lambda_no_longer_has(runtime: object) -> None:
    (line,) = mistakes(with_redis(host="h") | {"runtime": runtime})
    assert line.startswith("runtime: ")
    assert "python3.14" in line


@pytest.mark.parametrize(
    ("text", "place"),
    [("", "1:1"), ("{", "1:2"), ('{\n  "redis": {"host": "h"},\n}', "3:1"), ("{'a': 1}", "1:2")],
)
def test_what_is_not_json_is_named_with_line_and_column(text: str, place: str) -> None:
    with pytest.raises(ConfigError, match=rf"^here.json:{place}: not valid JSON: ") as raised:
        parse(text, "here.json")
    assert len(raised.value.mistakes) == 1


@pytest.mark.parametrize("text", ["[" * 200_000, '{"shards": 1' + "0" * 5000 + "}"])
def test_json_that_python_cannot_take(text: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse(text, "here.json")
    assert raised.value.mistakes == (
        "here.json: is nested too deeply or contains too long a number",
    )


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


# Certificates


def authority(folder: Path) -> str:
    """A certificate that signs itself, and its key, in one PEM text."""
    files = ["-keyout", folder / "key.pem", "-out", folder / "ca.pem"]
    request = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=test"]
    subprocess.run([*request, *files], check=True, capture_output=True)
    return (folder / "key.pem").read_text() + (folder / "ca.pem").read_text()


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


@pytest.mark.parametrize("place", ["host", "url"])
def test_what_a_template_left_to_fill_in_is_refused(place: str) -> None:
    (line,) = mistakes(with_redis(**{place: f"ENTER YOUR REDIS {place.upper()}"}))
    assert (
        line == f"redis.{place}: still holds the placeholder of the template: enter your own value"
    )


def test_the_template_itself_is_refused_until_edited(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_template(path)
    with pytest.raises(ConfigError, match=r"redis\.url: still holds the placeholder"):
        load(path)


# Secrets

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


WITH_SECRETS = [
    with_redis(host="h", password="hunter2", port="hunter2"),
    with_redis(host="h", password=["hunter2"]),
    with_redis(host="h", password={"hunter2": 1}),
    with_redis(host="h", password="hunter2", hots="hunter2"),
    with_redis(url=["hunter2"]),
    with_redis(url=URL, host="hunter2"),
    {"redis": "redis://:hunter2@h"},
    {"redis://:hunter2@h": {}},
    with_redis(**{"redis://:hunter2@h": 1}),
    with_redis(**{"gimel:hunter2@h": 1}),
    with_redis(host="h") | {"tags": {"redis://:hunter2@h": 1}},
    with_redis(host="h", ca="hunter2"),
    with_redis(url=URL) | {"stack": "HUNTER2 hunter2"},
]


@pytest.mark.parametrize("content", WITH_SECRETS)
def test_no_mistake_quotes_a_secret(content: object) -> None:
    assert "hunter2" not in "".join(mistakes(content))


@pytest.mark.parametrize("settings", [{"url": URL}, OLD["redis"]])
def test_secrets_are_not_shown(settings: dict[str, object]) -> None:
    read = parsed(with_redis(**settings))
    _ = read.redis.address
    for shown in (repr(read), str(read), repr(read.redis), str(read.redis), f"{read}",
                  read.model_dump_json()):  # fmt: skip
        assert "hunter2" not in shown
    assert "hunter2" in read.redis.address


# The file


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """Where a config file may be, from the first choice to the last. None exists yet."""
    here, home = tmp_path / "here", tmp_path / "home"
    here.mkdir()
    (home / ".gimel").mkdir(parents=True)
    monkeypatch.chdir(here)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("GIMEL_CONFIG", raising=False)
    return {
        "given": tmp_path / "given.json",
        "environment": tmp_path / "environment.json",
        "here": here / "config.json",
        "home": home / ".gimel" / "config.json",
    }


def test_the_first_place_wins(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for stack, path in places.items():
        path.write_text(json.dumps(with_redis(host="h") | {"stack": stack}))
    monkeypatch.setenv("GIMEL_CONFIG", str(places["environment"]))
    assert load(places["given"]).config.stack == "given"
    assert load().config.stack == "environment"
    monkeypatch.setenv("GIMEL_CONFIG", "")
    assert load() == (places["here"], parsed(with_redis(host="h") | {"stack": "here"}))
    places["here"].unlink()
    assert load().path == places["home"]


def test_a_named_file_that_is_missing_is_not_replaced_by_another(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    places["here"].write_text(json.dumps(with_redis(host="h")))
    with pytest.raises(
        ConfigError, match=r"given\.json does not exist: create it with `gimel configure`"
    ):
        load(places["given"])
    monkeypatch.setenv("GIMEL_CONFIG", str(places["environment"]))
    with pytest.raises(ConfigError, match=r"environment\.json does not exist"):
        load()


def test_with_no_file_the_home_is_the_place(places: dict[str, Path]) -> None:
    assert locate() == places["home"]


def test_a_mistake_names_the_file(places: dict[str, Path]) -> None:
    places["home"].write_text("{}")
    with pytest.raises(ConfigError) as raised:
        load()
    assert raised.value.mistakes == (f"{places['home']}: redis: is missing",)


@pytest.mark.parametrize(
    ("content", "said"), [(b"\xff\xfe", "it is not UTF-8 text"), (None, "Is a directory")]
)
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "config.json"
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert str(raised.value) == f"{path} cannot be read: {said}"


def test_a_byte_order_mark_is_read_over(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(OLD), "utf-8-sig")
    assert load(path).config == parsed(OLD)


@pytest.mark.parametrize("key", ["a\nb", "a\u2028b", "a\rb"])
def test_a_key_cannot_break_a_mistake_into_two_lines(tmp_path: Path, key: str) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(with_redis(host="h") | {key: 1, "shards": 0}))
    done = run("--config", str(path), "status")
    assert done.exit_code == 1
    lines = done.stderr.removeprefix("Error: ").splitlines()
    assert [line.startswith(f"{path}: ") for line in lines] == [True, True]
    assert f"a\\u{{{ord(key[1]):x}}}b: unknown key" in done.stderr


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "config.json"
    write_template(path, URL)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    source = load(path)
    assert source.path == path
    assert source.config.redis.address == URL


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("mine")
    write_template(path, URL)
    assert path.read_text() == "mine"


def test_a_setting_cannot_be_changed_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parsed(with_redis(host="h")).stack = "another"


def test_the_template_names_only_known_keys(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_template(path, URL)
    known = Config.model_fields
    assert json.loads(path.read_text()).keys() <= known.keys()


@pytest.mark.parametrize(
    ("function", "path", "place"),
    [
        ("gimel-other", "kcart", "lambda.FunctionName"),
        ("gimel-track", "e", "api_gateway.pathPart"),
        ("gimel-track", "a/b", "api_gateway.pathPart"),
    ],
)
def test_wiring_that_cannot_be(function: str, path: str, place: str) -> None:
    wiring = {
        "lambda": {"FunctionName": function},
        "api_gateway": {"pathPart": path, "method": {"httpMethod": "GET"}},
    }
    with pytest.raises(ConfigError, match=rf"extra_wiring\.0\.{place}"):
        parsed({"redis": {"host": "h"}, "extra_wiring": [wiring]})
