"""What a command shows while it changes a stack: ticks in a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gimel.terminal.text import console, plain, print_cropped, print_line, say

if TYPE_CHECKING:
    from gimel.stack.progress import Say

_SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"


@contextmanager
def progress() -> "Iterator[Say]":
    """Yield a `Say` for the block. In a pipe it prints a line for each step, at its start."""
    if not _is_terminal():
        yield say
        return
    steps = _Steps(console)
    with _live(steps.running):
        yield steps


@contextmanager
def waiting(line: str) -> Iterator[None]:
    """Show the line while the block runs. In a pipe nothing is shown."""
    started = time.monotonic()
    with _live(lambda: _running_row(started, line)) if _is_terminal() else nullcontext():
        yield


def _is_terminal() -> bool:
    return sys.stdout.isatty() and console.is_interactive


def _live(get_renderable: Callable[[], RenderableType]) -> Live:
    return Live(
        console=console,
        get_renderable=get_renderable,
        transient=True,
        # Standard error may be a file, as in `gimel --debug deploy 2> calls`.
        redirect_stderr=sys.stderr.isatty(),
    )


class _Steps:
    """A `Progress`: above, the steps that ended; below, those that run. Threads share it."""

    def __init__(self, to: Console) -> None:
        self._to = to
        self._running: dict[object, tuple[float, str]] = {}
        self._lock = Lock()

    def __call__(self, line: str, /) -> None:
        """Print a line above the running steps."""
        print_line(self._to, plain(line))

    @contextmanager
    def step(self, line: str, /) -> Iterator[None]:
        """Show the line below while the block runs, then print it above with a tick."""
        this, started = object(), time.monotonic()
        with self._lock:
            self._running[this] = (started, line)
        mark, colour, end = "✗", "red", " (not finished)"
        try:
            yield
            mark, colour, end = "✓", "green", ""
        finally:
            with self._lock:
                del self._running[this]
            print_cropped(self._to, _row(mark, colour, started, line + end))

    def running(self) -> Group:
        """Return what is shown of the steps that run."""
        with self._lock:
            running = list(self._running.values())
        return Group(*(_running_row(*step) for step in running))


def _running_row(started: float, line: str) -> Text:
    frame = _SPINNER[int(time.monotonic() * 10) % len(_SPINNER)]
    return _row(frame, "yellow", started, line)


def _row(mark: str, colour: str, started: float, line: str) -> Text:
    seconds = f" {time.monotonic() - started:5.1f} s  "
    parts = ((mark, colour), (seconds, "dim"), plain(line))
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
