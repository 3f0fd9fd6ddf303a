"""Completion of commands and options in bash, zsh and fish, set up as docs/commands.md says."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.pages import section
from tests.support.terminal import run_in_terminal

SECTION = section("commands.md", "Completion")
LINES = {
    shell: re.search(rf"^.*_GIMEL_COMPLETE={shell}_source.*$", SECTION, re.M)[0]  # type: ignore[index]
    for shell in ("bash", "zsh", "fish")
}
COMPINIT = "autoload -Uz compinit && compinit"
TYPED = "gimel polic\t--he\t"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


@pytest.mark.slow
def test_bash(tmp_path: Path) -> None:
    rc = tmp_path / ".bashrc"
    rc.write_text(f"PS1='READY> '\n{LINES['bash']}\n")
    session = run_in_terminal(
        "--rcfile",
        str(rc),
        "-i",
        executable="bash",
        program=(),
        env={"PATH": PATH},
        answers=[("READY> ", TYPED), ("READY> ", "exit")],
    )
    assert "gimel policy --help" in session.written
    assert "Usage: gimel policy [OPTIONS]" in session.written


@pytest.mark.slow
def test_zsh(tmp_path: Path) -> None:
    assert f"`{COMPINIT}`" in SECTION
    # Without -u, zsh asks about folders of completions that another user owns.
    setup = f"PS1='READY> '\n{COMPINIT} -u\n{LINES['zsh']}\n"
    (tmp_path / ".zshrc").write_text(setup)
    # After its prompt, zsh asks the terminal to mark what is pasted.
    prompt = "READY> \x1b[?2004h"
    session = run_in_terminal(
        "-i",
        executable="zsh",
        program=("--no-global-rcs",),
        env={"PATH": PATH, "ZDOTDIR": str(tmp_path), "TERM": "dumb"},
        answers=[(prompt, TYPED), (prompt, "exit")],
    )
    assert "Usage: gimel policy [OPTIONS]" in session.written


@pytest.mark.slow
def test_fish(tmp_path: Path) -> None:
    file = tmp_path / "fish" / "completions" / "gimel.fish"
    file.parent.mkdir(parents=True)
    file.write_text(LINES["fish"])
    done = subprocess.run(
        ["fish", "-c", "complete -C 'gimel res'; complete -C 'gimel policy --he'"],
        env=os.environ | {"PATH": PATH, "XDG_CONFIG_HOME": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert [line.split("\t")[0] for line in done.stdout.splitlines()] == [
        "results",
        "resume",
        "--help",
    ]
