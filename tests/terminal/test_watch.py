"""`gimel watch` on a real backend: each message once, few requests, a backend that goes away."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis

from gimel.client import BackendClient
from gimel.terminal.watch import _Watcher
from tests.support.commands import complaint, run, said
from tests.support.gimel_local import SECONDS, LocalBackend
from tests.support.handler_requests import post
from tests.support.newsworthy import win
from tests.support.whole_life import put


class Counted(BackendClient):
    """A client that keeps the paths of its requests."""

    paths: list[str]

    def _send(self, method: str, path: str, *rest: Any) -> Any:
        self.paths = [*getattr(self, "paths", []), path]
        return super()._send(method, path, *rest)


def test_once_prints_what_is_to_be_told_now(backend: redis.Redis, url: str) -> None:
    assert said(run("watch", "--once", "--url", url)) == ""
    win("won")
    printed = said(run("watch", "--once", "--url", url))
    assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d  Experiment won: red wins, by the goal", printed)
    assert "Ship red" in printed
    assert said(run("watch", "won", "--once", "--url", url)) == printed
    assert said(run("watch", "--once", "--url", url, "--namespace", "other")) == ""
    assert "there is no experiment none in namespace" in complaint(
        run("watch", "none", "--once", "--url", url)
    )


def test_a_winner_that_breaks_a_guardrail_is_not_to_be_shipped(
    backend: redis.Redis, url: str
) -> None:
    refund = {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.02}
    win("won", goals=[{"name": "signup", "role": "primary"}, refund])
    for variant, first, step in (("blue", 0, 20), ("red", 1, 2)):
        one = {"experiment": "won", "event": "refund", "variant": variant}
        numbers = range(first, 400, step)
        assert post([one | {"uuid": f"id{number}"} for number in numbers]).status == 200
    printed = said(run("watch", "--once", "--url", url))
    assert "Do not ship red: the guardrail refund is broken." in printed
    assert len(printed.splitlines()) == 1


def test_an_undeclared_experiment_is_watched_if_it_is_named(backend: redis.Redis, url: str) -> None:
    one = {"experiment": "of a stranger", "event": "participate"}
    for variant, visitors in (("a", 400), ("b", 100)):
        post([one | {"variant": variant, "uuid": f"id{number}"} for number in range(visitors)])
    assert said(run("watch", "--once", "--url", url)) == ""
    assert "not split" in said(run("watch", "of a stranger", "--once", "--url", url))


def test_each_message_is_printed_once_and_one_history_read_at_a_look(
    backend: redis.Redis, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("won", "e1", "e2"):
        put(name)
    win("also won")
    client = Counted(url)
    watcher = _Watcher(client, "alephbet", None)
    for _ in range(6):
        watcher.look()
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert client.paths.count("/experiment") == 4
    assert client.paths.count("/experiments") == 12


def test_a_key_that_opens_nothing_ends_it(
    backend: redis.Redis, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMEL_KEY_SHA256", "0" * 64)
    done = run("watch", "--url", url, env={"GIMEL_KEY": "wrong"})
    assert "the key is wrong" in complaint(done)


def test_a_backend_that_is_away_is_one_line(
    backend: redis.Redis, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = BackendClient(url)
    watcher = _Watcher(client, "alephbet", None)
    client.url = "http://127.0.0.1:1"
    for _ in range(3):
        watcher.look_or_wait()
    client.url = url
    for _ in range(2):
        watcher.look_or_wait()
    away, back = capsys.readouterr().out.splitlines()
    assert "http://127.0.0.1:1 cannot be reached" in away
    assert away.endswith("Waiting for it.")
    assert back.endswith("The backend answers again.")


@contextmanager
def watching(local: LocalBackend, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """The command as a process, which Ctrl-C reaches even if the tests run in the background."""
    command = [sys.executable, "-m", "gimel", "watch", "--url", local.url, *arguments]
    process = subprocess.Popen(
        command, env=os.environ | local.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_it_goes_on_until_ctrl_c(local: LocalBackend) -> None:
    local.client.declare("e", {"variants": [{"name": "a"}, {"name": "b"}]})
    with watching(local, "--every", "5") as process:
        assert process.stdout
        for number in range(300):
            local.client.track("e", "a", "participate", str(number))
        assert "Experiment e: visitors are not split" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, rest, errors) == (0, "", "")
