"""The commands: what each prints, what it changes, and that an error is one line."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
from click.testing import CliRunner

import gimel
from gimel.backend.counting.declaring import change
from gimel.backend.process import connection, reset
from gimel.cli import main
from gimel.client import BackendClient
from tests.support.commands import complaint, count, process, run, said
from tests.support.handler_requests import post


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
    assert "--redis-url: url cannot be parsed: port and database must be" in result.stderr
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


def test_a_link_is_shared_only_where_a_key_can_be_made(url: str) -> None:
    done = run("dashboard", "--share", "--url", url, env={"GIMEL_KEY": "the owner's"})
    said_why = complaint(done)
    assert "read:HASH" in said_why
    assert "owner's" not in said_why


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
    assert len(BackendClient(url).experiments()) == 1
    done = CliRunner().invoke(main, arguments, input="y\n")
    assert done.exit_code == 0
    assert done.output.endswith("Deleted.\n")
    assert BackendClient(url).experiments() == []


def test_delete_without_asking(url: str, store: redis.Redis) -> None:
    count("e", {"a": 2}, namespace="n")
    count("kept", {"a": 2}, namespace="n")
    assert said(run("delete", "e", "--yes", "--url", url, "--namespace", "n")) == "Deleted.\n"
    assert [each["experiment"] for each in BackendClient(url).experiments("n")] == ["kept"]
    assert store.keys("*:e:*") == ["n:e:deleted"]
    assert store.smembers("n:deleted") == {"e"}


def test_delete_of_what_there_is_not(url: str) -> None:
    line = complaint(run("delete", "none", "--yes", "--url", url, "--namespace", "n"))
    assert line == "there is no experiment none in namespace n"


def left(url: str) -> list[str]:
    return [each["experiment"] for each in BackendClient(url).experiments("n", view="summary")]


def count_each(*names: str) -> None:
    for name in names:
        count(name, {"a": 1}, namespace="n")


def declare(name: str) -> None:
    changes = {"variants": '[{"name": "a"}, {"name": "b"}]'}
    change(connection(), ("n", name), changes, "owner")


def test_delete_what_matches(url: str, store: redis.Redis) -> None:
    count_each("junk 1", "junk [2]", "Junk 3", "other junk")
    many = ("delete", "--match", "junk*", "--url", url, "--namespace", "n")
    for answer in ("n\n", ""):
        refused = CliRunner().invoke(main, many, input=answer)
        assert refused.exit_code == 1
        assert refused.output.startswith("junk 1, junk [2]\n")
        assert "Delete 2 experiments of n and all counts? [y/N]" in refused.output
        assert len(left(url)) == 4
    assert said(run(*many, "--yes")) == "junk 1, junk [2]\nDeleted 2 experiments.\n"
    assert left(url) == ["Junk 3", "other junk"]
    assert store.smembers("n:deleted") == {"junk 1", "junk [2]"}
    exact = ("delete", "--match", "other jun?", "--url", url, "--namespace", "n", "--yes")
    assert said(run(*exact, "--forget")) == "other junk\nDeleted 1 experiment.\n"
    assert store.smembers("n:deleted") == {"junk 1", "junk [2]"}


def test_delete_what_is_undeclared(url: str) -> None:
    count_each("declared", "junk 1", "junk 2", "also declared")
    declare("declared")
    declare("also declared")
    undeclared = ("delete", "--undeclared", "--url", url, "--namespace", "n", "--yes")
    assert said(run(*undeclared, "--match", "*2")) == "junk 2\nDeleted 1 experiment.\n"
    assert said(run(*undeclared)) == "junk 1\nDeleted 1 experiment.\n"
    assert left(url) == ["also declared", "declared"]
    line = complaint(run(*undeclared))
    assert line == "there is no undeclared experiment in namespace n"


def test_delete_many_shows_the_first_names_and_the_number(url: str) -> None:
    count_each("a\N{RIGHT-TO-LEFT OVERRIDE}", *(f"b{number:03}" for number in range(119)))
    done = said(run("delete", "--match", "*", "--url", url, "--namespace", "n", "--yes"))
    first = "a\\u{202e}, b000, b001, b002, b003 and 115 more"
    assert done == f"{first}\nDeleted 120 experiments.\n"
    assert left(url) == []


def test_delete_where_nothing_matches(url: str) -> None:
    count_each("e")
    line = complaint(run("delete", "--match", "E\u202e*", "--url", url, "--namespace", "n"))
    assert line == "there is no experiment that matches E\\u{202e}* in namespace n"
    assert left(url) == ["e"]


@pytest.mark.parametrize(
    "arguments", [(), ("e", "--match", "*"), ("e", "--undeclared"), ("e", "--match", "")]
)
def test_delete_is_told_one_thing(url: str, arguments: tuple[str, ...]) -> None:
    count_each("e")
    result = run("delete", *arguments, "--yes", "--url", url, "--namespace", "n")
    assert result.exit_code == 2
    assert "name one EXPERIMENT, or use --match or --undeclared" in result.stderr
    assert left(url) == ["e"]


# settings, stop, resume


@pytest.fixture(name="told")
def told_fixture(url: str) -> str:
    """A backend with an experiment to be told something about."""
    count("e", {"a": 300, "b=1, c": 300}, {"g": {"a": 30}, "h": {"a": 30}})
    return url


def shown(printed: str) -> dict[str, str]:
    """The settings as printed, by name."""
    _, *rows = printed.splitlines()
    return {row[:21].strip(): row[21:].rstrip() for row in rows}


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
        ("--weights", "a=1", "weights must name every variant and no other: a, b=1, c"),
        ("--weights", '{"a": 0, "b=1, c": 0}', "weights must not all be 0"),
        ("--weights", '{"a": NaN, "b=1, c": 0}', "every number must be finite"),
        ("--equivalence", "1", "equivalence must be a lift between 0 and 1"),
        ("--equivalence", "nan", "every number must be finite"),
        ("--total", "none", "totals must be a list of goals: g, h"),
    ],
)
def test_a_wrong_setting_is_one_line(told: str, option: str, value: str, reason: str) -> None:
    before = BackendClient(told).experiment("e")
    assert reason in complaint(run("settings", "e", "--url", told, option, value))
    assert BackendClient(told).experiment("e") == before


@pytest.mark.parametrize("weights", ["", "a", "a=b", "a=1,", "{", '{"a": 1'])
def test_weights_that_are_none(told: str, weights: str) -> None:
    result = run("settings", "e", "--url", told, "--weights", weights)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith("Error: Invalid value for '--weights'")


@pytest.mark.parametrize("command", ["settings", "stop", "resume"])
def test_an_experiment_that_there_is_not(url: str, command: str) -> None:
    line = complaint(run(command, "none", "--url", url))
    assert line == "there is no experiment none in namespace alephbet"


def test_archive_and_restore(told: str) -> None:
    def state() -> object:
        return BackendClient(told).experiment("e")["state"]

    assert said(run("stop", "e", "--archive", "--url", told)).startswith("Archived.")
    assert state() == "archived"
    assert said(run("stop", "e", "--url", told)).startswith("Stopped.")
    assert state() == "stopped"
    run("stop", "e", "--archive", "--url", told)
    assert said(run("resume", "e", "--url", told)).startswith("Running.")
    assert state() == "running"


def test_stop_and_resume(told: str) -> None:
    event = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "new"}
    before = BackendClient(told).experiment("e")
    assert said(run("stop", "e", "--url", told)).startswith("Stopped.")
    reset()  # as a minute later, or in another process
    assert post(event).status == 200
    found = BackendClient(told).experiment("e")
    for goal, earlier in zip(found["goals"], before["goals"], strict=True):
        assert goal["results"] == earlier["results"]
    named = ("changes", "goals", "health")
    assert found == before | {"state": "stopped"} | {field: found[field] for field in named}
    assert "stopped, started" in said(run("results", "e", "--url", told))
    assert said(run("resume", "e", "--url", told)).startswith("Running.")
    reset()
    post(event)
    visitors = [
        each["variants"][0]["trials"] for each in (before, BackendClient(told).experiment("e"))
    ]
    assert visitors[1] == visitors[0] + 1
