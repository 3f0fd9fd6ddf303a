"""How many more visitors a decision probably takes without a plan."""

from dataclasses import replace
from typing import NamedTuple

from gimel.backend.results.comparison import LOG_RATIO_WEIGHT, Comparison
from gimel.backend.results.decision import likely_signal

MAX_VISITORS_NEEDED = 10_000_000

# Nothing is promised unless the always-valid p-value is below alpha times this. Then there may well
# be no difference: docs/statistics-tables.md has the share of experiments
# without one that see a promise.
_PROMISING = 2
# A range whose ends differ by a larger factor says nothing.
_WIDEST = 10


class Remaining(NamedTuple):
    """More visitors, all variants together: at the median of the lift, and at its quartiles.

    `is_too_many`: the observed lift takes more than `MAX_VISITORS_NEEDED`. The numbers are None
    then, where there may be no effect at all, and where the range is too wide to be useful.
    """

    is_too_many: bool
    likely: int | None = None
    range: tuple[int, int] | None = None


def more_visitors(
    test: Comparison, relative_error: float, alpha: float, visitors: float
) -> Remaining:
    """Return how many more visitors the always-valid test takes at `alpha`.

    `visitors` have come so far, to all variants together. Their counts stay as they are. Later
    visitors follow the true lift, which is probably smaller than the observed one: the numbers are
    those at the median and the quartiles of its posterior.
    """
    most_growth = 1 + MAX_VISITORS_NEEDED / visitors
    if not _is_significant(test, most_growth, relative_error, alpha):
        return Remaining(is_too_many=True)
    if test.p_value_always_valid >= _PROMISING * alpha:
        return Remaining(is_too_many=False)
    # The lifts are those of the log ratio, so it is all the evidence that is taken.
    seen = replace(test, log_ratio=abs(test.log_ratio), split=None)
    numbers = []
    for probability in (0.75, 0.5, 0.25):
        lift = likely_signal(seen.z_score, probability) * seen.standard_error
        more = _more(seen, lift, relative_error, alpha * LOG_RATIO_WEIGHT, visitors)
        if more is None:
            return Remaining(is_too_many=False)
        numbers.append(more)
    fewest, likely, most = numbers
    if most > _WIDEST * fewest:
        return Remaining(is_too_many=False)
    return Remaining(False, likely, (fewest, most))


def _is_significant(
    test: Comparison, growth: float, relative_error: float, alpha: float, lift: float | None = None
) -> bool:
    """Return whether a lift is significant with `growth` times as many visitors.

    `lift` is the log ratio of the visitors to come: the observed one unless given. The counters'
    error is taken at its maximum, four full counters.
    """
    if lift is not None:
        test = replace(test, log_ratio=(test.log_ratio + (growth - 1) * lift) / growth)
    return test.grown(growth, 4 * relative_error**2).p_value_always_valid < alpha


def _more(
    test: Comparison, lift: float, relative_error: float, alpha: float, visitors: float
) -> int | None:
    """Return the visitors that are missing, or None if `MAX_VISITORS_NEEDED` are not enough."""
    most_growth = 1 + MAX_VISITORS_NEEDED / visitors
    low, high = 1.0, min(2.0, most_growth)
    while not _is_significant(test, high, relative_error, alpha, lift):
        if high == most_growth:
            return None
        low, high = high, min(high * 2, most_growth)
    for _ in range(8):
        middle = (low + high) / 2
        if _is_significant(test, middle, relative_error, alpha, lift):
            high = middle
        else:
            low = middle
    return _round_to_two_digits((high - 1) * visitors)


def _round_to_two_digits(visitors: float) -> int:
    """Round to two significant digits, since an estimate knows no more. Return at least 1."""
    return max(1, int(float(f"{visitors:.2g}")))
