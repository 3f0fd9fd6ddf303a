"""Registration: the conversation with Redis that makes counters exist before events count.

A process holds it once a minute for each counter that it counts. It takes at most three round trips
for counters that exist, however many there are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from gimel.backend.counting.conversation import Conversation, Query, Write
from gimel.backend.counting.exact import EXACT, FIRST_SETS, IntegerSets, fullness_key, sets_for
from gimel.backend.counting.hyperloglog import (
    HYPERLOGLOG,
    HyperLogLogs,
    is_hyperloglog,
    start_of,
)
from gimel.backend.counting.keys import (
    NAMESPACES,
    Cell,
    ExperimentName,
    Keys,
    deleted_experiments,
    generation_field,
    generations_in,
)
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Command

Method = HyperLogLogs | IntegerSets


@dataclass
class Batch:
    """What the registrations of one call share: how to begin experiments, and how many began."""

    limits: Limits
    shards: int
    counting: str
    begun: "list[_Stored]" = field(default_factory=list)


class Registered(NamedTuple):
    """One experiment's counters after their registration.

    `refused`: those that a limit refuses, with the reason. `counters`: the others, each with the
    key or prefix that its method adds to; without a method, its events do not count.
    """

    refused: dict[Cell, str]
    counters: dict[Cell, tuple[str, Method | None]]


def register(
    experiment: ExperimentName, cells: list[Cell], batch: Batch
) -> Conversation[Registered]:
    """Make these counters of an experiment exist. All registrations of a batch run side by side."""
    stored = yield from _look_up(experiment)
    refused = stored.refuse(batch, cells)
    allowed = [cell for cell in cells if cell not in refused]
    if not stored.is_running:
        return Registered(refused, {cell: (stored.target(cell), None) for cell in allowed})
    if allowed and not stored.is_listed:
        batch.begun.append(stored)
    yield from _create(stored, allowed, batch)
    yield from _grow(stored, allowed)
    return Registered(
        refused, {cell: (stored.target(cell), stored.method(cell)) for cell in allowed}
    )


@dataclass
class _Stored:
    """What Redis holds of one experiment. `starts`: each old counter's first bytes, by key."""

    name: ExperimentName
    keys: Keys
    settings: dict[str, str]
    namespace_is_listed: bool
    namespaces: int
    is_deleted: bool
    is_listed: bool
    experiments: int
    counters: set[str]
    starts: dict[str, bytes] = field(default_factory=dict)

    @property
    def is_running(self) -> bool:
        """Whether its events count. Late events of a deleted experiment do not."""
        return not self.is_deleted and self.settings.get("state", "running") == "running"

    @property
    def opens_namespace(self) -> bool:
        """Whether its first counter opens a namespace."""
        return not self.namespace_is_listed and not self.experiments

    def is_exact(self, cell: Cell) -> bool:
        """Whether a counter is, or is to be, counted exactly.

        Old experiments do not say. A HyperLogLog stays one. A number is lamed's and is continued
        exactly, as is a new counter beside it.
        """
        if not self.keys.legacy:
            return self.settings.get("counting") == EXACT
        start = self.starts.get(self.keys.counter(*cell), b"")
        found = [start] if start else [each for each in self.starts.values() if each]
        return bool(found) and not any(map(is_hyperloglog, found))

    def method(self, cell: Cell) -> Method:
        """Return how a registered counter is counted."""
        if self.is_exact(cell):
            return IntegerSets(self.newest_generation(cell))
        return HyperLogLogs(int(self.settings.get("shards", 1)))

    def target(self, cell: Cell) -> str:
        """Return the key, or the prefix of the keys, that the counter's method adds to."""
        return self.keys.sets(*cell) if self.is_exact(cell) else self.keys.counter(*cell)

    def newest_generation(self, cell: Cell) -> int:
        """Return how many sets an exact counter's newest generation has; 0 if it has none."""
        known = generations_in(self.settings).get(self.keys.sets(*cell))
        return known[-1] if known else 0

    def refuse(self, batch: Batch, cells: list[Cell]) -> dict[Cell, str]:
        """Return the counters that a limit refuses, with the reason."""
        if self.is_deleted:
            return {}
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


def _look_up(experiment: ExperimentName) -> Conversation[_Stored]:
    """Read what there is, in one round trip; of an old experiment, in two."""
    namespace, name = experiment
    layouts = [Keys(*experiment), Keys(*experiment, legacy=True)]
    asked: list[Command] = [
        ("SISMEMBER", NAMESPACES, namespace),
        ("SCARD", NAMESPACES),
        ("SISMEMBER", deleted_experiments(namespace), name),
        ("HGETALL", layouts[0].settings),
    ]
    for keys in layouts:
        asked += [
            ("SISMEMBER", keys.experiments, name),
            ("SCARD", keys.experiments),
            ("SMEMBERS", keys.counters),
        ]
    in_namespaces, namespaces, is_deleted, settings, *found = yield Query(asked)

    def stored(settings: dict[str, str]) -> _Stored:
        is_legacy = bool(found[3] and "shards" not in settings)
        is_listed, experiments, counters = found[3:] if is_legacy else found[:3]
        return _Stored(
            name=experiment,
            keys=layouts[is_legacy],
            settings=settings,
            namespace_is_listed=bool(in_namespaces),
            namespaces=namespaces,
            is_deleted=bool(is_deleted),
            is_listed=bool(is_listed),
            experiments=experiments,
            counters=counters,
        )

    first = stored(settings)
    again: list[Command] = []
    if "shards" not in settings and (found[0] or found[3]):
        # It is old, or it was being made: the settings are written first, but the servers of a
        # cluster answer in any order.
        again.append(("HGETALL", layouts[0].settings))
    old = sorted(first.counters) if first.keys.legacy else []
    replies: list[Any] = yield Query([*again, *map(start_of, old)])
    if again:
        first = stored(replies.pop(0))
    first.starts = dict(zip(old, replies, strict=True)) if first.keys.legacy else {}
    return first


def _create(stored: _Stored, cells: list[Cell], batch: Batch) -> Conversation[None]:
    """Write what is missing. Settings go first: an experiment without them is gimel 1.x's."""
    missing = {stored.keys.counter(*cell) for cell in cells} - stored.counters
    is_complete = not missing and stored.is_listed and stored.namespace_is_listed
    if not cells or is_complete:
        yield Write([])
        yield Write([])
        return
    *_, stored.settings = yield Write([*_first_settings(stored, batch)])
    namespace, name = stored.name
    listing: list[Command] = [
        ("SADD", NAMESPACES, namespace),
        ("SADD", stored.keys.experiments, name),
    ]
    if missing:
        listing.append(("SADD", stored.keys.counters, *sorted(missing)))
    yield Write(listing)


def _first_settings(stored: _Stored, batch: Batch) -> Iterator[Command]:
    """Yield what writes the settings. The last command reads those that hold."""
    key = stored.keys.settings
    if not stored.keys.legacy:
        # Another process may be first, with another way of counting: what it wrote holds. Before
        # there was a choice, every experiment was counted with HyperLogLogs.
        counting = HYPERLOGLOG if "shards" in stored.settings else batch.counting
        yield "HSETNX", key, "counting", counting
        yield "HSETNX", key, "shards", str(batch.shards)
        yield "HSETNX", key, "created_at", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    yield "HGETALL", key


def _grow(stored: _Stored, cells: list[Cell]) -> Conversation[None]:
    """Begin a new generation of sets for each exact counter that has none, or a full one."""
    exact = [cell for cell in cells if stored.is_exact(cell)]
    newest = [stored.newest_generation(cell) for cell in exact]
    prefixes = [stored.keys.sets(*cell) for cell in exact]
    sizes = yield Write(
        [
            ("SCARD", fullness_key(prefix, sets or FIRST_SETS))
            for prefix, sets in zip(prefixes, newest, strict=True)
        ]
    )
    growth: list[Command] = []
    for prefix, sets, members in zip(prefixes, newest, sizes, strict=True):
        wanted = sets_for(members, sets or FIRST_SETS)
        if wanted != sets:
            stored.settings[generation_field(prefix, wanted)] = ""
            growth.append(("HSET", stored.keys.settings, generation_field(prefix, wanted), ""))
    yield Write(growth)
