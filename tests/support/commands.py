"""The commands as a person runs them, and backends for them to talk to."""

import functools
import os
import subprocess
import sys

from click.testing import CliRunner, Result

from gimel import rsgi
from gimel.backend.process import counters
from gimel.backend.wire import Event
from gimel.cli import main
from tests.support.http_server import start_server

SECONDS = 60
# The commands that ask a backend about an experiment.
READS = [
    ("results",),
    ("results", "e", "--json"),
    ("settings", "e"),
    ("settings", "e", "--equivalence", "0.01"),
    ("stop", "e"),
    ("resume", "e"),
    ("decide", "e", "--winner", "a", "--reason", "It won"),
    ("decisions",),
    ("show", "e"),
    ("create", "e", "--variant", "a", "--variant", "b"),
    ("delete", "e", "--yes"),
]


def run(*arguments: str, env: dict[str, str | None] | None = None) -> Result:
    """The command in this process, its output as in a pipe."""
    return CliRunner().invoke(main, arguments, env=env)


def said(result: Result) -> str:
    """What a command that did its work printed."""
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return result.stdout


def complaint(result: Result) -> str:
    """The one line that a command ended with when it could not do its work."""
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    return line.removeprefix("Error: ")


def process(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command as a process, its output in pipes, 80 columns."""
    return subprocess.run(
        [sys.executable, "-m", "gimel", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
        env=os.environ | {"COLUMNS": "80"} | (env or {}),
    )


@functools.cache
def server_url() -> str:
    """One granian for the whole run, serving whatever Redis the handlers are pointed at."""
    return start_server(rsgi.App()).url


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
