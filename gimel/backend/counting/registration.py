"""What Redis holds of an experiment: for registering its counters, reading and deleting them."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from gimel.backend.counting.keys import (
    NAMESPACES,
    PARTICIPATE,
    Layout,
    deleted,
    is_hyperloglog,
    start_of,
)
from gimel.backend.counting.ways import (
    EXACT,
    FIRST_SETS,
    HYPERLOGLOG,
    HyperLogLogs,
    IntegerSets,
    Way,
    fullness_key,
    generation_field,
    generations_in,
    set_keys,
    sets_for,
    shard_endings,
    sum_of_shards,
)
from gimel.backend.limits import Limits, Pair
from gimel.backend.redis.connection import Command, Series

if TYPE_CHECKING:
    from gimel.backend.results.counts import ExperimentCounts


class Registration:
    """What Redis holds of one experiment when some of its counters ask to be registered."""

    settings: dict[str, str]
    # how each counter of gimel 1.x or lamed starts, by key
    starts: dict[str, bytes]

    def __init__(self, namespace: str, experiment: str) -> None:
        self.names = (namespace, experiment)
        self._layouts = [Layout(*self.names, legacy=legacy) for legacy in (False, True)]

    def commands(self) -> Iterator[Command]:
        """What to ask first; `hear` takes the replies."""
        namespace, experiment = self.names
        yield "SISMEMBER", NAMESPACES, namespace
        yield "SCARD", NAMESPACES
        yield "SISMEMBER", deleted(namespace), experiment
        for layout in self._layouts:
            yield "SISMEMBER", layout.experiments, experiment
            yield "SCARD", layout.experiments
            yield "SMEMBERS", layout.counters
        yield "HGETALL", self._layouts[0].settings

    def hear(self, replies: Iterator[Any]) -> None:
        """Take the replies to `commands`."""
        self.in_namespaces: int = next(replies)
        self.namespaces: int = next(replies)
        self.is_deleted: int = next(replies)
        self._heard = [list(islice(replies, 3)) for _ in self._layouts]
        self._choose(next(replies))

    def _choose(self, settings: dict[str, str]) -> None:
        """Take the layout that the settings tell."""
        self.settings = settings
        new, old = self._heard
        legacy = bool(old[0] and "shards" not in settings)
        self.layout = self._layouts[legacy]
        self.in_experiments, self.experiments, self.counters = old if legacy else new
        self.opens_namespace = not self.in_namespaces and not self.experiments

    @property
    def is_running(self) -> bool:
        """Whether its events are to be counted: late ones do not bring a deleted one back."""
        return not self.is_deleted and self.settings.get("state", "running") == "running"

    @property
    def _seems_old(self) -> bool:
        """Whether it is of gimel 1.x or lamed, or was being made when it was asked for.

        The settings are written first, but the servers of a cluster answer in any order.
        """
        return "shards" not in self.settings and any(is_listed for is_listed, *_ in self._heard)

    def commands_again(self) -> Iterator[Command]:
        """What tells old experiments from new ones, and lamed's counters from gimel 1.x's."""
        if self._seems_old:
            yield "HGETALL", self._layouts[0].settings
        yield from map(start_of, self._old_counters())

    def hear_again(self, replies: Iterator[Any]) -> None:
        """Take the replies to `commands_again`."""
        settings = next(replies) if self._seems_old else self.settings
        self.starts = dict(zip(self._old_counters(), replies, strict=False))
        self._choose(settings)

    def _old_counters(self) -> list[str]:
        return sorted(self.counters) if self.layout.legacy else []

    def is_exact(self, pair: Pair) -> bool:
        """Whether a counter is, or is to be, counted exactly.

        Old experiments do not say. A HyperLogLog goes on as one; integers are lamed's, which go on
        exactly, as does what is new beside them.
        """
        if not self.layout.legacy:
            return self.settings.get("counting") == EXACT
        start = self.starts.get(self.layout.counter(*pair), b"")
        found = [start] if start else [each for each in self.starts.values() if each]
        return bool(found) and not any(map(is_hyperloglog, found))

    def way(self, pair: Pair) -> Way:
        """How a registered counter is counted."""
        if self.is_exact(pair):
            return IntegerSets(self._newest(pair))
        return HyperLogLogs(int(self.settings.get("shards", 1)))

    def place(self, pair: Pair) -> str:
        """What the keys begin with that `way` adds to."""
        layout = self.layout
        return layout.sets(*pair) if self.is_exact(pair) else layout.counter(*pair)

    def _newest(self, pair: Pair) -> int:
        known = generations_in(self.settings).get(self.layout.sets(*pair))
        return known[-1] if known else 0

    def fullness(self, pair: Pair) -> Command:
        """What asks how full the counter's sets are; `growth` takes the reply."""
        return "SCARD", fullness_key(self.layout.sets(*pair), self._newest(pair) or FIRST_SETS)

    def growth(self, pair: Pair, members: int) -> Iterator[Command]:
        """What makes a new generation of sets where there is none, or where the newest is full."""
        known = self._newest(pair)
        wanted = sets_for(members, known or FIRST_SETS)
        if wanted != known:
            field = generation_field(self.layout.sets(*pair), wanted)
            self.settings[field] = ""
            yield "HSET", self.layout.settings, field, ""

    def refusals(
        self, limits: Limits, pairs: list[Pair], begun: "list[Registration]"
    ) -> dict[Pair, str]:
        """Which (goal, variant) pairs may not be made. `begun`: what the same call makes anew."""
        if self.is_deleted:
            return {}
        siblings = sum(other.names[0] == self.names[0] for other in begun)
        opened = {other.names[0] for other in begun if other.opens_namespace}
        reason = None
        if self.opens_namespace and not siblings:
            reason = limits.refuse_namespace(self.names[0], self.namespaces + len(opened))
        if not self.in_experiments and reason is None:
            reason = limits.refuse_experiment(self.experiments + siblings)
        if reason:
            return dict.fromkeys(pairs, reason)
        known = [(goal, variant) for _, goal, variant in self.layout.parse(self.counters)]
        return limits.refuse_counters(known, pairs)

    def lacks(self, pairs: list[Pair]) -> bool:
        """Whether anything of these counters, which are to count, is yet to be written."""
        self.missing = {self.layout.counter(*pair) for pair in pairs} - self.counters
        there = not self.missing and self.in_experiments and self.in_namespaces
        return bool(pairs) and self.is_running and not there

    def first_settings(self, shards: int, counting: str) -> Iterator[Command]:
        """What writes the settings and, as the last, asks which of them hold."""
        if not self.layout.legacy:
            # Another process may be first, with another way of counting: what it wrote holds. What
            # was made before there was a choice is counted with HyperLogLogs.
            way = HYPERLOGLOG if "shards" in self.settings else counting
            yield "HSETNX", self.layout.settings, "counting", way
            yield "HSETNX", self.layout.settings, "shards", str(shards)
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            yield "HSETNX", self.layout.settings, "created_at", now
        yield "HGETALL", self.layout.settings

    def listing(self) -> Iterator[Command]:
        """What lists the names, once the settings are there: without them, gimel 1.x made it."""
        namespace, experiment = self.names
        yield "SADD", NAMESPACES, namespace
        yield "SADD", self.layout.experiments, experiment
        if self.missing:
            yield "SADD", self.layout.counters, *sorted(self.missing)


class Found(NamedTuple):
    """What there is of an experiment, but for the counts."""

    layout: Layout
    settings: dict[str, str]
    keys: set[str]

    @property
    def shards(self) -> int:
        """How many HyperLogLogs a counter has, if it is counted with these."""
        return int(self.settings.get("shards", 1))

    @property
    def _is_sharded(self) -> bool:
        return not self.layout.legacy and self.settings.get("counting") != EXACT

    def commands(self) -> list[Command]:
        """What counts all but sets; `hear` takes the replies."""
        found: list[Command] = []
        for key in sorted(self.keys):
            shards = self.shards if self._is_sharded else 1
            found.append(Series("PFCOUNT", key, shard_endings(shards)))
            if not self._is_sharded:
                found.append(start_of(key))
        return found

    def parts(self) -> list[str]:
        """What the counters consist of, as `keys_of` understands it."""
        shards = [f"shards {self.shards} {key}" for key in sorted(self.keys)]
        return shards + [field for field in self.settings if field.startswith("sets ")]

    def hear(self, replies: Iterator[Any], distinct: Mapping[str, int]) -> "ExperimentCounts":
        """The experiment, given the exact counters' numbers of distinct members."""
        by_goal: dict[str, dict[str, int]] = {}
        starts: list[bytes] = []
        for _, goal, variant in self.layout.parse(self.keys):
            count = sum_of_shards(next(replies))
            start = b"" if self._is_sharded else next(replies) or b""
            starts.append(start)
            count += int(start) if start.isdigit() else 0
            count += distinct.get(self.layout.sets(goal, variant), 0)
            by_goal.setdefault(goal, {})[variant] = count
        return self._experiment(by_goal, self._method(starts))

    def _method(self, starts: list[bytes]) -> str:
        if not self.layout.legacy:
            return self.settings.get("counting", HYPERLOGLOG)
        return EXACT if any(starts) and not any(map(is_hyperloglog, starts)) else HYPERLOGLOG

    def _experiment(self, by_goal: dict[str, dict[str, int]], method: str) -> "ExperimentCounts":
        # Here, for it costs a cold start 2 ms, and events need none.
        from gimel.backend.experiment.definition import ExperimentSettings
        from gimel.backend.results.counts import ExperimentCounts

        labels = sorted({variant for variants in by_goal.values() for variant in variants})
        filled = {
            goal: {label: variants.get(label, 0) for label in labels}
            for goal, variants in by_goal.items()
        }
        return ExperimentCounts(
            name=self.layout.name,
            shards=self.shards,
            created_at=self.settings.get("created_at"),
            settings=ExperimentSettings.from_hash(self.settings | {"counting": method}),
            trials=filled.pop(PARTICIPATE, dict.fromkeys(labels, 0)),
            goals=filled,
            ambiguous=self.layout.ambiguous(self.keys),
        )


def keys_of(parts: Iterable[str]) -> Iterator[str]:
    """Every key that holds, or may hold, a part of a count."""
    for part in parts:
        kind, number, counter = part.split(" ", 2)
        if kind == "sets":
            yield from set_keys(counter, [int(number)])
        else:
            yield from (counter + ending for ending in shard_endings(int(number)))
