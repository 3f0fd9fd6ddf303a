"""The sentences about messages that are not counted yet."""

import io

import pytest
from rich.console import Console

from gimel.backend.queue import Backlog, Pile
from gimel.terminal.backlog import describe_backlog, duration
from gimel.terminal.results import show_backlog

NONE = Pile(0, None)


@pytest.mark.parametrize(
    ("backlog", "sentence", "is_urgent"),
    [
        (Backlog(Pile(1, None), NONE),
         "1 message with events waits to be counted. They count as soon as Redis takes them.",
         False),
        (Backlog(Pile(1200, 3700), NONE),
         "1,200 messages with events wait to be counted, the oldest for 1 hour. They count as "
         "soon as Redis takes them.", False),
        (Backlog(NONE, Pile(2, 86400 * 2, 86400 * 12)),
         "2 messages with events were set aside, the oldest 2 days ago, because they could not be "
         "counted. SQS deletes the oldest in 12 days: mend what `gimel logs` shows, then run "
         "`gimel replay --dead-letter`.", False),
        (Backlog(NONE, Pile(1, 86400 * 12, 86400 * 2)),
         "1 message with events was set aside, the oldest 12 days ago, because they could not be "
         "counted. SQS deletes the oldest in 2 days: mend what `gimel logs` shows, then run "
         "`gimel replay --dead-letter`.", True),
        (Backlog(NONE, Pile(1, None)),
         "1 message with events was set aside, because they could not be counted. "
         'To count them: docs/reliability.md, "What was set aside".', False),
    ],
)  # fmt: skip
def test_each_pile_is_a_sentence(backlog: Backlog, sentence: str, is_urgent: bool) -> None:
    assert list(describe_backlog(backlog)) == [(sentence, is_urgent)]


def test_nothing_is_said_of_nothing() -> None:
    assert list(describe_backlog(Backlog(NONE, NONE))) == []


def test_both_are_printed() -> None:
    console = Console(file=io.StringIO(), width=60)
    show_backlog(console, Backlog(Pile(3, 5), Pile(4, 5)))
    printed = console.file.getvalue()  # type: ignore[attr-defined]
    assert "! 3 messages with events wait" in printed
    assert "! 4 messages with events were set aside" in printed


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 seconds"), (1, "1 second"), (119, "1 minute"), (7200, "2 hours"), (10**6, "11 days")],
)
def test_a_duration_is_in_its_largest_unit(seconds: int, words: str) -> None:
    assert duration(seconds) == words
