"""What the terminal shows. Names come from an open endpoint: here they cannot move the cursor."""

import unicodedata
from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from gimel.preflight import Check

if TYPE_CHECKING:
    from gimel.deploy import Deployed

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def plain(name: str) -> str:
    """The name with every control, format and separator character written as an escape."""
    return "".join(
        character
        if unicodedata.category(character)[0] != "C" and character.isprintable()
        else f"\\u{ord(character):04x}"
        for character in name
    )


def checks(console: Console, found: Iterable[Check]) -> bool:
    """Print each check as it is made. Returns whether none failed."""
    passed = True
    for check in found:
        mark, colour = _MARKS[check.state]
        console.print(Text.assemble((mark, colour), f" {check.name:<12} {plain(check.found)}"))
        passed = passed and check.state != "failed"
    return passed


def deployed(console: Console, done: "Deployed") -> None:
    """Print what a deploy came to: the URLs, and the HTML to paste."""
