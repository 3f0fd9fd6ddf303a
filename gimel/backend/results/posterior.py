"""Chances and expected losses: what the counts make of a flat prior on each variant's rate.

A posterior is a normal distribution on a scale where it is nearly one at any size: the angle
asin √rate for a proportion (Beta posterior), √rate for a rate that may exceed 1. The exact sums
cost a hundred times as much; `docs/statistics.md` has the differences. No random numbers.
"""

from collections.abc import Mapping
from math import asin, erfc, pi, sin, sqrt
from operator import mul, sub
from typing import NamedTuple

from gimel.backend.results.comparison import Arm, Kind

# Where each posterior is looked at, in its standard errors.
_STEPS = [step * 0.6 for step in range(-7, 8)]


class Posterior(NamedTuple):
    """A normal distribution of the angle."""

    mean: float
    error: float

    def below(self, angles: list[float]) -> list[float]:
        """Probability that the angle is less, for each of the angles."""
        mean, scale = self.mean, 1 / (self.error * sqrt(2))
        return [erfc((mean - angle) * scale) / 2 for angle in angles]


def posterior(arm: Arm) -> Posterior:
    """What the arm's counts say of its rate, prior flat from 0 to 1 (to infinity for totals)."""
    if arm.kind == "total":
        rate = (arm.successes + 0.75) / arm.trials
        return Posterior(sqrt(rate), sqrt(rate * (arm.sampling(arm.smoothed()) + arm.counting) / 4))
    visitors = arm.trials + 1.5
    rate = (arm.counted + 0.75) / visitors
    # d(angle) = √(odds)/2 · d(log rate); at a rate of nearly 1 no further than the error reaches
    odds = rate / max(1 - rate, sqrt(arm.counting))
    return Posterior(asin(sqrt(rate)), sqrt(1 / (visitors + 0.5) + arm.counting * odds) / 2)


def chance_to_beat(one: Posterior, other: Posterior) -> float:
    """Probability that the one's rate is higher than the other's."""
    return erfc((other.mean - one.mean) / sqrt(2 * (one.error**2 + other.error**2))) / 2


class Standing(NamedTuple):
    """One variant among all: `expected_loss` is the rate given away by choosing it, on average."""

    chance_to_be_best: float
    expected_loss: float


def standings(beliefs: Mapping[str, Posterior], kind: Kind) -> dict[str, Standing]:
    """Each variant among all of one goal, by the trapezoid rule on the points of all of them.

    P(best) = ∫ P(all others below) dP(own); expected loss = ∫ P(own below) − P(all below) d(rate).
    """
    points = sorted(b.mean + b.error * step for b in beliefs.values() for step in _STEPS)
    below = [belief.below(points) for belief in beliefs.values()]
    all_below = [1.0] * len(points)
    for own in below:
        all_below = list(map(mul, all_below, own))
    widths = _widths(_rates(points, kind))
    highest = _integral(all_below, widths)
    chances = _chances(list(beliefs.values()), below, all_below)
    return {
        label: Standing(chance, max(0.0, _integral(own, widths) - highest))
        for label, chance, own in zip(beliefs, chances, below, strict=True)
    }


def _chances(
    beliefs: list[Posterior], below: list[list[float]], all_below: list[float]
) -> list[float]:
    """Each one's chance to be the best."""
    if len(beliefs) == 2:
        one, other = beliefs
        return [chance_to_beat(one, other), chance_to_beat(other, one)]
    chances = [_chance(own, all_below) for own in below]
    return [chance / sum(chances) for chance in chances]


def _rates(angles: list[float], kind: Kind) -> list[float]:
    if kind == "unique":
        return [0.0 if a < 0 else 1.0 if a > pi / 2 else sin(a) ** 2 for a in angles]
    return [0.0 if a < 0 else a * a for a in angles]


def _chance(own: list[float], all_below: list[float]) -> float:
    """∫ of the product of the others over the own distribution; those of all sum to nearly 1."""
    others = [every / one if one else 0.0 for every, one in zip(all_below, own, strict=True)]
    return _integral(others, _widths(own))


def _widths(over: list[float]) -> list[float]:
    """What lies between each point's neighbours, but for the ends. map() costs half a loop."""
    return list(map(sub, over[2:], over))


def _integral(values: list[float], widths: list[float]) -> float:
    """Trapezoid rule; the ends, where nothing happens, are left out."""
    total: float = sum(map(mul, widths, values[1:]))
    return total / 2
