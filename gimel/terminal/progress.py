"""What a command shows while it changes a stack: ticks in a terminal, plain lines in a pipe."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Event, Thread
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from gimel.terminal.text import console, plain, print_cropped, print_line, printing, say

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
def waiting(line: str | Callable[[], str]) -> Iterator[None]:
    """Show the line, or what the function returns, while the block runs. In a pipe show nothing."""
    started = time.monotonic()

    def row() -> Text:
        return _running_row(started, line if isinstance(line, str) else line())

    with _live(row) if _is_terminal() else nullcontext():
        yield


def _is_terminal() -> bool:
    # --debug prints lines of its own, in whatever thread.
    trace = sys.modules.get("gimel.stack.trace")
    is_debug = trace is not None and trace.is_on()
    return sys.stdout.isatty() and console.is_interactive and not is_debug


@contextmanager
def _live(get_renderable: Callable[[], RenderableType]) -> Iterator[None]:
    """Show at the end of the terminal what the function returns, ten times a second."""
    live = Live(
        console=console,
        get_renderable=get_renderable,
        transient=True,
        auto_refresh=False,
        redirect_stdout=False,
        redirect_stderr=False,
    )
    ended = Event()

    def refresh() -> None:
        while not ended.wait(0.1):
            with printing:
                live.refresh()

    with live:
        thread = Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class _Steps:
    """A `Progress`: above, the steps that ended; below, those that run. Threads share it."""

    def __init__(self, to: Console) -> None:
        self._to = to
        self._running: dict[object, tuple[float, str]] = {}

    def __call__(self, line: str, /) -> None:
        """Print a line above the running steps."""
        print_line(self._to, plain(line))

    @contextmanager
    def step(self, line: str, /) -> Iterator[None]:
        """Show the line below while the block runs, then print it above with a tick."""
        this, started = object(), time.monotonic()
        with printing:
            self._running[this] = (started, line)
        mark, colour, end = "✗", "red", " (not finished)"
        try:
            yield
            mark, colour, end = "✓", "green", ""
        finally:
            with printing:
                del self._running[this]
                print_cropped(self._to, _row(mark, colour, started, line + end))

    def running(self) -> Group:
        """Return what is shown of the steps that run."""
        with printing:
            running = list(self._running.values())
        return Group(*(_running_row(*step) for step in running))


def _running_row(started: float, line: str) -> Text:
    frame = _SPINNER[int(time.monotonic() * 10) % len(_SPINNER)]
    return _row(frame, "yellow", started, line)


def _row(mark: str, colour: str, started: float, line: str) -> Text:
    seconds = f" {time.monotonic() - started:5.1f} s  "
    parts = ((mark, colour), (seconds, "dim"), plain(line))
    return Text.assemble(*parts, no_wrap=True, overflow="ellipsis")
