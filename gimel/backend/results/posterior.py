"""Bayesian results: each variant's chance to be best, and its expected loss.

The prior of each variant's rate is flat. A posterior is a normal distribution on a scale where the
true posterior is nearly normal at any number of visitors: the angle asin √rate for a proportion,
and √rate for a rate that may exceed 1. The exact Beta integrals take far longer.
docs/statistics.md has the differences. Nothing here draws random numbers.
"""

from collections.abc import Mapping
from math import asin, erfc, pi, sin, sqrt
from operator import mul, sub
from typing import NamedTuple

from gimel.backend.results.between import SampledArm
from gimel.backend.results.comparison import Arm

# The points of the integration grid around each posterior's mean, in its standard deviations.
_GRID = [step * 0.6 for step in range(-7, 8)]


class Posterior(NamedTuple):
    """The posterior of one variant's rate: a normal distribution of its angle."""

    mean: float
    standard_deviation: float

    def cdf(self, angles: list[float]) -> list[float]:
        """Return, for each of the angles, the probability that this variant's angle is smaller."""
        mean, scale = self.mean, 1 / (self.standard_deviation * sqrt(2))
        return [erfc((mean - angle) * scale) / 2 for angle in angles]


def posterior_of(arm: Arm) -> Posterior | None:
    """Return the posterior of an arm's rate. The arm must have visitors.

    The prior is flat from 0 to 1. The spread of the angle hardly depends on the rate (Anscombe
    1948). Counting error widens it. For a goal that a visitor may reach many times, the spread is
    that between the samples of visitors. Without them, there is no posterior.
    """
    if isinstance(arm, SampledArm):
        if not arm.spread.is_reached or not arm.rate:
            return None
        return Posterior(sqrt(arm.rate), sqrt(arm.rate * arm.spread.relative_variance / 4))
    if arm.kind != "unique":
        return None
    visitors = arm.trials + 1.5
    rate = (arm.capped_successes + 0.75) / visitors
    # d(angle) = √odds/2 · d(log rate). Near a rate of 1, the odds grow without bound, so the
    # failure rate counts as no smaller than the counting error of the rate.
    odds = rate / max(1 - rate, sqrt(arm.counting_variance))
    variance = 1 / (visitors + 0.5) + arm.counting_variance * odds
    return Posterior(asin(sqrt(rate)), sqrt(variance) / 2)


def chance_to_beat(one: Posterior, other: Posterior) -> float:
    """Return the probability that the rate of `one` is higher than the rate of `other`."""
    variance = one.standard_deviation**2 + other.standard_deviation**2
    return erfc((other.mean - one.mean) / sqrt(2 * variance)) / 2


class PosteriorSummary(NamedTuple):
    """One variant compared with all others.

    `expected_loss` is the rate that choosing this variant gives away on average, because another
    variant may be better.
    """

    chance_to_be_best: float
    expected_loss: float


def summarise_posteriors(
    posteriors: Mapping[str, Posterior], *, is_share: bool, sign: int = 1
) -> dict[str, PosteriorSummary]:
    """Return the summary of each variant of one goal, by label. `is_share`: no rate exceeds 1.

    `sign` is -1 where the lowest rate is the best: all angles and rates are negated then.

    P(best) = ∫ P(all others below) dP(own), and
    expected loss = ∫ P(own below) − P(all below) d(rate),
    both by the trapezoid rule on the grid points of all posteriors together.
    """
    if sign < 0:
        posteriors = {label: each._replace(mean=-each.mean) for label, each in posteriors.items()}
    points = sorted(
        each.mean + each.standard_deviation * step for each in posteriors.values() for step in _GRID
    )
    below = [each.cdf(points) for each in posteriors.values()]
    all_below = [1.0] * len(points)
    for own in below:
        all_below = list(map(mul, all_below, own))
    if sign < 0:
        rates = [-rate for rate in _rates([-point for point in points], is_share=is_share)]
    else:
        rates = _rates(points, is_share=is_share)
    widths = _widths(rates)
    all_below_integral = _integral(all_below, widths)
    chances = _chances_to_be_best(list(posteriors.values()), below, all_below)
    return {
        label: PosteriorSummary(chance, max(0.0, _integral(own, widths) - all_below_integral))
        for label, chance, own in zip(posteriors, chances, below, strict=True)
    }


def _chances_to_be_best(
    posteriors: list[Posterior], below: list[list[float]], all_below: list[float]
) -> list[float]:
    """Return each variant's chance to be best. Use the closed form if there are two variants."""
    if len(posteriors) == 2:
        one, other = posteriors
        return [chance_to_beat(one, other), chance_to_beat(other, one)]
    chances = [_chance_to_be_best(own, all_below) for own in below]
    return [chance / sum(chances) for chance in chances]


def _rates(angles: list[float], *, is_share: bool) -> list[float]:
    if is_share:
        return [0.0 if a < 0 else 1.0 if a > pi / 2 else sin(a) ** 2 for a in angles]
    return [0.0 if a < 0 else a * a for a in angles]


def _chance_to_be_best(own: list[float], all_below: list[float]) -> float:
    """Return ∫ P(all others below) dP(own). The chances of all variants sum to nearly 1."""
    others = [every / one if one else 0.0 for every, one in zip(all_below, own, strict=True)]
    return _integral(others, _widths(own))


def _widths(points: list[float]) -> list[float]:
    """Return the distance between the two neighbours of each inner point.

    map() takes half the time of a loop.
    """
    return list(map(sub, points[2:], points))


def _integral(values: list[float], widths: list[float]) -> float:
    """Integrate by the trapezoid rule. Leave out the end points, which hardly change a result."""
    total: float = sum(map(mul, widths, values[1:]))
    return total / 2
