"""Simulates goals that a visitor may reach many times, and amounts: sections of bench.calibrate.

Visitors, those who reach the goal, and what they do there are drawn for each sample of visitors; so
is each counter's error, register by register, as in calibrate.py. What is reached at a visit is
reached at once. An amount is cut off at `CAP` and rounded at random to 1/100 of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from gimel.backend.results.between import (
    MIN_REACHED,
    SampledArm,
    compare_sampled,
    spread_of,
)
from gimel.backend.results.comparison import _RHO_SQUARED, Arm, compare

if TYPE_CHECKING:
    from bench.calibrate import Bench
    from bench.registers import Floats

Amount = Literal["times", "lognormal", "gamma"]
SIGMA = 1.2  # of the lognormal amounts
SHAPE = 0.5  # of the gamma amounts
# In means of one amount. One in 450 lognormal amounts is above it, and one in 260,000 gamma ones.
CAP = 20.0
# Looks that are simulated at once
_CHUNK = 1_000
# Above this many amounts in a sample, their sum is drawn from a gamma distribution of the same
# mean, variance and skewness.
_SUMMED_BY_ONE = 500


class Goal(NamedTuple):
    """What visitors do: the share who reach the goal, and how often on average, or the amounts."""

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


def _amounts(rng: np.random.Generator, kind: Amount, number: int) -> Floats:
    if kind == "lognormal":
        drawn = rng.lognormal(-(SIGMA**2) / 2, SIGMA, number)
    else:
        drawn = rng.gamma(SHAPE, 1 / SHAPE, number)
    return np.minimum(drawn, CAP)


def _sums(rng: np.random.Generator, kind: Amount, numbers: NDArray[np.int64]) -> Floats:
    """The sums of so many amounts each."""
    if numbers.max(initial=0) <= _SUMMED_BY_ONE:
        ends = numbers.ravel().cumsum()
        total = np.concatenate(([0.0], _amounts(rng, kind, int(ends[-1])).cumsum()))
        sums = np.diff(total[ends], prepend=0.0)
        return np.asarray(np.maximum(sums, 0).reshape(numbers.shape))
    pool = _amounts(np.random.default_rng(1), kind, 4_000_000)
    mean, spread = pool.mean(), pool.std()
    skewness = ((pool - mean) ** 3).mean() / spread**3
    shape = 4 * numbers / skewness**2
    scale = spread * skewness / 2
    return np.asarray(rng.gamma(shape, scale) + numbers * (mean - 2 * spread / skewness))


def _done(bench: Bench, cell: Cell, visitors: NDArray[np.int64], lift: float) -> Floats:
    """What is counted of each sample's visitors: conversions, or elements of amounts."""
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
    paths = bench.paths(each, looks)
    picked = paths[bench.rng.integers(0, len(paths), (runs, samples))]
    return np.asarray(np.rint(counts * (1 + picked.transpose(0, 2, 1))))


def _arm(bench: Bench, cell: Cell, size: int, lift: float, runs: int) -> tuple[Floats, Floats]:
    """What was done, and by how many visitors, as counted: [runs, looks, samples] each."""
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


@dataclass(frozen=True)
class Found:
    """The comparisons of a chunk of runs, [runs, looks] each."""

    log_ratio: Floats
    p_value: Floats
    p_value_always_valid: Floats


def _spreads(done: Floats, visitors: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """`between.spread_of` for many arms at once: relative variances, and whether they count."""
    with np.errstate(divide="ignore", invalid="ignore"):
        total, shown = done.sum(-1, keepdims=True), visitors.sum(-1, keepdims=True)
        is_reached = ((done > 0).sum(-1) >= MIN_REACHED) & (visitors.max(-1) < shown[..., 0])
        without = np.log1p(-done / total) - np.log1p(-visitors / shown)
        samples = done.shape[-1]
        variance = without.var(-1) * (samples - 1)
    return np.maximum(variance, 1 / np.maximum(shown[..., 0], 1) ** 2), is_reached


def _compared(variant: tuple[Floats, Floats], base: tuple[Floats, Floats], error: float) -> Found:
    """`between.compare_sampled` for many experiments at once. `_check` compares the two."""
    arms = []
    for done, visitors in (variant, base):
        variance, is_reached = _spreads(done, visitors)
        total, shown = done.sum(-1), np.maximum(visitors.sum(-1), 1)
        counting = _counter_variance(total, error) + _counter_variance(shown, error)
        with np.errstate(invalid="ignore"):
            sampling = np.maximum(variance - counting, 0.02 * variance)
        arms.append((total / shown, shown, variance, sampling, is_reached))
    (rate, n, v, s, ok), (rate0, n0, v0, s0, ok0) = arms
    with np.errstate(all="ignore"):
        log_ratio = np.log(rate / rate0)
        freedom = (v + v0) ** 2 / (v**2 + v0**2) * (variant[0].shape[-1] - 1)
        own, counted = s + s0, v + v0 - s - s0
        shared = (s * n**2 + s0 * n0**2) / (n + n0) * (1 / n + 1 / n0)
        sampling = np.maximum(own, shared)
        distance = np.abs(log_ratio) / np.sqrt(sampling + counted)
        z = (
            (8 * freedom + 1)
            / (8 * freedom + 3)
            * np.sqrt(freedom * np.log1p(distance**2 / freedom))
        )
        time = (n + n0) * (1 + counted / sampling) ** 2 * _RHO_SQUARED
        always = np.sqrt(time + 1) * np.exp(-(z**2) / 2 * time / (time + 1))
    is_known = ok & ok0
    return Found(
        log_ratio,
        np.where(is_known, 2 * stdtr(freedom, -distance), 1.0),
        np.where(is_known, np.minimum(1, always), 1.0),
    )


def _counter_variance(count: Floats, error: float) -> Floats:
    return np.asarray(error**2 * (1 - 0.53 * np.exp(-count * error**2 / 4.3)))


def _check(
    found: Found, variant: tuple[Floats, Floats], base: tuple[Floats, Floats], error: float
) -> None:
    """Raise AssertionError unless the product says the same of the first run's last look."""
    arms = [
        SampledArm(sum(done), sum(shown), error, "total", spread_of(done, shown))
        for done, shown in (
            (arm[0][0, -1].tolist(), arm[1][0, -1].tolist()) for arm in (variant, base)
        )
    ]
    ours = compare_sampled(*arms)
    theirs = found.p_value[0, -1], found.p_value_always_valid[0, -1]
    assert np.allclose((ours.p_value, ours.p_value_always_valid), theirs, rtol=1e-8, atol=1e-14)


def comparisons(bench: Bench, cell: Cell, runs: int) -> Iterator[Found]:
    """The comparisons of so many runs, a chunk at a time."""
    error = 0.0081 / cell.shards**0.5 if cell.shards else 0.0
    most = max(1, _CHUNK // cell.looks)
    for start in range(0, runs, most):
        chunk = min(most, runs - start)
        base = _arm(bench, cell, cell.base, 0.0, chunk)
        variant = _arm(bench, cell, cell.variant, cell.lift, chunk)
        found = _compared(variant, base, error)
        _check(found, variant, base, error)
        yield found


def share(hits: int, runs: int) -> str:
    return f"{hits / runs:.2%}"


def once(bench: Bench, cell: Cell, runs: int) -> str:
    """How often the last look's p-value is below 0.05."""
    hits = sum(int((each.p_value[:, -1] < 0.05).sum()) for each in comparisons(bench, cell, runs))
    return share(hits, runs)


def ever(bench: Bench, cell: Cell, runs: int) -> str:
    """How often the always-valid p-value is below 0.05 at any look."""
    found = comparisons(bench, cell, runs)
    hits = sum(int((each.p_value_always_valid < 0.05).any(axis=1).sum()) for each in found)
    return share(hits, runs)


GOALS = (
    Goal(0.02, 1.5),
    Goal(0.02, 30),
    Goal(0.1, 5),
    Goal(0.5, 2),
    Goal(1.0, 30),
    Goal(0.02, amount="lognormal"),
    Goal(0.1, amount="lognormal"),
    Goal(1.0, amount="lognormal"),
    Goal(0.1, amount="gamma"),
)

# The visitors of each arm, and the shards; 0 is exact counting, folded into 64 samples.
Designs = tuple[tuple[int, int, int], ...]
EVEN: Designs = (
    (1_000, 1_000, 64),
    (10_000, 10_000, 64),
    (100_000, 100_000, 64),
    (1_000_000, 1_000_000, 64),
)
OTHER: Designs = (
    (90_000, 10_000, 64),
    (990_000, 10_000, 64),
    (10_000, 10_000, 256),
    (10_000, 10_000, 0),
)


def _head(designs: Designs) -> list[object]:
    return [
        "who reaches it",
        *(
            f"{base:,} / {variant:,}, {f'{shards} shards' if shards else 'exact'}"
            for base, variant, shards in designs
        ),
    ]


def _one_look(bench: Bench, designs: Designs) -> list[list[object]]:
    table: list[list[object]] = [_head(designs)]
    for goal in GOALS:
        cells = [Cell(goal, *design) for design in designs]
        table.append([str(goal), *(once(bench, cell, bench.runs // 2) for cell in cells)])
    return table


def _many_looks(bench: Bench, designs: Designs) -> list[list[object]]:
    table: list[list[object]] = [_head(designs)]
    for goal in (GOALS[1], GOALS[2], GOALS[4], GOALS[6], GOALS[8]):
        cells = [Cell(goal, *design, 100) for design in designs]
        table.append([str(goal), *(ever(bench, cell, bench.looked * 2 // 3) for cell in cells)])
    return table


def amounts_one_look(bench: Bench) -> list[list[object]]:
    """False positives of one look, by who reaches the goal and the visitors of each arm."""
    return _one_look(bench, EVEN)


def amounts_one_look_other(bench: Bench) -> list[list[object]]:
    """The same for arms of unequal size, 256 shards and exact counting."""
    return _one_look(bench, OTHER)


def amounts_many_looks(bench: Bench) -> list[list[object]]:
    """A look after every 1 % of the data: ever significant?"""
    return _many_looks(bench, EVEN)


def amounts_many_looks_other(bench: Bench) -> list[list[object]]:
    """The same for arms of unequal size, 256 shards and exact counting."""
    return _many_looks(bench, OTHER)


def amounts_power(bench: Bench) -> list[list[object]]:
    """How often a lift is found that a test which knows each visitor finds in about 80 %."""
    table: list[list[object]] = [
        [
            *("visitors a variant", "who reaches it", "lift", "each visitor known"),
            *("64 shards", "256 shards", "any look, 64 shards"),
        ]
    ]
    for goal in (GOALS[1], GOALS[2], GOALS[5], GOALS[6], GOALS[8]):
        for size in (10_000, 100_000):
            variance = 2 * _squared_variation(goal) / size
            lift = float(np.expm1(2.8016 * variance**0.5))
            row: list[object] = [f"{size:,}", str(goal), f"{lift:+.1%}", "80%"]
            for shards in (64, 256):
                cell = Cell(goal, size, size, shards, 1, lift)
                row.append(once(bench, cell, bench.runs // 4))
            row.append(ever(bench, Cell(goal, size, size, 64, 100, lift), bench.looked // 3))
            table.append(row)
    return table


def _squared_variation(goal: Goal) -> float:
    """The relative variance of what one visitor does."""
    if goal.amount == "times":
        # Geometric: the mean of the square is 2·times² − times.
        return (2 * goal.times - 1) / (goal.reach * goal.times) - 1
    drawn = _amounts(np.random.default_rng(1), goal.amount, 4_000_000)
    return float((drawn**2).mean() / drawn.mean() ** 2 / goal.reach - 1)


def amounts_unnamed(bench: Bench) -> list[list[object]]:
    """Totals that nobody named, each event with a random uuid: false positives as a proportion."""
    table: list[list[object]] = [["who reaches it", "rate", "one look", "any of 100 looks"]]
    size, runs = 10_000, bench.looked // 3
    for goal in (Goal(0.3, 2), Goal(0.1, 5), Goal(0.02, 5), Goal(0.02, 30)):
        cell = Cell(goal, size, size, 64, 100)
        base, variant = (_arm(bench, cell, size, 0.0, runs) for _ in "ab")
        hits = peeked = 0
        for run in zip(*variant, *base, strict=True):
            arms = zip(*(part.sum(-1).tolist() for part in run), strict=True)
            tests = [
                compare(Arm(y, x, 0.0081 / 8), Arm(y0, x0, 0.0081 / 8)) for y, x, y0, x0 in arms
            ]
            hits += tests[-1].p_value < 0.05
            peeked += any(test.p_value_always_valid < 0.05 for test in tests)
        rate = f"{goal.reach * goal.times:.2f}"
        table.append([str(goal), rate, share(hits, runs), share(peeked, runs)])
    return table


SECTIONS = {
    "amounts-one-look": amounts_one_look,
    "amounts-one-look-other": amounts_one_look_other,
    "amounts-many-looks": amounts_many_looks,
    "amounts-many-looks-other": amounts_many_looks_other,
    "amounts-power": amounts_power,
    "amounts-unnamed": amounts_unnamed,
}
