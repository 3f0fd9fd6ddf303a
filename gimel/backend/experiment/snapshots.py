"""The writer of snapshots: once an hour, the counts of each running experiment go to its history.

Lambda calls it hourly, and a server's process tries every minute. A key in Redis lets one writer
work at a time. A second one would do no harm: the snapshot of an hour is written once, in one
command of Redis, and written again it is the same. At the end of its round, the writer sends the
news (`gimel.backend.news`).

A round goes through the declared experiments first, then through the others, a few at a time. When
its time is up, it stops, and the next round begins where it stopped. It notes each step before it
takes it, so experiments at which a writer dies come last in the next round.

The endpoint for events is open, so strangers may have begun experiments. While Redis is more than
70 % full these get no snapshots. Of one with many counters only the primary goal is counted, and
the names and numbers in a snapshot of it are bounded.
"""

import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

from redis.exceptions import RedisError, ResponseError

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import (
    DECLARED,
    NAMESPACES,
    SNAPSHOTS,
    WRITER,
    ExperimentName,
    Keys,
    declared_name,
    experiments_keys,
)
from gimel.backend.counting.salt import beginning
from gimel.backend.experiment.history import (
    BEGAN,
    Layout,
    encode,
    outdated,
    questions,
)
from gimel.backend.limits import OWN_NAMESPACES
from gimel.backend.log import log
from gimel.backend.queue import Backlog
from gimel.backend.redis.connection import Command, Connection
from gimel.backend.redis.errors import is_about_one_key
from gimel.backend.results.backlog import Waiting
from gimel.backend.results.record import observe
from gimel.backend.wire import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from gimel.backend.news.outbox import Outbox
    from gimel.backend.results.counts import ExperimentCounts
    from gimel.backend.results.record import Observed

# Experiments that are counted at once
_AT_ONCE = 10
# Seconds after a round's time that the mark of its writer expires
_MARGIN = 10
# Of an undeclared experiment: numbers in a snapshot, variants among them, and bytes of the names of
# all variants, and of all goals. One name has up to 1,024.
_NUMBERS, _VARIANTS, _NAMES = 64, 16, 1100


class Round(NamedTuple):
    """The result of a round: snapshots written, and whether it reached every experiment."""

    written: int
    is_complete: bool


class SnapshotWriter:
    """The writer of one Redis.

    `backlog` returns what is not counted yet, or None if that is unknown. It is asked once a round.
    `outbox` is shown each declared experiment, and sends the news.
    """

    def __init__(
        self,
        connection: Connection,
        counters: Counters,
        clock: Callable[[], float] = time.monotonic,
        backlog: Callable[[], Backlog | None] | None = None,
        outbox: "Outbox | None" = None,
    ) -> None:
        self._connection = connection
        self._counters = counters
        self._clock = clock
        self._ask_backlog = backlog
        self._backlog: Backlog | None = None
        self._outbox = outbox

    def write(self, now: float, seconds: float) -> Round | None:
        """Write the snapshots of this hour that are missing, for at most so many seconds.

        `now` is the time in Unix seconds. Return None if another writer is at work. Raises
        redis.RedisError.
        """
        return self._connection.run(lambda: self._write(now, seconds), seconds)

    def _write(self, now: float, seconds: float) -> Round | None:
        end, token = self._clock() + seconds, secrets.token_hex(8)
        lasts = str(int(seconds) + _MARGIN)
        (is_alone,) = self._connection.execute([("SET", WRITER, token, "NX", "EX", lasts)])
        if not is_alone:
            return None
        try:
            done = self._round(now, end - 0.2 * seconds)
            if self._outbox:
                self._outbox.deliver(self._backlog, end - self._clock())
            return done
        finally:
            # Without Redis, the mark expires.
            with suppress(RedisError):
                if self._connection.execute([("GET", WRITER)]) == [token.encode()]:
                    self._connection.execute([("UNLINK", WRITER)])

    def _round(self, now: float, until: float) -> Round:
        written = 0
        self._backlog = self._ask_backlog() if self._ask_backlog else None
        declared, undeclared = self._experiments()
        if self._counters.memory_is_short():
            undeclared = []
        (begins,) = self._connection.query([("HGETALL", SNAPSHOTS)])
        for kind, names in (("declared", declared), ("undeclared", undeclared)):
            for some in _pages(names, dict(begins).get(kind, "")):
                if self._clock() >= until:
                    return Round(written, is_complete=False)
                self._connection.execute([("HSET", SNAPSHOTS, kind, declared_name(some[-1]))])
                written += self._take(some, now)
        return Round(written, is_complete=True)

    def _experiments(self) -> tuple[list[ExperimentName], list[ExperimentName]]:
        """Return the declared experiments and all others, each in the order of their names."""
        declared, listed = self._connection.query(
            [("SMEMBERS", DECLARED), ("SMEMBERS", NAMESPACES)]
        )
        spaces = sorted({DEFAULT_NAMESPACE, *listed} - set(OWN_NAMESPACES))
        asked = [(space, key) for space in spaces for key in experiments_keys(space)]
        replies = self._connection.query([("SMEMBERS", key) for _, key in asked])
        pairs = zip(asked, replies, strict=True)
        found = {(space, name) for (space, _), names in pairs for name in names}
        names = sorted(found, key=declared_name)
        is_declared = {name: declared_name(name) in declared for name in names}
        return [each for each in names if is_declared[each]], [
            each for each in names if not is_declared[each]
        ]

    def _take(self, names: Sequence[ExperimentName], now: float) -> int:
        """Write the snapshots of a few experiments. Return how many.

        If one of them cannot be read, take each by itself, and leave out that one.
        """
        try:
            return sum(
                self._take_some(space, [name for _, name in of_space], now)
                for space, of_space in groupby(names, key=lambda each: each[0])
            )
        except (ResponseError, ValueError, ArithmeticError) as error:
            # ValueError: the settings hold what nothing of Gimel's has written.
            if isinstance(error, ResponseError) and not is_about_one_key(error):
                raise
            if len(names) == 1:
                log("warning", snapshot=type(error).__name__)
                return 0
        return sum(self._take([each], now) for each in names)

    def _take_some(self, namespace: str, names: Sequence[str], now: float) -> int:
        written = 0
        due = self._due(namespace, names, now)
        waiting = Waiting(namespace, self._backlog) if self._ask_backlog else None
        for is_summary in (False, True):
            some = [name for name, is_large in due.items() if is_large is is_summary]
            if some:
                found = list(self._counters.read_in_turn(namespace, some, is_summary=is_summary))
                at = datetime.fromtimestamp(now, UTC)
                seen = [observe(self._connection, namespace, each, at, waiting) for each in found]
                written += self._store(namespace, [each for each in seen if each.found.trials], now)
        return written

    def _due(self, namespace: str, names: Sequence[str], now: float) -> dict[str, bool]:
        """Return the running experiments that have events and lack this hour's snapshot.

        Each with whether it is too large to be counted as a whole.
        """
        commands: list[Command] = []
        for name in names:
            keys, old = Keys(namespace, name), Keys(namespace, name, legacy=True)
            commands += [
                ("HEXISTS", keys.history, str(int(now) // 3600)),
                ("HGET", keys.settings, "state"),
                ("HEXISTS", keys.settings, "variants"),
                ("SCARD", keys.counters),
                ("SCARD", old.counters),
            ]
        replies = iter(self._connection.query(commands))
        due = {}
        for name in names:
            is_done, state, is_declared, *counters = (next(replies) for _ in range(5))
            number = max(each if isinstance(each, int) else 0 for each in counters)
            if number and not is_done and state in (None, b"", b"running"):
                due[name] = number > _NUMBERS and not is_declared
        return due

    def _store(self, namespace: str, seen: "Sequence[Observed]", now: float) -> int:
        keys = [Keys(namespace, each.found.name) for each in seen]
        asked = [question for each in keys for question in questions(each)]
        replies = iter(self._connection.query(asked))
        commands: list[Command] = []
        for each, of_one in zip(seen, keys, strict=True):
            held, *settings = (next(replies) for _ in questions(of_one))
            old, new = _fields(each.found, dict(held), beginning(*settings), now)
            commands += _commands(of_one.history, old, new, is_foreign=bool(held and not old))
            if self._outbox:
                self._outbox.look_at(namespace, each, old | new, now)
        self._connection.query(commands)
        return len(seen) - self._remove_deleted(namespace, keys)

    def _remove_deleted(self, namespace: str, keys: Sequence[Keys]) -> int:
        """Remove the histories of experiments that were deleted meanwhile. Return how many."""
        both: list[Command] = []
        for each in keys:
            old = Keys(namespace, each.name, legacy=True)
            both += [("EXISTS", each.counters), ("EXISTS", old.counters)]
        replies = self._connection.query(both)
        are_there = map(any, zip(replies[::2], replies[1::2], strict=True))
        gone = [each for each, is_there in zip(keys, are_there, strict=True) if not is_there]
        self._connection.query([("UNLINK", each.history) for each in gone])
        return len(gone)


def _pages(names: Sequence[ExperimentName], after: str) -> Iterable[list[ExperimentName]]:
    """Yield a few names at a time: those after the given one first, then those before."""
    start = sum(declared_name(each) <= after for each in names)
    turned = [*names[start:], *names[:start]]
    for first in range(0, len(turned), _AT_ONCE):
        yield turned[first : first + _AT_ONCE]


def _fields(
    found: "ExperimentCounts", held: dict[str, str], began: str, now: float
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the fields of an experiment's history, and those that its snapshot adds.

    What belongs to a deleted experiment of the same name is left out.
    """
    layout = _layout(found)
    hour, seconds = divmod(int(now), 3600)
    snapshot = encode(layout, seconds // 60, found.trials, found.goals)
    new = {BEGAN: began, layout.field: layout.text, str(hour): snapshot}
    return held if held.get(BEGAN) == began else {}, new


def _commands(
    key: str, held: dict[str, str], new: dict[str, str], *, is_foreign: bool
) -> Iterable[Command]:
    """Yield what writes a snapshot, and deletes what the history need not keep."""
    if is_foreign:
        yield "UNLINK", key
    yield "HSET", key, *(text for field in new.items() for text in field)
    if fields := outdated(held | new):
        yield "HDEL", key, *fields


def _layout(found: "ExperimentCounts") -> Layout:
    """Return what of the counts a snapshot has: of an undeclared experiment only so much."""
    if found.settings.is_declared:
        return Layout(sorted(found.trials), sorted(found.goals))
    trials, goals = found.trials, found.goals
    variants = _short(sorted(trials, key=lambda each: (-trials[each], each))[:_VARIANTS])
    reached = {goal: sum(row.values()) for goal, row in goals.items()}
    order = sorted(reached, key=lambda each: (each != found.primary_goal, -reached[each], each))
    room = _NUMBERS // len(variants) - 1
    return Layout(sorted(variants), sorted(_short(order[:room])))


def _short(names: Iterable[str]) -> list[str]:
    """Return those of the names that fit, the first ones first."""
    kept, room = [], _NAMES
    for name in names:
        if (size := len(name.encode())) <= room:
            kept.append(name)
            room -= size
    return kept
