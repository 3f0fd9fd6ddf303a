"""Two variants against each other, with the error of the visitors and the error of the counters.

Everything is said on the scale of the logarithm of the ratio of two rates: there the relative
error of a count is a plain addition to the variance, and a test holds its error rate with twenty
conversions as well as with twenty million. `docs/statistics.md` derives each formula, names its
source and shows the simulations.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import erfc, exp, expm1, log, pi, sqrt
from typing import Literal

ALPHA = 0.05

Kind = Literal["unique", "total"]
Interval = tuple[float, float]

# Variance of one visitor's count: a·rate + b·rate². A proportion: rate·(1 − rate). A goal reached
# many times: twice a geometric count's, because totals do not tell how visitors differ.
_DISPERSION: dict[Kind, tuple[int, int]] = {"unique": (1, -1), "total": (2, 2)}
# Φ⁻¹(1 − ALPHA/2), spelled out: `import statistics` costs a cold start some milliseconds.
_Z = 1.959963984540054
# The number of visitors (both variants) at which the confidence sequence is tightest.
_TUNED_FOR = 5000
_TUNING = (-2 * log(ALPHA) + log(1 - 2 * log(ALPHA))) / _TUNED_FOR
# A ratio known only to a factor of 1000 either way is not known.
_VAGUE = log(1000)


def counting_variance(count: float, relative_error: float) -> float:
    """Relative variance of a counter that stands at `count`.

    `relative_error` is the one it reaches when full, 1.04/√registers. While it holds few elements
    a register its variance is about half of that; this curve lies above what simulated and real
    counters show.
    """
    variance = relative_error**2
    return variance * (1 - 0.53 * exp(-count * variance / 4.3))


@dataclass(frozen=True)
class Arm:
    """One variant's counts for one goal; `relative_error` is that of one counter."""

    successes: float
    trials: float
    relative_error: float = 0.0
    kind: Kind = "unique"

    @property
    def rate(self) -> float | None:
        """Successes a visitor. A proportion that counting error lifts above 1 is 1."""
        return self.counted / self.trials if self.trials else None

    @property
    def counted(self) -> float:
        """The successes, of a proportion at most the trials."""
        return min(self.successes, self.trials) if self.kind == "unique" else self.successes

    def smoothed(self, share: float = 0.5) -> float:
        """The rate with `share` of a success and of a failure added: never 0, never quite 1."""
        return (self.counted + share) / (self.trials + 2 * share)

    def sampling(self, rate: float, share: float = 0.5) -> float:
        """Variance of the logarithm of the smoothed rate, from which visitors came, at `rate`."""
        linear, square = _DISPERSION[self.kind]
        return (linear / rate + square) / (self.trials + 2 * share)

    @cached_property
    def counting(self) -> float:
        """Variance of the logarithm of the rate that comes from its two counters."""
        return counting_variance(self.successes, self.relative_error) + counting_variance(
            self.trials, self.relative_error
        )

    @property
    def interval(self) -> Interval | None:
        """95 % interval of the rate: Wilson's score interval with counting error in the variance.

        It solves (observed − rate)² = z²·Var(rate), a quadratic in the rate.
        """
        if not self.trials:
            return None
        linear, square = _DISPERSION[self.kind]
        observed = self.counted / self.trials
        a = 1 - _Z**2 * (square / self.trials + self.counting)
        b = observed + _Z**2 * linear / self.trials / 2
        if a <= 0:
            return None
        root = sqrt(max(0.0, b * b - a * observed**2))
        high = (b + root) / a
        # the smaller root in the form that does not cancel
        return observed**2 / (b + root), min(high, 1.0) if self.kind == "unique" else high


def boundary(time: float, alpha: float = ALPHA) -> float:
    """How many standard errors an estimate may ever be off, at `time`, with probability `alpha`.

    The Gaussian-mixture confidence sequence (Waudby-Smith et al., arXiv 2103.06476, eq. 9). `time`
    is in visitors of both variants.
    """
    spent = time * _TUNING
    return sqrt(2 * (spent + 1) / spent * log(sqrt(spent + 1) / alpha))


def intrinsic_time(visitors: float, sampling: float, counting: float) -> float:
    """The clock of the confidence sequence, in visitors.

    Times the visitors, sampling error is a random walk on the clock of the visitors. Counting error
    is none: it stays from look to look and drifts only as registers fill. It correlates at least
    as much as a walk on the clock of their cube, so the sum is no more erratic than one on this.
    """
    return visitors * (1 + counting / sampling) ** 2


@dataclass(frozen=True)
class Comparison:
    """The logarithm of a ratio of two rates, and the variances of its two errors."""

    log_ratio: float
    sampling: float
    counting: float
    visitors: float

    @cached_property
    def error(self) -> float:
        """Standard error of the log ratio."""
        return sqrt(self.sampling + self.counting)

    @cached_property
    def time(self) -> float:
        """The clock of its confidence sequence."""
        return intrinsic_time(self.visitors, self.sampling, self.counting)

    @property
    def score(self) -> float:
        """How many standard errors the log ratio is from no difference."""
        return self.log_ratio / self.error

    @property
    def p_value(self) -> float:
        """Two-sided, for one look at a time fixed beforehand."""
        return erfc(abs(self.score) / sqrt(2))

    @property
    def interval(self) -> Interval | None:
        """The lifts that `p_value` does not reject at 5 %."""
        return self._lifts(_Z)

    @cached_property
    def p_value_always_valid(self) -> float:
        """Two-sided, for any number of looks: the least alpha whose boundary is reached."""
        spent = self.time * _TUNING
        return min(1.0, sqrt(spent + 1) * exp(-(self.score**2) / 2 * spent / (spent + 1)))

    @cached_property
    def interval_always_valid(self) -> Interval | None:
        """The lifts that `p_value_always_valid` does not reject at 5 %."""
        return self._lifts(boundary(self.time))

    def _lifts(self, errors: float) -> Interval | None:
        width = errors * self.error
        if width > _VAGUE:
            return None
        return expm1(self.log_ratio - width), expm1(self.log_ratio + width)


def compare(arm: Arm, base: Arm) -> Comparison:
    """The two rates against each other. Both must have visitors.

    One success and one failure are added, divided between the arms by their visitors (Sweeting,
    Sutton & Lambert 2004): equal shares would pull arms of unequal size apart. The variance is the
    larger of two, at each arm's own rate and at the rate of both together: the first alone believes
    one chance conversion of a small arm, the second alone the lack of one. Arms of equal size have
    the first.
    """
    visitors = arm.trials + base.trials
    shares = arm.trials / visitors, base.trials / visitors
    rates = arm.smoothed(shares[0]), base.smoothed(shares[1])
    pooled = (arm.counted + base.counted + 1) / (visitors + 2)
    own = arm.sampling(rates[0], shares[0]) + base.sampling(rates[1], shares[1])
    alike = arm.sampling(pooled, shares[0]) + base.sampling(pooled, shares[1])
    return Comparison(
        log(rates[0] / rates[1]), max(own, alike), arm.counting + base.counting, visitors
    )


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979): each p-value as if it were the only one looked at."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(ranked):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Probability that a chi-square variable exceeds `statistic`, as a finite sum.

    Abramowitz & Stegun, 26.4.4 and 26.4.5.
    """
    half = statistic / 2
    start, total = (0.5, erfc(sqrt(half))) if freedom % 2 else (0.0, 0.0)
    term = exp(-half) * (2 * sqrt(half / pi) if freedom % 2 else 1.0)
    for step in range(freedom // 2):
        total += term
        term *= half / (start + step + 1)
    return min(1.0, total)
