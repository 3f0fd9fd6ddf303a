"""The measures of goals that a visitor may reach many times, from an experiment's counts."""

from typing import TYPE_CHECKING

from gimel.backend.counting.amounts import ELEMENTS_AT_CAP
from gimel.backend.counting.hyperloglog import relative_error
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.results.between import MIN_SAMPLES, Measure, Spread, spread_of

if TYPE_CHECKING:
    from gimel.backend.experiment.definition import Goal
    from gimel.backend.results.counts import ExperimentCounts

_ANEW = "start a new experiment (`gimel create`)"
_UNDECLARED = (
    "A visitor may reach this goal many times, and its events do not say whose they are, so no "
    f"interval would be right. To compare it, {_ANEW} that declares it with the kind total, and "
    "send the field visitor with every event."
)
_UNSALTED = (
    "An earlier version of Gimel began this experiment, and its counters do not keep visitors "
    f"apart, so no interval would be right. To compare this goal, {_ANEW}."
)
_FEW_SHARDS = (
    f"The variance of this goal is taken between samples of visitors, at least {MIN_SAMPLES}, and "
    'its counters have {shards} shards. To compare it, set "shards": 64 in config.json, deploy, '
    f"and {_ANEW}."
)
_HEAVY = (
    "A few visitors reach this goal so often that they decide it, so no interval would be right. "
    f"They may be bots. To compare it, {_ANEW} that counts a visitor once (the kind unique), or "
    "one amount a visitor (the kind value, with a cap)."
)


def measures_of(counts: "ExperimentCounts") -> dict[str, Measure]:
    """Return the measure of each goal that a visitor may reach many times."""
    definition = counts.settings
    if not definition.is_declared:
        return {name: Measure("total", obstacle=_UNDECLARED) for name in definition.totals}
    repeated = [goal for goal in definition.goals if goal.kind != "unique"]
    return {goal.name: _measure(counts, goal) for goal in repeated if goal.name in counts.goals}


def _measure(counts: "ExperimentCounts", goal: "Goal") -> Measure:
    spreads = _spreads(counts, goal.name, 1.0 if goal.cap is None else ELEMENTS_AT_CAP)
    obstacle = None
    if counts.has_events and not counts.is_salted:
        obstacle = _UNSALTED
    elif any(
        len(each) < MIN_SAMPLES
        for name in (PARTICIPATE, goal.name)
        for each in counts.samples.get(name, {}).values()
    ):
        obstacle = _FEW_SHARDS.format(shards=counts.shards)
    elif any(each.is_heavy for each in spreads.values()):
        obstacle = _HEAVY
        # The other arms may lack such visitors by chance.
        spreads = {label: each._replace(is_reached=False) for label, each in spreads.items()}
    if goal.cap is None:
        return Measure("total", spreads=spreads, obstacle=obstacle)
    return Measure(
        "value",
        unit=goal.cap / ELEMENTS_AT_CAP,
        relative_error=relative_error(counts.shards),
        spreads=spreads,
        above_cap=counts.above_cap.get(goal.name, {}),
        obstacle=obstacle,
    )


def _spreads(counts: "ExperimentCounts", goal: str, at_once: float) -> dict[str, Spread]:
    """Return each variant's spread, empty if there are fewer than `MIN_SAMPLES` samples."""
    visitors, reached = counts.samples.get(PARTICIPATE, {}), counts.samples.get(goal, {})
    return {
        label: spread_of(reached.get(label, [0.0] * len(shown)), shown, at_once)
        for label, shown in visitors.items()
        if len(shown) == len(reached.get(label, shown)) >= MIN_SAMPLES
    }
