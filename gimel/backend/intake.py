"""The intake: it counts events or, while Redis does not take them, queues them.

Redis does not take events if it does not reply, or replies with an error such as OOM (full),
READONLY or LOADING. An event takes at most 2 s: 1.2 s for Redis and 0.7 s for the queue. A sender
may forget its event after an answer of success, and must keep it otherwise.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis.exceptions import RedisError, ResponseError

from gimel.backend.counting.admission import BOT, Ignored
from gimel.backend.counting.counters import Counters
from gimel.backend.limits import PROBE_NAMESPACE
from gimel.backend.log import log
from gimel.backend.queue import (
    EventQueue,
    NotQueuedError,
    Queue,
    decode,
    is_confirmation,
)
from gimel.backend.redis.errors import AWAY, is_about_one_key
from gimel.backend.wire import Event

_REDIS_SECONDS = 1.2
# Seconds for one part of a queued message. The sender already has its answer, so this may be
# longer.
_REPLAY_SECONDS = 2.5
# At 256 MB, looking up 10 experiments with the maximum of 1,000 counters each takes 0.6 s.
_EXPERIMENTS_AT_ONCE = 20
# After Redis fails, Intake sends events straight to the queue for this many seconds.
_REST_SECONDS = 2.0
# A message that could not be replayed waits this long, doubled after each attempt.
_FIRST_WAIT, _LONGEST_WAIT = 1, 600
_UNUSABLE_KEYS = "its keys cannot be used"


def _few_experiments(events: Sequence[Event]) -> int:
    """Count the leading events that touch at most `_EXPERIMENTS_AT_ONCE` experiments."""
    experiments: set[tuple[str, ...]] = set()
    for index, event in enumerate(events):
        experiments.add(event[:2])
        if len(experiments) > _EXPERIMENTS_AT_ONCE:
            return index
    return len(events)


def _milliseconds(since: float) -> int:
    return round(1000 * (time.monotonic() - since))


class Intake:
    """The choice between the counters and the queue. Several threads may use it."""

    def __init__(
        self,
        counters: Counters,
        queue: EventQueue | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = counters
        self._queue = queue
        self._clock = clock
        self._rests_until = 0.0

    def take(self, events: Sequence[Event]) -> tuple[dict[int, str], bool]:
        """Count the events, or queue them.

        Return {index: reason} for the events that do not count, and whether the events were queued.
        It is not yet known which queued events count.

        Raises redis.RedisError if there is no queue, NotQueuedError if the queue failed too.
        """
        if self._queue is None or not events:
            return self._counters.add(events, _REDIS_SECONDS), False
        started = time.monotonic()
        failure = "resting"
        if self._clock() >= self._rests_until:
            try:
                return self._counters.add(events, _REDIS_SECONDS), False
            except RedisError as error:
                failure = type(error).__name__
                self._rests_until = self._clock() + _REST_SECONDS
        self._queue.put(events)
        log("warning", queued=len(events), redis=failure, ms=_milliseconds(started))
        return {}, True

    def ignore_bot(self, events: Sequence[Event]) -> tuple[dict[int, str], bool]:
        """Tally the events of a bot, and count none. Return what `take` returns."""
        self._counters.tally([(event, BOT) for event in events])
        return dict.fromkeys(range(len(events)), BOT), False

    def count(self, events: Sequence[Event]) -> dict[int, str]:
        """Count events whose sender already has its answer.

        Return {index: reason} for the events that do not count: those that are ignored, those that
        a limit refuses, and those whose keys cannot be used. Raises redis.RedisError if Redis as a
        whole fails.
        """
        refused: dict[int, str] = {}
        start = 0
        while start < len(events):
            end = start + _few_experiments(events[start:])
            part = self._count_apart(events[start:end])
            refused |= {start + index: reason for index, reason in part.items()}
            start = end
        if unusable := sum(reason == _UNUSABLE_KEYS for reason in refused.values()):
            log("error", set_aside=unusable, redis=_UNUSABLE_KEYS)
        return refused

    def _count_apart(self, events: Sequence[Event]) -> dict[int, str]:
        """Count the events. Return {index: reason} for those that do not count.

        If a key cannot be used, split the events in half until each event of that key is alone.
        """
        try:
            return self._counters.add(events, _REPLAY_SECONDS)
        except (ResponseError, ValueError) as error:
            # ValueError: the settings of an experiment hold what nothing of Gimel's has written.
            if isinstance(error, ResponseError) and not is_about_one_key(error):
                raise
        if len(events) == 1:
            return {0: _UNUSABLE_KEYS}
        half = len(events) // 2
        second = self._count_apart(events[half:])
        return self._count_apart(events[:half]) | {half + n: why for n, why in second.items()}

    def replay(self, records: Sequence[Mapping[str, Any]], queue: Queue) -> list[str]:
        """Count the events of messages from the SQS queue. Return the ids of messages to retry.

        A message may be replayed any number of times: its events count once. What was counted is
        queued once more, and counted again 10 s later: Redis may lose its last second, and SQS
        deletes what is not retried. A message that cannot be decoded is retried until SQS puts it
        on the dead-letter queue. Events over a limit, and events whose keys cannot be used, go to
        the dead-letter queue at once. Their senders already have a 200, and the experiment's owner
        can fix both causes.
        """
        started = time.monotonic()
        self._counters.forget()
        failed: list[Mapping[str, Any]] = []
        counted = refused = 0
        is_away = False
        for record in records:
            try:
                # A probe that was queued has served its purpose.
                sent = decode(record["body"])
                events = [event for event in sent if event.namespace != PROBE_NAMESPACE]
                if is_away:
                    failed.append(record)
                    continue
                reasons = self.count(events)
                over = [n for n, why in reasons.items() if not isinstance(why, Ignored)]
                if over:
                    queue.set_aside([events[index] for index in over])
                if not is_confirmation(record["body"]):
                    queue.confirm([e for n, e in enumerate(events) if n not in reasons])
            except (RedisError, NotQueuedError, ValueError) as error:
                is_away = is_away or isinstance(error, AWAY)
                failed.append(record)
                log("error", replay=type(error).__name__)
            else:
                refused += len(over)
                counted += len(events) - len(over)
        if failed:
            self._delay(failed, queue)
        ms = _milliseconds(started)
        log("info", replayed=counted, set_aside=refused, retried=len(failed), ms=ms)
        return [record["messageId"] for record in failed]

    @staticmethod
    def _delay(failed: list[Mapping[str, Any]], queue: Queue) -> None:
        """Delay each message, longer after each failed attempt.

        If SQS fails, the queue's own delay applies.
        """
        waits = {}
        for record in failed:
            attempts = int(record["attributes"]["ApproximateReceiveCount"])
            waits[record["receiptHandle"]] = min(_FIRST_WAIT << min(attempts, 10), _LONGEST_WAIT)
        try:
            queue.delay(waits)
        except NotQueuedError as error:
            log("error", delay=str(error))
