"""Reading: the conversations with Redis that find experiments and count their events."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from gimel.backend.counting.conversation import Conversation, Query
from gimel.backend.counting.exact import EXACT
from gimel.backend.counting.hyperloglog import (
    HYPERLOGLOG,
    is_hyperloglog,
    start_of,
    sum_of_shards,
)
from gimel.backend.counting.keys import PARTICIPATE, Keys, parts, shard_endings
from gimel.backend.redis.connection import Command, Series

if TYPE_CHECKING:
    from gimel.backend.results.counts import ExperimentCounts


class Found(NamedTuple):
    """An experiment without its counts. `counters`: the keys of its counters' shards 0."""

    keys: Keys
    settings: dict[str, str]
    counters: set[str]

    @property
    def shards(self) -> int:
        """How many HyperLogLogs a counter has, if it is counted with these."""
        return int(self.settings.get("shards", 1))

    @property
    def is_sharded(self) -> bool:
        """Whether its counters are HyperLogLogs of today's layout."""
        return not self.keys.legacy and self.settings.get("counting") != EXACT

    @property
    def parts(self) -> list[str]:
        """What its counters are made of, as `keys.keys_of` understands it."""
        return parts(self.counters, self.shards, self.settings)


def find(namespace: str, name: str) -> Conversation[Found]:
    """Find an experiment, in one round trip; an old experiment in two."""
    new, old = Keys(namespace, name), Keys(namespace, name, legacy=True)
    new_counters, is_old, old_counters, settings = yield Query(
        [
            ("SMEMBERS", new.counters),
            ("SISMEMBER", old.experiments, name),
            ("SMEMBERS", old.counters),
            ("HGETALL", new.settings),
        ]
    )
    if "shards" not in settings and (is_old or new_counters):
        # The experiment is of the old layout, or another process is creating it. In a cluster the
        # servers reply in any order, so read the settings again.
        (settings,) = yield Query([("HGETALL", new.settings)])
    if is_old and "shards" not in settings:
        return Found(old, settings, old_counters)
    return Found(new, settings, new_counters)


def count(found: Found, distinct: Mapping[str, int]) -> Conversation["ExperimentCounts"]:
    """Count an experiment's events. `distinct`: what `exact.count_sets` returned."""
    commands: list[Command] = []
    for key in sorted(found.counters):
        shards = found.shards if found.is_sharded else 1
        commands.append(Series("PFCOUNT", key, shard_endings(shards)))
        if not found.is_sharded:
            commands.append(start_of(key))
    replies = iter((yield Query(commands)))
    by_goal: dict[str, dict[str, int]] = {}
    starts: list[bytes] = []
    for _, goal, variant in found.keys.parse(found.counters):
        total = sum_of_shards(next(replies))
        start = b"" if found.is_sharded else next(replies) or b""
        starts.append(start)
        total += int(start) if start.isdigit() else 0
        total += distinct.get(found.keys.sets(goal, variant), 0)
        by_goal.setdefault(goal, {})[variant] = total
    return _experiment(found, by_goal, _method(found, starts))


def _method(found: Found, starts: list[bytes]) -> str:
    """Return an experiment's counting method.

    gimel 1.x and lamed stored no method, so the values decide. An experiment that holds only
    numbers comes from lamed: it is counted exactly.
    """
    if not found.keys.legacy:
        return found.settings.get("counting", HYPERLOGLOG)
    return EXACT if any(starts) and not any(map(is_hyperloglog, starts)) else HYPERLOGLOG


def _experiment(
    found: Found, by_goal: dict[str, dict[str, int]], method: str
) -> "ExperimentCounts":
    # Imported here: they cost a cold start 2 ms, and events do not need them.
    from gimel.backend.experiment.definition import Definition
    from gimel.backend.results.counts import ExperimentCounts

    # Before the first event, the method is still to be chosen.
    counting = {"counting": method} if found.counters else {}
    definition = Definition.from_hash(found.settings | counting)
    seen = {variant for variants in by_goal.values() for variant in variants}
    labels = sorted(seen | set(definition.variant_names))
    by_goal = {goal: {} for goal in definition.goal_names} | by_goal
    filled = {
        goal: {label: variants.get(label, 0) for label in labels}
        for goal, variants in by_goal.items()
    }
    return ExperimentCounts(
        name=found.keys.name,
        shards=found.shards,
        created_at=found.settings.get("created_at"),
        settings=definition,
        trials=filled.pop(PARTICIPATE, dict.fromkeys(labels, 0)),
        goals=filled,
        ambiguous=found.keys.ambiguous(found.counters),
        has_events=bool(found.counters),
        first_goal=found.settings.get("first_goal"),
    )
