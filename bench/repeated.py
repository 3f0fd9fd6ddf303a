"""Visitors who reach a goal many times, or spend amounts, drawn sample by sample.

What is reached at a visit is reached at once. An amount is cut off at `CAP` and rounded at random
to 1/100 of it. Each counter's error is drawn register by register, as in calibrate.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.registers import Floats

if TYPE_CHECKING:
    from bench.calibrate import Bench

Amount = Literal["times", "lognormal", "gamma"]
SIGMA = 1.2  # of the lognormal amounts
SHAPE = 0.5  # of the gamma amounts
# In means of one amount. One in 450 lognormal amounts is above it, and one in 260,000 gamma ones.
CAP = 20.0
# Above this many amounts in a sample, their sum is drawn from a gamma distribution of the same
# mean, variance and skewness.
_SUMMED_BY_ONE = 500


class Goal(NamedTuple):
    """A goal: the share of visitors who reach it, and how often on average, or the amounts."""

    reach: float
    times: float = 1.0
    amount: Amount = "times"

    def __str__(self) -> str:
        each = f"{self.times:g} times each" if self.amount == "times" else f"{self.amount} amounts"
        return f"{self.reach:.0%}, {each}"


@dataclass(frozen=True)
class Cell:
    """One experiment: its goal, the visitors of each arm, and how it is counted."""

    goal: Goal
    base: int
    variant: int
    shards: int = 64
    looks: int = 1
    lift: float = 0.0


def amounts(rng: np.random.Generator, kind: Amount, number: int) -> Floats:
    if kind == "lognormal":
        drawn = rng.lognormal(-(SIGMA**2) / 2, SIGMA, number)
    else:
        drawn = rng.gamma(SHAPE, 1 / SHAPE, number)
    return np.minimum(drawn, CAP)


def _sums(rng: np.random.Generator, kind: Amount, numbers: NDArray[np.int64]) -> Floats:
    """The sums of so many amounts each."""
    if numbers.max(initial=0) <= _SUMMED_BY_ONE:
        ends = numbers.ravel().cumsum()
        total = np.concatenate(([0.0], amounts(rng, kind, int(ends[-1])).cumsum()))
        sums = np.diff(total[ends], prepend=0.0)
        return np.asarray(np.maximum(sums, 0).reshape(numbers.shape))
    mean, spread, skewness = _moments(kind)
    shape = 4 * numbers / skewness**2
    scale = spread * skewness / 2
    return np.asarray(rng.gamma(shape, scale) + numbers * (mean - 2 * spread / skewness))


@cache
def _moments(kind: Amount) -> tuple[float, float, float]:
    """The mean, standard deviation and skewness of one amount."""
    pool = amounts(np.random.default_rng(1), kind, 4_000_000)
    mean, spread = pool.mean(), pool.std()
    return mean, spread, ((pool - mean) ** 3).mean() / spread**3


def _done(bench: Bench, cell: Cell, visitors: NDArray[np.int64], lift: float) -> Floats:
    """The counts of each sample of visitors: conversions, or elements of amounts."""
    goal, rng = cell.goal, bench.rng
    if goal.amount == "times":
        reached = rng.binomial(visitors, min(1.0, goal.reach * (1 + lift)))
        again = np.zeros_like(reached)
        if goal.times > 1:
            some = reached > 0
            again[some] = rng.negative_binomial(reached[some], 1 / goal.times)
        return np.asarray((reached + again).astype(float))
    sums = _sums(rng, goal.amount, rng.binomial(visitors, goal.reach)) * (1 + lift)
    # Each amount is rounded: to the sum, that adds a variance of at most 1/4 of an element each.
    return np.asarray(np.floor(sums * 100 / CAP + rng.random(sums.shape)))


def _counted(bench: Bench, counts: Floats, each: float, is_exact: bool) -> Floats:
    """The counts [runs, looks, samples] as HyperLogLogs show them, which grow to `each`."""
    if is_exact:
        return counts
    runs, looks, samples = counts.shape
    paths = bench.paths([each * (look + 1) / looks for look in range(looks)])
    picked = paths[bench.rng.integers(0, len(paths), (runs, samples))]
    return np.asarray(np.rint(counts * (1 + picked.transpose(0, 2, 1))))


def arm_of_visitors(
    bench: Bench, cell: Cell, size: int, lift: float, runs: int
) -> tuple[Floats, Floats]:
    """Counted conversions and counted visitors: [runs, looks, samples] each."""
    samples, goal = max(64, cell.shards), cell.goal
    shape = runs, cell.looks, samples
    visitors = bench.rng.poisson(size / cell.looks / samples, shape)
    done = _done(bench, cell, visitors, lift).cumsum(axis=1)
    is_exact, each = not cell.shards, size / samples
    elements = each * goal.reach * (goal.times if goal.amount == "times" else 100 / CAP)
    return (
        _counted(bench, done, elements, is_exact and goal.amount == "times"),
        _counted(bench, visitors.cumsum(axis=1).astype(float), each, is_exact),
    )
