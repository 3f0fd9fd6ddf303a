"""How many more visitors a decision takes without a plan, if the lift is as large as it looks."""

from dataclasses import replace
from typing import NamedTuple

from gimel.backend.results.comparison import LOG_RATIO_WEIGHT, Comparison

MAX_VISITORS_NEEDED = 10_000_000

_MAX_GROWTH = 1e6
# The quartiles of a normal distribution: the range holds half of the lifts that are likely.
_QUARTILE = 0.6745
# A difference below this many standard errors may well be none. Nothing is promised about it.
_PROMISING = 1.96


class Remaining(NamedTuple):
    """More visitors, all variants together: at the observed lift, and at its two quartiles.

    None: the number is above `MAX_VISITORS_NEEDED`. `range` is also None if there may be no effect.
    """

    likely: int | None
    range: tuple[int, int] | None


def more_visitors(
    test: Comparison, relative_error: float, alpha: float, visitors: float
) -> Remaining:
    """Return how many more visitors the always-valid test takes at `alpha`.

    `visitors` have come so far, to all variants together.
    """
    likely = _more(test, relative_error, alpha, visitors)
    if likely is None or abs(test.z_score) < _PROMISING:
        return Remaining(likely, None)
    lift, shift = abs(test.log_ratio), _QUARTILE * test.standard_error
    # What the log ratio alone takes, because its quartiles are known.
    fewest, most = (
        _more(
            replace(test, log_ratio=shifted, split=None),
            relative_error,
            alpha * LOG_RATIO_WEIGHT,
            visitors,
        )
        for shifted in (lift + shift, lift - shift)
    )
    if fewest is None or most is None:
        return Remaining(likely, None)
    return Remaining(likely, (min(fewest, likely), max(most, likely)))


def _more(test: Comparison, relative_error: float, alpha: float, visitors: float) -> int | None:
    growth = _growth_needed(test, relative_error, alpha)
    needed = None if growth is None else _round_to_two_digits((growth - 1) * visitors)
    return None if needed is None or needed > MAX_VISITORS_NEEDED else needed


def _growth_needed(test: Comparison, relative_error: float, alpha: float) -> float | None:
    """Return the factor by which the visitors must grow for the observed lift to be significant.

    Return None if the factor is above `_MAX_GROWTH`, or if no number of visitors is enough because
    the counters keep their error. That error is taken at its maximum, four full counters.
    """
    counting_variance = 4 * relative_error**2

    def is_significant(growth: float) -> bool:
        return test.grown(growth, counting_variance).p_value_always_valid < alpha

    low, high = 1.0, 2.0
    while not is_significant(high):
        low, high = high, high * 2
        if high > _MAX_GROWTH:
            return None
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (low, middle) if is_significant(middle) else (middle, high)
    return high


def _round_to_two_digits(visitors: float) -> int:
    """Round to two significant digits, since an estimate knows no more. Return at least 1."""
    return max(1, int(float(f"{visitors:.2g}")))
