"""Text for a terminal. Names come from an open endpoint; no name here can control the terminal."""

import codecs
import io
import json
import os
import re
import sys
from pathlib import Path
from threading import RLock
from typing import Any

import click
from rich.console import Console
from rich.text import Text

console = Console(highlight=False, markup=False, emoji=False)
# What stands for our own signs where the encoding of the output lacks them
_SIGNS = {
    **{"✓": "v", "✗": "x", "…": "...", "±": "+-", "·": "-", "–": "-", "→": ">", "×": "x"},
    **{"▲": "^", "▼": "v", "●": "o", "○": "o", "◆": "*", "≈": "~", "│": "|", "─": "-"},
    **{"“": '"', "”": '"'},
}
# Held by each thread that prints. Rich loses lines where threads print beside a live display.
printing = RLock()


def plain(name: str) -> str:
    """Return the name, with each character that is invisible or controls a terminal escaped."""
    return "".join(
        character if character.isprintable() else _escape(character) for character in name
    )


def _escape(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Return what is printed instead of characters that an encoding lacks, and where to go on."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_SIGNS.get(each) or _escape(each) for each in lacking), error.end


codecs.register_error("gimel", _replace)


def prepare_streams() -> None:
    """Let the standard streams replace what their encoding lacks, instead of failing half-way.

    A stream that the caller has closed becomes an empty one.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="gimel")


def print_json(value: Any) -> None:
    """Print JSON. Non-ASCII characters are escaped on a terminal, which some of them control."""
    is_utf8 = sys.stdout.encoding.lower().startswith("utf")
    click.echo(json.dumps(value, indent=2, ensure_ascii=sys.stdout.isatty() or not is_utf8))


def natural(name: str) -> list[str | int]:
    """Return what sorts names by the numbers in them: 2 before 10."""
    parts = re.split("([0-9]+)", name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]


def plural(number: int, noun: str) -> str:
    """Return the number and the noun, with an s unless the number is 1."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say(line: str) -> None:
    """Print the line at once, even into a pipe."""
    click.echo(line)
    sys.stdout.flush()


def say_on_stderr(line: str) -> None:
    """Print the line on standard error, for a command whose standard output is a result."""
    click.echo(line, err=True)


def print_line(to: Console, text: str | Text, indent: int = 0) -> None:
    """Print one line. A terminal wraps the line; a pipe gets it whole, easy to search.

    `indent` is the length of a heading, beside which the rest is wrapped.
    """
    width = to.width - indent
    # A URL that is longer than a line stays whole, to be copied.
    if indent and to.file.isatty() and all(len(word) <= width for word in str(text).split()):
        text = text if isinstance(text, Text) else Text(text)
        rest = text[indent:].wrap(to, width)
        for line in rest:
            line.rstrip()
        text = text[:indent].append(Text(f"\n{' ' * indent}").join(rest))
    with printing:
        to.print(text, soft_wrap=True)


def print_cropped(to: Console, text: str | Text) -> None:
    """Print one line. A terminal crops it to its width; a pipe gets it whole."""
    with printing:
        if to.file.isatty():
            to.print(text, no_wrap=True, overflow="ellipsis")
        else:
            print_line(to, text)
