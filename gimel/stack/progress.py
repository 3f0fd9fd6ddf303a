"""The progress of a command: each step is said when it starts and, in a terminal, ticked off."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, runtime_checkable

# Shows a line.
Say = Callable[[str], None]


@runtime_checkable
class Progress(Protocol):
    """A `Say` that also shows a step while it runs, and how long it took."""

    def __call__(self, line: str, /) -> None:
        """Show a line."""

    def step(self, line: str, /) -> AbstractContextManager[None]:
        """Show a step from its start to its end. An exception means that it is not finished."""


def step(say: Say, line: str, short: str | None = None) -> AbstractContextManager[None]:
    """Say that a step starts. Return what shows its end, if `say` is a `Progress`.

    A `Progress` shows `short` instead of the line.
    """
    if isinstance(say, Progress):
        return say.step(short or line)
    say(line)
    return nullcontext()


def silent(line: str) -> None:
    """Show nothing: a `Say` for what the user need not see."""
