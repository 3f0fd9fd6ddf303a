"""Suggested commands: each works as printed, however Gimel was started."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gimel.client import BackendClient
from gimel.terminal.hints import command_line
from tests.support.commands import run, said

HOME = Path(sys.executable).parent
SIMULATE = ("simulate", "it's a test", "--visitors", "9", "--rate", "50%", "--lift", "10%", "--url")


def shell(folder: Path, line: str, **env: str) -> str:
    """Run a line in a folder and return its output. Only `env` can put Gimel on the path."""
    clean = {name: value for name, value in os.environ.items() if name != "UV"}
    done = subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env=clean | {"PATH": "/usr/bin:/bin"} | env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "path", "suggested"),
    [
        (".venv/bin/gimel", "/usr/bin:/bin", ".venv/bin/gimel"),
        ("gimel", f"{HOME}:/usr/bin:/bin", "gimel"),
        (f"{HOME}/gimel", "/usr/bin:/bin", f"{HOME}/gimel"),
        (f"{HOME}/python -m gimel", "/usr/bin:/bin", f"{HOME}/python -m gimel"),
    ],
)
def test_a_suggestion_works_as_printed(
    url: str, tmp_path: Path, start: str, path: str, suggested: str
) -> None:
    (tmp_path / ".venv").symlink_to(HOME.parent)
    printed = shell(tmp_path, f"{start} {shlex.join(SIMULATE)} {url}", PATH=path)
    *_, heading, command = printed.splitlines()
    assert heading == "Delete it:"
    assert command.startswith(f"  {suggested} delete ")
    assert BackendClient(url).experiments("simulation")
    shell(tmp_path, f"{command} --yes", PATH=path)
    assert BackendClient(url).experiments("simulation") == []


def test_what_uvx_put_on_the_path_is_named_by_its_path(url: str, tmp_path: Path) -> None:
    path = f"{HOME}:/usr/bin:/bin"
    printed = shell(tmp_path, f"gimel {shlex.join(SIMULATE)} {url}", PATH=path, UV="/usr/bin/uv")
    assert printed.splitlines()[-1].startswith(f"  {HOME}/gimel delete ")


def test_it_names_the_backend_and_nothing_that_is_the_default() -> None:
    assert command_line("results") == "gimel results"
    assert command_line("results", namespace="alephbet") == "gimel results"
    everything = command_line("show", "a b", config_file=Path("c d"), namespace="n", url="http://h")
    assert everything == "gimel --config 'c d' show 'a b' --namespace n --url http://h"
    assert "\x1b" not in command_line("show", "\x1b[2J")


def test_a_simulation_that_was_there_before_comes_with_the_command_that_deletes_it(
    url: str,
) -> None:
    said(run(*SIMULATE, url))
    line = run(*SIMULATE, url, "--goal", "other").stderr
    command = line.split("`")[1]
    assert (
        command == f"""gimel delete 'it'"'"'s a test' --forget --namespace simulation --url {url}"""
    )
    assert said(run(*shlex.split(command)[1:], "--yes")) == "Deleted.\n"
