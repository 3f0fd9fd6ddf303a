"""The counters: they add events to Redis and read counts from it.

An event of a known counter costs one command. A counter is known for a minute after its
registration; `registration` makes sure that it exists. `keys` shows the data model.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import RedisError

from gimel.backend.counting.admission import (
    FULL,
    NO_EXPERIMENT,
    ONCE,
    STOPPED,
    Admission,
    Ignored,
    Rule,
)
from gimel.backend.counting.batch import Batch, check_memory
from gimel.backend.counting.conversation import Conversation, converse
from gimel.backend.counting.exact import count_sets, in_use
from gimel.backend.counting.hyperloglog import DEFAULT_SHARDS, HYPERLOGLOG
from gimel.backend.counting.keys import (
    DECLARED,
    NAMESPACES,
    Cell,
    ExperimentName,
    Generations,
    declared_name,
    experiments_keys,
    ignored_events,
)
from gimel.backend.counting.memory import Memory
from gimel.backend.counting.method import Method
from gimel.backend.counting.reading import Found, Selection, count, find, select
from gimel.backend.counting.registration import register
from gimel.backend.counting.tally import Tally, by_reason
from gimel.backend.limits import DEFAULT_LIMITS, OWN_NAMESPACES, Limits
from gimel.backend.redis.connection import Addition, Connection
from gimel.backend.wire import DEFAULT_NAMESPACE, Event

if TYPE_CHECKING:
    from gimel.backend.results.counts import ExperimentCounts

_REMEMBERED_SECONDS = 60.0
_TALLY_SECONDS = 0.5
# While a limit refuses a flood of events, Redis is asked about each counter once in this time.
_REFUSED_SECONDS = 5.0
# Bytes. An ordinary counter that is known takes about 1 KB.
_KNOWN_BYTES = 16_000_000
_OTHER_BYTES = 4_000_000
# Experiments that are read at once
_AT_ONCE = 10
# namespace, experiment, goal, variant: the first fields of an Event
_Counter = tuple[str, str, str, str]


class _Known(NamedTuple):
    """A registered counter.

    `until`: when to look it up again. `target`: the key or prefix that its method adds to.
    `method`: None if its events do not count. `rule`: that of its goal.
    """

    until: float
    target: str
    method: Method | None
    rule: Rule


_UNKNOWN = _Known(-inf, "", None, ONCE)


class Counters:
    """The counters of one Redis. Several threads may use it.

    Its methods raise redis.RedisError when Redis does not reply, or replies with an error.
    """

    def __init__(
        self,
        connection: Connection,
        shards: int = DEFAULT_SHARDS,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        counting: str = HYPERLOGLOG,
        *,
        is_closed: bool = False,
    ) -> None:
        """`is_closed`: experiments that nobody declared do not count."""
        self._connection = connection
        self._is_closed = is_closed
        self._tally = Tally(connection)
        # until when the names are known, and the names
        self._declared: tuple[float, set[str]] = (-inf, set())
        # what counts in declared experiments, and until when that is known
        self._admissions = Memory[ExperimentName, tuple[float, Admission]](_OTHER_BYTES)
        self.shards = shards
        self._counting = counting
        self._limits = limits
        self._clock = clock
        self._reconnects = connection.reconnects
        self._known = Memory[_Counter, _Known](_KNOWN_BYTES)
        self._firsts = Memory[ExperimentName, dict[str, str]](_OTHER_BYTES)
        # until when a counter is refused, and why
        self._refused = Memory[_Counter, tuple[float, str]](_OTHER_BYTES)

    def add(self, events: Sequence[Event], seconds: float | None = None) -> dict[int, str]:
        """Count the events: in one round trip if their counters are known.

        Return {index: reason} for the events that do not count: those that a limit refuses and
        those that are `Ignored`, such as those of a stopped experiment, from at most 60 s after the
        stop. Events of a deleted experiment are accepted but not counted. Counting takes at most
        `seconds`, if given. The tally of ignored events takes at most 0.5 s more, once a minute.
        """
        reasons = self._connection.run(lambda: self._add_surely(events), seconds)
        if reasons:
            ignored = [(events[i], why) for i, why in reasons.items() if isinstance(why, Ignored)]
            self.tally(ignored)
        return reasons

    def tally(self, ignored: Sequence[tuple[Event, Ignored]]) -> None:
        """Tally ignored events, and tell Redis once a minute."""
        if not ignored:
            return
        now = self._clock()
        self._tally.add(ignored, now)
        if self._tally.is_due(now):
            # A lost tally is no reason to refuse the events: the tally says "at least".
            with suppress(RedisError):
                self._connection.run(self._tally.flush, _TALLY_SECONDS)

    def _add_surely(self, events: Sequence[Event]) -> dict[int, str]:
        """Add the events. After a reconnect, forget what was known and add them again.

        The server that replied may be new and empty. Adding twice is harmless, because an event
        counts once.
        """
        before = self._connection.reconnects
        if before != self._reconnects:
            self.forget()
            self._reconnects = before
        try:
            refused = self._add(events)
            if self._connection.reconnects != before:
                self.forget()
                refused = self._add(events)
        except RedisError:
            # Another server, which holds less data, may reply next.
            self.forget()
            raise
        return refused

    def _add(self, events: Sequence[Event]) -> dict[int, str]:
        now = self._clock()
        wanted = [event[:4] for event in events]
        known = {counter: self._known.get(counter, _UNKNOWN) for counter in wanted}
        unknown = [counter for counter, found in known.items() if found.until <= now]
        refusals = self._still_refused(unknown, now) if unknown else {}
        if unknown := [counter for counter in unknown if counter not in refusals]:
            refusals |= self._register(unknown, now, known)
        additions: list[Addition] = []
        refused: dict[int, str] = {}
        for index, (counter, event) in enumerate(zip(wanted, events, strict=True)):
            if counter in refusals:
                refused[index] = refusals[counter]
                continue
            _, target, method, rule = known[counter]
            if rule is not ONCE and (reason := rule.refuse(event)):
                refused[index] = reason
            elif method:
                additions += method.additions(target, event)
        self._connection.add(additions)
        return refused

    def _still_refused(self, wanted: list[_Counter], now: float) -> dict[_Counter, str]:
        """Return the counters that are known, without asking Redis, not to count."""
        found: dict[_Counter, str] = {}
        for counter in wanted:
            namespace, experiment, *cell = counter
            until, reason = self._refused.get(counter, (-inf, ""))
            if until > now:
                found[counter] = reason
                continue
            until, admission = self._admissions.get((namespace, experiment), (-inf, None))
            if until > now and admission and (why := admission.refuse((cell[0], cell[1]))):
                found[counter] = why
            elif self._is_closed and not self._is_declared((namespace, experiment), now):
                found[counter] = NO_EXPERIMENT
        return found

    def _is_declared(self, experiment: ExperimentName, now: float) -> bool:
        """Return whether the experiment is declared; Redis is asked once a minute for all."""
        until, names = self._declared
        if until <= now:
            (names,) = self._connection.query([("SMEMBERS", DECLARED)])
            self._declared = (now + _REMEMBERED_SECONDS, names)
        return experiment[0] in OWN_NAMESPACES or declared_name(experiment) in names

    def _register(
        self, wanted: list[_Counter], now: float, known: dict[_Counter, _Known]
    ) -> dict[_Counter, str]:
        """Register the counters, remember them and put them into `known`.

        Return those that a limit refuses. Another thread may forget what is remembered at any time:
        the caller relies on `known` alone.
        """
        cells: dict[ExperimentName, list[Cell]] = {}
        for namespace, experiment, goal, variant in wanted:
            cells.setdefault((namespace, experiment), []).append((goal, variant))
        batch = Batch(
            self._limits,
            self.shards,
            self._counting,
            self._firsts,
            is_closed=self._is_closed,
        )
        registrations = [register(name, of_name, batch) for name, of_name in cells.items()]
        # First, so that the registrations know.
        held: list[Conversation[Any]] = [check_memory(batch), *registrations]
        _, *registered = converse(self._connection, held)
        refused: dict[_Counter, str] = {}
        for name, found in zip(cells, registered, strict=True):
            refused |= {(*name, *cell): reason for cell, reason in found.refused.items()}
            until = now + _REMEMBERED_SECONDS
            for cell, counter in found.counters.items():
                known[(*name, *cell)] = _Known(until, *counter)
            if found.admission:
                self._admissions.remember(name, (until, found.admission))
        until = now + _REFUSED_SECONDS
        for counter in wanted:
            reason = refused.get(counter)
            if reason is None:
                self._known.remember(counter, known[counter])
            # What a declaration ignores is not remembered one by one: its names are a stranger's.
            elif not isinstance(reason, Ignored) or reason in (FULL, STOPPED):
                self._refused.remember(counter, (until, reason))
        return refused

    def forget(self) -> None:
        """Forget all counters that were looked up before."""
        self._known.clear()
        self._refused.clear()
        self._admissions.clear()
        self._declared = (-inf, set())

    def read(self, namespace: str, names: Sequence[str] | None = None) -> "list[ExperimentCounts]":
        """Return the named experiments, or all of the namespace by name.

        Takes at most 3 round trips, 4 for old experiments. Exact counters take 3 more, and a few
        more while they grow.
        """
        return list(self.read_in_turn(namespace, names))

    def read_in_turn(
        self, namespace: str, names: Sequence[str] | None = None, *, is_summary: bool = False
    ) -> "Iterator[ExperimentCounts]":
        """Yield what `read` returns, a few at a time, while Redis counts the next.

        A summary has the primary goals alone, so that Redis counts few counters of any experiment.
        """
        if names is None:
            _, names = self.names(namespace)
        experiments = self._find(namespace, names)
        max_variants = self._limits.variants if is_summary else None
        selected = [(found, select(found, max_variants)) for found in experiments]
        distinct = self._distinct(selected)
        parts = [
            [count(*each, distinct) for each in selected[start : start + _AT_ONCE]]
            for start in range(0, len(selected), _AT_ONCE)
        ]
        commands = [[next(each).commands for each in part] for part in parts]
        flat = [[command for of_one in part for command in of_one] for part in commands]
        for part, asked, replies in zip(
            parts, commands, self._connection.stream(flat), strict=True
        ):
            start = 0
            for counting, of_one in zip(part, asked, strict=True):
                yield _result(counting, replies[start : start + len(of_one)])
                start += len(of_one)

    def _distinct(self, selected: list[tuple[Found, Selection]]) -> dict[str, list[int]]:
        """Return the sizes of the sets of each selected counter that is exact."""
        settings = [found.settings for found, _ in selected]
        while generations := _generations(selected, settings):
            used = in_use(self._connection, generations)
            distinct = count_sets(self._connection, used)
            # Another process may have moved members to another generation meanwhile. Ask in this
            # order: otherwise they could move on to a generation that is not in these settings.
            is_unchanged = in_use(self._connection, generations) == used
            settings = self._connection.query(
                [("HGETALL", found.keys.settings) for found, _ in selected]
            )
            if is_unchanged and _generations(selected, settings) == generations:
                return distinct
        return {}

    def names(self, namespace: str) -> tuple[list[str], list[str]]:
        """Return all namespaces, and the experiment names of this namespace, in one round trip."""
        return self.overview(namespace)[:2]

    def overview(self, namespace: str) -> tuple[list[str], list[str], dict[str, int]]:
        """Return what `names` returns, and the namespace's ignored events by reason."""
        sets = [("SMEMBERS", key) for key in (NAMESPACES, *experiments_keys(namespace))]
        ignored, namespaces, *names = self._connection.query(
            [("HGETALL", ignored_events(namespace)), *sets]
        )
        return sorted(namespaces), sorted(set().union(*names)), by_reason(ignored)

    def ignored(self) -> dict[str, dict[str, int]]:
        """Return each namespace's ignored events by reason; "" stands for all unused namespaces."""
        (namespaces,) = self._connection.query([("SMEMBERS", NAMESPACES)])
        spaces = ["", *sorted(namespaces)]
        tallies = self._connection.query([("HGETALL", ignored_events(each)) for each in spaces])
        found = zip(spaces, map(by_reason, tallies), strict=True)
        return {space: reasons for space, reasons in found if reasons}

    def fullness(self) -> dict[str, tuple[int, int]]:
        """Return {kind: (largest number in use, limit)}.

        The kinds are namespaces, experiments, variants and goals.
        """
        namespaces, _ = self.names(DEFAULT_NAMESPACE)
        most = {"experiments": 0, "variants": 0, "goals": 0}
        for namespace in namespaces:
            _, names = self.names(namespace)
            most["experiments"] = max(most["experiments"], len(names))
            for found in self._find(namespace, names):
                cells = [(goal, variant) for _, goal, variant in found.keys.parse(found.counters)]
                most["variants"] = max(most["variants"], len({variant for _, variant in cells}))
                most["goals"] = max(most["goals"], len({goal for goal, _ in cells}))
        existing = {"namespaces": len(namespaces), **most}
        return {what: (number, getattr(self._limits, what)) for what, number in existing.items()}

    def memory_is_short(self) -> bool:
        """Return whether Redis is so full that strangers may create nothing more."""
        batch = Batch(self._limits, self.shards, self._counting, self._firsts)
        converse(self._connection, [check_memory(batch)])
        return batch.memory_is_short

    def _find(self, namespace: str, names: Sequence[str]) -> list[Found]:
        return converse(self._connection, [find(namespace, name) for name in names])

    def delete(self, namespace: str, name: str, *, forget: bool = False) -> bool:
        """Delete an experiment: see `deletion`. Return whether there was anything to delete."""
        # Imported here: events do not need it.
        from gimel.backend.counting.deletion import delete

        (found,) = self._find(namespace, [name])
        was_there = delete(self._connection, namespace, found, forget=forget)
        self.forget()
        return was_there

    def delete_part(self, namespace: str, name: str, goal: str | None, variant: str | None) -> bool:
        """Delete the counters of one goal or variant: see `deletion`. Return whether any were."""
        from gimel.backend.counting.deletion import delete_part

        (found,) = self._find(namespace, [name])
        was_there = delete_part(self._connection, found, goal, variant)
        self.forget()
        return was_there


def _result(
    counting: "Conversation[ExperimentCounts]", replies: list[object]
) -> "ExperimentCounts":
    """Return what a conversation returns after its last replies."""
    try:
        counting.send(replies)
    except StopIteration as end:
        found: ExperimentCounts = end.value
        return found
    raise AssertionError("a count asks once")


def _generations(
    selected: list[tuple[Found, Selection]], settings: list[dict[str, str]]
) -> Generations:
    """Return the generations of all exact counters that are selected."""
    merged: Generations = {}
    for (found, selection), each in zip(selected, settings, strict=True):
        merged |= selection.generations(found.keys, each)
    return merged
