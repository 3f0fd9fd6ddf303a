"""Sections of calibrate.py on e-values: sample-ratio alarms and rare goals, under many looks.

python -m bench.calibrate sample-ratio rare-goals rare-power
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.calibrate import LOOKS, Bench, relative_error, share
from bench.registers import Floats
from gimel.backend.results.comparison import Arm, Comparison, compare
from gimel.backend.results.sample_ratio import SRM_ALPHA, sample_ratio

# Runs that are simulated at a time, so that their looks fit into memory
CHUNK = 10_000


def ratio_alarms(bench: Bench) -> list[list[object]]:
    """Healthy experiments that ever raise a sample-ratio alarm, and skewed ones that do."""
    table: list[list[object]] = [
        [
            *("visitors in all", "looks", "intended", "true split"),
            *("ever alarm: exact", "64 shards", "1 shard"),
        ]
    ]
    bench.pool //= 3  # 100 looks at each counter of the pool take long
    most = bench.sizes[-1] * 10
    even, growing = "every 1 %", "100, from 100 visitors on, at a constant ratio"
    half, skewed, three = (0.5, 0.5), (0.51, 0.49), (0.6, 0.3, 0.1)
    for size, looks, intended, truth in [
        *((size, even, half, half) for size in (bench.sizes[0], 100_000, most)),
        *((most, growing, shares, shares) for shares in (half, (0.99, 0.01), three, (0.1,) * 10)),
        *((size, even, half, skewed) for size in (10_000, 50_000, 100_000, 1_000_000)),
        (1_000, even, half, (0.6, 0.4)),
    ]:
        totals = _even_looks(size) if looks == even else _growing_looks(size)
        healthy = intended == truth
        runs = bench.alarms // (2 if healthy else 100)
        row: list[object] = [f"{size:,}", looks, _percentages(intended)]
        row.append("as intended" if healthy else _percentages(truth))
        for shards in (0, 64, 1):
            alarms = sum(
                _alarms(bench, totals, intended, truth, shards, min(CHUNK, runs - done))
                for done in range(0, runs, CHUNK)
            )
            row.append(f"{alarms / runs:.3%}" if healthy else share(alarms, runs))
        table.append(row)
    return table


def _even_looks(size: int) -> list[int]:
    return [size * (look + 1) // LOOKS for look in range(LOOKS)]


def _growing_looks(size: int) -> list[int]:
    return np.geomspace(100, size, LOOKS).astype(int).tolist()


def _percentages(shares: Sequence[float]) -> str:
    if len(shares) > 3:
        return f"{len(shares)} equal"
    return "/".join(f"{100 * share:.0f}" for share in shares)


def _alarms(
    bench: Bench,
    totals: list[int],
    intended: Sequence[float],
    truth: Sequence[float],
    shards: int,
    runs: int,
) -> int:
    """Number of runs that raise an alarm at any look."""
    steps = np.diff(totals, prepend=0)
    visitors = bench.rng.multinomial(steps, truth, (runs, len(totals))).cumsum(axis=1)
    counted = np.empty(visitors.shape)
    for place, part in enumerate(truth):
        errors = bench.errors_at([total * part for total in totals], shards, runs)
        counted[..., place] = np.rint(visitors[..., place] * (1 + errors))
    error = relative_error(shards)
    weights = {str(place): weight for place, weight in enumerate(intended)}
    candidates = _may_alarm(counted, intended, error)
    return sum(
        any(
            sample_ratio(dict(zip(weights, look, strict=True)), error, weights)["alarm"]
            for look in counted[run, candidates[run]].astype(int).tolist()
        )
        for run in np.flatnonzero(candidates.any(axis=1)).tolist()
    )


def _may_alarm(counted: Floats, intended: Sequence[float], error: float) -> NDArray[np.bool_]:
    """Say whether the largest likelihood ratio reaches the boundary. No mixture is larger."""
    total = counted.sum(axis=-1)
    expected = total[..., None] * np.array(intended)
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(counted > 0, counted * np.log(counted / expected), 0.0)
    # of the second largest variant, which is no more than what the test allows for
    second = total * sorted(intended)[-2]
    ratio = second * error**2 * (1 - 0.53 * np.exp(-second * error**2 / 4.3))
    return each.sum(axis=-1) / (1 + ratio) >= -np.log(SRM_ALPHA)


SPLITS = (0.5, 0.1, 0.01)
RARE_RATES = (0.00001, 0.0001, 0.001, 0.01, 0.1, 0.5)


def _paths(
    bench: Bench, size: int, part: float, rates: tuple[float, float], runs: int
) -> Iterator[list[Comparison]]:
    """For each run, the comparison at each of 100 looks. 64 shards.

    The baseline has the first rate. The variant gets a random `part` of the visitors.
    """
    steps = np.diff(_even_looks(size), prepend=0)
    variant = bench.rng.binomial(steps, part, (runs, LOOKS))
    baseline = bench.arm(round(size * (1 - part)), rates[0], 64, LOOKS, runs, steps - variant)
    counts = bench.arm(round(size * part), rates[1], 64, LOOKS, runs, variant)
    error = relative_error(64)
    for row in zip(*counts, *baseline, strict=True):
        looks = zip(*(column.tolist() for column in row), strict=True)
        yield [
            compare(Arm(xb, nb, error), Arm(xa, na, error)) for xb, nb, xa, na in looks if na and nb
        ]


def rare_goals(bench: Bench) -> list[list[object]]:
    """A/A experiments that are ever significant."""
    bench.pool //= 3
    table: list[list[object]] = [
        ["split", "visitors in all", *(f"rate {100 * rate:g}%" for rate in RARE_RATES)]
    ]
    for part in SPLITS:
        for size in bench.sizes:
            row: list[object] = [_percentages((1 - part, part)), f"{size:,}"]
            for rate in RARE_RATES:
                paths = _paths(bench, size, part, (rate, rate), bench.looked)
                hits = sum(any(look.p_value_always_valid < 0.05 for look in path) for path in paths)
                row.append(share(hits, bench.looked))
            table.append(row)
    return table


# Visitors in all, share of the variant, and the rates of the baseline and the variant
DIFFERENCES = (
    (400_000, 0.5, 0.0, 0.0003),
    (400_000, 0.5, 0.0003, 0.0),
    (400_000, 0.1, 0.0, 0.0003),
    (400_000, 0.5, 0.0001, 0.0004),
    (400_000, 0.5, 0.0005, 0.001),
    (20_000, 0.5, 0.01, 0.0165),
    (20_000, 0.5, 0.1, 0.12),
    (20_000, 0.1, 0.1, 0.135),
    (400_000, 0.5, 0.01, 0.0114),
    (400_000, 0.5, 0.1, 0.104),
    (400_000, 0.5, 0.5, 0.508),
    (2_000_000, 0.5, 0.1, 0.102),
)


def rare_power(bench: Bench) -> list[list[object]]:
    """Experiments that have found a true difference: by the log ratio alone, and by both."""
    bench.pool //= 3
    table: list[list[object]] = [
        [
            *("visitors in all", "split", "rates", "at a quarter: log ratio alone", "both"),
            *("at the end: log ratio alone", "both", "true lift ever outside the interval"),
        ]
    ]
    for size, part, *rates in DIFFERENCES:
        hits = dict.fromkeys(((at, both) for at in (LOOKS // 4, LOOKS) for both in (0, 1)), 0)
        lift = rates[1] / rates[0] - 1 if all(rates) else None
        missed = 0
        for path in _paths(bench, size, part, (rates[0], rates[1]), bench.looked):
            missed += lift is not None and not all(_holds(look, lift) for look in path)
            alone = (replace(look, split=None) for look in path)
            for both, looks in enumerate((alone, iter(path))):
                first = _first_significant(looks)
                for at in (LOOKS // 4, LOOKS):
                    hits[at, both] += first < at
        rate_range = " v ".join(f"{100 * rate:g}%" for rate in rates)
        found = [share(number, bench.looked) for number in hits.values()]
        outside = "" if lift is None else share(missed, bench.looked)
        table.append([f"{size:,}", _percentages((1 - part, part)), rate_range, *found, outside])
    return table


def _holds(look: Comparison, lift: float) -> bool:
    interval = look.lift_interval_always_valid
    return interval is None or interval[0] <= lift <= interval[1]


def _first_significant(looks: Iterator[Comparison]) -> float:
    found = (place for place, look in enumerate(looks) if look.p_value_always_valid < 0.05)
    return next(found, float("inf"))


SECTIONS = {
    "sample-ratio": ratio_alarms,
    "rare-goals": rare_goals,
    "rare-power": rare_power,
}
