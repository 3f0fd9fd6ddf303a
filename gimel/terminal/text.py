"""Text for a terminal. Names come from an open endpoint; no name here can control the terminal."""

import sys
from threading import RLock

import click
from rich.console import Console
from rich.text import Text

console = Console(highlight=False, markup=False, emoji=False)
# Held by each thread that prints. Rich loses lines where threads print beside a live display.
printing = RLock()


def plain(name: str) -> str:
    """Return the name, with each character that is invisible or controls a terminal escaped."""
    return "".join(
        character if character.isprintable() else f"\\u{{{ord(character):x}}}" for character in name
    )


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
