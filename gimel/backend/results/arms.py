"""The arms of one goal: how each is measured, and which of them can be compared."""

from collections.abc import Mapping
from math import sqrt

from gimel.backend.results.between import (
    Measure,
    SampledArm,
    SampledComparison,
    compare_sampled,
)
from gimel.backend.results.comparison import Arm, Comparison, Interval, compare, rounded_interval
from gimel.backend.results.obstacles import FEW_REACHED

# A rate may exceed 1 by this many standard errors of counting and still be a proportion.
_PROPORTION_TOLERANCE = 4
# No experiment has more visitors. From 2^53 on, a float does not know a count from the next one.
_MOST = 10**12
_UNIQUE = Measure("unique")
_ABOVE_ONE = Measure(
    "total",
    obstacle="There are more conversions than visitors. Either participations are missing, or a "
    "visitor can reach this goal many times: then no interval would be right. To compare it, start "
    "a new experiment (`gimel create`) that declares it with the kind total, and send the field "
    "visitor with every event.",
)


def measure_of(
    goal: str,
    trials: Mapping[str, int],
    successes: Mapping[str, float],
    relative_error: float,
    measures: Mapping[str, Measure],
) -> Measure:
    """Return how a goal is measured. It is a total if any rate is far above 1."""
    tolerance = 1 + _PROPORTION_TOLERANCE * sqrt(2) * relative_error
    is_above_one = any(0 < trials[label] * tolerance < successes.get(label, 0) for label in trials)
    return measures.get(goal, _ABOVE_ONE if is_above_one else _UNIQUE)


def arms_of(
    trials: Mapping[str, int],
    successes: Mapping[str, float],
    relative_error: float,
    measure: Measure,
) -> dict[str, Arm]:
    """Return one goal's arms by label, sorted."""
    return {
        label: _arm(successes.get(label, 0), trials[label], relative_error, measure, label)
        for label in sorted(trials)
    }


def _arm(successes: float, trials: int, relative_error: float, measure: Measure, label: str) -> Arm:
    successes, trials = min(successes, _MOST), min(trials, _MOST)
    amount = successes * measure.unit
    spread = measure.spreads.get(label)
    if spread is None:
        return Arm(amount, trials, relative_error, measure.kind)
    error = max(relative_error, measure.relative_error)
    return SampledArm(amount, trials, error, measure.kind, spread, measure.unit, relative_error)


def compare_arms(arm: Arm, base: Arm) -> Comparison | None:
    """Compare two arms of a goal. Return None if nothing says how much their visitors differ."""
    if isinstance(arm, SampledArm) and isinstance(base, SampledArm):
        return compare_sampled(arm, base)
    return compare(arm, base) if arm.kind == "unique" else None


def obstacle_of(measure: Measure, comparisons: Mapping[str, Comparison]) -> str | None:
    """Return a sentence that says why no variant can be compared on this goal."""
    sampled = [test for test in comparisons.values() if isinstance(test, SampledComparison)]
    is_too_early = sampled and not any(test.is_reached for test in sampled)
    return measure.obstacle or (FEW_REACHED if is_too_early else None)


def lift_of(arm: Arm, base: Arm) -> float | None:
    """Return the lift of an arm over the baseline's. None without a rate to compare."""
    if arm.rate is None or not base.rate:
        return None
    return arm.rate / base.rate - 1


def shown_interval(interval: Interval | None, lift: float | None) -> Interval | None:
    """Return the interval, rounded, and extended to the observed lift if it leaves that out.

    The interval is around the ratio of smoothed rates, which are slightly closer to each other than
    the observed rates. Without conversions, for example, the lift is −100 %, and no interval on the
    log scale reaches that far. The extension never crosses 0: both are on the same side.
    """
    if interval is None or lift is None:
        return rounded_interval(interval)
    return rounded_interval((min(interval[0], lift), max(interval[1], lift)))
