"""The way in of events: counted or, while Redis does not take them, put where they are safe.

An event takes 2 s at most: 1.2 for Redis, 0.7 for the queue. Whoever gets no answer of success
keeps the event; whoever gets one may forget it.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.exceptions import ConnectionError, RedisError, ResponseError, TimeoutError

from gimel.backend.counting.counters import Counters
from gimel.backend.limits import PROBE_NAMESPACE
from gimel.backend.queue import NotQueuedError, Queue, Spill, decode
from gimel.backend.redis.connection import Connection, Within
from gimel.backend.wire import Event

_REDIS_SECONDS = 1.2
# For the events of one message, with nobody waiting for an answer.
_REPLAY_SECONDS = 2.5
# Looking up 10 experiments of 1,000 counters each, as many as may be, takes 0.6 s at 256 MB.
_EXPERIMENTS_AT_ONCE = 20
# How long Redis is left alone after it failed, where the events have another place to go to.
_REST_SECONDS = 2.0
# How long a message waits that could not be replayed: doubled each time, up to ten minutes.
_FIRST_WAIT, _LONGEST_WAIT = 1, 600
# What Redis and Valkey say of a key of another type, of a broken one, and of one that the user of
# GIMEL_REDIS_URL may not touch; as redis-py has it.
_ABOUT_ONE_KEY = (
    "WRONGTYPE",
    "INVALIDOBJ",
    "No permissions to access a key",
    "this user has no permissions to access one of the keys",
)
_IN_THE_WAY = "its keys cannot be used"


def log(level: str, **fields: str | int) -> None:
    """Write a line of JSON: what happened, how often, in how many milliseconds; never to whom."""
    print(json.dumps({"level": level, **fields}))


def _of_few_experiments(events: Sequence[Event]) -> int:
    """How many of the events, from the first on, are of so few experiments as fit into the time."""
    experiments: set[tuple[str, ...]] = set()
    for place, event in enumerate(events):
        experiments.add(event[:2])
        if len(experiments) > _EXPERIMENTS_AT_ONCE:
            return place
    return len(events)


def _is_about_one_key(error: ResponseError) -> bool:
    """Whether it says that a key may not be used, or not so; and nothing of the server."""
    return str(error).startswith(_ABOUT_ONE_KEY)


def _milliseconds(since: float) -> int:
    return round(1000 * (time.monotonic() - since))


class Intake:
    """Takes events for the counters. Safe to share between threads."""

    def __init__(
        self,
        counters: Counters,
        connection: Connection,
        spill: Spill | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._connection = connection
        self._spill = spill
        self._clock = clock
        self._rests_until = 0.0

    def take(self, events: Sequence[Event]) -> tuple[dict[int, str], bool]:
        """Count the events or keep them for later: those refused by a limit; whether for later.

        Raises redis.RedisError if there is no queue, NotQueuedError if the queue failed too.
        """
        if self._spill is None or not events:
            return self.count(events, _REDIS_SECONDS), False
        started = time.monotonic()
        failure = "resting"
        if self._clock() >= self._rests_until:
            try:
                return self.count(events, _REDIS_SECONDS), False
            except RedisError as error:
                failure = type(error).__name__
                self._rests_until = self._clock() + _REST_SECONDS
        self._spill.put(events)
        log("warning", queued=len(events), redis=failure, ms=_milliseconds(started))
        return {}, True

    def count(self, events: Sequence[Event], seconds: float = _REPLAY_SECONDS) -> dict[int, str]:
        """Count the events, and nothing else. Raises redis.RedisError within `seconds`."""
        with Within(seconds):
            return self._connection.patiently(lambda: self._add(events))

    def count_apart(self, events: Sequence[Event]) -> dict[int, str]:
        """Count the events, whatever is wrong with single ones: these are returned as refused.

        Nobody waits for an answer. Raises redis.RedisError while Redis is out of order as a whole.
        """
        refused: dict[int, str] = {}
        start = 0
        while start < len(events):
            end = start + _of_few_experiments(events[start:])
            part = self._count_apart(events[start:end])
            refused |= {start + place: reason for place, reason in part.items()}
            start = end
        if bad := sum(reason == _IN_THE_WAY for reason in refused.values()):
            log("error", set_aside=bad, redis=_IN_THE_WAY)
        return refused

    def _count_apart(self, events: Sequence[Event]) -> dict[int, str]:
        try:
            return self.count(events)
        except ResponseError as error:
            if not _is_about_one_key(error):
                raise
        if len(events) == 1:
            return {0: _IN_THE_WAY}
        half = len(events) // 2
        second = self._count_apart(events[half:])
        return self._count_apart(events[:half]) | {half + n: why for n, why in second.items()}

    def _add(self, events: Sequence[Event]) -> dict[int, str]:
        try:
            return self._counters.add(events)
        except RedisError:
            # Who answers next may be another server, with less in it.
            self._counters.forget()
            raise

    def replay(self, records: Sequence[Mapping[str, Any]], queue: Queue) -> list[str]:
        """Count the events of messages from the queue. Returns the ids of those to come again.

        A message may be replayed any number of times: its events count once. One that is none
        comes again until the queue sets it aside. Events over a limit, and those whose keys
        are in the way, are set aside at once: they were answered 200, and both can be helped.
        """
        started = time.monotonic()
        self._counters.forget()
        failed: list[Mapping[str, Any]] = []
        counted = refused = 0
        away = False
        for record in records:
            try:
                # A probe that was queued has told what it was for.
                sent = decode(record["body"])
                events = [event for event in sent if event.namespace != PROBE_NAMESPACE]
                if away:
                    failed.append(record)
                    continue
                over = self.count_apart(events)
                if over:
                    queue.set_aside([events[place] for place in over])
            except (RedisError, NotQueuedError, ValueError) as error:
                away = away or isinstance(error, ConnectionError | TimeoutError)
                failed.append(record)
                log("error", replay=type(error).__name__)
            else:
                refused += len(over)
                counted += len(events) - len(over)
        if failed:
            self._hold(failed, queue)
        ms = _milliseconds(started)
        log("info", replayed=counted, set_aside=refused, to_come_again=len(failed), ms=ms)
        return [record["messageId"] for record in failed]

    @staticmethod
    def _hold(failed: list[Mapping[str, Any]], queue: Queue) -> None:
        """Let messages wait, the longer the oftener they came; failing that, the queue's usual."""
        waits = {}
        for record in failed:
            times = int(record["attributes"]["ApproximateReceiveCount"])
            waits[record["receiptHandle"]] = min(_FIRST_WAIT << min(times, 10), _LONGEST_WAIT)
        try:
            queue.hold(waits)
        except NotQueuedError as error:
            log("error", hold=str(error))
