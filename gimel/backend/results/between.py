"""Goals that a visitor may reach many times: their variance, taken between samples of visitors.

Only counts are stored, so how much visitors differ cannot be seen in a count. It can be seen
between the shards of an experiment: a secret hash of the visitor picks the shard, so the shards are
independent samples of visitors. The jackknife (Tukey 1958) takes the variance of the rate from
them. Chamandy et al. (Google, 2012, "Estimating uncertainty for massive data streams") estimate
variances from such subsamples. What the counters add to the error differs between shards too, so it
is included. docs/statistics-tables.md has the simulations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import exp, expm1, inf, lgamma, log, log1p, sqrt
from typing import NamedTuple

from gimel.backend.results.comparison import (
    Arm,
    Comparison,
    GoalKind,
    Interval,
    Z,
    counter_variance,
)

# With fewer samples, the variance between them is too uncertain.
MIN_SAMPLES = 64
# Samples of an arm in which the goal was reached, and so at least as many visitors who reached it.
MIN_REACHED = 25
# A few visitors decide an arm if its largest sample holds more than this share of the conversions,
# and is further above the median of the samples that reached the goal than this many times the
# distance from that median down to their lowest tenth. 2 of 1.2 million simulated arms of ordinary
# visitors were. docs/statistics-tables.md has the table "amounts-heavy".
_HEAVY_SHARE = 0.1
_HEAVY_DISTANCE = 40
# The distance from the median of a normal distribution to its lowest tenth, in standard deviations
_TENTH = 1.2816
# The sampling variance is at least this share of the whole. It is a difference of two estimates.
_MIN_SAMPLING_SHARE = 0.02
# exp of more than some 709 is more than a float holds.
_MAX_EXPONENT = 700
# A rate that may be off by a factor of 1000 says nothing.
_MAX_HALF_WIDTH = log(1000)
# The terms of a quantile of Student's t at the normal's quantile Z, by the power of 1/freedom
_EXPANSION = (
    (1, (Z**3 + Z) / 4),
    (2, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96),
    (3, (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384),
    (4, (79 * Z**9 + 776 * Z**7 + 1482 * Z**5 - 1920 * Z**3 - 945 * Z) / 92160),
)


class Spread(NamedTuple):
    """The uncertainty of one arm's rate, taken between its samples.

    `relative_variance` is the variance of the log of the rate, `samples` their number.
    `is_reached`: enough visitors reached the goal for an interval. `is_heavy`: a few visitors reach
    it so often that they decide it, so the variance is that of a handful, and not known.
    """

    relative_variance: float
    samples: int
    is_reached: bool
    is_heavy: bool = False


UNKNOWN = Spread(1.0, MIN_SAMPLES, is_reached=False)


def spread_of(
    conversions: Sequence[float], visitors: Sequence[float], at_once: float = 1.0
) -> Spread:
    """Return the spread of an arm's rate, given what was counted in each of its samples.

    `at_once` is the most that one event adds: 1 conversion, or the elements of the cap.

    The variance is the jackknife's: that of the log of the rate without one sample, times the
    number of samples (Tukey 1958). It is too large rather than too small (Efron & Stein 1981), and
    is so where few visitors do most, where the linear estimate is too small. It is at least what
    one visitor more, unlike the others, would make it. Otherwise a goal that every visitor reaches
    exactly once would be known without error.
    """
    total, shown, samples = sum(conversions), sum(visitors), len(visitors)
    reached = sum([each > 0 for each in conversions])
    if reached < MIN_REACHED or max(visitors) == shown:
        return Spread(1 / max(1, reached), samples, is_reached=False)
    without = [log((total - y) / (shown - x)) for y, x in zip(conversions, visitors, strict=True)]
    mean = sum(without) / samples
    squares = sum([(each - mean) ** 2 for each in without])
    variance = squares * (samples - 1) / samples
    is_heavy = _has_heavy_visitors(conversions, at_once)
    return Spread(max(variance, 1 / shown**2), samples, not is_heavy, is_heavy)


def _has_heavy_visitors(conversions: Sequence[float], at_once: float) -> bool:
    """Return whether one sample stands out so far that only heavy visitors in it explain it.

    What ordinary visitors do differs between samples at least as much as single events do. The
    distance is taken downwards, where no heavy visitor can stretch it.
    """
    largest = max(conversions)
    if largest <= _HEAVY_SHARE * sum(conversions):
        return False
    reached = sorted(each for each in conversions if each > 0)
    median, lowest_tenth = (reached[(len(reached) - 1) // part] for part in (2, 10))
    typical = max(median - lowest_tenth, _TENTH * sqrt(max(median, 1.0) * at_once))
    return largest - median > _HEAVY_DISTANCE * typical


class Measure(NamedTuple):
    """The measure of a goal that a visitor may reach many times.

    `unit` is what one counted element adds: 1 to conversions, or an amount. `relative_error` is
    that of the goal's counters, if it is not that of the visitors' counters. `spreads` are by
    variant. `above_cap` is the number of amounts above the cap, by variant. `obstacle`: a sentence
    that says why there are no samples and so no interval, and what to do.
    """

    kind: GoalKind
    unit: float = 1.0
    relative_error: float = 0.0
    spreads: Mapping[str, Spread] = {}
    above_cap: Mapping[str, int] = {}
    obstacle: str | None = None


@dataclass(frozen=True)
class SampledArm(Arm):
    """An arm whose variance was taken between samples of visitors.

    `successes` are conversions, or the sum of the amounts. `unit` is what one counted element adds
    to them, and `relative_error` is that of their counter. `visitors_error` is the visitors'.
    """

    spread: Spread = UNKNOWN
    unit: float = 1.0
    visitors_error: float = 0.0

    @property
    def sampling_share(self) -> float:
        """The share of the variance that is due to who happened to come, not to the counters."""
        counted = counter_variance(self.successes / self.unit, self.relative_error)
        counted += counter_variance(self.trials, self.visitors_error)
        return max(1 - counted / self.spread.relative_variance, _MIN_SAMPLING_SHARE)

    @property
    def rate_interval(self) -> Interval | None:
        """95 % confidence interval of the rate; None if too few visitors reached the goal."""
        if not self.spread.is_reached or not self.rate:
            return None
        half_width = t_quantile(self.spread.samples - 1) * sqrt(self.spread.relative_variance)
        if half_width > _MAX_HALF_WIDTH:
            return None
        return self.rate * exp(-half_width), self.rate * exp(half_width)


@dataclass(frozen=True)
class SampledComparison(Comparison):
    """A comparison whose variance is an estimate: it follows Student's t, not the normal.

    A distance in its standard errors is turned into the distance of the same tail of the normal
    distribution, and back. So the boundary for any number of looks serves for both.
    """

    degrees_of_freedom: float = MIN_SAMPLES - 1.0
    is_reached: bool = True

    @property
    def z_score(self) -> float:
        """Distance of the log ratio from no difference, in standard errors of a normal."""
        return normal_distance(self.log_ratio / self.standard_error, self.degrees_of_freedom)

    @cached_property
    def p_value(self) -> float:
        """Two-sided p-value for one look, at a time that was fixed in advance."""
        if not self.is_reached:
            return 1.0
        return t_tails(self.log_ratio / self.standard_error, self.degrees_of_freedom)

    @property
    def lift_interval(self) -> Interval | None:
        """95 % confidence interval of the lift for one look; None if it is too wide to be useful.

        It holds the lifts that `p_value` does not reject.
        """
        return self._within(t_quantile(self.degrees_of_freedom))

    @cached_property
    def p_value_always_valid(self) -> float:
        """Two-sided p-value for any number of looks."""
        return super().p_value_always_valid if self.is_reached else 1.0

    def grown(self, factor: float, counting_variance: float) -> "SampledComparison":
        """Return what the comparison would be with `factor` times as many visitors."""
        return replace(
            self,
            sampling_variance=self.sampling_variance / factor,
            counting_variance=counting_variance,
            visitors=self.visitors * factor,
            is_reached=True,
        )

    def interval_of(self, standard_errors: float) -> Interval | None:
        """Return the interval of the lift whose half-width has the tail of a normal's."""
        return self._within(t_distance(standard_errors, self.degrees_of_freedom))

    def _within(self, standard_errors: float) -> Interval | None:
        half_width = standard_errors * self.standard_error
        if not self.is_reached or half_width > _MAX_HALF_WIDTH:
            return None
        return expm1(self.log_ratio - half_width), expm1(self.log_ratio + half_width)


def compare_sampled(arm: SampledArm, base: SampledArm) -> SampledComparison:
    """Compare an arm with a base arm of the same experiment. Both must have visitors.

    The variance is the larger of two: that of the arms themselves, and that at a variance per
    visitor which both share. If a small arm happens to lack the few visitors who do the most, its
    own variance is too small. For arms of equal size, the two are the same.

    The degrees of freedom are those of Welch (1947) and Satterthwaite (1946).
    """
    visitors = arm.trials + base.trials
    variances = [each.spread.relative_variance for each in (arm, base)]
    of_sampling = [each.sampling_share * each.spread.relative_variance for each in (arm, base)]
    counting = sum(variances) - sum(of_sampling)
    per_visitor = (
        sum(
            variance * each.trials**2
            for variance, each in zip(of_sampling, (arm, base), strict=True)
        )
        / visitors
    )
    return SampledComparison(
        log_ratio=log(arm.rate / base.rate) if arm.rate and base.rate else 0.0,
        sampling_variance=max(sum(of_sampling), per_visitor * (1 / arm.trials + 1 / base.trials)),
        counting_variance=counting,
        visitors=visitors,
        degrees_of_freedom=sum(variances) ** 2
        / sum(
            variance**2 / (each.spread.samples - 1)
            for variance, each in zip(variances, (arm, base), strict=True)
        ),
        is_reached=arm.spread.is_reached and base.spread.is_reached,
    )


def t_tails(distance: float, degrees_of_freedom: float) -> float:
    """Return the probability that Student's t is further from 0 than `distance`."""
    whole = degrees_of_freedom + distance**2
    return _incomplete_beta(
        degrees_of_freedom / whole, distance**2 / whole, degrees_of_freedom / 2, 0.5
    )


def t_quantile(degrees_of_freedom: float) -> float:
    """Return the distance from 0 that Student's t exceeds with probability `ALPHA`.

    The expansion is 26.7.5 in Abramowitz & Stegun. From 63 degrees of freedom on, it is within
    1e-9 of the exact value.
    """
    return Z + sum([term / degrees_of_freedom**power for power, term in _EXPANSION])


def normal_distance(distance: float, degrees_of_freedom: float) -> float:
    """Return the distance whose normal tail is the t tail of `distance` (Wallace 1959).

    From 63 degrees of freedom on, it is within 0.04 % of the exact value.
    """
    size = _wallace(degrees_of_freedom) * sqrt(
        degrees_of_freedom * log1p(distance**2 / degrees_of_freedom)
    )
    return size if distance > 0 else -size


def t_distance(distance: float, degrees_of_freedom: float) -> float:
    """Return the distance whose t tail is the normal tail of `distance`."""
    exponent = (distance / _wallace(degrees_of_freedom)) ** 2 / degrees_of_freedom
    return sqrt(degrees_of_freedom * expm1(exponent)) if exponent < _MAX_EXPONENT else inf


def _wallace(degrees_of_freedom: float) -> float:
    return (8 * degrees_of_freedom + 1) / (8 * degrees_of_freedom + 3)


def _incomplete_beta(x: float, y: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function of x, by its continued fraction. y is 1 − x.

    The fraction is 26.5.8 in Abramowitz & Stegun, summed by Lentz's method. It converges fast below
    (a + 1)/(a + b + 2). Above, the function of y is taken.
    """
    if x <= 0 or y <= 0:
        return float(y <= 0)
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(y, x, b, a)
    front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y)) / a
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    fraction = d
    for m in range(1, 500):
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + term * d)
            c = 1 + term / c
            fraction *= c * d
        if abs(c * d - 1) < 1e-15:
            break
    return front * fraction
