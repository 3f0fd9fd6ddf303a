"""The decision rule: which differences count as found, fixed before the data.

With a plan of N visitors, the rule spends an error of 1 % on looks at any time and 4 % on the final
look, the first one with N visitors or more. The counts of the final look are frozen. So nothing
that comes later changes that part, while the other part goes on. Both together are wrong in at most
5 % of the experiments without a difference (the union bound), however often anybody looks. Without
a plan, the always-valid test has all 5 %.

Each part has Holm's correction over the comparisons of all goals that decide together.
docs/statistics.md has the derivation and the simulations. All functions are pure.
"""

from collections.abc import Mapping, Sequence
from math import erfc, exp, expm1, sqrt
from typing import NamedTuple

from gimel.backend.results.comparison import ALPHA, Comparison, Interval, holm

ANY_TIME_ALPHA = 0.01
FINAL_ALPHA = 0.04

# A comparison of one goal: the goal, and the variant that is compared with the baseline
Key = tuple[str, str]

# Weights and standard deviations of the signal-to-noise ratio (true effect / standard error) in
# 23,551 trials: table 1 of van Zwet, Schwab & Senn, Statistics in Medicine 2021, arXiv 2011.15004.
_SIGNALS = ((0.32, 0.61), (0.31, 1.42), (0.30, 2.16), (0.07, 5.64))


class Finding(NamedTuple):
    """What the rule says about one comparison.

    `p_value`: by the part that speaks, corrected; significant below `alpha`.
    `is_final`: whether that part is the final look, with its frozen counts.
    `interval`: the lifts that the part does not reject, at its corrected level.
    `z_score`: the log of the ratio of rates, in standard errors, at the look that the part uses.
    """

    log_ratio: float
    z_score: float
    p_value: float
    alpha: float
    is_final: bool
    interval: Interval | None

    @property
    def is_significant(self) -> bool:
        """Whether a difference is found."""
        return self.p_value < self.alpha

    @property
    def lift_expected(self) -> float:
        """The lift to expect at most from now on: the observed one, shrunken."""
        return expm1(self.log_ratio * shrinkage(self.z_score))


def decide(
    tests: Mapping[Key, Comparison],
    *,
    planned_visitors: int | None = None,
    variants: int = 2,
    final: Mapping[Key, Comparison] | None = None,
    size: int = 0,
) -> dict[Key, Finding]:
    """Return what the rule says about each comparison of goals that decide together.

    `tests` are the comparisons now, and `final` those of the final look, if that has been. `size`
    is the number of comparisons to correct for, if some of them have no counts yet. `variants`
    includes the baseline.

    The final look speaks if it has been, unless only the other part finds a difference.
    """
    alpha, tuned = ALPHA, dict(tests)
    if planned_visitors is not None:
        alpha = ANY_TIME_ALPHA
        # A comparison of two variants has this many visitors at the plan.
        both = planned_visitors * 2 / variants
        tuned = {key: test.tuned(both, alpha) for key, test in tests.items()}
    found = {}
    p_values = {key: test.p_value_always_valid for key, test in tuned.items()}
    for key, (p_value, steps) in _corrected(p_values, size, alpha).items():
        interval = tuned[key].interval_at_any_time(alpha / steps)
        found[key] = _finding(tests[key], p_value, alpha, interval)
    final = final or {}
    p_values = {key: test.p_value for key, test in final.items()}
    for key, (p_value, steps) in _corrected(p_values, size, FINAL_ALPHA).items():
        interval = final[key].interval_of(normal_quantile(FINAL_ALPHA / steps / 2))
        at_end = _finding(final[key], p_value, FINAL_ALPHA, interval, is_final=True)
        if at_end.is_significant or key not in found or not found[key].is_significant:
            found[key] = at_end
    return found


def _finding(
    test: Comparison,
    p_value: float,
    alpha: float,
    interval: Interval | None,
    *,
    is_final: bool = False,
) -> Finding:
    return Finding(test.log_ratio, test.z_score, p_value, alpha, is_final, interval)


def _corrected(
    p_values: Mapping[Key, float], size: int, alpha: float
) -> dict[Key, tuple[float, int]]:
    """Return each p-value after Holm's correction, and the number by which its alpha is divided.

    Comparisons without counts have the p-value 1. All that are not rejected share the alpha of the
    first of them, so their intervals hold together.
    """
    keys, whole = list(p_values), max(size, len(p_values))
    p_values_adjusted = holm([*p_values.values(), *[1.0] * (whole - len(keys))])
    adjusted = dict(zip(keys, p_values_adjusted, strict=False))
    rejected = sorted((key for key in keys if adjusted[key] < alpha), key=lambda key: p_values[key])
    steps = {key: whole - rank for rank, key in enumerate(rejected)}
    left = max(1, whole - len(rejected))
    return {key: (p_value, steps.get(key, left)) for key, p_value in adjusted.items()}


def normal_quantile(tail: float) -> float:
    """Return the z that a standard normal variable exceeds with probability `tail`, below 0.5.

    By bisection: importing `statistics` costs a cold start some milliseconds.
    """
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if erfc(middle / sqrt(2)) / 2 > tail else (low, middle)
    return high


def shrinkage(z_score: float) -> float:
    """Return the factor, from 0 to 1, that makes an estimate right on average.

    A lift that has just been found is more often too large than too small: the winner's curse. The
    factor is the posterior mean of the signal-to-noise ratio, divided by `z_score`, where the prior
    is the mixture of normal distributions in `_SIGNALS`.
    """
    return sum([weight * factor for weight, factor in _posterior(z_score)])


def likely_signal(z_score: float, probability: float) -> float:
    """Return the signal-to-noise ratio that the true one is below with this probability.

    It is a quantile of the posterior whose mean `shrinkage` gives.
    """
    parts = _posterior(z_score)
    low, high = min(0.0, z_score) - 10, max(0.0, z_score) + 10
    for _ in range(40):
        middle = (low + high) / 2
        below = sum(
            [
                weight * erfc((z_score * factor - middle) / sqrt(2 * factor)) / 2
                for weight, factor in parts
            ]
        )
        low, high = (middle, high) if below < probability else (low, middle)
    return high


def _posterior(z_score: float) -> list[tuple[float, float]]:
    """Return the parts of the posterior of the signal-to-noise ratio: each weight and factor.

    A part is a normal distribution with the mean `z_score` × factor and the variance factor.
    """
    parts = []
    for weight, deviation in _SIGNALS:
        variance = deviation**2
        likelihood = exp(-(z_score**2) / (2 * (variance + 1))) / sqrt(variance + 1)
        parts.append((weight * likelihood, variance / (variance + 1)))
    density = sum([weight for weight, _ in parts])
    # So far out that every density is 0, the widest part of the mixture is all that is left.
    return (
        [(weight / density, factor) for weight, factor in parts]
        if density
        else [(1.0, parts[-1][1])]
    )


class FinalLook(NamedTuple):
    """The counts of a plan's final look: visitors by variant, conversions by goal and variant."""

    at: str
    trials: Mapping[str, int]
    goals: Mapping[str, Mapping[str, int]]
    samples: Mapping[str, Mapping[str, Sequence[float]]] = {}

    @property
    def visitors(self) -> int:
        """The visitors of all variants together."""
        return sum(self.trials.values())
