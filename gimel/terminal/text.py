"""Text on a terminal. Names come from an open endpoint: here they cannot move the cursor."""

import sys

import click
from rich.console import Console
from rich.text import Text

console = Console(highlight=False, markup=False, emoji=False)


def plain(name: str) -> str:
    """Return the name with every character that a terminal may obey, or not show, as an escape."""
    return "".join(
        character if character.isprintable() else f"\\u{{{ord(character):x}}}" for character in name
    )


def say(line: str) -> None:
    """Print the line at once, even into a pipe."""
    click.echo(line)
    sys.stdout.flush()


def print_line(to: Console, text: str | Text) -> None:
    """Print one line. A terminal wraps it; in a pipe it stays one line, easy to search."""
    to.print(text, soft_wrap=True)
