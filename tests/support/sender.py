"""A sender of events that knows what it sent: for tests of faults."""

import time
from collections.abc import Sequence

from gimel.backend.counting.counters import Counters
from gimel.backend.intake import Intake
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event

SECONDS = 2.0  # the promise itself


class Kept:
    """A spill in memory: what it is asked to keep."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def put(self, events: Sequence[Event]) -> None:
        self.events += events


class Sender:
    """Sends events one after the other, each with a uuid of its own, and takes the time."""

    def __init__(self, way: str | Connection, **options: object) -> None:
        """Send through the connection, or through one to the URL."""
        self.connection = (
            Connection(way, **options)  # type: ignore[arg-type]
            if isinstance(way, str)
            else way
        )
        self.counters = Counters(self.connection, shards=256)
        self.spill = Kept()
        self.now = 0.0
        self.intake = Intake(self.counters, self.spill, lambda: self.now)
        self.sent = 0
        self.slowest = 0.0

    def send(self, times: int = 1) -> bool:
        """Whether all were counted at once, none spilt. Redis has had its rest before each."""
        queued = False
        for _ in range(times):
            self.now += 10
            started = time.monotonic()
            refused, spilt = self.intake.take([event(self.sent)])
            self.slowest = max(self.slowest, time.monotonic() - started)
            self.sent += 1
            queued = queued or spilt
            assert not refused
        return not queued

    def all_counted(self) -> bool:
        """Whether, with what was spilt replayed, all is counted that was sent; in time, too.

        The count is sent up to the error of counting; that each event is in it is seen by sending
        all of them again: no count changes.
        """
        assert self.slowest < SECONDS
        if self.spill.events:
            self.intake.count(self.spill.events)
        before = self.count()
        for n in range(0, self.sent, 500):
            self.counters.add([event(each) for each in range(n, min(n + 500, self.sent))])
        return before == self.count() and abs(before - self.sent) <= self.sent / 200

    def count(self) -> int:
        (found,) = self.counters.read("n", ["e"])
        assert set(found.trials) == {"a"}
        return found.trials["a"]


def event(n: int) -> Event:
    return Event("n", "e", "participate", "a", f"uuid{n}")
