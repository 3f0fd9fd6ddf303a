"""config.json: what it may say, where it is looked for, and what a mistake sounds like."""

import json
import stat
from pathlib import Path

import pytest

from gimel.config.file import ConfigError, load, locate, parse, write_template
from gimel.config.settings import Config
from tests.support.commands import run
from tests.support.configurations import OLD, URL, mistakes, parsed, with_redis

MISTAKES = [
    ({}, ["redis: is missing"]),
    (with_redis(),
     ['redis: give either "url" or "host" (with "port", "password", …), or write "managed"']),
    (with_redis(url=URL, host="h"),
     ['redis: give either "url" or "host" (with "port", "password", …), or write "managed"']),
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
    *((with_redis(url=f"redis://h?{name}={seconds}"),
       [f'redis: url has the option "{name}", which must be a number of seconds above 0'])
      for name in ("socket_timeout", "socket_connect_timeout") for seconds in (0, "nan", "inf")),
    (with_redis(host="h", port=0), ["redis.port: must be at least 1"]),
    (with_redis(host="h") | {"shards": 0, "memory": 64},
     ["shards: must be at least 1, not 0",
      "memory: must be at least 128, not 64"]),
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


@pytest.mark.parametrize("place", ["host", "url"])
def test_what_a_template_left_to_fill_in_is_refused(place: str) -> None:
    (line,) = mistakes(with_redis(**{place: f"ENTER YOUR REDIS {place.upper()}"}))
    assert (
        line == f"redis.{place}: still holds the placeholder of the template: enter your own value"
    )


def test_the_template_itself_is_refused_until_edited(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_template(path, {})
    with pytest.raises(ConfigError, match=r"redis\.url: still holds the placeholder"):
        load(path)


# Secrets


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
    with_redis(host="h", ssl="hunter2", db="hunter2", cluster="hunter2"),
    with_redis(host="h") | {"aws": "redis://:hunter2@h", "shards": "gimel:hunter2@h"},
    with_redis(url=URL) | {"stack": "HUNTER2 hunter2"},
    with_redis(host="h") | {"notify": {"webhook": "http://hooks.example/hunter2"}},
    with_redis(host="h") | {"notify": {"webhook": ["https://hooks.example/hunter2"]}},
]


@pytest.mark.parametrize("content", WITH_SECRETS)
def test_no_mistake_quotes_a_secret(content: object) -> None:
    assert "hunter2" not in "".join(mistakes(content))


def test_the_url_of_a_webhook_is_not_shown() -> None:
    url = "https://hooks.example/hunter2?a=b"
    read = parsed(with_redis(host="h") | {"notify": {"webhook": url, "form": "slack"}})
    assert "hunter2" not in repr(read) + str(read) + read.model_dump_json()
    assert read.notify
    assert (read.notify.webhook.get_secret_value(), read.notify.form) == (url, "slack")


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


def test_a_user_without_a_home(places: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Containers may run under a number that no user has."""
    monkeypatch.delenv("HOME")
    monkeypatch.setattr("pwd.getpwuid", {}.__getitem__)
    for command in (["status"], ["local"]):
        done = run(*command)
        assert (done.exit_code, done.stderr) == (
            1,
            "Error: this user has no home folder: set HOME\n",
        )
    places["here"].touch()
    assert locate() == places["here"]


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
    write_template(path, {"redis": {"url": URL}})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    source = load(path)
    assert source.path == path
    assert source.config.redis.address == URL


def test_an_existing_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="cannot be written: File exists"):
        write_template(path, {"redis": {"url": URL}})
    assert path.read_text() == "mine"


def test_the_template_names_only_known_keys(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    write_template(path, {"shards": 8})
    known = Config.model_fields
    written = json.loads(path.read_text())
    assert written.keys() <= known.keys()
    assert written["shards"] == 8
