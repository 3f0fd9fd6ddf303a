"""How many more visitors a decision takes without a plan, if the lift is as large as it looks."""

from dataclasses import replace
from typing import NamedTuple

from gimel.backend.results.comparison import LOG_RATIO_WEIGHT, Comparison

MAX_VISITORS_NEEDED = 10_000_000

# The quartiles of a normal distribution: the range holds half of the lifts that are likely.
_QUARTILE = 0.6745
# A difference below this many standard errors may well be none. Nothing is promised about it.
_PROMISING = 1.96


class Remaining(NamedTuple):
    """More visitors, all variants together: at the observed lift, and at its two quartiles.

    `is_too_many`: the observed lift takes more than `MAX_VISITORS_NEEDED`. The numbers are None
    then, and where there may be no effect at all.
    """

    is_too_many: bool
    likely: int | None = None
    range: tuple[int, int] | None = None


def more_visitors(
    test: Comparison, relative_error: float, alpha: float, visitors: float
) -> Remaining:
    """Return how many more visitors the always-valid test takes at `alpha`.

    `visitors` have come so far, to all variants together.
    """
    most_growth = 1 + MAX_VISITORS_NEEDED / visitors
    if not _is_significant(test, most_growth, relative_error, alpha):
        return Remaining(is_too_many=True)
    if abs(test.z_score) < _PROMISING:
        return Remaining(is_too_many=False)
    likely = _more(test, relative_error, alpha, visitors)
    # What the log ratio alone takes, because its quartiles are known.
    lift, shift = abs(test.log_ratio), _QUARTILE * test.standard_error
    low, high = (replace(test, log_ratio=each, split=None) for each in (lift - shift, lift + shift))
    alpha *= LOG_RATIO_WEIGHT
    if not _is_significant(low, most_growth, relative_error, alpha):
        return Remaining(is_too_many=False)
    fewest, most = (_more(each, relative_error, alpha, visitors) for each in (high, low))
    return Remaining(False, likely, (min(fewest, likely), max(most, likely)))


def _is_significant(test: Comparison, growth: float, relative_error: float, alpha: float) -> bool:
    """Return whether the observed lift is significant with `growth` times as many visitors.

    The counters' error is taken at its maximum, four full counters.
    """
    return test.grown(growth, 4 * relative_error**2).p_value_always_valid < alpha


def _more(test: Comparison, relative_error: float, alpha: float, visitors: float) -> int:
    """Return the visitors that are missing: at most `MAX_VISITORS_NEEDED`, which are enough."""
    most_growth = 1 + MAX_VISITORS_NEEDED / visitors
    low, high = 1.0, min(2.0, most_growth)
    while high < most_growth and not _is_significant(test, high, relative_error, alpha):
        low, high = high, min(high * 2, most_growth)
    for _ in range(8):
        middle = (low + high) / 2
        if _is_significant(test, middle, relative_error, alpha):
            high = middle
        else:
            low = middle
    return _round_to_two_digits((high - 1) * visitors)


def _round_to_two_digits(visitors: float) -> int:
    """Round to two significant digits, since an estimate knows no more. Return at least 1."""
    return max(1, int(float(f"{visitors:.2g}")))
