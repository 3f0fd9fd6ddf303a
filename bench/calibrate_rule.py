"""The decision rule, simulated: error, power and time of rules with a plan, and winners' lifts.

`python -m bench.calibrate decision expected-lift decision-splits` runs it. The counts come from
`calibrate`, counting error of 64 shards included; the formulas are those of the product, on arrays.
Sizes are N_f: what a fixed test with 80 % power needs, both variants together. The plan is N_f.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from bench.calibrate import LOOKS, Bench, relative_error, share
from bench.registers import Floats
from gimel.backend.results.comparison import ALPHA, LOG_RATIO_WEIGHT, Arm, tuning
from gimel.backend.results.comparison import compare as product_compare
from gimel.backend.results.decision import (
    ANY_TIME_ALPHA,
    FINAL_ALPHA,
    shrinkage,
)
from gimel.backend.results.remaining import more_visitors
from gimel.backend.results.verdict import MIN_CONVERSIONS
from gimel.terminal.sample_size import power

SHARDS = 64
# N_f, and the rate of the baseline
CASES = ((16_000, 0.1), (62_000, 0.1), (672_000, 0.1), (6_000_000, 0.02))
# Looks go on to three times the plan.
LATE = 3
_NEVER = LATE * LOOKS


class Paths(NamedTuple):
    """Log ratios and their standard errors [runs, looks], and the clock.

    `split` is the log of the evidence in how the conversions divide.
    """

    log_ratio: Floats
    standard_error: Floats
    time: Floats
    split: Floats

    @property
    def z(self) -> Floats:
        return np.abs(self.log_ratio / self.standard_error)


@dataclass(frozen=True)
class Rule:
    """`tuned_to`: visitors, as a share of the plan; None: always 5,000. `final`: 0 without."""

    name: str
    any_time: float
    tuned_to: float | None
    final: float

    def first(self, paths: Paths, plan: int, final_at: int = LOOKS - 1) -> NDArray[np.int64]:
        """Return the look at which each run has a verdict for a lift, or `_NEVER`."""
        tuned_to = 5000 if self.tuned_to is None else plan * self.tuned_to
        found = _log_evidence(paths, tuning(tuned_to, self.any_time)) > -log(self.any_time)
        first = np.where(found.any(axis=1), found.argmax(axis=1), _NEVER)
        if not self.final:
            return first
        at_plan = paths.z[:, final_at] > NormalDist().inv_cdf(1 - self.final / 2)
        return np.minimum(first, np.where(at_plan, final_at, _NEVER))


def _log_evidence(paths: Paths, rho_squared: float) -> Floats:
    """The log of the evidence of `comparison.p_value_always_valid` on arrays."""
    scaled = paths.time * rho_squared
    of_ratio = (paths.z**2 * scaled / (scaled + 1) - np.log1p(scaled)) / 2
    return np.logaddexp(of_ratio + log(LOG_RATIO_WEIGHT), paths.split + log(1 - LOG_RATIO_WEIGHT))


RULE = Rule("1 % tuned to the plan + 4 %", ANY_TIME_ALPHA, 1.0, FINAL_ALPHA)
TODAY = Rule("always valid, as without a plan", ALPHA, None, 0.0)
RULES = (
    RULE,
    Rule("1 % tuned to half the plan + 4 %", 0.01, 0.5, 0.04),
    Rule("1 % tuned to 5,000 + 4 %", 0.01, None, 0.04),
    Rule("0.5 % tuned to the plan + 4.5 %", 0.005, 1.0, 0.045),
    Rule("2 % tuned to the plan + 3 %", 0.02, 1.0, 0.03),
    Rule("always valid, tuned to the plan", ALPHA, 1.0, 0.0),
    TODAY,
)


def compare(one: tuple[Floats, Floats], base: tuple[Floats, Floats], error: float) -> Paths:
    """`comparison.compare` on arrays. The tests hold the two together."""
    (x_b, n_b), (x_a, n_a) = one, base
    x_b, x_a = np.minimum(x_b, n_b), np.minimum(x_a, n_a)
    n = n_a + n_b
    k_b, k_a = n_b / n, n_a / n
    rate_b, rate_a = (x_b + k_b) / (n_b + 2 * k_b), (x_a + k_a) / (n_a + 2 * k_a)
    pooled = (x_a + x_b + 1) / (n + 2)
    own = (1 / rate_b - 1) / (n_b + 2 * k_b) + (1 / rate_a - 1) / (n_a + 2 * k_a)
    both = (1 / pooled - 1) * (1 / (n_b + 2 * k_b) + 1 / (n_a + 2 * k_a))
    sampling = np.maximum(own, both)
    variance = error**2
    counting = sum(
        variance * (1 - 0.53 * np.exp(-count * variance / 4.3)) for count in (x_a, x_b, n_a, n_b)
    )
    time = n * (1 + counting / sampling) ** 2
    split = _split_evidence(x_b, x_a, n_b / n_a, 1 + counting * (x_a + x_b) / 4)
    return Paths(np.log(rate_b / rate_a), np.sqrt(sampling + counting), time, split)


def _split_evidence(x_b: Floats, x_a: Floats, odds: Floats, divisor: Floats) -> Floats:
    """`e_values.ConversionSplit` on arrays, against equal rates."""
    first, second, smaller = x_b / divisor, x_a / divisor, 0.5 / divisor**3
    a, b = np.maximum(1, odds) * smaller, np.maximum(1, 1 / odds) * smaller
    mixture = gammaln(a + first) - gammaln(a) + gammaln(b + second) - gammaln(b)
    mixture += gammaln(a + b) - gammaln(a + b + first + second)
    return mixture - first * np.log(odds / (1 + odds)) + second * np.log1p(odds)


def lift_found_by(plan: int, rate: float) -> float:
    """The lift that a fixed test of this size finds in four of five experiments."""
    low, high = 1e-5, 2.0
    for _ in range(50):
        middle = (low + high) / 2
        reached = power(rate, middle, plan / 2, ALPHA, relative_error(SHARDS))
        low, high = (middle, high) if reached < 0.8 else (low, middle)
    return high


def paths(bench: Bench, plan: int, rate: float, lift: float) -> Paths:
    size, looks, runs = LATE * plan // 2, LATE * LOOKS, bench.looked
    base = bench.arm(size, rate, SHARDS, looks, runs)
    one = bench.arm(size, rate * (1 + lift), SHARDS, looks, runs)
    return compare(one, base, relative_error(SHARDS))


def decision(bench: Bench) -> list[list[object]]:
    """Rules with a plan: power at the plan, A/A errors, and visitors to a verdict."""
    table: list[list[object]] = [
        [
            *("N_f", "rule", "power at N_f", "of the fixed test's"),
            *("A/A to N_f", "A/A to 3 N_f", "A/A, few and late looks", "visitors / N_f"),
        ]
    ]
    bench.pool //= 2
    for plan, rate in CASES:
        lift = lift_found_by(plan, rate)
        null, true = paths(bench, plan, rate, 0.0), paths(bench, plan, rate, lift)
        fixed = float((true.z[:, LOOKS - 1] > NormalDist().inv_cdf(1 - ALPHA / 2)).mean())
        # A look after every 37 % of the plan: the third one is the first past it.
        few = Paths(*(each[:, 36::37] for each in null))
        for rule in RULES:
            first, errors = rule.first(true, plan), rule.first(null, plan)
            reached = float((first < LOOKS).mean())
            last = LOOKS if rule.final else _NEVER
            mean = float(np.minimum(first + 1, last).mean()) / LOOKS
            late = rule.first(few, plan, final_at=2)
            table.append(
                [
                    *(f"{plan:,}", rule.name, f"{reached:.1%}", f"{reached / fixed:.2f}"),
                    share(int((errors < LOOKS).sum()), bench.looked),
                    share(int((errors < _NEVER).sum()), bench.looked),
                    share(int((late < _NEVER).sum()), bench.looked),
                    f"{mean:.2f}",
                ]
            )
    return table


def expected_lift(bench: Bench) -> list[list[object]]:
    """The lift at the moment of winning, and the shrunken one, divided by the true lift."""
    table: list[list[object]] = [
        ["N_f", "true lift", "rule", "won", "lift shown", "lift to expect"]
    ]
    bench.pool //= 2
    for plan, rate in CASES:
        found_by_plan = lift_found_by(plan, rate)
        for times in (0.5, 1.0, 1.5):
            lift = found_by_plan * times
            true = paths(bench, plan, rate, lift)
            for rule in (RULE, TODAY):
                first = rule.first(true, plan)
                runs = np.flatnonzero(first < (LOOKS if rule.final else _NEVER))
                at = first[runs]
                ratios, errors = true.log_ratio[runs, at], true.standard_error[runs, at]
                factors = [shrinkage(z) for z in (ratios / errors).tolist()]
                shown = float(np.expm1(ratios).mean()) / lift
                expected = float(np.expm1(ratios * factors).mean()) / lift
                table.append(
                    [
                        *(f"{plan:,}", f"{lift:+.2%}", rule.name, share(len(runs), bench.looked)),
                        *(f"{shown:.2f}", f"{expected:.2f}"),
                    ]
                )
    return table


def splits(bench: Bench) -> list[list[object]]:
    """A/A errors of the rule by the smaller arm's share of the visitors."""
    shares = (0.5, 0.1, 0.01)
    table: list[list[object]] = [
        ["N_f", "rate", *(f"{1 - part:.0%}/{part:.0%}" for part in shares)]
    ]
    bench.pool //= 2
    looks, runs = LATE * LOOKS, bench.looked
    for plan in (16_000, 672_000):
        for rate in (0.01, 0.1, 0.5):
            row: list[object] = [f"{plan:,}", f"{rate:.0%}"]
            for part in shares:
                small = int(LATE * plan * part)
                base = bench.arm(LATE * plan - small, rate, SHARDS, looks, runs)
                one = bench.arm(small, rate, SHARDS, looks, runs)
                first = RULE.first(compare(one, base, relative_error(SHARDS)), plan)
                row.append(share(int((first < _NEVER).sum()), runs))
            table.append(row)
    return table


def small_lifts(bench: Bench) -> list[list[object]]:
    """Winners whose true lifts come from N(0, 5 %): as shown, as expected and as they are."""
    table: list[list[object]] = [["rule", "winners", "lift shown", "lift to expect", "true lift"]]
    runs, looks, rate = bench.looked * 20, 40, 0.1
    for rule, visitors in ((TODAY, 60_000), (RULE, 20_000)):
        marks = np.geomspace(100, visitors / 2, looks).astype(int)
        steps = np.diff(marks, prepend=0)
        lifts = bench.rng.normal(0, 0.05, runs)
        a = bench.rng.binomial(steps, rate, (runs, looks)).cumsum(axis=1)
        b = bench.rng.binomial(steps, rate * (1 + lifts[:, None])).cumsum(axis=1)
        size = np.broadcast_to(marks.astype(float), a.shape)
        found = compare((b.astype(float), size), (a.astype(float), size), 0.0)
        first = rule.first(found, visitors, final_at=looks - 1)
        won = np.flatnonzero(first < looks)
        won = won[found.log_ratio[won, first[won]] > 0]
        ratios = found.log_ratio[won, first[won]]
        errors = found.standard_error[won, first[won]]
        factors = [shrinkage(z) for z in (ratios / errors).tolist()]
        name = f"plan of {visitors:,}" if rule.final else f"no plan, {visitors:,} visitors"
        of_winners = np.expm1(ratios), np.expm1(ratios * factors), lifts[won]
        table += [
            [f"{name}, {word}", len(won), *(f"{part(each):+.1%}" for each in of_winners)]
            for word, part in (("mean", np.mean), ("median", np.median))
        ]
    return table


def visitors_needed(bench: Bench) -> list[list[object]]:
    """The first range of visitors that an experiment without a plan shows, under 100 looks."""
    table: list[list[object]] = [
        [
            *("rate", "true lift", "visitors at most", "show a range before a verdict"),
            *("real number below it", "inside", "above", "said / real, median"),
        ]
    ]
    runs = bench.looked // 2
    for rate, lift, visitors in (
        *((0.1, 0.0, 300_000), (0.02, 0.0, 300_000), (0.3, 0.0, 2_000_000)),
        *((0.1, 0.2, 300_000), (0.1, 0.1, 300_000), (0.05, 0.1, 600_000)),
        *((0.3, 0.05, 300_000), (0.1, 0.03, 2_000_000)),
    ):
        marks = np.unique(np.geomspace(100, visitors / 2, LOOKS).astype(int))
        steps = np.diff(marks, prepend=0)
        a, b = (
            bench.rng.binomial(steps, each, (runs, len(steps))).cumsum(axis=1).astype(float)
            for each in (rate, rate * (1 + lift))
        )
        size = np.broadcast_to(marks.astype(float), a.shape)
        stops = TODAY.first(compare((b, size), (a, size), 0.0), visitors)
        said = [
            each
            for run in zip(a, b, stops, strict=True)
            if (each := _first_range(*run, marks.tolist())) is not None
        ]
        real, low, likely, high = np.array(said).reshape(-1, 4).T
        shares = ["", "", "", ""]
        if lift:
            below, above = (real < low).mean(), (real > high).mean()
            shares = [f"{each:.0%}" for each in (below, 1 - below - above, above)]
            shares.append(f"{np.median(likely / real):.2f}")
        table.append(
            [f"{rate:.0%}", f"{lift:+.0%}", f"{visitors:,}", share(len(said), runs), *shares]
        )
    return table


def _first_range(
    a: Floats, b: Floats, stop: int, marks: list[int]
) -> tuple[float, float, float, float] | None:
    """Return the visitors that a decision really took, and those said by the first range."""
    for look, size in enumerate(marks[:stop]):
        if min(a[look], b[look]) >= MIN_CONVERSIONS:
            test = product_compare(Arm(b[look], size), Arm(a[look], size))
            said = more_visitors(test, 0.0, ALPHA, 2 * size)
            if said.likely is not None and said.range is not None:
                end = marks[stop] if stop < len(marks) else np.inf
                return 2 * (end - size), said.range[0], said.likely, said.range[1]
    return None


SECTIONS = {
    "decision": decision,
    "expected-lift": expected_lift,
    "decision-splits": splits,
    "small-lifts": small_lifts,
    "visitors-needed": visitors_needed,
}
