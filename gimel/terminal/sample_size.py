"""The number of visitors that an experiment needs, with counting error taken into account.

The power is that of the tests in `gimel.backend.results.comparison`, which work on the log of the
ratio of two rates.
"""

from dataclasses import dataclass, replace
from math import log
from statistics import NormalDist

from gimel.backend.results.comparison import (
    ALPHA,
    LOG_RATIO_WEIGHT,
    Arm,
    Comparison,
    boundary,
    compare,
)
from gimel.backend.results.decision import FINAL_ALPHA

_NORMAL = NormalDist()
_MAX_VISITORS_PER_VARIANT = 1e12
# A much smaller alpha, divided by the comparisons, has no quantile in floating point.
_MIN_ALPHA = 1e-9


@dataclass(frozen=True)
class VisitorsNeeded:
    """The visitors that an experiment needs, for each variant and in total."""

    per_variant: int
    total: int


@dataclass(frozen=True)
class SampleSize:
    """The visitors needed for each of the three kinds of test.

    `planned` is for an experiment with a plan of so many visitors, which is looked at any number of
    times. `fixed_horizon` is for one look at a time that is fixed in advance, and `always_valid` is
    for any number of looks without a plan. None means that no number of visitors is enough: the
    counters' error hides the lift, or it takes more than `_MAX_VISITORS_PER_VARIANT`.
    """

    planned: VisitorsNeeded | None
    fixed_horizon: VisitorsNeeded | None
    always_valid: VisitorsNeeded | None


def power(
    rate: float,
    lift: float,
    visitors: float,
    alpha: float = ALPHA,
    relative_error: float = 0.0,
    *,
    always_valid: bool = False,
) -> float:
    """Return the probability that the test finds a true relative `lift` over the baseline's `rate`.

    `visitors` is the number for each of two variants, and `relative_error` is the relative standard
    error of a counter. For the always-valid test, the result is the power at the last look alone.
    The power over all looks is slightly higher.
    """
    test = _expected_comparison(rate, lift, visitors, relative_error)
    level = alpha * LOG_RATIO_WEIGHT
    bound = boundary(test.time, level) if always_valid else _NORMAL.inv_cdf(1 - alpha / 2)
    return _NORMAL.cdf(test.z_score - bound) + _NORMAL.cdf(-test.z_score - bound)


def _expected_comparison(
    rate: float, lift: float, visitors: float, relative_error: float
) -> Comparison:
    """Return the comparison of two arms whose counts are exactly the expected ones."""
    arms = [
        Arm(visitors * true_rate, visitors, relative_error)
        for true_rate in (rate * (1 + lift), rate)
    ]
    return replace(compare(*arms), log_ratio=log(1 + lift))


def sample_size(
    rate: float,
    lift: float,
    power: float = 0.8,
    alpha: float = ALPHA,
    variants: int = 2,
    relative_error: float = 0.0,
    primary_goals: int = 1,
) -> SampleSize:
    """Return the visitors needed to find a relative `lift` with probability `power`.

    `rate` is the baseline's conversions per visitor. `variants` includes the baseline.
    `relative_error` is the relative standard error of a counter, 0 for exact counting.

    `alpha` is divided by the number of comparisons with the baseline (Bonferroni), because the
    first comparison needs that much under Holm's correction. Raise ValueError if an argument is out
    of range.

    With a plan, the rule has its own alpha. The power is that of its final look alone: looks before
    that add less than 1 %.
    """
    _check(rate, lift, power, alpha, variants)
    comparisons = (variants - 1) * primary_goals
    return SampleSize(
        *(
            _visitors_needed(rate, lift, power, level, relative_error, variants, always_valid)
            for level, always_valid in (
                (FINAL_ALPHA / comparisons, False),
                (alpha / comparisons, False),
                (alpha / comparisons, True),
            )
        )
    )


def _check(rate: float, lift: float, power: float, alpha: float, variants: int) -> None:
    """Raise ValueError if an argument is out of range."""
    if not 0 < rate < 1:
        raise ValueError("the rate must be between 0 and 1: for 10 %, type 10%")
    if lift == 0 or not 0 < rate * (1 + lift) <= 1:
        raise ValueError(
            "the lift must not be 0 and must leave the rate between 0 and 1: for 5 %, type 5%"
        )
    if not _MIN_ALPHA <= alpha < power < 1:
        raise ValueError(
            "alpha and power must be between 0 and 1, alpha below power and at least 1e-9"
        )
    if variants < 2:
        raise ValueError("an experiment needs at least two variants")


def _visitors_needed(
    rate: float,
    lift: float,
    target_power: float,
    alpha: float,
    relative_error: float,
    variants: int,
    always_valid: bool,
) -> VisitorsNeeded | None:
    """Search by bisection for the smallest number of visitors that reaches the target power.

    Return None if the number is above `_MAX_VISITORS_PER_VARIANT`.
    """

    def is_enough(visitors: float) -> bool:
        reached = power(rate, lift, visitors, alpha, relative_error, always_valid=always_valid)
        return reached >= target_power

    high = 10.0
    while not is_enough(high):
        high *= 2
        if high > _MAX_VISITORS_PER_VARIANT:
            return None
    low = high / 2
    while high - low > max(0.5, high * 1e-9):
        middle = (low + high) / 2
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    per_variant = int(high) + 1
    return VisitorsNeeded(per_variant, per_variant * variants)
