"""What the terminal shows. Names come from an open endpoint: here they cannot move the cursor."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from gimel.deploy import Deployed
from gimel.migration import Finding
from gimel.preflight import Check

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "failed": ("✗", "red")}


def plain(name: str) -> str:
    """The name, with every character that a terminal may obey, or not show, as an escape."""
    return "".join(
        character if character.isprintable() else f"\\u{{{ord(character):x}}}" for character in name
    )


def checks(console: Console, found: Iterable[Check]) -> bool:
    """Print each check as it is made. Returns whether none failed."""
    passed = True
    for check in found:
        mark, colour = _MARKS[check.state]
        console.print(Text.assemble((mark, colour), f" {check.name:<12} {plain(check.found)}"))
        passed = passed and check.state != "failed"
    return passed


def deployed(console: Console, done: Deployed) -> None:
    """Print what a deploy came to and what to do with it."""
    console.print(Text(f"✓ A probe event came through ({done.seconds:.0f} s in all).", "green"))
    if not done.changes:
        console.print("Nothing was changed: all was as the configuration wants it.")
    console.print(f"Events      {done.url}/e")
    console.print(f"Dashboard   {done.url}/dashboard (`gimel dashboard` opens it, with the key)")
    console.print("Paste this into your page; `gimel snippet --help` tells how to name things:\n")


def migrated(found: Finding, dry_run: bool) -> str:
    """What `gimel migrate` says of an experiment, in a line."""
    experiment = found.experiment
    visitors = sum(experiment.trials.values())
    goals = ", ".join(
        f"{plain(goal)} {sum(counts.values()):,}"
        for goal, counts in sorted(experiment.goals.items())
    )
    done = "would move" if dry_run else "moved"
    if found.stays:
        done = f"stays, and goes on counting: {plain(found.stays)}"
    return (
        f"{plain(found.namespace)}  {plain(experiment.name)}  {found.maker}, "
        f"{visitors:,} visitors{f' ({goals})' if goals else ''}: {done}"
    )
