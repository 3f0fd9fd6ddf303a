"""Messages: a verdict was reached, the split broke, traffic stopped, events wait or were set aside.

A message quotes names. Characters in them that do not print are replaced.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

from gimel.backend.queue import Backlog
from gimel.backend.results.sentences import (
    CHECK_SENDING,
    FIND_OUT_WHY_THEY_WAIT,
    FIX_THE_SPLIT,
    no_visitor_since,
)

Kind = Literal["verdict", "split", "traffic", "waiting", "set_aside"]
# When each pile of events that are not counted was first seen, in Unix seconds
Since = Mapping[str, int]

# A verdict that was recorded earlier is no news.
_NEWS = timedelta(days=30)
# Seconds that events may wait before it is news
_PATIENCE = 15 * 60
# SQS deletes what was set aside. From this many days before, that is news again.
_URGENT_DAYS = 3
_DAY = 86400

_STATES = {
    "winner": "{winner} wins",
    "loser": "the change loses",
    "no_difference": "no difference that matters",
    "inconclusive": "inconclusive",
}


class Message(NamedTuple):
    """A message, and what to do. All messages about one finding have the same `id`.

    `namespace` and `experiment` are None if it is about the whole backend.
    """

    id: str
    kind: Kind
    namespace: str | None
    experiment: str | None
    message: str
    next_step: str

    @property
    def text(self) -> str:
        """The message and what to do, in one line."""
        return f"{self.message} {self.next_step}"


def about_experiment(
    namespace: str, experiment: Mapping[str, Any], now: datetime
) -> Iterator[Message]:
    """Yield the messages about an experiment, given in the fields of `GET /experiment`.

    A summary of `GET /experiments` has enough of them, except for stopped traffic.
    """
    name, begun = experiment["experiment"], experiment["created_at"]
    where = namespace, name

    def message(kind: Kind, text: str, step: str, *about: object) -> Message:
        id = _id(kind, namespace, name, *about)
        return Message(id, kind, *where, _plain(f"Experiment {name}: {text}"), _plain(step))

    for goal in experiment["goals"]:
        record = goal["verdict"].get("recorded")
        if record and goal["role"] == "primary" and _is_new(record["at"], now):
            state = _STATES[record["state"]].format(winner=record["winner"])
            text = f"{state}, by the goal {goal['goal']}. {record['reason']}"
            step = goal["verdict"]["next_step"]
            yield message("verdict", text, step, goal["goal"], record["at"])
    if experiment["state"] != "running":
        return
    if experiment["srm"]["alarm"]:
        text = (
            "visitors are not split between the variants as intended (sample ratio mismatch), so "
            "the lifts cannot be trusted."
        )
        step = f"{FIX_THE_SPLIT} `gimel results` names the usual causes."
        yield message("split", text, step, begun)
    if since := experiment.get("traffic_stopped_since"):
        text = no_visitor_since(since)
        yield message("traffic", text, CHECK_SENDING, begun, since)


def about_backlog(backlog: Backlog, since: Since, now: float) -> Iterator[Message]:
    """Yield the messages about events that are not counted. `since`: see `piles_since`."""
    waiting, aside, _ = backlog
    if waiting.messages and max(waiting.seconds or 0, now - since["waiting"]) >= _PATIENCE:
        yield Message(
            _id("waiting", since["waiting"]),
            *("waiting", None, None),
            f"Events have been waiting to be counted for more than {_PATIENCE // 60} minutes, in "
            f"{_messages(waiting.messages)}.",
            FIND_OUT_WHY_THEY_WAIT,
        )
    if aside.messages:
        left = aside.seconds_left
        is_urgent = left is not None and left < _URGENT_DAYS * _DAY
        deadline = f" SQS deletes the oldest within {_URGENT_DAYS} days." if is_urgent else ""
        yield Message(
            _id("set_aside", since["set_aside"], is_urgent),
            *("set_aside", None, None),
            f"Events could not be counted and were set aside, in {_messages(aside.messages)}."
            f"{deadline}",
            'Count them: docs/reliability.md, "What was set aside".',
        )


def piles_since(backlog: Backlog, since: Since, now: float) -> dict[str, int]:
    """Return when each pile that is not empty was first seen. `since`: what was known before."""
    piles = {"waiting": backlog.waiting, "set_aside": backlog.set_aside}
    return {name: since.get(name, int(now)) for name, pile in piles.items() if pile.messages}


def _messages(number: int) -> str:
    return "1 message" if number == 1 else f"{number:,} messages"


def _is_new(at: str, now: datetime) -> bool:
    recorded = datetime.strptime(at, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return now - recorded < _NEWS


def _id(*parts: object) -> str:
    return blake2b(json.dumps(parts).encode(), digest_size=8).hexdigest()


def _plain(text: str) -> str:
    """Replace what does not print, such as line breaks, which could pass for another message."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
