"""`gimel export`, `import` and `move`, as a person runs them."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gimel.config.settings import Config
from gimel.terminal.backup import moving
from tests.support.commands import complaint, run, said
from tests.support.counting import events, exact_counters_of
from tests.support.redis_content import content, timeless
from tests.support.serverless_cache import serverless_cache
from tests.support.servers import port_of, url_of, valkey
from tests.support.terminal import run_in_terminal
from tests.support.waiting import wait
from tests.support.whole_life import live


@pytest.fixture
def other() -> Iterator[redis.Redis]:
    with valkey() as client:
        yield client


@pytest.fixture
def filled(store: redis.Redis) -> redis.Redis:
    for name in ("one", "two"):
        exact_counters_of(store).add(events(range(100), experiment=name))
    return store


def names(store: redis.Redis) -> dict[str, int]:
    return {each.name: each.trials["a"] for each in exact_counters_of(store).read("alephbet")}


def test_a_backup_is_restored(filled: redis.Redis, other: redis.Redis, tmp_path: Path) -> None:
    file = str(tmp_path / "backup.jsonl.gz")
    written = said(run("export", "--redis-url", url_of(filled), "--output", file))
    assert written.startswith(f"Wrote 2 experiments to {file} (")
    merge = ("import", file, "--redis-url", url_of(other))
    assert said(run(*merge)).startswith("Merged 2 experiments: ")
    assert names(other) == names(filled) == {"one": 100, "two": 100}
    assert said(run(*merge)) == "Merged 2 experiments: 0 values were new.\n"


def test_one_experiment_of_the_configured_redis(
    filled: redis.Redis, other: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"redis": {"url": url_of(filled)}}))
    config.chmod(0o600)
    assert said(run("export", "one", "--namespace", "alephbet")).startswith("Wrote 1 experiment ")
    (file,) = tmp_path.glob("gimel-*.jsonl.gz")
    config.write_text(json.dumps({"redis": {"url": url_of(other)}}))
    assert said(run("import", str(file), "one")).startswith("Merged 1 experiment: ")
    assert names(other) == {"one": 100}


def test_one_namespace_is_restored(store: redis.Redis, other: redis.Redis, tmp_path: Path) -> None:
    for namespace in ("alephbet", "staging"):
        for name in ("one", "two"):
            some = events(range(9), experiment=name, namespace=namespace)
            exact_counters_of(store).add(some)
    file = str(tmp_path / "x")
    said(run("export", "--redis-url", url_of(store), "--output", file))
    merge = ("import", file, "--redis-url", url_of(other), "--namespace")
    assert said(run(*merge, "staging", "one")).startswith("Merged 1 experiment: ")
    listed = {key: other.smembers(key) for key in other.scan_iter("*:experiments")}
    assert listed == {"staging:experiments": {"one"}}
    assert said(run(*merge, "staging")).startswith("Merged 2 experiments: ")
    assert names(other) == {}
    assert complaint(run(*merge, "typo")) == "the file has nothing in namespace typo"
    line = complaint(run(*merge, "staging", "three"))
    assert line == "the file has no experiment three in namespace staging"


def test_what_is_wrong_is_one_line(filled: redis.Redis, tmp_path: Path) -> None:
    url = url_of(filled)
    file = tmp_path / "x"
    output = ("--output", str(file))
    assert complaint(run("export", "thr\x1bee", "--redis-url", url, *output)) == (
        r"there is no experiment thr\u{1b}ee in this Redis"
    )
    assert complaint(run("export", "--namespace", "typo", "--redis-url", url, *output)) == (
        "this Redis has nothing of namespace typo"
    )
    assert complaint(run("export", "--redis-url", url, "--output", "")) == (
        "the file to write has no name: give one with --output"
    )
    assert complaint(run("import", str(file), "--redis-url", url)) == f"{file} does not exist"
    down = "redis://127.0.0.1:1"
    for command in (("export", *output), ("move", "--to", url)):
        line = complaint(run(*command, "--redis-url", down))
        assert line.startswith("cannot use Redis: cannot connect")
    file.write_bytes(b"")
    line = complaint(run("import", str(file), "--redis-url", url))
    assert line == f"{file}: the file is damaged or incomplete"
    done = run("move", "--redis-url", url, "--to", "http://x")
    assert done.exit_code == 2
    assert "Invalid value for --to: url must start with redis://" in done.stderr
    assert list(tmp_path.iterdir()) == [file]


def test_a_move_in_a_pipe_is_finished_by_a_second_command(
    filled: redis.Redis, other: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving.Move.finish, "__defaults__", (0.2,))
    move = ("move", "--redis-url", url_of(filled), "--to", url_of(other))
    assert "no move to this Redis has begun" in run(*move, "--finish").stderr
    printed = said(run(*move))
    assert "run `gimel deploy`" in printed
    assert "`gimel move --redis-url OLD --to NEW --finish`" in printed
    exact_counters_of(filled).add(events(range(100, 150), experiment="one"))
    printed = said(run(*move, "--finish"))
    assert printed.splitlines()[-1].startswith("Moved: all ")
    assert names(other) == {"one": 150, "two": 100}


@pytest.mark.slow
def test_a_move_to_the_managed_redis(
    filled: redis.Redis, other: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS, which knows the address, is left out; the cache itself asks for tokens."""
    asked: list[bool] = []

    def environment(config: Config, aws: object) -> dict[str, str]:
        asked.append(config.redis.managed is not None)
        return cache.environ

    config = tmp_path / "config.json"
    config.write_text(
        json.dumps({"redis": {"url": url_of(filled)}, "aws": {"region": "eu-west-1"}})
    )
    with serverless_cache(port_of(other)) as cache:
        monkeypatch.setattr("gimel.stack.cache.redis_environment", environment)
        monkeypatch.setattr("gimel.stack.deployed.connect", lambda config: None)
        assert "Copied " in said(run("--config", str(config), "move", "--to", "managed"))
    assert asked == [True]
    assert names(other) == {"one": 100, "two": 100}


def test_what_cannot_be_moved_ends_with_an_error(filled: redis.Redis, other: redis.Redis) -> None:
    exact_counters_of(other).add(events(range(100), experiment="one"))
    done = run("move", "--redis-url", url_of(filled), "--to", url_of(other))
    assert done.exit_code == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: not moved: experiment alephbet/one began here on its own")
    assert names(other)["two"] == 100


_QUICK = """
import sys
from gimel.cli import main
from gimel.config.settings import Config
from gimel.terminal.backup import moving
moving.Move.finish.__defaults__ = (0.2,)
main(sys.argv[1:])
"""


@pytest.mark.slow
def test_a_move_in_a_terminal_waits_for_enter(filled: redis.Redis, other: redis.Redis) -> None:
    move = ("move", "--redis-url", url_of(filled), "--to", url_of(other))
    question = "Press Enter when that is done. Changes are copied until then.\r\n"
    session = run_in_terminal(*move, columns=200, answers=[(question, "")], program=("-c", _QUICK))
    assert session.code == 0, session.written
    assert session.lines[-2].startswith("Moved: all ")
    assert names(other) == {"one": 100, "two": 100}


@pytest.mark.slow
def test_an_import_that_is_killed_is_completed_by_the_next(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    live(backend)
    file = str(tmp_path / "backup.jsonl.gz")
    said(run("export", "--redis-url", url_of(backend), "--output", file))
    command = [sys.executable, "-m", "gimel", "import", file, "--redis-url", url_of(other)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as importing:
        wait(lambda: other.dbsize() > 0)
        importing.kill()
    assert importing.returncode == -signal.SIGKILL
    said(run("import", file, "--redis-url", url_of(other)))
    found = {key: value for key, value in content(other).items() if "gimel-import" not in key}
    assert timeless(found) == timeless(content(backend))
