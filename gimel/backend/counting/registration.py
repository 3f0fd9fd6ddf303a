"""Registration: the conversation with Redis that makes counters exist before events count.

Each process registers each counter that it uses once a minute. For counters that exist, however
many, that takes at most three round trips, and one more when an exact counter grows.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, NamedTuple

from gimel.backend.counting.admission import (
    EACH,
    FULL,
    NO_EXPERIMENT,
    ONCE,
    STOPPED,
    Admission,
    Rule,
    admission_of,
)
from gimel.backend.counting.batch import Batch
from gimel.backend.counting.conversation import Conversation, Query, Write
from gimel.backend.counting.exact import (
    EXACT,
    FIRST_SETS,
    FIRST_SETS_UNSALTED,
    ceiling,
    following,
    fullness_key,
    is_settled,
)
from gimel.backend.counting.hyperloglog import (
    HYPERLOGLOG,
    is_hyperloglog,
    start_of,
)
from gimel.backend.counting.keys import (
    NAMESPACES,
    PARTICIPATE,
    Cell,
    ExperimentName,
    Generation,
    Keys,
    deletion_marks,
    generations_in,
)
from gimel.backend.counting.method import Method, method_of
from gimel.backend.counting.salt import new_salt
from gimel.backend.limits import OWN_NAMESPACES
from gimel.backend.redis.connection import Command

# The settings that decide what is added to a counter, and where
_FIRSTS = ("counting", "salt", "shards")

_MEMORY_IS_SHORT = "Redis is more than 70 % full: only counters that exist go on counting"


class Registered(NamedTuple):
    """One experiment's counters after their registration.

    `refused`: {cell: reason} for the counters that a limit refuses and those that are ignored.
    `counters`: the others, each with the key or prefix that its method adds to, the method and its
    goal's rule. The method is None if the experiment is deleted, so its late events do not count.
    `admission`: what counts in a declared experiment.
    """

    refused: dict[Cell, str]
    counters: Mapping[Cell, tuple[str, Method | None, Rule]]
    admission: Admission | None


def register(
    experiment: ExperimentName, cells: list[Cell], batch: Batch
) -> Conversation[Registered]:
    """Make these counters of an experiment exist. All registrations of a batch run side by side."""
    stored = yield from _look_up(experiment, is_known=experiment in batch.firsts)
    refused = stored.refuse(batch, cells)
    allowed = [cell for cell in cells if cell not in refused]
    if stored.is_stopped:
        return Registered(refused | dict.fromkeys(allowed, STOPPED), {}, stored.admission)
    if stored.is_deleted:
        # Nothing is added. The settings of a half-deleted experiment may lack some of these goals.
        silent = dict.fromkeys(allowed, ("", None, ONCE))
        return Registered(refused, silent, stored.admission)
    if allowed and not stored.is_listed and stored.admission is None:
        batch.begun.append(stored)
    refused |= yield from _create(stored, allowed, batch)
    allowed = [cell for cell in allowed if cell not in refused]
    if "salt" in stored.settings:
        batch.firsts.remember(experiment, {each: stored.settings[each] for each in _FIRSTS})
    yield from _grow(stored, allowed)
    refused |= dict.fromkeys(stored.full, FULL)
    counters = {
        cell: (stored.target(cell), stored.method(cell), stored.rule(cell))
        for cell in allowed
        if cell not in stored.full
    }
    return Registered(refused, counters, stored.admission)


class _Stored:
    """The state of one experiment in Redis.

    `starts`: the first bytes of each old counter, by key. `full`: exact counters at their ceiling.
    """

    name: ExperimentName
    keys: Keys
    settings: dict[str, str]
    namespace_is_listed: bool
    namespaces: int
    is_deleted: bool
    is_listed: bool
    experiments: int
    counters: set[str]

    def __init__(self, **fields: Any) -> None:
        self.__dict__.update(fields)
        self.starts: dict[str, bytes] = {}
        self.full: set[Cell] = set()

    @property
    def is_stopped(self) -> bool:
        """True if the experiment is stopped or archived, and not deleted."""
        return not self.is_deleted and self.settings.get("state", "running") != "running"

    @property
    def opens_namespace(self) -> bool:
        """Whether the experiment's first counter would create its namespace."""
        return not self.namespace_is_listed and not self.experiments

    def is_exact(self, cell: Cell) -> bool:
        """Return whether a counter is, or is to be, counted exactly. Amounts never are.

        gimel 1.x and lamed stored no method, so the values decide. A HyperLogLog stays a
        HyperLogLog. A number comes from lamed: it is counted exactly, and so is a new counter of
        an experiment that holds numbers only.
        """
        if self.rule(cell).cap is not None:
            return False
        if not self.keys.legacy:
            return self.settings.get("counting") == EXACT
        start = self.starts.get(self.keys.counter(*cell), b"")
        found = [start] if start else [each for each in self.starts.values() if each]
        return bool(found) and not any(map(is_hyperloglog, found))

    @cached_property
    def admission(self) -> Admission | None:
        """The declared variants and goals. None if the experiment is undeclared."""
        return admission_of(self.settings)

    def rule(self, cell: Cell) -> Rule:
        """Return how events of the counter's goal count."""
        goal, _ = cell
        if self.admission:
            return self.admission.goals[goal]
        return EACH if goal != PARTICIPATE and goal in self._totals else ONCE

    def method(self, cell: Cell) -> Method:
        """Return how a registered counter is counted."""
        generation = self.generation(cell) if self.is_exact(cell) else None
        return method_of(self.settings, self.rule(cell), self.salt, generation)

    @property
    def salt(self) -> bytes:
        """The experiment's salt; empty if an earlier version began it."""
        return bytes.fromhex(self.settings.get("salt", ""))

    @property
    def _totals(self) -> list[str]:
        """The goals that a visitor may reach many times, as far as the owner named them."""
        found: list[str] = json.loads(self.settings.get("totals", "[]"))
        return found

    @property
    def first_sets(self) -> int:
        """Number of sets in the first generation of an exact counter."""
        return FIRST_SETS if self.salt else FIRST_SETS_UNSALTED

    def target(self, cell: Cell) -> str:
        """Return the key, or the prefix of the keys, that the counter's method adds to."""
        if self.is_exact(cell):
            return self.generation(cell).prefix(self.keys.sets(*cell))
        return self.keys.counter(*cell)

    def generation(self, cell: Cell) -> Generation:
        """Return the generation of an exact counter that events are added to."""
        known = generations_in(self.settings).get(self.keys.sets(*cell))
        first, *later = known or [Generation(self.first_sets)]
        return [first, *filter(is_settled, later)][-1]

    def first_goal(self, cells: list[Cell]) -> str | None:
        """Return the goal to record as the first of an undeclared experiment, if it is missing.

        An experiment of an earlier version has goals already: it keeps the first by name.
        """
        if self.admission or self.keys.legacy or "first_goal" in self.settings:
            return None
        known = sorted(goal for _, goal, _ in self.keys.parse(self.counters))
        goals = [goal for goal in [*known, *(goal for goal, _ in cells)] if goal != PARTICIPATE]
        return next(iter(goals), None)

    def refuse(self, batch: Batch, cells: list[Cell]) -> dict[Cell, str]:
        """Return the counters that are ignored or that a limit refuses, with the reason.

        Limits bind undeclared experiments only.
        """
        if self.is_deleted:
            return {}
        if self.admission:
            reasons = {cell: self.admission.refuse(cell) for cell in cells}
            return {cell: reason for cell, reason in reasons.items() if reason}
        if batch.is_closed and self.name[0] not in OWN_NAMESPACES:
            return dict.fromkeys(cells, NO_EXPERIMENT)
        if batch.memory_is_short:
            new = [cell for cell in cells if self.keys.counter(*cell) not in self.counters]
            return dict.fromkeys(new, _MEMORY_IS_SHORT)
        siblings = sum(other.name[0] == self.name[0] for other in batch.begun)
        opened = {other.name[0] for other in batch.begun if other.opens_namespace}
        reason = None
        if self.opens_namespace and not siblings:
            reason = batch.limits.refuse_namespace(self.name[0], self.namespaces + len(opened))
        if not self.is_listed and reason is None:
            reason = batch.limits.refuse_experiment(self.experiments + siblings)
        if reason:
            return dict.fromkeys(cells, reason)
        known = [(goal, variant) for _, goal, variant in self.keys.parse(self.counters)]
        return batch.limits.refuse_counters(known, cells)


def _look_up(experiment: ExperimentName, *, is_known: bool) -> Conversation[_Stored]:
    """Read what Redis holds of an experiment, in one round trip; of an old experiment, in two.

    `is_known`: this process knows that gimel 1.x did not make it, whatever its settings say. If it
    began within a second that a server of a cluster lost, another server has its names only.
    """
    namespace, name = experiment
    layouts = [Keys(*experiment), Keys(*experiment, legacy=True)]
    asked: list[Command] = [
        ("SISMEMBER", NAMESPACES, namespace),
        ("SCARD", NAMESPACES),
        ("HGETALL", layouts[0].settings),
    ]
    for keys in layouts:
        asked += [
            ("SISMEMBER", keys.experiments, name),
            ("SCARD", keys.experiments),
            ("SMEMBERS", keys.counters),
        ]
    asked += [("SISMEMBER", marks, name) for marks in deletion_marks(namespace)]
    in_namespaces, namespaces, settings, *found = yield Query(asked)

    def stored(settings: dict[str, str]) -> _Stored:
        is_legacy = bool(found[3] and found[5] and "shards" not in settings and not is_known)
        is_listed, experiments, counters = found[3:6] if is_legacy else found[:3]
        return _Stored(
            name=experiment,
            keys=layouts[is_legacy],
            settings=settings,
            namespace_is_listed=bool(in_namespaces),
            namespaces=namespaces,
            is_deleted=any(found[6:]),
            is_listed=bool(is_listed),
            experiments=experiments,
            counters=counters,
        )

    first = stored(settings)
    again: list[Command] = []
    if "shards" not in settings and (found[0] or found[3]):
        # The experiment is of the old layout, or another process is creating it. In a cluster the
        # servers reply in any order, so read the settings again.
        again.append(("HGETALL", layouts[0].settings))
    old = sorted(first.counters) if first.keys.legacy else []
    replies: list[Any] = yield Query([*again, *map(start_of, old)])
    if again:
        first = stored(replies.pop(0))
    first.starts = dict(zip(old, replies, strict=True)) if first.keys.legacy else {}
    return first


def _create(stored: _Stored, cells: list[Cell], batch: Batch) -> Conversation[dict[Cell, str]]:
    """Write what is missing. Settings go first: an experiment without them is gimel 1.x's.

    Return the counters that were taken back: other processes may create some at the same time, so
    a limit is checked again once they are written.
    """
    missing = {stored.keys.counter(*cell) for cell in cells} - stored.counters
    has_settings = stored.keys.legacy or "shards" in stored.settings
    is_complete = not missing and has_settings and stored.is_listed and stored.namespace_is_listed
    if not cells or is_complete:
        return {}
    *_, stored.settings = yield Write([*_first_settings(stored, batch)])
    namespace, name = stored.name
    listing: list[Command] = [
        ("SADD", NAMESPACES, namespace),
        ("SADD", stored.keys.experiments, name),
    ]
    if missing:
        listing.append(("SADD", stored.keys.counters, *sorted(missing)))
    if goal := stored.first_goal(cells):
        listing.append(("HSETNX", stored.keys.settings, "first_goal", goal))
    listing += [
        ("SCARD", NAMESPACES),
        ("SCARD", stored.keys.experiments),
        ("SMEMBERS", stored.keys.counters),
    ]
    opens, is_new, *_, namespaces, experiments, counters = yield Write(listing)
    over: dict[Cell, str] = {}
    if stored.admission is None:
        reason = None
        if opens and stored.opens_namespace:
            # As it was before this registration added to it
            reason = batch.limits.refuse_namespace(namespace, namespaces - 1)
        elif is_new:
            reason = batch.limits.refuse_experiment(experiments - 1)
        others = [(goal, variant) for _, goal, variant in stored.keys.parse(counters - missing)]
        mine = [cell for cell in cells if stored.keys.counter(*cell) in missing]
        over = (
            dict.fromkeys(cells, reason) if reason else batch.limits.refuse_counters(others, mine)
        )
    is_whole = bool(is_new) and len(over) == len(cells)
    yield Write([*_taken_back(stored, over, is_whole=is_whole, opens=bool(opens))])
    return over


def _taken_back(
    stored: _Stored, over: dict[Cell, str], *, is_whole: bool, opens: bool
) -> Iterator[Command]:
    """Yield what removes counters that were listed a moment ago, or all that this call listed.

    The settings of a new experiment stay: another process may have begun to rely on them.
    """
    namespace, name = stored.name
    if over:
        counters = sorted(stored.keys.counter(*cell) for cell in over)
        yield "SREM", stored.keys.counters, *counters
    if over and is_whole:
        yield "SREM", stored.keys.experiments, name
        if opens:
            yield "SREM", NAMESPACES, namespace


def _first_settings(stored: _Stored, batch: Batch) -> Iterator[Command]:
    """Yield the commands that write a new experiment's settings.

    The last one reads the stored settings, because another process may have written them first.
    """
    key = stored.keys.settings
    if not stored.keys.legacy:
        # Another process may be first, with another counting method: then that method stays. Before
        # there was a choice, every experiment was counted with HyperLogLogs.
        first = batch.firsts.get(stored.name) or {}
        counting = HYPERLOGLOG if "shards" in stored.settings else batch.counting
        yield "HSETNX", key, "counting", first.get("counting", counting)
        if "shards" not in stored.settings:
            # Before the shards: an experiment with shards and no salt is an earlier version's.
            yield "HSETNX", key, "salt", first.get("salt") or new_salt()
        yield "HSETNX", key, "shards", first.get("shards", str(batch.shards))
        yield "HSETNX", key, "created_at", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    yield "HGETALL", key


def _grow(stored: _Stored, cells: list[Cell]) -> Conversation[None]:
    """Begin a new generation of sets for each exact counter that has none, or a full one."""
    exact = {cell: stored.keys.sets(*cell) for cell in cells if stored.is_exact(cell)}
    known = generations_in(stored.settings)
    asked = [(prefix, each) for prefix in exact.values() for each in known.get(prefix, [])]
    sizes = yield Write([("SCARD", fullness_key(*each)) for each in asked])
    size_of = dict(zip(asked, sizes, strict=True))
    growth: list[Command] = []
    plan = stored.admission.plan if stored.admission else None
    for cell, prefix in exact.items():
        generations = known.get(prefix, [])
        # Members that no read has moved up yet are in the older generations.
        members = sum(size_of[prefix, each] * each.sets for each in generations)
        counts_events = stored.rule(cell).counts_events
        if stored.salt and members >= ceiling(plan, counts_events=counts_events):
            stored.full.add(cell)
            continue
        new = (
            following(generations[-1], size_of[prefix, generations[-1]])
            if generations
            else Generation(stored.first_sets)
        )
        if new is None:
            continue
        stored.settings[new.field(prefix)] = str(new.since)
        growth.append(("HSET", stored.keys.settings, new.field(prefix), str(new.since)))
    yield Write(growth)
