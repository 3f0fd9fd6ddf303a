"""Lines as a terminal shows them, and as a pipe gets them."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from gimel.terminal.text import natural, print_line

FACT = "Managed      12.3 MB of 1 GB; about $4.20 this month so far, at most about $91 a month"
URL = f"Dashboard    https://{'a' * 90}/dashboard"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def printed(file: io.StringIO, text: str | Text, width: int) -> list[str]:
    print_line(Console(file=file, width=width, highlight=False), text, indent=13)
    return file.getvalue().splitlines()


@pytest.mark.parametrize("width", [40, 60, 80])
def test_a_terminal_wraps_at_words_below_the_text(width: int) -> None:
    first, *others = printed(Terminal(), FACT, width)
    assert all(len(line) <= width for line in (first, *others))
    assert first.startswith("Managed      12.3 MB")
    assert others
    assert all(line[:13].isspace() and line[13] != " " for line in others)
    assert " ".join([first, *(line.strip() for line in others)]) == FACT


def test_a_url_stays_whole() -> None:
    assert printed(Terminal(), URL, 60) == [URL]


def test_a_pipe_gets_one_line() -> None:
    assert printed(io.StringIO(), Text(FACT, "bold"), 60) == [FACT]


def test_names_sort_by_the_numbers_in_them() -> None:
    names = ["10", "2", "B 1", "a", "a 10 b 2", "a 10 b 10", "a 2", "a2", "٣", "²", ""]
    by_hand = ["", "2", "10", "a", "a2", "a 2", "a 10 b 2", "a 10 b 10", "B 1", "²", "٣"]
    assert sorted(names, key=natural) == by_hand
