"""Goals that a visitor may reach many times, and amounts: sections of bench.calibrate.

repeated.py draws what visitors do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from bench.registers import Floats
from bench.repeated import Cell, Goal, amounts, arm_of_visitors
from gimel.backend.counting.amounts import ELEMENTS_AT_CAP
from gimel.backend.results.between import (
    _HEAVY_DISTANCE,
    _HEAVY_SHARE,
    _TENTH,
    MIN_REACHED,
    SampledArm,
    compare_sampled,
    spread_of,
)
from gimel.backend.results.comparison import _RHO_SQUARED, Arm, compare

if TYPE_CHECKING:
    from bench.calibrate import Bench

# Looks that are simulated at once
_CHUNK = 1_000
# What was done, and by how many visitors, [runs, looks, samples] each
Arms = tuple[Floats, Floats]


@dataclass(frozen=True)
class Found:
    """The comparisons of a chunk of runs, [runs, looks] each."""

    log_ratio: Floats
    p_value: Floats
    p_value_always_valid: Floats


def _spreads(
    done: Floats, visitors: Floats, *, is_linear: bool = False
) -> tuple[Floats, NDArray[np.bool_]]:
    """`between.spread_of` for many arms at once: relative variances, and whether they count.

    `is_linear`: the linear estimate takes the place of the jackknife's.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        total, shown = done.sum(-1, keepdims=True), visitors.sum(-1, keepdims=True)
        is_reached = ((done > 0).sum(-1) >= MIN_REACHED) & (visitors.max(-1) < shown[..., 0])
        without = np.log1p(-done / total) - np.log1p(-visitors / shown)
        samples = done.shape[-1]
        variance = without.var(-1) * (samples - 1)
        if is_linear:
            squares = ((done / total - visitors / shown) ** 2).sum(-1)
            variance = squares * samples / (samples - 1)
    return np.maximum(variance, 1 / np.maximum(shown[..., 0], 1) ** 2), is_reached


def _heavy(done: Floats, at_once: float) -> NDArray[np.bool_]:
    """`between._has_heavy_visitors` for many arms at once."""
    ranked, samples = np.sort(done, axis=-1), done.shape[-1]
    last = np.maximum((done > 0).sum(-1, keepdims=True) - 1, 0)
    median, lowest_tenth = (
        np.take_along_axis(ranked, samples - 1 - last + last // part, -1)[..., 0]
        for part in (2, 10)
    )
    typical = np.maximum(median - lowest_tenth, _TENTH * np.sqrt(np.maximum(median, 1) * at_once))
    stands_out = ranked[..., -1] - median > _HEAVY_DISTANCE * typical
    return np.asarray(stands_out & (ranked[..., -1] > _HEAVY_SHARE * done.sum(-1)))


def _compared(
    variant: Arms,
    base: Arms,
    error: float,
    *,
    is_linear: bool = False,
    shares: bool = True,
    at_once: float | None = 1.0,
) -> Found:
    """`between.compare_sampled` for many experiments at once. `_check` compares the two.

    `shares`: the variance is at least that at a variance per visitor which both arms share.
    `at_once` is that of `spread_of`; None: heavy visitors are not looked for.
    """
    arms = []
    for done, visitors in (variant, base):
        variance, is_reached = _spreads(done, visitors, is_linear=is_linear)
        if at_once is not None:
            is_reached &= ~_heavy(done, at_once)
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
        sampling = np.maximum(own, shared) if shares else own
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


def _check(found: Found, variant: Arms, base: Arms, error: float, at_once: float) -> None:
    """Raise AssertionError unless the product says the same of the first run's last look."""
    arms = [
        SampledArm(
            *(sum(done), sum(shown), error, "total", spread_of(done, shown, at_once)),
            visitors_error=error,
        )
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
    at_once = 1.0 if cell.goal.amount == "times" else float(ELEMENTS_AT_CAP)
    most = max(1, _CHUNK // cell.looks)
    for start in range(0, runs, most):
        chunk = min(most, runs - start)
        base = arm_of_visitors(bench, cell, cell.base, 0.0, chunk)
        variant = arm_of_visitors(bench, cell, cell.variant, cell.lift, chunk)
        found = _compared(variant, base, error, at_once=at_once)
        _check(found, variant, base, error, at_once)
        yield found


def share(hits: int, runs: int) -> str:
    return f"{hits / runs:.2%}"


def once(bench: Bench, cell: Cell, runs: int) -> str:
    """Share of runs whose p-value is below 0.05 at the last look."""
    hits = sum(int((each.p_value[:, -1] < 0.05).sum()) for each in comparisons(bench, cell, runs))
    return share(hits, runs)


def ever(bench: Bench, cell: Cell, runs: int) -> str:
    """Share of runs whose always-valid p-value is below 0.05 at any look."""
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
    """Power, where a test that knows each visitor has a power of about 80 %."""
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
    drawn = amounts(np.random.default_rng(1), goal.amount, 4_000_000)
    return float((drawn**2).mean() / drawn.mean() ** 2 / goal.reach - 1)


def amounts_alternatives(bench: Bench) -> list[list[object]]:
    """False positives of one look with simpler variances than the product's."""
    table: list[list[object]] = [
        [
            *("visitors of each arm", "who reaches it", "linear, each arm's own"),
            *("jackknife, each arm's own", "jackknife, or shared: the product"),
        ]
    ]
    runs = bench.runs
    ways: list[dict[str, bool]] = [
        {"is_linear": True, "shares": False},
        {"shares": False},
        {},
    ]
    for reach, base, variant in (
        (0.1, 1_000, 1_000),
        (0.02, 10_000, 10_000),
        (0.02, 90_000, 10_000),
        (0.1, 90_000, 10_000),
    ):
        cell = Cell(Goal(reach, amount="lognormal"), base, variant)
        hits = [0, 0, 0]
        for _ in range(0, runs, _CHUNK):
            arms = [arm_of_visitors(bench, cell, size, 0.0, _CHUNK) for size in (variant, base)]
            for way, options in enumerate(ways):
                found = _compared(arms[0], arms[1], 0.0081 / 8, at_once=None, **options)
                hits[way] += int((found.p_value < 0.05).sum())
        shares = [share(each, runs) for each in hits]
        table.append([f"{base:,} / {variant:,}", str(cell.goal), *shares])
    return table


def amounts_unnamed(bench: Bench) -> list[list[object]]:
    """Totals that nobody named, each event with a random uuid: false positives as a proportion."""
    table: list[list[object]] = [["who reaches it", "rate", "one look", "any of 100 looks"]]
    size, runs = 10_000, bench.looked // 3
    for goal in (Goal(0.3, 2), Goal(0.1, 5), Goal(0.02, 5), Goal(0.02, 30)):
        cell = Cell(goal, size, size, 64, 100)
        base, variant = (arm_of_visitors(bench, cell, size, 0.0, runs) for _ in "ab")
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


# The share of visitors who reach the goal once, and of those who reach it many times, and how often
HEAVY = (
    *((0.2, 0.0005, 1000), (0.2, 0.0002, 1000), (0.02, 0.0005, 1000), (1.0, 0.0005, 1000)),
    *((0.2, 0.0005, 300), (0.2, 0.0002, 300), (0.2, 0.001, 100)),
)


def _heavy_arm(
    bench: Bench, kind: tuple[float, float, int], size: int, looks: int, runs: int
) -> Arms:
    reach, heavy, times = kind
    visitors = bench.rng.poisson(size / looks / 64, (runs, looks, 64))
    done = bench.rng.binomial(visitors, reach) + times * bench.rng.binomial(visitors, heavy)
    return done.cumsum(axis=1).astype(float), visitors.cumsum(axis=1).astype(float)


def amounts_heavy(bench: Bench) -> list[list[object]]:
    """False positives where a few visitors do most, without and with the check, exact counts."""
    table: list[list[object]] = [
        [
            *("who reaches it", "visitors a variant", "one look, without the check", "one look"),
            *("any of 100 looks, without the check", "any of 100 looks", "withheld at the end"),
        ]
    ]
    runs, looks = bench.looked, 100
    for kind in HEAVY:
        reach, heavy, times = kind
        for size in (3_000, 10_000, 30_000):
            variant, base = (_heavy_arm(bench, kind, size, looks, runs) for _ in "ab")
            name = f"{reach:.0%} once, and {heavy:.2%} {times} times"
            row: list[object] = [name, f"{size:,}"]
            found = [_compared(variant, base, 0.0, at_once=each) for each in (None, 1.0)]
            row += [share(int((each.p_value[:, -1] < 0.05).sum()), runs) for each in found]
            peeked = [(each.p_value_always_valid < 0.05).any(axis=1) for each in found]
            row += [share(int(each.sum()), runs) for each in peeked]
            withheld = [_heavy(arm[0][:, -1], 1.0) for arm in (variant, base)]
            row.append(share(int((withheld[0] | withheld[1]).sum()), runs))
            table.append(row)
    chunks = [min(_CHUNK, bench.runs // 2)] * max(1, bench.runs // 2 // _CHUNK)
    sizes = (1_000, 3_000, 10_000)
    for goal in (*GOALS, Goal(0.02, amount="gamma")):
        hits = sum(_withheld(bench, goal, size, chunk) for size in sizes for chunk in chunks)
        said = f"{hits} of {len(sizes) * sum(chunks):,}"
        table.append([str(goal), "1,000, 3,000, 10,000", *[""] * 4, said])
    return table


def _withheld(bench: Bench, goal: Goal, size: int, runs: int) -> int:
    """Return in how many experiments with ordinary visitors an arm seems to have heavy ones."""
    at_once = 1.0 if goal.amount == "times" else float(ELEMENTS_AT_CAP)
    is_withheld = np.zeros(runs, bool)
    for _ in "ab":
        done, visitors = arm_of_visitors(bench, Cell(goal, size, size), size, 0.0, runs)
        is_withheld |= (_heavy(done, at_once) & _spreads(done, visitors)[1])[:, 0]
    return int(is_withheld.sum())


SECTIONS = {
    "amounts-heavy": amounts_heavy,
    "amounts-one-look": amounts_one_look,
    "amounts-one-look-other": amounts_one_look_other,
    "amounts-many-looks": amounts_many_looks,
    "amounts-many-looks-other": amounts_many_looks_other,
    "amounts-power": amounts_power,
    "amounts-alternatives": amounts_alternatives,
    "amounts-unnamed": amounts_unnamed,
}
