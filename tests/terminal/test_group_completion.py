"""Completion of commands and options in bash, zsh and fish, set up as the documents say."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.terminal import run_in_terminal

DOCS = Path(__file__).parents[2] / "docs"
LINES = {
    "bash": 'eval "$(_GIMEL_COMPLETE=bash_source gimel)"',
    "zsh": 'eval "$(_GIMEL_COMPLETE=zsh_source gimel)"',
    "fish": "_GIMEL_COMPLETE=fish_source gimel | source",
}
TYPED = "gimel polic\t--he\t"
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_the_documents_set_it_up_with_these_lines() -> None:
    text = "\n".join(page.read_text("utf-8") for page in DOCS.glob("**/*.md"))
    documented = {line.strip() for line in text.splitlines() if "_GIMEL_COMPLETE=" in line}
    assert documented <= set(LINES.values())


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
    setup = "autoload -Uz compinit && compinit -u"
    (tmp_path / ".zshrc").write_text(f"PS1='READY> '\n{setup}\n{LINES['zsh']}\n")
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
