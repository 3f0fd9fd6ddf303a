"""The lock of a stack: who waits, who takes over, and what is left of it."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from gimel import deploy
from gimel.stack import destruction, lock
from gimel.stack.aws import Aws
from gimel.stack.lock import exclusive, is_locked
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import DeployError, Names
from tests.support.aws_account import REGION, RecordingAws, new_stack, stack_config
from tests.support.deployments import Stack, silent

pytestmark = pytest.mark.slow

HOLD = """
import sys
from gimel.stack.aws import Aws
from gimel.stack.lock import exclusive
from gimel.stack.wanted import Names
with exclusive(Aws(sys.argv[1]), Names(sys.argv[2]), print):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def aws(aws_endpoint: str) -> Aws:
    return Aws(REGION)


@pytest.fixture
def names() -> Names:
    return Names(new_stack())


@contextmanager
def held(names: Names) -> Iterator["subprocess.Popen[str]"]:
    """Another process holds the lock, until its input ends."""
    command = [sys.executable, "-c", HOLD, REGION, names.stack]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        yield process


def put(aws: Aws, names: Names, **changed: object) -> None:
    value = json.dumps({"by": "ana@elsewhere", "process": 7, **changed})
    aws.call("ssm", "put_parameter", Name=names.lock, Value=value, Type="String", Overwrite=True)


def test_nothing_is_left(aws: Aws, names: Names) -> None:
    with exclusive(aws, names, silent) as held_lock:
        assert not held_lock.has_waited
        assert is_locked(aws, names)
    assert not is_locked(aws, names)


def test_a_failure_releases_it(aws: Aws, names: Names) -> None:
    with pytest.raises(KeyboardInterrupt), exclusive(aws, names, silent):
        raise KeyboardInterrupt
    assert not is_locked(aws, names)


def test_the_second_waits_and_says_for_whom(aws: Aws, names: Names) -> None:
    said: list[str] = []
    with held(names) as other:

        def say(line: str) -> None:
            said.append(line)
            assert other.stdin
            other.stdin.close()

        with exclusive(aws, names, say) as held_lock:
            assert held_lock.has_waited
            assert other.wait(60) == 0
    (line,) = said
    assert line.endswith(f"@{socket.gethostname()} is changing stack {names.stack}")


def test_the_lock_of_a_killed_process_is_taken_at_once(aws: Aws, names: Names) -> None:
    with held(names) as other:
        other.kill()
    assert is_locked(aws, names)
    started = time.monotonic()
    with exclusive(aws, names, pytest.fail) as held_lock:
        assert held_lock.has_waited
    assert time.monotonic() - started < lock._STALE_AFTER / 2
    assert not is_locked(aws, names)


@pytest.mark.parametrize("left", [{}, {"by": None}, {"process": "7"}])
def test_a_lock_that_is_not_renewed_is_taken_over(
    aws: Aws, names: Names, left: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_STALE_AFTER", 0.3)
    monkeypatch.setattr(lock, "_POLL", 0.1)
    put(aws, names, **left)
    with exclusive(aws, names, silent) as held_lock:
        assert held_lock.has_waited


def test_a_lock_that_is_renewed_is_not_taken_over(
    aws: Aws, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_STALE_AFTER", 2.0)
    monkeypatch.setattr(lock, "_RENEWAL", 0.2)
    monkeypatch.setattr(lock, "_POLL", 0.1)
    monkeypatch.setattr("os.getpid", lambda: 1)  # alive, and not this process
    ended = threading.Event()

    def hold() -> None:
        with exclusive(aws, names, silent):
            ended.wait(4)
            ended.set()

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        while not is_locked(aws, names):
            time.sleep(0.05)
        monkeypatch.setattr("os.getpid", lambda: 2)
        with exclusive(aws, names, silent) as held_lock:
            assert held_lock.has_waited
            assert ended.is_set()


def test_of_two_that_take_over_one_wins(aws: Aws, names: Names) -> None:
    put(aws, names)
    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(lambda mine: lock._take_over(aws, names, mine), ["a", "b"]))
    assert sorted(won) == [False, True]


def value_of(aws: Aws, names: Names) -> str | None:
    found: str | None = aws.find("ssm", "get_parameter", "Parameter.Value", Name=names.lock)
    return found


LOST = "^stopped: this command paused for too long, and ana@elsewhere has taken over stack"


def test_a_lock_that_another_command_took_over_is_left_to_it(aws: Aws, names: Names) -> None:
    def hold() -> None:
        with exclusive(aws, names, silent):
            put(aws, names)

    with pytest.raises(DeployError, match=LOST):
        hold()
    assert '"ana@elsewhere"' in str(value_of(aws, names))


def test_a_lost_lock_is_not_renewed(
    aws: Aws, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_RENEWAL", 0.1)

    def hold() -> None:
        with exclusive(aws, names, silent) as held_lock:
            put(aws, names)
            before = value_of(aws, names)
            time.sleep(0.5)
            assert value_of(aws, names) == before
            with pytest.raises(DeployError, match=LOST):
                held_lock.confirm()

    with pytest.raises(DeployError, match=LOST):
        hold()


@pytest.mark.parametrize("asleep", [25, 65])
def test_a_command_that_slept_stops_before_its_next_call(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, asleep: int
) -> None:
    """The renewing thread is asleep as well."""
    aws = RecordingAws()
    config = stack_config("redis://127.0.0.1:1", stack=new_stack())
    names, said, clock = Names(config.stack), [], [0.0]
    real = time.time
    monkeypatch.setattr(deploy, "probe", lambda *_: None)
    monkeypatch.setattr(lock.time, "time", lambda: real() + clock[0])

    def sleep(line: str) -> None:
        said.append(line)
        if line.startswith("create queue"):
            clock[0] += asleep
            if asleep > lock._STALE_AFTER:
                put(aws, names)

    if asleep < lock._STALE_AFTER:
        deploy.deploy(config, sleep, aws)
        return
    with pytest.raises(DeployError, match=LOST):
        deploy.deploy(config, sleep, aws)
    assert said[-1].startswith("create queue")
    assert "CreateQueue" not in aws.writes
    assert '"ana@elsewhere"' in str(value_of(aws, names))


def test_a_lock_that_exists_and_does_not_is_asked_for_with_pauses(
    aws: Aws, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, slept = iter([False, False, False, True]), []
    monkeypatch.setattr(lock, "_create", lambda *_: next(answers))
    monkeypatch.setattr("time.sleep", slept.append)
    assert not lock._acquire(aws, names, "mine", silent)
    assert slept.count(lock._CONTEST) == 3


def test_the_holders_name_cannot_break_the_line(
    aws: Aws, names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_STALE_AFTER", 0.3)
    monkeypatch.setattr(lock, "_POLL", 0.1)
    put(aws, names, by="ana\n\x1b[2J@elsewhere")
    said: list[str] = []
    with exclusive(aws, names, said.append):
        assert said == [f"waiting: ana??[2J@elsewhere is changing stack {names.stack}"]


def disturb_once(monkeypatch: pytest.MonkeyPatch, module: Any, do: Callable[[], object]) -> None:
    """Another command runs from its first call to its last, before this one takes the free lock."""
    calls = []

    def late(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 1:
            do()
        return exclusive(*arguments)

    monkeypatch.setattr(module, "exclusive", late)


def test_what_another_deploy_made_since_the_plan_is_not_made_again(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "probe", lambda *_: None)
    own, other = RecordingAws(), RecordingAws()
    config = stack_config("redis://127.0.0.1:1", stack=new_stack())
    disturb_once(monkeypatch, deploy, lambda: deploy.deploy(config, silent, other))
    deployed = deploy.deploy(config, silent, own)
    assert not deployed.is_new
    assert deployed.changes == ()
    assert len(other.writes) > 20
    assert own.writes == []


def test_what_another_deploy_changed_since_the_plan_is_destroyed_too(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "probe", lambda *_: None)
    aws = RecordingAws()
    config = stack_config("redis://127.0.0.1:1", stack=new_stack())
    names = Names(config.stack)
    deploy.deploy(config, silent, aws)
    (first,) = observe(aws, names).apis

    def make_anew() -> None:
        aws.call("apigatewayv2", "delete_api", ApiId=first.id)
        deploy.deploy(config, silent, aws)

    disturb_once(monkeypatch, destruction, make_anew)
    said: list[str] = []
    destruction.destroy(config, aws, said.append)
    assert [line for line in said if "HTTP API" in line and first.id in line] == []
    assert observe(aws, names).apis == ()


@pytest.mark.slow
def test_two_deploys_at_once_make_one_stack(
    aws_endpoint: str, redis_url: str, tmp_path: Path
) -> None:
    own_stack = Stack(tmp_path, redis_url)
    processes = [own_stack.start("deploy", "--no-preflight") for _ in range(2)]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    printed = "".join(output for output, _ in outputs)
    assert printed.count("is changing stack") == 1
    assert printed.count("create HTTP API") == 1
    assert own_stack.run("deploy", "--no-preflight", "--dry-run").startswith("Nothing to change")
