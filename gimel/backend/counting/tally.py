"""The tally of ignored events: how many, why, and the last few names.

A process counts for itself and adds to the tally in Redis once a minute, so an ignored event costs
Redis nothing. A process that ends loses what it had not added yet, so the tally is shown as "at
least" so many ignored events. Strangers choose the names, so their number and length are bounded.
"""

import json
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, NamedTuple

from gimel.backend.counting.admission import BOT, NO_EXPERIMENT, Ignored
from gimel.backend.counting.keys import NAMESPACES, ignored_events, ignored_names
from gimel.backend.redis.connection import Command, Connection
from gimel.backend.wire import Event

_SECONDS = 60.0
_NAMES = 20
# Namespaces that a process tallies apart between two flushes
_NAMESPACES = 50


class IgnoredEvents(NamedTuple):
    """The tally of a namespace or an experiment: numbers by reason, and the last names."""

    reasons: dict[str, int]
    last: list[dict[str, str]]


class Tally:
    """The events that this process ignored since its last flush to Redis. It is thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = Lock()
        self._numbers: dict[str, Counter[str]] = {}
        self._names: dict[str, deque[str]] = {}
        self._since = 0.0

    def add(self, ignored: Iterable[tuple[Event, Ignored]], now: float) -> None:
        """Count ignored events. `now`: the time in seconds."""
        with self._lock:
            if not self._numbers:
                self._since = now
            for event, reason in ignored:
                has_room = len(self._numbers) < _NAMESPACES
                space = event.namespace if has_room or event.namespace in self._numbers else ""
                numbers = self._numbers.setdefault(space, Counter())
                # Declared experiments are their owner's, so the number of these fields is bounded.
                apart = reason not in (NO_EXPERIMENT, BOT)
                numbers[f"{reason}:{event.experiment}" if apart else str(reason)] += 1
                names = {"reason": reason, "experiment": event.experiment}
                names |= {"goal": event.goal, "variant": event.variant}
                text = json.dumps(names, ensure_ascii=False)
                self._names.setdefault(space, deque(maxlen=_NAMES)).append(text)

    def is_due(self, now: float) -> bool:
        """Return whether it is time to flush."""
        return bool(self._numbers) and now - self._since >= _SECONDS

    def flush(self) -> None:
        """Add the numbers to the tally in Redis. Raises redis.RedisError; then they are lost."""
        with self._lock:
            numbers, self._numbers = self._numbers, {}
            names, self._names = self._names, {}
        (in_use,) = self._connection.query([("SMEMBERS", NAMESPACES)])
        commands: list[Command] = []
        for space, counts in numbers.items():
            # A namespace that nobody uses is a stranger's: its tally is that of all others.
            known = space if space in in_use else ""
            key = ignored_events(known)
            commands += [("HINCRBY", key, field, str(count)) for field, count in counts.items()]
            commands.append(("LPUSH", ignored_names(known), *names[space]))
            commands.append(("LTRIM", ignored_names(known), "0", str(_NAMES - 1)))
        self._connection.execute(commands)


def read_tally(
    connection: Connection, namespace: str, experiment: str | None = None
) -> IgnoredEvents:
    """Return the tally of a namespace, or the part that names one of its experiments."""
    fields, last = connection.query(
        [
            ("HGETALL", ignored_events(namespace)),
            ("LRANGE", ignored_names(namespace), "0", str(_NAMES - 1)),
        ]
    )
    names: Sequence[Any] = [json.loads(each) for each in last]
    return IgnoredEvents(
        by_reason(fields, experiment),
        [each for each in names if experiment in (None, each["experiment"])],
    )


def delete_tally(connection: Connection, namespace: str, experiment: str) -> None:
    """Delete the part of a namespace's tally that names an experiment: its name may be used anew.

    Processes may still flush what they ignored before.
    """
    numbers, names = ignored_events(namespace), ignored_names(namespace)
    (fields,) = connection.query([("HGETALL", numbers)])
    of_it = [field for field in fields if field.partition(":")[2] == experiment]
    if not of_it:
        return
    (last,) = connection.query([("LRANGE", names, "0", str(_NAMES - 1))])
    named = [text.decode() for text in last if json.loads(text)["experiment"] == experiment]
    connection.execute([("HDEL", numbers, *of_it), *(("LREM", names, "0", one) for one in named)])


def by_reason(fields: Mapping[str, str], experiment: str | None = None) -> dict[str, int]:
    """Return the numbers in a namespace's tally, or those of one of its experiments."""
    reasons: dict[str, int] = {}
    for field, count in dict(fields).items():
        reason, _, name = field.partition(":")
        if experiment in (None, name):
            reasons[reason] = reasons.get(reason, 0) + int(count)
    return reasons
