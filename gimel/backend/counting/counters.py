"""The counters: Gimel's data model in Redis or Valkey. No other module names a key.

Every key, `<ns>`, `<experiment>`, `<goal>` and `<variant>` escaped (`:` `#` `%` as %3A %23 %25):

    gimel:namespaces                                   set: the namespaces in use, as they are
    <ns>:experiments                                   set: names of experiments, as they are
    <ns>:deleted                                       set: names that count no more, as they are
    <ns>:<experiment>:deleted                          set: what a deleted one's counters were made
                                                       of, until its name is forgotten
    <ns>:<experiment>:settings                         hash: counting, shards, created_at, state, …
                                                       `sets <n> <counter>`: it has n sets
    <ns>:<experiment>:counter_keys                     set: the key of every counter's shard 0
    <ns>:counters:<experiment>:<goal>:<variant>        HyperLogLog: shard 0; of an exact counter, a
                                                       number carried over from lamed, if anything
    <ns>:counters:<experiment>:<goal>:<variant>#<i>    HyperLogLog: shard i, from 1
    <ns>:counters:<experiment>:<goal>:<variant>#<n>:<i>
                                                       set of integers: set i of n, exact counting
    <ns>:counter_keys                                  set: written by gimel 1.x, only cleaned here

counting.py says how a counter is made of these, layout.py how their names are. An experiment whose
settings say no number of shards was made by gimel 1.x or lamed, its names in the keys as they are.
A counter of gimel 1.x is one HyperLogLog. One of lamed is a number, which stays where it is; what
comes on top of it is counted exactly.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Any

from gimel.backend.counting.keys import (
    NAMESPACES,
    PARTICIPATE,
    Layout,
    as_it_is,
    deleted,
    escape,
)
from gimel.backend.counting.registration import Found, Registration, keys_of
from gimel.backend.counting.ways import (
    HYPERLOGLOG,
    Generations,
    Way,
    count_sets,
    generations_in,
    shard_of,
)
from gimel.backend.limits import DEFAULT_LIMITS, Limits, Pair
from gimel.backend.redis.connection import Addition, Command, Connection, heard
from gimel.backend.wire import DEFAULT_NAMESPACE, Event

if TYPE_CHECKING:
    from gimel.backend.results.counts import ExperimentCounts

__all__ = ["DEFAULT_SHARDS", "PARTICIPATE", "Counters", "shard_of"]

DEFAULT_SHARDS = 64
_REMEMBERED_SECONDS = 60.0
# A flood of events that a limit refuses costs Redis one look at each counter in so many seconds.
_REFUSED_SECONDS = 5.0
_REMEMBERED_COUNTERS = 10_000
# Experiments, of those that are read
_AT_ONCE = 10
# namespace, experiment, goal, variant: what Event starts with
_Counter = tuple[str, str, str, str]
# when to look again, what its keys begin with, how it is counted (None: the experiment is stopped)
_Trusted = tuple[float, str, Way | None]
_NEVER: _Trusted = (-inf, "", None)


class Counters:
    """The counters of one Redis. Safe to share between threads.

    Every method raises redis.RedisError when Redis does not answer or refuses.
    """

    def __init__(
        self,
        connection: Connection,
        shards: int = DEFAULT_SHARDS,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
        counting: str = HYPERLOGLOG,
    ) -> None:
        self._connection = connection
        self._shards = shards
        self._counting = counting
        self._limits = limits
        self._clock = clock
        self._reconnects = connection.reconnects
        self._remembered: dict[_Counter, _Trusted] = {}
        # when to look again, why it was refused
        self._refused: dict[_Counter, tuple[float, str]] = {}

    def add(self, events: Sequence[Event]) -> dict[int, str]:
        """Count the events: one round trip when their counters are remembered.

        Those of a stopped experiment are taken and not counted, at the latest
        `_REMEMBERED_SECONDS` after it was stopped.
        Returns the events refused by a limit, as {place in `events`: reason}.
        """
        before = self._connection.reconnects
        if before != self._reconnects:
            self.forget()
            self._reconnects = before
        refused = self._add(events)
        if self._connection.reconnects != before:
            # Who answered may have been started empty: events count once, however often added.
            self.forget()
            refused = self._add(events)
        return refused

    def _add(self, events: Sequence[Event]) -> dict[int, str]:
        now = self._clock()
        wanted = [event[:4] for event in events]
        trusted = {counter: self._remembered.get(counter, _NEVER) for counter in wanted}
        unknown = [counter for counter, (until, _, _) in trusted.items() if until <= now]
        refusals = self._still_refused(unknown, now) if self._refused else {}
        if unknown := [counter for counter in unknown if counter not in refusals]:
            refusals |= self._register(unknown, now, trusted)
        additions: list[Addition] = []
        refused: dict[int, str] = {}
        for place, (counter, event) in enumerate(zip(wanted, events, strict=True)):
            if counter in refusals:
                refused[place] = refusals[counter]
                continue
            _, key, way = trusted[counter]
            if way:
                additions.append(way.addition(key, event.uuid))
        self._connection.add(additions)
        return refused

    def _still_refused(self, wanted: list[_Counter], now: float) -> dict[_Counter, str]:
        refused = {counter: self._refused.get(counter, (-inf, "")) for counter in wanted}
        return {counter: reason for counter, (until, reason) in refused.items() if until > now}

    def forget(self) -> None:
        """Trust nothing that was looked up before."""
        self._remembered.clear()
        self._refused.clear()

    # Registering: the slow path, once a minute for each counter of a process.

    def _register(
        self, wanted: list[_Counter], now: float, trusted: dict[_Counter, _Trusted]
    ) -> dict[_Counter, str]:
        """Make the counters exist, in a few round trips however many there are.

        Those made are remembered and put into `trusted`; those that a limit refuses are returned,
        each with the reason.
        """
        for memory in (self._remembered, self._refused):
            if len(memory) + len(wanted) > _REMEMBERED_COUNTERS:
                memory.clear()
        pairs: dict[Pair, list[Pair]] = {}
        for namespace, experiment, goal, variant in wanted:
            pairs.setdefault((namespace, experiment), []).append((goal, variant))
        registrations = self._look_up(list(pairs))
        refused: dict[_Counter, str] = {}
        begun: list[Registration] = []
        for found in registrations:
            reasons = found.refusals(self._limits, pairs[found.names], begun)
            refused |= {(*found.names, *pair): reason for pair, reason in reasons.items()}
            pairs[found.names] = [pair for pair in pairs[found.names] if pair not in reasons]
            if pairs[found.names] and found.is_running and not found.in_experiments:
                begun.append(found)
        self._create(registrations, pairs)
        self._grow([(found, pair) for found in registrations for pair in pairs[found.names]])
        until = now + _REMEMBERED_SECONDS
        for found in registrations:
            for pair in pairs[found.names]:
                way = found.way(pair) if found.is_running else None
                trusted[(*found.names, *pair)] = (until, found.place(pair), way)
        self._remembered |= {each: trusted[each] for each in wanted if each not in refused}
        until = now + _REFUSED_SECONDS
        self._refused |= {each: (until, reason) for each, reason in refused.items()}
        return refused

    def _look_up(self, experiments: list[Pair]) -> list[Registration]:
        registrations = [Registration(*names) for names in experiments]
        replies = self._answers(found.commands() for found in registrations)
        for found in registrations:
            found.hear(replies)
        replies = self._answers(found.commands_again() for found in registrations)
        for found in registrations:
            found.hear_again(replies)
        return registrations

    def _answers(self, commands: Iterable[Iterable[Command]]) -> Iterator[Any]:
        """The replies to all of them in one round trip, one after the other.

        The same question, as where the keys of both layouts are the same, is asked once.
        """
        wanted = list(chain.from_iterable(commands))
        once = list(dict.fromkeys(wanted))
        replies = dict(zip(once, heard(self._connection.ask(once)), strict=True))
        return map(replies.__getitem__, wanted)

    def _create(self, registrations: list[Registration], pairs: dict[Pair, list[Pair]]) -> None:
        """Write what is missing, and read the settings that hold once they are written."""
        written = [found for found in registrations if found.lacks(pairs[found.names])]
        if not written:
            return
        firsts = (found.first_settings(self._shards, self._counting) for found in written)
        replies = self._connection.tell(list(chain.from_iterable(firsts)))
        settings = [reply for reply in replies if isinstance(reply, dict)]
        for found, current in zip(written, settings, strict=True):
            found.settings = current
        self._connection.tell([command for found in written for command in found.listing()])

    def _grow(self, wanted: list[tuple[Registration, Pair]]) -> None:
        """See to it that exact counters have as many sets as they need."""
        exact = [
            (found, pair) for found, pair in wanted if found.is_running and found.is_exact(pair)
        ]
        sizes = self._connection.tell([found.fullness(pair) for found, pair in exact])
        growths = (
            found.growth(pair, members) for (found, pair), members in zip(exact, sizes, strict=True)
        )
        self._connection.tell(list(chain.from_iterable(growths)))

    def read(self, namespace: str, names: Sequence[str] | None = None) -> "list[ExperimentCounts]":
        """The named experiments, or all of them by name.

        In at most 3 round trips, 4 for old experiments; exact counters take 3 more, and while they
        grow a few.
        """
        return list(self.read_in_turn(namespace, names))

    def read_in_turn(
        self, namespace: str, names: Sequence[str] | None = None
    ) -> "Iterator[ExperimentCounts]":
        """The same, a few at a time, while Redis counts the next."""
        if names is None:
            _, names = self.names(namespace)
        experiments = self._find(namespace, names)
        distinct = self._distinct(experiments)
        parts = [experiments[at : at + _AT_ONCE] for at in range(0, len(experiments), _AT_ONCE)]
        commands = [[each for found in part for each in found.commands()] for part in parts]
        for part, replies in zip(parts, self._connection.count_in_turn(commands), strict=True):
            counts = iter(heard(replies))
            yield from (found.hear(counts, distinct) for found in part)

    def _distinct(self, experiments: list[Found]) -> dict[str, int]:
        """Each exact counter's number of uuids."""
        generations = _generations(found.settings for found in experiments)
        while generations:
            distinct = count_sets(self._connection, generations)
            settings = [("HGETALL", found.layout.settings) for found in experiments]
            now = _generations(heard(self._connection.ask(settings)))
            if now == generations:
                return distinct
            # A newer one may have taken members away before they were counted.
            generations = now
        return {}

    def names(self, namespace: str) -> tuple[list[str], list[str]]:
        """All namespaces, and the names of one's experiments, in one round trip."""
        spaces = {escape(namespace), as_it_is(namespace)}
        keys = [NAMESPACES, *(f"{space}:experiments" for space in spaces)]
        namespaces, *experiments = heard(self._connection.ask([("SMEMBERS", key) for key in keys]))
        return sorted(namespaces), sorted(set().union(*experiments))

    def fullness(self) -> dict[str, tuple[int, int]]:
        """How many there are of what is limited, and how many there may be: of the fullest."""
        namespaces, _ = self.names(DEFAULT_NAMESPACE)
        most = {"experiments": 0, "variants": 0, "goals": 0}
        for namespace in namespaces:
            _, names = self.names(namespace)
            most["experiments"] = max(most["experiments"], len(names))
            for found in self._find(namespace, names):
                pairs = [(goal, variant) for _, goal, variant in found.layout.parse(found.keys)]
                most["variants"] = max(most["variants"], len({variant for _, variant in pairs}))
                most["goals"] = max(most["goals"], len({goal for goal, _ in pairs}))
        there = {"namespaces": len(namespaces), **most}
        return {what: (number, getattr(self._limits, what)) for what, number in there.items()}

    def _find(self, namespace: str, names: Sequence[str]) -> list[Found]:
        """What there is of each experiment, in one round trip; of an old one in two."""
        pairs = [(Layout(namespace, name), Layout(namespace, name, legacy=True)) for name in names]
        questions: Iterator[list[Command]] = (
            [
                ("SMEMBERS", new.counters),
                ("SISMEMBER", old.experiments, old.name),
                ("SMEMBERS", old.counters),
                ("HGETALL", new.settings),
            ]
            for new, old in pairs
        )
        replies = list(self._answers(questions))
        new_keys, is_old, old_keys, settings = (replies[start::4] for start in range(4))
        # One that was being made may have looked old: of a cluster, each server answers by itself.
        seem_old = [
            place
            for place, known in enumerate(settings)
            if "shards" not in known and (is_old[place] or new_keys[place])
        ]
        again = self._answers([("HGETALL", pairs[place][0].settings)] for place in seem_old)
        for place, known in zip(seem_old, again, strict=True):
            settings[place] = known
        return [
            Found(old, known, keys_of_old)
            if listed and "shards" not in known
            else Found(new, known, keys_of_new)
            for (new, old), keys_of_new, listed, keys_of_old, known in zip(
                pairs, new_keys, is_old, old_keys, settings, strict=True
            )
        ]

    def configure(self, namespace: str, name: str, changes: Mapping[str, str | None]) -> None:
        """Change fields of an experiment's settings; None removes one.

        The way of counting is chosen once: a second choice changes nothing.
        """
        key = Layout(namespace, name).settings
        commands: list[Command] = []
        for field, value in changes.items():
            if value is None:
                commands.append(("HDEL", key, field))
            else:
                write = "HSETNX" if field == "counting" else "HSET"
                commands.append((write, key, field, value))
        self._connection.tell(commands)

    def delete(self, namespace: str, name: str, *, forget: bool = False) -> bool:
        """Delete an experiment. Returns whether there was anything to delete.

        Its late events count no more, unless `forget`: then the name may be used anew. Name and
        settings go last, so that a broken delete can be done again.
        """
        (found,) = self._find(namespace, [name])
        layout = found.layout
        late = f"{escape(namespace)}:{escape(name)}:deleted"
        ((*parts,),) = heard(self._connection.ask([("SMEMBERS", late)]))
        parts += found.parts()
        commands: list[Command] = []
        if found.keys or found.settings or forget:
            commands.append(("SREM" if forget else "SADD", deleted(namespace), name))
        if parts and not forget:
            # Who still remembers the counters writes on, under keys that nothing else would name.
            commands.append(("SADD", late, *parts))
        commands += [("UNLINK", key) for key in keys_of(parts)]
        if forget:
            commands.append(("UNLINK", late))
        commands += [("SREM", layout.all_counters, key) for key in sorted(found.keys)]
        commands += [
            ("UNLINK", layout.counters),
            ("UNLINK", layout.settings),
            ("SREM", layout.experiments, name),
        ]
        for legacy in (False, True):
            commands.append(("SCARD", Layout(namespace, name, legacy=legacy).experiments))
        marked, *_, removed, new_left, old_left = heard(self._connection.ask(commands))
        if not new_left and not old_left:
            self._connection.tell([("SREM", NAMESPACES, namespace)])
        self.forget()
        return bool(removed or found.keys or found.settings or (forget and marked))


def _generations(settings: Iterable[Any]) -> Generations:
    """The generations of all exact counters of these experiments."""
    merged: Generations = {}
    for each in settings:
        merged |= generations_in(each)
    return merged
