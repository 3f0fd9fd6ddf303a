"""The help of `gimel`: each command in one section, each in one line of 80 columns."""

import re

from gimel.cli import SECTIONS, main
from tests.support.commands import process
from tests.support.pages import section
from tests.support.terminal import run_in_terminal


def test_each_command_is_in_one_section() -> None:
    names = [name for section in SECTIONS.values() for name in section]
    assert sorted(names) == sorted(main.commands)


def test_the_documents_have_the_same_sections() -> None:
    headings = re.findall(r"^### (.*)$", section("commands.md", "All commands"), re.M)
    assert headings == list(SECTIONS)


def test_the_help_has_a_line_for_each_command() -> None:
    for lines in (
        run_in_terminal("--help", columns=80).lines,
        process("--help").stdout.splitlines(),
    ):
        assert max(map(len, lines)) <= 80
        assert not any(line.endswith("...") for line in lines if "COMMAND" not in line)
        begin = lines.index(f"{next(iter(SECTIONS))}:")
        shown = [line for line in lines[begin:] if line]
        expected = [word for heading, names in SECTIONS.items() for word in (f"{heading}:", *names)]
        assert len(shown) == len(expected)
        for line, word in zip(shown, expected, strict=True):
            assert line.strip().startswith(word)
            assert line.endswith((":", "."))
