"""Clients that send events with known ids, as AlephBet does: again, until they are acknowledged."""

import itertools
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from gimel.backend.wire import Event

NAMESPACE = "ledger"
# HyperLogLogs of a counter
SHARDS = 1024
# What an endpoint answers to these events: of status 200, None otherwise.
Send = Callable[[list[Event]], dict[str, Any] | None]
TALLIED = ("counted at once", "queued", "answered an error, sent again")
# Of a hundred requests that get an error for an answer this many are never sent again.
_GIVEN_UP = 50


def event_of(number: int, *, broken: bool = False) -> Event:
    """The event with this number. Experiment "e" has HyperLogLogs, "x" is exact."""
    experiment, variant = "ex"[number // 2 % 2], "ab"[number % 2]
    return Event(NAMESPACE, experiment, "participate", "" if broken else variant, f"id{number}")


def body_of(events: list[Event]) -> bytes:
    names = {"goal": "event"}
    fields = [
        {names.get(key, key): of for key, of in each._asdict().items() if of is not None}
        for each in events
    ]
    return json.dumps(fields).encode()


class Delivery(NamedTuple):
    """Events that were acknowledged together, and when they were sent and answered (in seconds)."""

    events: list[Event]
    sent: float
    answered: float
    is_queued: bool


class Load:
    """Threads that send `events` in all, and go on until `may_end` is set.

    Of every `singles` + 1 requests one has `batch` events, the others have one. Broken events are
    among them, refused with 400, which must never be counted.
    """

    def __init__(
        self, send: Send, events: int, clients: int, *, singles: int, batch: int, hurry: float
    ) -> None:
        self.deliveries: list[Delivery] = []
        self.possible: list[Event] = []
        self.tally = Counter(dict.fromkeys(TALLIED, 0))
        self.seconds: dict[str, list[float]] = {"one": [], "batch": []}
        self._send, self._hurry = send, hurry
        self._sizes = [1] * singles + [batch]
        self.may_end = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(first, events, clients), daemon=True)
            for first in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def sure(self) -> list[Event]:
        """The acknowledged events."""
        return [event for delivery in self.deliveries for event in delivery.events]

    @property
    def runs(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    @property
    def figures(self) -> dict[str, Any]:
        """Numbers of events, and times of requests."""
        return {
            "acknowledged": len(self.sure),
            "given up": len(self.possible),
            **self.tally,
            "p99 of one (s)": self.p99("one"),
            "p99 of a batch (s)": self.p99("batch"),
            "slowest (s)": round(max(max(times) for times in self.seconds.values()), 3),
        }

    def p99(self, kind: str) -> float:
        times = sorted(self.seconds[kind])
        return round(times[int(0.99 * len(times))], 3)

    def _run(self, number: int, events: int, step: int) -> None:
        for place in itertools.count():
            if number >= events and self.may_end.is_set():
                return
            size = self._sizes[place % len(self._sizes)]
            self._deliver(place, [event_of(number + each * step) for each in range(size)])
            if place % 50 == 0:
                self.tally["refused (400), counted nowhere"] += 1
                assert self._send([event_of(number + 10**9, broken=True)]) is None
            number += size * step

    def _deliver(self, place: int, events: list[Event]) -> None:
        times = self.seconds["one" if len(events) == 1 else "batch"]
        while True:
            started = time.monotonic()
            answer = self._send(events)
            ended = time.monotonic()
            times.append(ended - started)
            if answer is not None:
                assert answer["accepted"] == len(events)
                is_queued = "queued" in answer
                self.tally["queued" if is_queued else "counted at once"] += len(events)
                self.deliveries.append(Delivery(events, started, ended, is_queued))
                return
            if place % 100 < _GIVEN_UP:
                self.possible += events
                return
            self.tally["answered an error, sent again"] += len(events)
            time.sleep(self._hurry)
