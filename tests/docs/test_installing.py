"""The documents tell to install Gimel 2, and name its version."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import gimel
from tests.support.pages import PAGES, ROOT

CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def test_the_changelog_begins_with_this_version() -> None:
    heading = re.search(r"^## \[?([^\s,\]]+)", CHANGELOG, re.M)
    assert heading
    assert heading[1] == gimel.__version__


# PyPI's `gimel` without a version is 1.5.0 until 2.0 is released. An unquoted > redirects.
_INSTALLER = re.compile(r"\b(?:pip[\d.]*|pipx|uvx?|poetry|pdm)\s[^\n`;&|#]*")
_PACKAGE = re.compile(r"(?<![\w./-])gimel(?![\w./-])")
_FROM_2 = re.compile(r"""(['"])gimel(\[[\w,-]+\])?>=2[\d.,<]*\1""")


def bare_installs(text: str) -> list[str]:
    """Return the commands that install or run `gimel` in any version."""
    commands = (found[0] for found in _INSTALLER.finditer(text))
    return [each for each in commands if _PACKAGE.search(each) and not _FROM_2.search(each)]


@pytest.mark.parametrize(
    "command",
    [
        "pip install gimel",
        "pip3 install --user gimel",
        "python3 -m pip install -U gimel gunicorn",
        "pip install 'gimel[local]'",
        'pip install "gimel[local]"',
        "pip install gimel>=2",
        "pip install 'gimel>=1'",
        "pip install 'gimel==1.5.0'",
        "pipx install gimel",
        "pipx run gimel local",
        "uv pip install gimel",
        "uv tool install gimel[local]",
        "uv add gimel",
        "uvx gimel local --demo",
        "Run `pip install gimel`, then `gimel deploy`.",
    ],
)
def test_a_bare_install_is_seen(command: str) -> None:
    assert bare_installs(command)


@pytest.mark.parametrize(
    "command",
    [
        "pip install 'gimel>=2'",
        "pip install 'gimel[local]>=2'",
        'pip install "gimel[local]>=2.1,<3" gunicorn',
        "uvx --from 'gimel[local]>=2' gimel local --demo",
        "pip install . && gimel deploy",
        "pip install ./gimel",
        "pip install .\ngimel deploy",
        "Run `pip install .`, then `gimel deploy`.",
        "git clone https://github.com/Alephbet/gimel && cd gimel",
    ],
)
def test_an_install_of_gimel_2_is_none(command: str) -> None:
    assert not bare_installs(command)


def strings(source: str) -> Iterator[str]:
    """Yield each string of a Python file; a literal in parts, or with fields, is one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (each.value if isinstance(each, ast.Constant) else "…" for each in node.values)
            yield "".join(map(str, parts))


def texts() -> Iterator[tuple[Path, str]]:
    """Yield what a person may read, with the file that it is in."""
    pages = [path for end in ("html", "js") for path in ROOT.glob(f"gimel/**/*.{end}")]
    for path in [*PAGES, *ROOT.glob(".github/**/*.*"), *ROOT.glob("docs/*.json"), *pages]:
        yield path, path.read_text("utf-8")
    for path in ROOT.glob("gimel/**/*.py"):
        yield from ((path, each) for each in strings(path.read_text("utf-8")))


def test_nothing_tells_to_install_gimel_1() -> None:
    told = {(path.name, each) for path, text in texts() for each in bare_installs(text)}
    assert not told


def test_the_quick_start_installs_what_exists() -> None:
    unreleased = re.search(r"^## .*unreleased$", CHANGELOG, re.M)
    block = re.search(r"^## Quick start\n.*?^```sh\n(.*?)^```", README, re.M | re.S)
    assert block
    first = "git clone https://github.com/Alephbet/gimel " if unreleased else "pip install 'gimel"
    assert block[1].startswith(first)
