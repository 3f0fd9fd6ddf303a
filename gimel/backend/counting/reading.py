"""Reading: the conversations with Redis that find experiments and count their events."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from gimel.backend.counting.conversation import Conversation, Query
from gimel.backend.counting.exact import EXACT
from gimel.backend.counting.hyperloglog import (
    HYPERLOGLOG,
    is_hyperloglog,
    start_of,
    unrounded,
)
from gimel.backend.counting.keys import (
    ABOVE_CAP,
    PARTICIPATE,
    Generations,
    Keys,
    generations_in,
    parts,
    shard_endings,
)
from gimel.backend.counting.salt import beginning
from gimel.backend.redis.connection import Command, Series

if TYPE_CHECKING:
    from gimel.backend.results.counts import ExperimentCounts

T = TypeVar("T")
# Samples of visitors that sets of integers fold into
SAMPLES = 64


class Found(NamedTuple):
    """An experiment without its counts. `counters`: the keys of its counters' shards 0.

    `records`: its final look and verdicts, see `results.record`.
    """

    keys: Keys
    settings: dict[str, str]
    counters: set[str]
    records: dict[str, str]

    @property
    def began(self) -> str:
        """A text that differs between this experiment and earlier ones of the same name."""
        salt, created_at = (self.settings.get(each, "") for each in ("salt", "created_at"))
        return beginning(salt.encode(), created_at.encode())

    @property
    def shards(self) -> int:
        """HyperLogLogs per counter, if the experiment is counted with HyperLogLogs."""
        return int(self.settings.get("shards", 1))

    @property
    def is_sharded(self) -> bool:
        """Whether the experiment's counters are HyperLogLogs of the sharded layout."""
        return not self.keys.legacy and self.settings.get("counting") != EXACT

    @property
    def parts(self) -> list[str]:
        """The parts of the experiment's counters, in the form that `keys.keys_of` takes."""
        return parts(self.counters, self.shards, self.settings)


def find(namespace: str, name: str) -> Conversation[Found]:
    """Find an experiment, in one round trip; an old experiment in two."""
    new, old = Keys(namespace, name), Keys(namespace, name, legacy=True)
    new_counters, is_old, old_counters, settings, records = yield Query(
        [
            ("SMEMBERS", new.counters),
            ("SISMEMBER", old.experiments, name),
            ("SMEMBERS", old.counters),
            ("HGETALL", new.settings),
            ("HGETALL", new.verdicts),
        ]
    )
    if "shards" not in settings and (is_old or new_counters):
        # The experiment is of the old layout, or another process is creating it. In a cluster the
        # servers reply in any order, so read the settings again.
        (settings,) = yield Query([("HGETALL", new.settings)])
    if is_old and old_counters and "shards" not in settings:
        return Found(old, settings, old_counters, dict(records))
    return Found(new, settings, new_counters, dict(records))


class Selection(NamedTuple):
    """The part of an experiment that a read counts.

    `labels` and `goals` appear in the answer, also those without events. `cells` are the counters
    to count: key, goal and variant. `left_out` is the number of variants that are not in `labels`.
    `amounts`: the goals that measure amounts. `sampled`: those whose variance is taken between
    samples of visitors.
    """

    labels: list[str]
    goals: list[str]
    cells: list[tuple[str, str, str]]
    left_out: int = 0
    amounts: frozenset[str] = frozenset()
    sampled: frozenset[str] = frozenset()

    def generations(self, keys: Keys, settings: Mapping[str, str]) -> Generations:
        """Return the generations of the exact counters that are selected."""
        found = generations_in(settings)
        if not found:
            return {}
        selected = {keys.sets(goal, variant) for _, goal, variant in self.cells}
        return {counter: sets for counter, sets in found.items() if counter in selected}


def select(found: Found, max_variants: int | None = None) -> Selection:
    """Select what to count of an experiment. Of a declared one, that is what its owner declared.

    `max_variants` makes it a summary: the primary goals, the guardrails that their verdicts name,
    and of an undeclared experiment at most this many variants. Those that the owner set come first,
    then the first by name.
    """
    # Imported here: it costs a cold start a millisecond, and events do not need it.
    from gimel.backend.experiment.definition import Definition

    definition = Definition.from_hash(found.settings)
    cells = list(found.keys.parse(found.counters))
    if definition.is_declared:
        labels, goals = sorted(definition.variant_names), sorted(definition.goal_names)
    else:
        labels = sorted({variant for _, _, variant in cells})
        goals = sorted({goal for _, goal, _ in cells} - {PARTICIPATE})
    left_out = 0
    if max_variants is not None:
        first = found.settings.get("first_goal")
        # Several primary goals decide together.
        primary = definition.primary_goals or (first or min(goals, default=None),)
        guardrails = [goal.name for goal in definition.goals if goal.role == "guardrail"]
        goals = [goal for goal in goals if goal in (*primary, *guardrails)]
        if not definition.is_declared:
            left_out = max(0, len(labels) - max_variants)
            intended = {definition.baseline, *(definition.weights or ())}
            labels = sorted(sorted(labels, key=lambda each: each not in intended)[:max_variants])
    of_goals, of_labels = {PARTICIPATE, *goals}, set(labels)
    cells = [cell for cell in cells if cell[1] in of_goals and cell[2] in of_labels]
    declared = [goal for goal in definition.goals if goal.name in goals and goal.kind != "unique"]
    amounts = frozenset(goal.name for goal in declared if goal.cap is not None)
    # Without a salt, the shard follows the event.
    is_sampled = declared and "salt" in found.settings
    sampled = frozenset([PARTICIPATE, *(goal.name for goal in declared)] if is_sampled else [])
    return Selection(labels, goals, cells, left_out, amounts, sampled)


def count(
    found: Found, selection: Selection, distinct: Mapping[str, Sequence[int]]
) -> Conversation["ExperimentCounts"]:
    """Count the selected events. `distinct`: what `exact.count_sets` returned."""
    commands: list[Command] = []
    for key, goal, _ in selection.cells:
        is_sharded = found.is_sharded or goal in selection.amounts
        shards = found.shards if is_sharded else 1
        commands.append(Series("PFCOUNT", key, shard_endings(shards)))
        if goal in selection.amounts:
            commands.append(("PFCOUNT", key + ABOVE_CAP))
        elif not is_sharded:
            commands.append(start_of(key))
    replies = iter((yield Query(commands)))
    counted = _Counted({}, {}, {})
    starts: list[bytes] = []
    for _, goal, variant in selection.cells:
        parts: Sequence[float] = unrounded(next(replies))
        total = round(sum(parts))
        if goal in selection.amounts:
            counted.add(counted.above_cap, goal, variant, next(replies) or 0)
        elif not found.is_sharded:
            start = next(replies) or b""
            starts.append(start)
            parts = distinct.get(found.keys.sets(goal, variant), ())
            total += round(sum(parts)) + (int(start) if start.isdigit() else 0)
        counted.add(counted.totals, goal, variant, total)
        if goal in selection.sampled:
            samples = tuple(parts) if found.is_sharded else _folded(parts)
            counted.add(counted.samples, goal, variant, samples)
    return _experiment(found, selection, counted, _method(found, starts))


class _Counted(NamedTuple):
    """The counts in the replies, by goal and variant: see `ExperimentCounts`."""

    totals: dict[str, dict[str, int]]
    samples: dict[str, dict[str, tuple[float, ...]]]
    above_cap: dict[str, dict[str, int]]

    @staticmethod
    def add(by_goal: dict[str, dict[str, T]], goal: str, variant: str, value: T) -> None:
        by_goal.setdefault(goal, {})[variant] = value


def _folded(parts: Sequence[float]) -> tuple[float, ...]:
    """Return the counts of sets, or of shards beside sets, as those of 64 samples of visitors.

    The last 6 bits of a member, and of the number that chooses the shard, name the sample. Without
    a multiple of 64 parts there are no samples.
    """
    if len(parts) % SAMPLES:
        return ()
    return tuple([sum(parts[sample::SAMPLES]) for sample in range(SAMPLES if parts else 0)])


def _method(found: Found, starts: list[bytes]) -> str:
    """Return an experiment's counting method.

    gimel 1.x and lamed stored no method, so the values decide. An experiment that holds only
    numbers comes from lamed: it is counted exactly.
    """
    if not found.keys.legacy:
        return found.settings.get("counting", HYPERLOGLOG)
    return EXACT if any(starts) and not any(map(is_hyperloglog, starts)) else HYPERLOGLOG


def _experiment(
    found: Found, selection: Selection, counted: _Counted, method: str
) -> "ExperimentCounts":
    # Imported here: they cost a cold start 2 ms, and events do not need them.
    from gimel.backend.experiment.definition import Definition
    from gimel.backend.results.counts import ExperimentCounts

    # Before the first event, the method is still to be chosen.
    counting = {"counting": method} if found.counters else {}
    trials, *goals = (
        {label: counted.totals.get(goal, {}).get(label, 0) for label in selection.labels}
        for goal in (PARTICIPATE, *selection.goals)
    )
    return ExperimentCounts(
        name=found.keys.name,
        shards=found.shards,
        began=found.began,
        created_at=found.settings.get("created_at"),
        settings=Definition.from_hash(found.settings | counting),
        trials=trials,
        goals=dict(zip(selection.goals, goals, strict=True)),
        ambiguous=found.keys.ambiguous(found.counters),
        has_events=bool(found.counters),
        variants_left_out=selection.left_out,
        first_goal=found.settings.get("first_goal"),
        is_salted="salt" in found.settings,
        samples=counted.samples,
        above_cap=counted.above_cap,
        records=found.records,
    )
