"""Tests and intervals that compare the rates of two variants, counting error included.

All tests work on the logarithm of the ratio of two rates. On that scale, the counters' relative
error adds to the variance, and a test keeps its error rate at any number of conversions.
docs/statistics.md derives the formulas, names their sources and shows the simulations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import erfc, exp, expm1, log, log1p, sqrt
from typing import Literal

from gimel.backend.results.e_values import ConversionSplit

ALPHA = 0.05

GoalKind = Literal["unique", "total", "value"]
Interval = tuple[float, float]

# Φ⁻¹(1 − ALPHA/2) as a constant: importing `statistics` costs a cold start some milliseconds.
Z = 1.959963984540054
# The number of visitors, both variants together, at which the confidence sequence is tightest.
_TIGHTEST_AT = 5000
# An interval that reaches further than a factor of 1000 in each direction says nothing.
_MAX_HALF_WIDTH = log(1000)
# No larger ratio of two rates is possible. Without the limit, a number could overflow.
_MAX_LOG_RATIO = 100.0
# The evidence of a unique goal is the mean of two e-values with these weights: that of the log
# ratio, and that of the division of the conversions. With a half each, the test would lose power
# at all goals but rare ones.
LOG_RATIO_WEIGHT = 0.875
_LOG_WEIGHTS = log(LOG_RATIO_WEIGHT), log(1 - LOG_RATIO_WEIGHT)
# Newton's method needs two to six steps.
_MAX_STEPS = 30


def tuning(visitors: float, alpha: float = ALPHA) -> float:
    """Return ρ² of the confidence sequence that is tightest at so many visitors."""
    return (-2 * log(alpha) + log(1 - 2 * log(alpha))) / visitors


_RHO_SQUARED = tuning(_TIGHTEST_AT)


def counter_variance(count: float, relative_error: float) -> float:
    """Return the relative variance of a counter whose estimate is `count`.

    `relative_error` is the relative standard error of a full counter, 1.04/√registers (Flajolet et
    al. 2007). With few elements per register, the variance is about half of that (Ertl 2017). The
    curve between the two is fitted to simulated registers.
    """
    variance = relative_error**2
    return variance * (1 - 0.53 * exp(-count * variance / 4.3))


@dataclass(frozen=True)
class Arm:
    """The counts of one variant for one goal: conversions (`successes`) and visitors (`trials`).

    `relative_error` is the relative standard error of each of the two counters, 0 if exact. An arm
    of a goal that a visitor may reach many times has counts and a rate, and takes part in no test.
    """

    successes: float
    trials: float
    relative_error: float = 0.0
    kind: GoalKind = "unique"

    @property
    def rate(self) -> float | None:
        """Conversions per visitor, at most 1 for a unique goal; None without visitors."""
        return self.capped_successes / self.trials if self.trials else None

    @property
    def capped_successes(self) -> float:
        """The conversions. Those of a unique goal are capped at the number of visitors.

        Only counting error can lift them higher.
        """
        return min(self.successes, self.trials) if self.kind == "unique" else self.successes

    def smoothed_rate(self, share: float = 0.5) -> float:
        """Return the rate with `share` of a success and of a failure added: above 0, below 1."""
        return (self.capped_successes + share) / (self.trials + 2 * share)

    def sampling_variance(self, rate: float, share: float = 0.5) -> float:
        """Return the variance of the log of the smoothed rate that is due to sampling visitors.

        `rate` is the rate to assume. `share` is the same as in `smoothed_rate`.
        """
        return (1 / rate - 1) / (self.trials + 2 * share)

    @cached_property
    def counting_variance(self) -> float:
        """Variance of the log of the rate that is due to the errors of the two counters."""
        return counter_variance(self.successes, self.relative_error) + counter_variance(
            self.trials, self.relative_error
        )

    @property
    def rate_interval(self) -> Interval | None:
        """95 % confidence interval of the rate; None without visitors, or if it has no upper end.

        Only a unique goal's visitors are known to differ by whether they reached it, so only it has
        one.

        This is Wilson's score interval (1927) with the counting error in the variance. It holds all
        rates with (observed − rate)² ≤ z²·Var(rate), a quadratic inequality.
        """
        if not self.trials or self.kind != "unique":
            return None
        observed = self.capped_successes / self.trials
        a = 1 - Z**2 * (self.counting_variance - 1 / self.trials)
        b = observed + Z**2 / self.trials / 2
        if a <= 0:
            return None
        root = sqrt(max(0.0, b * b - a * observed**2))
        high = (b + root) / a
        # This form of the smaller root subtracts no nearly equal numbers, so it loses no digits.
        return observed**2 / (b + root), min(high, 1.0)


def boundary(time: float, alpha: float = ALPHA, rho_squared: float = _RHO_SQUARED) -> float:
    """Return the half-width of the always-valid confidence sequence, in standard errors.

    With probability 1 − `alpha`, no look ever finds the estimate further from the truth. `time` is
    the intrinsic time, in visitors of both variants. The formula is the Gaussian-mixture confidence
    sequence (Waudby-Smith et al., arXiv 2103.06476, eq. 9), and `rho_squared` its tuning.
    """
    scaled_time = time * rho_squared
    return sqrt(2 * (scaled_time + 1) / scaled_time * log(sqrt(scaled_time + 1) / alpha))


def intrinsic_time(visitors: float, sampling_variance: float, counting_variance: float) -> float:
    """Return the intrinsic time of the confidence sequence, in visitors of both variants.

    Without counting error, it is the number of visitors: visitors × log ratio is a random walk.
    Counting error is not drawn anew at each look. It stays, and drifts only as registers fill.
    Between two looks, it correlates at least as much as a random walk on the clock visitors³. By
    Slepian's inequality, it therefore reaches a boundary no more often than such a walk.
    docs/statistics.md has the derivation.
    """
    return visitors * (1 + counting_variance / sampling_variance) ** 2


@dataclass(frozen=True)
class Comparison:
    """The log of the ratio of two rates, with the variances of its two sources of error.

    `visitors` is the number of visitors of both variants together. `split` is how the conversions
    divide between the two. Without it, the log ratio is all the evidence. `rho_squared` tunes the
    test for any number of looks.
    """

    log_ratio: float
    sampling_variance: float
    counting_variance: float
    visitors: float
    split: ConversionSplit | None = None
    rho_squared: float = _RHO_SQUARED

    @cached_property
    def standard_error(self) -> float:
        """Standard error of the log ratio."""
        return sqrt(self.sampling_variance + self.counting_variance)

    @cached_property
    def time(self) -> float:
        """Intrinsic time of the confidence sequence, in visitors."""
        return intrinsic_time(self.visitors, self.sampling_variance, self.counting_variance)

    @property
    def z_score(self) -> float:
        """Distance of the log ratio from no difference, in standard errors."""
        return self.log_ratio / self.standard_error

    @property
    def p_value(self) -> float:
        """Two-sided p-value for one look, at a time that was fixed in advance."""
        return erfc(abs(self.z_score) / sqrt(2))

    @property
    def lift_interval(self) -> Interval | None:
        """95 % confidence interval of the lift for one look; None if it is too wide to be useful.

        It holds the lifts that `p_value` does not reject.
        """
        return self.interval_of(Z)

    @cached_property
    def p_value_always_valid(self) -> float:
        """Two-sided p-value for any number of looks: 1 over the evidence against equal rates."""
        if self.split is None:
            return min(1.0, exp(-self._log_ratio_evidence(self.z_score)[0]))
        return min(1.0, exp(-self._log_evidence(self.split, 0.0)[0]))

    @cached_property
    def lift_interval_always_valid(self) -> Interval | None:
        """95 % confidence sequence of the lift for any number of looks; None if it is too wide.

        It holds the lifts that `p_value_always_valid` does not reject.
        """
        return self.interval_at_any_time(ALPHA)

    def interval_at_any_time(self, alpha: float) -> Interval | None:
        """Return the confidence sequence of the lift at 1 − `alpha`; None if it is too wide."""
        if self.split is None:
            return self.interval_of(boundary(self.time, alpha, self.rho_squared))
        low, high = (self._evidence_end(self.split, side, alpha) for side in (-1, 1))
        reach = max(self.log_ratio - low, high - self.log_ratio)
        if reach > _MAX_HALF_WIDTH and low <= 0 <= high:
            return None
        return expm1(low), expm1(min(high, _MAX_LOG_RATIO))

    def tuned(self, visitors: float, alpha: float) -> "Comparison":
        """Return the comparison whose test for any number of looks is tightest at these visitors.

        `visitors` are those of both variants. It is tightest for this `alpha`.
        """
        return replace(self, rho_squared=tuning(visitors, alpha))

    def grown(self, factor: float, counting_variance: float) -> "Comparison":
        """Return what the comparison would be with `factor` times as many visitors.

        The rates stay the same. `counting_variance` is that of the larger counts.
        """
        return Comparison(
            self.log_ratio,
            self.sampling_variance / factor,
            counting_variance,
            self.visitors * factor,
            self.split and self.split.grown(factor, counting_variance),
            self.rho_squared,
        )

    def _log_ratio_evidence(self, distance: float) -> tuple[float, float]:
        """Return the log of the e-value against a log ratio this far away, and its derivative.

        `distance` is in standard errors. `boundary` is where the e-value reaches 1/alpha.
        """
        scaled_time = self.time * self.rho_squared
        slope = distance * scaled_time / (scaled_time + 1)
        return (distance * slope - log1p(scaled_time)) / 2, slope

    def _log_evidence(self, split: ConversionSplit, log_ratio: float) -> tuple[float, float]:
        """Return the log of the evidence against a true log ratio, and its derivative.

        It is a convex function of the log ratio, so the log ratios below a level are an interval.
        """
        value, slope = self._log_ratio_evidence((log_ratio - self.log_ratio) / self.standard_error)
        slope /= self.standard_error
        other, other_slope = split.log_e_value(log_ratio)
        value, other = value + _LOG_WEIGHTS[0], other + _LOG_WEIGHTS[1]
        share = exp(-abs(value - other))
        other_share = (share if other < value else 1.0) / (1 + share)
        return max(value, other) + log1p(share), slope + (other_slope - slope) * other_share

    def _evidence_end(self, split: ConversionSplit, side: int, alpha: float) -> float:
        """Return the end of the log ratios whose evidence is at most 1/`alpha`, on one side.

        Newton's method on a convex function approaches the end from outside, and never passes it.
        So the p-value and the interval always agree about a log ratio of 0.
        """
        # Here the log ratio's e-value alone is enough.
        half_width = boundary(self.time, alpha * LOG_RATIO_WEIGHT, self.rho_squared)
        end = self.log_ratio + side * half_width * self.standard_error
        if self.log_ratio * side < 0 < end * side and self.p_value_always_valid < alpha:
            end = 0.0
        for _ in range(_MAX_STEPS):
            evidence, slope = self._log_evidence(split, end)
            excess = evidence + log(alpha)
            if excess <= 0 or slope * side <= 0:
                break
            end -= excess / slope
            # The step's own error is of the order of excess².
            if excess < 1e-3:
                break
        return end

    def interval_of(self, standard_errors: float) -> Interval | None:
        """Return the interval of the lift of this half-width; None if it is too wide."""
        half_width = standard_errors * self.standard_error
        if half_width > _MAX_HALF_WIDTH:
            return None
        return expm1(self.log_ratio - half_width), expm1(self.log_ratio + half_width)


def compare(arm: Arm, base: Arm) -> Comparison:
    """Compare an arm with a base arm. Both must have visitors.

    One success and one failure are added, divided between the arms in proportion to their visitors
    (Sweeting, Sutton & Lambert 2004). Equal shares would push the rates of unequal arms apart.

    The sampling variance is the larger of two: at the arms' own rates, and at their pooled rate.
    If a small arm has one conversion by chance, its own rate understates the variance. If it has
    none by chance, the pooled rate does. For arms of equal size, the first is always the larger.
    """
    visitors = arm.trials + base.trials
    shares = arm.trials / visitors, base.trials / visitors
    rates = arm.smoothed_rate(shares[0]), base.smoothed_rate(shares[1])
    pooled_rate = (arm.capped_successes + base.capped_successes + 1) / (visitors + 2)
    at_own_rates = arm.sampling_variance(rates[0], shares[0]) + base.sampling_variance(
        rates[1], shares[1]
    )
    at_pooled_rate = arm.sampling_variance(pooled_rate, shares[0]) + base.sampling_variance(
        pooled_rate, shares[1]
    )
    counting_variance = arm.counting_variance + base.counting_variance
    conversions = arm.capped_successes, base.capped_successes
    return Comparison(
        log_ratio=log(rates[0] / rates[1]),
        sampling_variance=max(at_own_rates, at_pooled_rate),
        counting_variance=counting_variance,
        visitors=visitors,
        split=ConversionSplit(conversions, (arm.trials, base.trials), counting_variance),
    )


def five_digits(value: float) -> float:
    """Round to five significant digits. The counts do not support more."""
    return float(f"{value:.5g}")


def holm(p_values: Sequence[float]) -> list[float]:
    """Return the p-values after Holm's step-down correction (1979), in the order given.

    Each adjusted p-value can be compared with alpha as if it were the only one.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    ranked = sorted(range(len(p_values)), key=p_values.__getitem__)
    for rank, index in enumerate(ranked):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        adjusted[index] = highest
    return adjusted


def rounded(value: float | None) -> float | None:
    """Return a number for the wire, with five digits."""
    return None if value is None else five_digits(value)


def rounded_interval(interval: Interval | None) -> Interval | None:
    """Return an interval for the wire, with five digits."""
    return None if interval is None else (five_digits(interval[0]), five_digits(interval[1]))
