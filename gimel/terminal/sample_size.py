"""How many visitors an experiment needs, counting error included: the inverse of the tests.

A power is that of the test that will be run (comparison.py): on the log of the ratio of the rates.
"""

from dataclasses import dataclass
from math import log
from statistics import NormalDist

from gimel.backend.results.comparison import ALPHA, Arm, Comparison, boundary, compare

_NORMAL = NormalDist()
# Past this many visitors a variant, the answer is "never".
_MOST = 1e12


@dataclass(frozen=True)
class Need:
    """Visitors needed: for each variant, and for all of them."""

    per_variant: int
    total: int


@dataclass(frozen=True)
class SampleSize:
    """Visitors needed for one look at a time fixed beforehand, and with as many as one likes.

    None: no number of visitors will do, since the counters keep their error.
    """

    fixed: Need | None
    free_looks: Need | None


def power(
    rate: float,
    lift: float,
    visitors: float,
    alpha: float = ALPHA,
    relative_error: float = 0.0,
    *,
    free_looks: bool = False,
) -> float:
    """Chance that `visitors` a variant show a true relative `lift` to be other than chance.

    With free looks: at the last look alone, so the chance of ever is a little higher.
    """
    test = _expected(rate, lift, visitors, relative_error)
    bound = boundary(test.time, alpha) if free_looks else _NORMAL.inv_cdf(1 - alpha / 2)
    return _NORMAL.cdf(test.score - bound) + _NORMAL.cdf(-test.score - bound)


def _expected(rate: float, lift: float, visitors: float, relative_error: float) -> Comparison:
    """The comparison of two arms that hold exactly what is expected of them."""
    arms = [Arm(visitors * truth, visitors, relative_error) for truth in (rate * (1 + lift), rate)]
    found = compare(*arms)
    return Comparison(log(1 + lift), found.sampling, found.counting, found.visitors)


def sample_size(
    rate: float,
    lift: float,
    power: float = 0.8,
    alpha: float = ALPHA,
    variants: int = 2,
    relative_error: float = 0.0,
) -> SampleSize:
    """Visitors needed to find a relative `lift` over the baseline's `rate` with chance `power`.

    The alpha is divided by the number of comparisons with the baseline (Bonferroni), which is what
    the first of them needs under Holm's correction. Raises ValueError on what is no proportion.
    """
    _check(rate, lift, power, alpha, variants)
    alpha /= variants - 1
    return SampleSize(
        *(_need(rate, lift, power, alpha, relative_error, variants, free) for free in (False, True))
    )


def _check(rate: float, lift: float, power: float, alpha: float, variants: int) -> None:
    if not 0 < rate < 1:
        raise ValueError("the rate must be between 0 and 1")
    if lift == 0 or not 0 < rate * (1 + lift) <= 1:
        raise ValueError("the lift must be other than 0 and leave the rate between 0 and 1")
    if not 0 < alpha < power < 1:
        raise ValueError("alpha and power must be between 0 and 1, and power above alpha")
    if variants < 2:
        raise ValueError("an experiment needs two variants at least")


def _need(
    rate: float,
    lift: float,
    wanted: float,
    alpha: float,
    relative_error: float,
    variants: int,
    free_looks: bool,
) -> Need | None:
    def enough(visitors: float) -> bool:
        return power(rate, lift, visitors, alpha, relative_error, free_looks=free_looks) >= wanted

    high = 10.0
    while not enough(high):
        high *= 2
        if high > _MOST:
            return None
    low = high / 2
    while high - low > max(0.5, high * 1e-9):
        middle = (low + high) / 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    each = int(high) + 1
    return Need(each, each * variants)
