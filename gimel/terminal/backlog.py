"""Sentences about messages that are not counted yet."""

from collections.abc import Iterator

from gimel.backend.queue import Backlog
from gimel.terminal.text import plural

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"))
# SQS deletes a message that is set aside. From this many seconds before, that is urgent.
URGENT_SECONDS = 3 * 86400


def describe_backlog(backlog: Backlog) -> Iterator[tuple[str, bool]]:
    """Yield a sentence on what waits and one on what was set aside, and whether it is urgent."""
    waiting, aside, _ = backlog
    if waiting.messages:
        age = f", the oldest for {duration(waiting.seconds)}" if waiting.seconds else ""
        yield (
            f"{plural(waiting.messages, 'message')} with events {_be(waiting.messages, 'wait')} to "
            f"be counted{age}. They count as soon as Redis takes them.",
            False,
        )
    if aside.messages:
        age = f", the oldest {duration(aside.seconds)} ago" if aside.seconds else ""
        messages = f"{plural(aside.messages, 'message')} with events {_be(aside.messages, 'was')}"
        reason = f"{messages} set aside{age}, because they could not be counted."
        left = aside.seconds_left
        yield f"{reason} {_cure(left)}", left is not None and left < URGENT_SECONDS


def _be(number: int, verb: str) -> str:
    singular, plural = {"wait": ("waits", "wait"), "was": ("was", "were")}[verb]
    return singular if number == 1 else plural


def _cure(seconds_left: int | None) -> str:
    if seconds_left is None:
        return 'To count them: docs/reliability.md, "What was set aside".'
    return (
        f"SQS deletes the oldest in {duration(seconds_left)}: mend what `gimel logs` shows, then "
        "run `gimel replay --dead-letter`."
    )


def duration(seconds: int) -> str:
    """Return a time in its largest whole unit."""
    for length, unit in _UNITS:
        if seconds >= length:
            return plural(seconds // length, unit)
    return plural(seconds, "second")
