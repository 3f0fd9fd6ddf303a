"""The commands as a person runs them, and backends for them to talk to."""

import functools
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis
import waitress
from click.testing import CliRunner, Result

from gimel import wsgi
from gimel.backend.wire import Event
from gimel.cli import main
from gimel.gimel import counters
from tests.support.servers import backend_fixture, store_fixture  # noqa: F401

DEADLINE = 30


def run(*arguments: str, env: dict[str, str | None] | None = None) -> Result:
    """The command in this process, its output as in a pipe."""
    return CliRunner().invoke(main, arguments, env=env)


def said(result: Result) -> str:
    """What a command that did its work printed."""
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def complaint(result: Result, code: int = 1) -> str:
    """The one line that a command ended with when it could not do its work."""
    assert result.exit_code == code, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def process(
    *arguments: str, env: dict[str, str] | None = None, text: str | None = None
) -> subprocess.CompletedProcess[str]:
    """The command as a process, its output in pipes, 80 columns."""
    return subprocess.run(
        [sys.executable, "-m", "gimel", *arguments],
        input=text or "",
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
        env=os.environ | {"COLUMNS": "80"} | (env or {}),
    )


@functools.cache
def _server_url() -> str:
    """One waitress for the whole run, serving whatever Redis the handlers are pointed at."""
    server = waitress.create_server(wsgi.app, host="127.0.0.1", port=0, threads=4)
    threading.Thread(target=server.run, daemon=True).start()
    return f"http://127.0.0.1:{server.effective_port}"


@pytest.fixture(name="url")
def url_fixture(backend: redis.Redis) -> str:
    """The address of the handlers over HTTP, on an empty Valkey, reads open."""
    return _server_url()


def count(
    experiment: str,
    visitors: dict[str, int],
    goals: dict[str, dict[str, int]] | None = None,
    namespace: str = "alephbet",
) -> None:
    """Let the handlers' counters see so many visitors and conversions of each variant."""
    by_goal = {"participate": visitors} | (goals or {})
    counters().add(
        [
            Event(namespace, experiment, goal, variant, f"{variant}{number}")
            for goal, of in by_goal.items()
            for variant, total in of.items()
            for number in range(total)
        ]
    )


class Local:
    """`gimel local` as a process, once it is ready."""

    def __init__(self, data_dir: Path, *arguments: str) -> None:
        command = [sys.executable, "-m", "gimel", "local", "--port", "0"]
        self._process = subprocess.Popen(
            [*command, "--data-dir", str(data_dir), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.printed = ""
        assert self._process.stdout
        for line in self._process.stdout:
            self.printed += line
            if line.startswith("Events"):
                self.url = line.split()[1].removesuffix("/e").replace("0.0.0.0", "127.0.0.1")
            if line.startswith("Ctrl-C"):
                return
        self._process.communicate(timeout=DEADLINE)
        raise AssertionError(self.printed)

    def children(self) -> list[int]:
        """The processes that it started."""
        task = Path(f"/proc/{self._process.pid}/task")
        return [
            int(child)
            for thread in task.iterdir()
            for child in (thread / "children").read_text().split()
        ]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self._process.send_signal(how)
        rest, _ = self._process.communicate(timeout=DEADLINE)
        self.printed += rest
        return self._process.returncode

    def __enter__(self) -> "Local":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()
