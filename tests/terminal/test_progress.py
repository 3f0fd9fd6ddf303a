"""Progress in a terminal: what runs, what is done, and what is not finished."""

import io
import re
import threading

import pytest
from rich.console import Console

from gimel.stack.progress import Progress, step
from gimel.terminal.progress import _Steps
from tests.support.terminal import Session, run_in_terminal


class Terminal:
    """Steps on a console of 40 columns, and the lines that it shows."""

    def __init__(self) -> None:
        self._written = io.StringIO()
        self._written.isatty = lambda: True  # type: ignore[method-assign]
        self.console = Console(
            file=self._written, force_terminal=True, width=40, highlight=False, color_system=None
        )
        self.steps = _Steps(self.console)

    @property
    def lines(self) -> list[str]:
        """The lines above, without seconds."""
        lines = Session(0, self._written.getvalue(), 40).lines[:-1]
        return [re.sub(r" +\d\.\d s  ", " ", line) for line in lines]

    def running(self) -> list[str]:
        """The lines below, without mark and seconds."""
        with self.console.capture() as shown:
            self.console.print(self.steps.running())
        return [line[11:].rstrip() for line in shown.get().splitlines()]


@pytest.fixture(name="terminal")
def terminal_fixture() -> Terminal:
    return Terminal()


def test_a_step_is_shown_while_it_runs_and_ticked_off_after(terminal: Terminal) -> None:
    assert isinstance(terminal.steps, Progress)
    with step(terminal.steps, "create role gimel: does not exist yet", "create role gimel"):
        assert terminal.running() == ["create role gimel"]
        assert terminal.lines == []
    assert terminal.running() == []
    assert terminal.lines == ["✓ create role gimel"]


def test_steps_in_threads_are_shown_together(terminal: Terminal) -> None:
    go_on = threading.Event()

    def run(name: str) -> None:
        with step(terminal.steps, name):
            go_on.wait(10)

    threads = [threading.Thread(target=run, args=(f"create function {n}",)) for n in "abc"]
    for number, thread in enumerate(threads, 1):
        thread.start()
        while len(terminal.running()) < number:
            pass
    assert terminal.running() == ["create function a", "create function b", "create function c"]
    go_on.set()
    for thread in threads:
        thread.join()
    assert sorted(terminal.lines) == [
        "✓ create function a",
        "✓ create function b",
        "✓ create function c",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_a_step_that_fails_is_not_ticked_off(
    terminal: Terminal, error: type[BaseException]
) -> None:
    with pytest.raises(error), step(terminal.steps, "create role gimel"):
        raise error
    assert terminal.lines == ["✗ create role gimel (not finis…"]
    assert terminal.running() == []


def test_a_long_step_is_cropped_and_a_line_is_not(terminal: Terminal) -> None:
    with step(terminal.steps, "create routes: " + "GET /e, " * 20):
        assert terminal.running() == ["create routes: GET /e, GET /…"]
        terminal.steps("a note that is longer than the line, \x1b[2J")
    assert terminal.lines == [
        "a note that is longer than the line, \\u{",
        "1b}[2J",
        "✓ create routes: GET /e, GET /…",
    ]


def test_in_a_pipe_a_step_is_a_line_at_its_start() -> None:
    said: list[str] = []
    with step(said.append, "create role gimel: does not exist yet", "create role gimel"):
        assert said == ["create role gimel: does not exist yet"]
    assert len(said) == 1


MANY = """
import threading, time
from rich.console import Console
from gimel.stack.progress import step
from gimel.terminal.progress import progress
from gimel.terminal.text import printing

def checked(self, *parts, original=Console.print, **more):
    assert printing._is_owned() or threading.active_count() == 1
    original(self, *parts, **more)

Console.print = checked

def run(say, lane):
    for number in range(10):
        with step(say, f"step {number} of lane {lane}"):
            time.sleep(0.02)

with progress() as say:
    lanes = [threading.Thread(target=run, args=(say, lane)) for lane in range(8)]
    for lane in lanes: lane.start()
    for lane in lanes: lane.join()
"""


@pytest.mark.slow
def test_one_thread_prints_at_a_time() -> None:
    """Rich alone would lose ticks: a thread moves the cursor by what another one has changed."""
    session = run_in_terminal(program=("-c", MANY))
    assert "Traceback" not in session.written
    assert len([line for line in session.lines if line.startswith("✓ ")]) == 80
