"""The commands: what each prints, what it changes, and that an error is one line."""

import json
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from click.testing import CliRunner

import gimel
from gimel.cli import main
from gimel.client import Client
from gimel.gimel import forget_connection
from gimel.terminal.sample_size import sample_size
from tests.servers import (
    KEY,
    KEY_SHA256,
    backend_fixture,  # noqa: F401
    free_port,
    kill,
    point_handlers_at,
    post,
    store_fixture,  # noqa: F401
    url_of,
    valkey,
)
from tests.tooling import complaint, count, process, run, said, url_fixture  # noqa: F401

REDIS_URL = "rediss://u:p%40ss@redis.example.com:6380/1"
READS = [
    ("results",),
    ("results", "e", "--json"),
    ("settings", "e"),
    ("settings", "e", "--equivalence", "0.01"),
    ("stop", "e"),
    ("resume", "e"),
    ("delete", "e", "--yes"),
]
NAMES = [" ".join(each) for each in READS]


# configure


@pytest.fixture(name="home")
def home_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, the working folder beside it, no editor."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    for name in ("GIMEL_CONFIG", "EDITOR", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    return home


def test_configure_writes_a_file_for_its_owner_only(home: Path) -> None:
    path = home / ".gimel" / "config.json"
    printed = said(run("configure", "--redis-url", REDIS_URL, "--no-edit"))
    assert printed == f"Wrote {path}, readable only by you.\n{path} is valid.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["redis"] == {"url": REDIS_URL}
    assert "p%40ss" not in printed


def test_configure_leaves_an_existing_file_alone(home: Path) -> None:
    path = Path("config.json").resolve()
    path.write_text('{"redis": {"host": "h"}}')
    assert said(run("configure", "--no-edit")) == f"{path} is valid.\n"
    line = complaint(run("configure", "--redis-url", REDIS_URL, "--no-edit"))
    assert line == (
        f"{path} already exists: change redis.url in it. --redis-url works only for a new file"
    )
    assert path.read_text() == '{"redis": {"host": "h"}}'


def test_an_unedited_template_is_a_mistake(home: Path) -> None:
    result = run("configure", "--no-edit")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {home / '.gimel' / 'config.json'}: redis.url: still")


def editor(folder: Path, program: str) -> str:
    """An editor that does to the file `path` what the Python program says."""
    script = folder / "editor.py"
    script.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{program}\n")
    return f"{sys.executable} {script}"


def test_configure_opens_the_editor_and_checks_what_comes_out(home: Path, tmp_path: Path) -> None:
    program = "path.write_text(path.read_text().replace('USER:PASSWORD@HOST', 'u:p@h'))"
    result = run("configure", env={"EDITOR": editor(tmp_path, program)})
    assert said(result).endswith("is valid.\n")
    written = json.loads((home / ".gimel" / "config.json").read_text())
    assert written["redis"]["url"] == "rediss://u:p@h:6379/0"


def test_every_mistake_gets_a_line_with_its_place(home: Path, tmp_path: Path) -> None:
    wrong = {"redis": {"host": "h", "pasword": "hunter2"}, "shards": 0, "stak": "x"}
    edited = editor(tmp_path, f"path.write_text({json.dumps(wrong)!r})")
    result = run("--config", "mine.json", "configure", env={"EDITOR": edited})
    assert result.exit_code == 1
    lines = result.stderr.removeprefix("Error: ").splitlines()
    assert sorted(line.partition(": ")[2].partition(":")[0] for line in lines) == [
        "redis.pasword",
        "shards",
        "stak",
    ]
    assert all(line.startswith("mine.json: ") for line in lines)
    assert 'did you mean "password"?' in result.stderr
    assert 'did you mean "stack"?' in result.stderr
    assert "hunter2" not in result.output


def test_what_is_not_json_is_named_with_line_and_column(home: Path, tmp_path: Path) -> None:
    edited = editor(tmp_path, "path.write_text('{\\n  \"redis\": }')")
    line = run("configure", env={"EDITOR": edited}).stderr
    assert "config.json:2:12: not valid JSON" in line


def test_an_editor_that_fails(home: Path, tmp_path: Path) -> None:
    result = run("configure", env={"EDITOR": editor(tmp_path, "sys.exit(3)")})
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_the_first_place_wins(home: Path, tmp_path: Path) -> None:
    """--config, $GIMEL_CONFIG, ./config.json, ~/.gimel/config.json."""
    (home / ".gimel").mkdir()
    flag, named = tmp_path / "flag.json", tmp_path / "named.json"
    places = [flag, named, Path("config.json").resolve(), home / ".gimel" / "config.json"]
    for path in places:
        path.write_text("[]")  # a mistake, which names the file
    env = {"GIMEL_CONFIG": str(named)}
    assert str(flag) in complaint(run("--config", str(flag), "configure", "--no-edit", env=env))
    assert str(named) in complaint(run("configure", "--no-edit", env=env))
    assert str(places[2]) in complaint(run("configure", "--no-edit"))
    places[2].unlink()
    assert str(places[3]) in complaint(run("configure", "--no-edit"))


def test_a_config_that_cannot_be_written(home: Path) -> None:
    Path("file").write_text("")
    line = complaint(run("--config", "file/config.json", "configure", "--no-edit"))
    assert line.startswith("file/config.json cannot be written: ")


@pytest.mark.parametrize("command", [*READS, ("dashboard",), ("snippet",), ("deploy",)])
def test_no_config_and_no_url(home: Path, command: tuple[str, ...]) -> None:
    line = complaint(run(*command))
    assert line.endswith("does not exist: create it with `gimel configure`")


@pytest.mark.parametrize("command", [*READS, ("dashboard",), ("snippet",), ("deploy",)])
def test_a_wrong_config(home: Path, command: tuple[str, ...]) -> None:
    Path("config.json").write_text('{"redis": {"host": "h", "pasword": "hunter2"}}')
    line = complaint(run(*command))
    assert "redis.pasword: unknown key" in line
    assert "hunter2" not in line


# a backend that is not there, or is none


@contextmanager
def another_server(status: int, body: bytes) -> Iterator[str]:
    """A server that is no Gimel: the same answer to everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("command", READS, ids=NAMES)
def test_nobody_listens(command: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    line = complaint(run(*command, "--url", url))
    assert line.startswith(f"{url} cannot be reached (ConnectionError): check the URL")


ELSEWHERE = [
    (200, b"<html>hello</html>"),
    (200, b""),
    (200, b"null"),
    (200, b"[]"),
    (200, b"[1]"),
    (200, b'"text"'),
    (200, b'{"hello": "world"}'),
    (404, b'{"message":"Not Found"}'),
    (404, b"no\nsuch\x1b[31mpage"),
    (500, b'{"error": ["a", "b"]}'),
    (502, b"[]"),
    (204, b""),
]


@pytest.mark.parametrize("answer", ELSEWHERE)
def test_a_server_that_is_no_gimel(answer: tuple[int, bytes]) -> None:
    with another_server(*answer) as url:
        for command in READS:
            line = complaint(run(*command, "--url", url))
            assert line.isprintable()
            assert "is not a Gimel backend" in line if answer[0] == 200 else str(answer[0]) in line


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "http://[", "ftp://x", "http://a b"])
def test_a_url_that_is_none(url: str) -> None:
    assert "cannot be reached" in complaint(run("results", "--url", url))


def test_redis_is_away(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with valkey() as client:
        point_handlers_at(monkeypatch, url_of(client))
        count("e", {"a": 1})
        kill(client)
        for command in READS:
            result = run(*command, "--url", url)
            assert result.exit_code == 1
            # Its standard output holds the log of the handlers, which are in this process.
            assert result.stderr == (
                "Error: the backend answered 503: the counters are out of reach, try again\n"
            )


@pytest.mark.parametrize("command", READS, ids=NAMES)
def test_the_wrong_key(
    url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    point_handlers_at(monkeypatch, url_of(store), KEY_SHA256)
    count("e", {"a": 1})
    for key in (None, "wrong"):
        line = complaint(run(*command, "--url", url, env={"GIMEL_KEY": key}))
        assert line.startswith("the backend answered 403: ")
    assert run(*command, "--url", url, env={"GIMEL_KEY": KEY}).exit_code == 0


@pytest.mark.parametrize("key", ["שלום", "a\nb"])
def test_a_key_that_no_header_can_carry(url: str, key: str) -> None:
    complaint(run("results", "--url", url, env={"GIMEL_KEY": key}))


def test_a_name_that_is_not_utf8(url: str) -> None:
    done = process("results", os.fsdecode(b"caf\xe9"), "--url", url)
    assert done.returncode == 1
    assert done.stderr == "Error: a name or the key contains characters that cannot be sent\n"


def test_a_command_that_there_is_not() -> None:
    done = process("reslts")
    assert done.returncode == 2
    assert "No such command 'reslts'" in done.stderr


def test_version_and_help() -> None:
    assert said(run("--version")).strip() == f"gimel, version {gimel.__version__}"
    printed = said(run("-h"))
    assert all(f"\n  {name} " in printed for name in main.commands)


def test_migrate_with_a_url_that_is_none() -> None:
    result = run("migrate", "--redis-url", "redis://:hunter2/x@h:6379")
    assert result.exit_code == 2
    assert "must look like redis://" in result.stderr
    assert "hunter2" not in result.output


# dashboard


def test_the_url_of_the_dashboard_has_the_key_in_its_fragment_only(url: str) -> None:
    key = "a+b/c= &#"
    namespace = "my #1 & co/ש"
    arguments = ("dashboard", "--print-url", "--url", f"{url}/", "--namespace", namespace)
    printed = said(run(*arguments, env={"GIMEL_KEY": key}))
    (address,) = printed.splitlines()
    parts = urlsplit(address)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == f"{url}/dashboard"
    assert parts.query == ""
    assert parse_qs(parts.fragment) == {"key": [key], "namespace": [namespace]}
    assert address.isascii()


def test_the_url_of_a_dashboard_without_a_key(url: str) -> None:
    printed = said(run("dashboard", "--print-url", "--url", url, env={"GIMEL_KEY": None}))
    assert printed == f"{url}/dashboard#namespace=alephbet\n"


def test_the_dashboard_is_opened(url: str, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    script.chmod(0o700)
    done = process("dashboard", "--url", url, env={"BROWSER": f"{script} %s", "GIMEL_KEY": "k"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert opened.read_text() == f"{url}/dashboard#key=k&namespace=alephbet\n"


# delete


def test_delete_asks_first(url: str) -> None:
    count("my [red] test", {"a": 2})
    arguments = ["delete", "my [red] test", "--url", url]
    for answer in ("n\n", "\n", ""):
        refused = CliRunner().invoke(main, arguments, input=answer)
        assert refused.exit_code == 1
        assert "Delete my [red] test and all its counts? [y/N]" in refused.output
        assert "Aborted" in refused.output
    assert len(Client(url).experiments()) == 1
    done = CliRunner().invoke(main, arguments, input="y\n")
    assert done.exit_code == 0
    assert done.output.endswith("Deleted.\n")
    assert Client(url).experiments() == []


def test_delete_without_asking(url: str, store: redis.Redis) -> None:
    count("e", {"a": 2}, namespace="n")
    count("kept", {"a": 2}, namespace="n")
    assert said(run("delete", "e", "--yes", "--url", url, "--namespace", "n")) == "Deleted.\n"
    assert [each["experiment"] for each in Client(url).experiments("n")] == ["kept"]
    assert store.keys("*:e:*") == ["n:e:deleted"]
    assert store.smembers("n:deleted") == {"e"}


def test_delete_of_what_there_is_not(url: str) -> None:
    line = complaint(run("delete", "none", "--yes", "--url", url, "--namespace", "n"))
    assert line == "there is no experiment none in namespace n"


# settings, stop, resume


@pytest.fixture(name="told")
def told_fixture(url: str) -> str:
    """A backend with an experiment to be told something about."""
    count("e", {"a": 300, "b=1, c": 300}, {"g": {"a": 30}, "h": {"a": 30}})
    return url


def shown(printed: str) -> dict[str, str]:
    """The settings as printed, by name."""
    _, *rows = printed.splitlines()
    return {row[:21].strip(): row[21:] for row in rows}


def test_settings_are_shown(told: str) -> None:
    assert shown(said(run("settings", "e", "--url", told))) == {
        "State": "running",
        "Baseline": "a",
        "Weights": "a 50.0%, b=1, c 50.0%",
        "Primary goal": "g",
        "Equivalence": "–",
        "Repeatable goals": "–",
        "Counting": "hyperloglog, 64 shards",
    }


@pytest.mark.parametrize(
    ("option", "value", "reset", "row", "expected"),
    [
        ("--baseline", "b=1, c", "baseline", "Baseline", "b=1, c"),
        ("--weights", '{"a": 3, "b=1, c": 1}', "weights", "Weights", "a 75.0%, b=1, c 25.0%"),
        ("--primary-goal", "h", "primary_goal", "Primary goal", "h"),
        ("--equivalence", "0.015", "equivalence", "Equivalence", "lifts within ±1.50%"),
        ("--total", "h", "totals", "Repeatable goals", "h"),
    ],
)
def test_each_setting_is_set_and_reset(
    told: str, option: str, value: str, reset: str, row: str, expected: str
) -> None:
    before = shown(said(run("settings", "e", "--url", told)))
    after = shown(said(run("settings", "e", "--url", told, option, value)))
    assert after == before | {row: expected}
    assert shown(said(run("settings", "e", "--url", told))) == after
    assert shown(said(run("settings", "e", "--url", told, "--reset", reset))) == before


def test_weights_in_short(url: str) -> None:
    count("e", {"A": 30, "B": 10})
    printed = shown(said(run("settings", "e", "--url", url, "--weights", "A=75, B=25")))
    assert printed["Weights"] == "A 75.0%, B 25.0%"


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--baseline", "none", "baseline must be a variant: a, b=1, c"),
        ("--primary-goal", "none", "primary_goal must be a goal: g, h"),
        ("--weights", "a=1", "weights must name each variant: a, b=1, c"),
        ("--weights", '{"a": 0, "b=1, c": 0}', "weights must not all be 0"),
        ("--weights", '{"a": NaN, "b=1, c": 0}', "every number must be finite"),
        ("--equivalence", "1", "equivalence must be a lift between 0 and 1"),
        ("--equivalence", "nan", "every number must be finite"),
        ("--total", "none", "totals must be a list of goals: g, h"),
    ],
)
def test_a_wrong_setting_is_one_line(told: str, option: str, value: str, reason: str) -> None:
    before = Client(told).experiment("e")
    assert reason in complaint(run("settings", "e", "--url", told, option, value))
    assert Client(told).experiment("e") == before


@pytest.mark.parametrize("weights", ["", "a", "a=b", "a=1,", "{", '{"a": 1'])
def test_weights_that_are_none(told: str, weights: str) -> None:
    result = run("settings", "e", "--url", told, "--weights", weights)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: Invalid value for '--weights'")


@pytest.mark.parametrize("command", ["settings", "stop", "resume"])
def test_an_experiment_that_there_is_not(url: str, command: str) -> None:
    line = complaint(run(command, "none", "--url", url))
    assert line == "the backend answered 404: there is no such experiment in this namespace"


def test_stop_and_resume(told: str) -> None:
    event = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "new"}
    before = Client(told).experiment("e")
    assert said(run("stop", "e", "--url", told)).startswith("Stopped.")
    forget_connection()  # as a minute later, or in another process
    assert post(event).status == 200
    assert Client(told).experiment("e") == before | {"state": "stopped"}
    assert "stopped, started" in said(run("results", "e", "--url", told))
    assert said(run("resume", "e", "--url", told)).startswith("Running.")
    forget_connection()
    post(event)
    visitors = [each["variants"][0]["trials"] for each in (before, Client(told).experiment("e"))]
    assert visitors[1] == visitors[0] + 1


# sample-size


def test_sample_size() -> None:
    """Evan Miller's example, in the unpooled form 1,091; here the log of the ratio is tested."""
    printed = said(
        run("sample-size", "--rate", "0.2", "--lift", "0.25", "--visitors-per-day", "99")
    )
    fixed, free = printed.splitlines()
    need = sample_size(0.2, 0.25, relative_error=0.0081 / 8)
    assert need.fixed
    assert need.free_looks
    assert 1030 < need.fixed.per_variant < 1200
    assert need.fixed.total == 2 * need.fixed.per_variant
    for line, start, found in (
        (fixed, "One look, at the end", need.fixed),
        (free, "Any number of looks", need.free_looks),
    ):
        days = -(-found.total // 99)
        assert line.startswith(start)
        assert line.endswith(
            f"  {found.per_variant:,} visitors per variant, {found.total:,} in total, {days} days"
        )
    assert need.free_looks.total > need.fixed.total


def test_sample_size_without_visitors_a_day_names_no_days() -> None:
    assert "days" not in said(run("sample-size", "--rate", "0.2", "--lift", "0.25"))


def test_more_of_everything_needs_more_visitors() -> None:
    def visitors(*more: str) -> int:
        printed = said(run("sample-size", "--rate", "0.1", "--lift", "0.1", *more))
        return int(printed.split(" in total")[0].split()[-1].replace(",", ""))

    least = visitors()
    options = [("--power", "0.9"), ("--alpha", "0.01"), ("--variants", "3"), ("--shards", "1")]
    assert all(visitors(*more) > least for more in options)
    assert visitors("--shards", "1024") < least
    assert visitors("--lift", "-0.2") < least


def test_a_lift_that_the_counters_hide() -> None:
    small = ("sample-size", "--rate", "0.1", "--lift", "0.01")
    printed = said(run(*small, "--shards", "1"))
    assert printed.count("no number is enough") == 2
    assert "no number" not in said(run(*small, "--shards", "1024"))


@pytest.mark.parametrize(
    "wrong",
    [
        ("--rate", "0"),
        ("--rate", "1"),
        ("--rate", "nan"),
        ("--rate", "inf"),
        ("--lift", "0"),
        ("--lift", "9.5"),
        ("--lift", "-1"),
        ("--lift", "nan"),
        ("--power", "0"),
        ("--power", "1"),
        ("--power", "0.05"),
        ("--power", "nan"),
        ("--alpha", "0"),
        ("--alpha", "1"),
        ("--alpha", "nan"),
        ("--alpha", "1e-300"),
        ("--variants", "1"),
        ("--variants", "-1"),
        ("--shards", "0"),
        ("--shards", "2000"),
        ("--visitors-per-day", "0"),
        ("--rate", "many"),
    ],
)
def test_impossible_designs(wrong: tuple[str, str]) -> None:
    result = run("sample-size", "--rate", "0.1", "--lift", "0.05", *wrong)
    assert result.exit_code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    *usage, line = result.stderr.splitlines()
    assert usage[0].startswith("Usage: ")
    assert line.startswith("Error: ")
