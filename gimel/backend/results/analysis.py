"""Counts -> inference: the numbers and verdicts of an experiment, in the fields of the wire.

Pure functions, standard library only: comparison.py holds the tests, posterior.py the chances,
verdict.py the sentences.
What the counts cannot say is None; nothing here raises, whatever the counts.
"""

from collections.abc import Collection, Mapping
from math import sqrt
from typing import TypedDict

from gimel.backend.results.comparison import (
    Arm,
    Comparison,
    Interval,
    Kind,
    chi_square_tail,
    compare,
    counting_variance,
    holm,
)
from gimel.backend.results.posterior import Standing, chance_to_beat, posterior, standings
from gimel.backend.results.verdict import Evidence, Verdict, judge

SRM_ALPHA = 0.001

# The chi-square approximation holds 0.001 from here on.
_SRM_LEAST_EXPECTED = 50
# How many standard errors of counting a proportion may exceed 1 and still be one.
_PROPORTION_SLACK = 4


class Row(TypedDict):
    """One variant of one goal. Comparisons are with the baseline; None where there is no answer.

    `p_value_adjusted` and `p_value_always_valid_adjusted` are corrected (Holm) for the number of
    variants; the intervals and the other p-values each stand for one comparison alone.
    """

    label: str
    successes: int
    trials: int
    rate: float | None
    rate_interval: Interval | None
    lift: float | None
    lift_interval: Interval | None
    p_value: float | None
    p_value_adjusted: float | None
    lift_interval_always_valid: Interval | None
    p_value_always_valid: float | None
    p_value_always_valid_adjusted: float | None
    chance_to_beat_baseline: float | None
    chance_to_be_best: float | None
    expected_loss: float | None


class Goal(TypedDict):
    """One goal. Its kind is `unique` (once a visitor) or `total` (any number of times)."""

    goal: str
    kind: Kind
    verdict: Verdict
    results: list[Row]


class SampleRatio(TypedDict):
    """Whether the visitors are divided as they should be."""

    p_value: float | None
    alarm: bool
    weights: dict[str, float]


class Analysis(TypedDict):
    """What an experiment's counts say."""

    srm: SampleRatio
    goals: list[Goal]


class Pair(TypedDict):
    """One variant against another; the adjusted p-value is corrected for all pairs of the goal."""

    label: str
    against: str
    lift: float | None
    lift_interval: Interval | None
    p_value: float | None
    lift_interval_always_valid: Interval | None
    p_value_always_valid: float | None
    p_value_always_valid_adjusted: float | None


class GoalMatrix(TypedDict):
    """Every variant against every other, for one goal."""

    goal: str
    kind: Kind
    pairs: list[Pair]


def analyse(
    trials: Mapping[str, int],
    goals: Mapping[str, Mapping[str, int]],
    *,
    baseline: str | None,
    relative_error: float,
    weights: Mapping[str, float] | None = None,
    equivalence: float | None = None,
    totals: Collection[str] = (),
    strays: Collection[str] = (),
) -> Analysis:
    """Everything that an experiment's counts say.

    `trials` maps each variant to its visitors, `goals` each goal to its conversions by variant.
    `relative_error` is that of one counter, 0 for exact counting. `weights` are the shares of
    visitors meant, equal unless set; a variant without weight stays out of the sample-ratio test.
    A lift within ±`equivalence` is not worth finding. `totals` names goals that a visitor may
    reach many times; a goal with more conversions than visitors is one without being named.
    `strays` are variants that take no part: their counts are shown, and nothing is made of them.
    """
    taking_part = {label: count for label, count in trials.items() if label not in strays}
    srm = sample_ratio(taking_part, relative_error, weights)
    found: list[Goal] = []
    for goal, successes in sorted(goals.items()):
        arms = _arms(trials, successes, relative_error, goal in totals)
        compared = {label: arms[label] for label in arms if label in taking_part}
        comparisons = _comparisons(compared, baseline)
        evidence = Evidence(compared, baseline, comparisons, srm["alarm"], equivalence)
        found.append(
            {
                "goal": goal,
                "kind": _kind(arms),
                "verdict": judge(evidence),
                "results": _rows(arms, compared, baseline, comparisons),
            }
        )
    return {"srm": srm, "goals": found}


def matrix(
    trials: Mapping[str, int],
    goals: Mapping[str, Mapping[str, int]],
    *,
    relative_error: float,
    totals: Collection[str] = (),
) -> list[GoalMatrix]:
    """Every variant that has visitors against every other."""
    found: list[GoalMatrix] = []
    for goal, successes in sorted(goals.items()):
        arms = _arms(trials, successes, relative_error, goal in totals)
        labels = [label for label, arm in arms.items() if arm.trials]
        once = [(a, b) for i, a in enumerate(labels) for b in labels[i + 1 :]]
        tests = [compare(arms[a], arms[b]) for a, b in once]
        adjusted = dict(zip(once, holm([t.p_value_always_valid for t in tests]), strict=True))
        adjusted |= {(b, a): p_value for (a, b), p_value in adjusted.items()}
        pairs = [
            _pair(a, b, arms, adjusted[a, b]) for a in labels for b in labels if (a, b) in adjusted
        ]
        found.append({"goal": goal, "kind": _kind(arms), "pairs": pairs})
    return found


def sample_ratio(
    trials: Mapping[str, int], relative_error: float, weights: Mapping[str, float] | None = None
) -> SampleRatio:
    """Chi-square test of the visitors' shares against the weights, counting error included.

    Each count n has, besides the variance of the draw, that of its counter. The statistic is the
    least of Σ (n − c·w)²/v over the unknown true total c; without counting error it is Pearson's.
    """
    wanted = dict.fromkeys(trials, 1.0) if weights is None else weights
    shares = {label: weight for label, weight in wanted.items() if weight > 0}
    whole = sum(shares.values())
    shares = {label: weight / whole for label, weight in shares.items()}
    p_value = _sample_ratio_p_value(trials, relative_error, shares)
    return {
        "p_value": _round(p_value),
        "alarm": p_value is not None and p_value < SRM_ALPHA,
        "weights": {label: round(share, 6) for label, share in shares.items()},
    }


def _sample_ratio_p_value(
    trials: Mapping[str, int], relative_error: float, shares: Mapping[str, float]
) -> float | None:
    total = sum(trials.get(label, 0) for label in shares)
    if len(shares) < 2 or total * min(shares.values()) < _SRM_LEAST_EXPECTED:
        return None
    counts = [trials.get(label, 0) for label in shares]
    wanted = list(shares.values())
    variances = [
        total * w + (total * w) ** 2 * counting_variance(total * w, relative_error) for w in wanted
    ]
    scale = sum(n * w / v for n, w, v in zip(counts, wanted, variances, strict=True)) / sum(
        w * w / v for w, v in zip(wanted, variances, strict=True)
    )
    statistic = sum(
        (n - scale * w) ** 2 / v for n, w, v in zip(counts, wanted, variances, strict=True)
    )
    return chi_square_tail(statistic, len(shares) - 1)


def _arms(
    trials: Mapping[str, int], successes: Mapping[str, int], relative_error: float, total: bool
) -> dict[str, Arm]:
    """One goal's arms, by label. A proportion that is too far above 1 is none."""
    slack = 1 + _PROPORTION_SLACK * sqrt(2) * relative_error
    total = total or any(0 < trials[label] * slack < successes.get(label, 0) for label in trials)
    kind: Kind = "total" if total else "unique"
    return {
        label: Arm(successes.get(label, 0), trials[label], relative_error, kind)
        for label in sorted(trials)
    }


def _kind(arms: Mapping[str, Arm]) -> Kind:
    return next((arm.kind for arm in arms.values()), "unique")


def _comparisons(arms: Mapping[str, Arm], baseline: str | None) -> dict[str, Comparison]:
    """Each variant with visitors against the baseline."""
    base = arms.get(baseline) if baseline is not None else None
    if base is None or not base.trials:
        return {}
    return {
        label: compare(arm, base) for label, arm in arms.items() if label != baseline and arm.trials
    }


def _lift(arm: Arm, base: Arm) -> float | None:
    if not arm.trials or not base.trials or not base.counted:
        return None
    return (arm.counted / arm.trials) / (base.counted / base.trials) - 1


def _rows(
    arms: Mapping[str, Arm],
    compared: Mapping[str, Arm],
    baseline: str | None,
    comparisons: Mapping[str, Comparison],
) -> list[Row]:
    beliefs = {label: posterior(arm) for label, arm in compared.items() if arm.trials}
    standing = standings(beliefs, _kind(arms))
    fixed = _adjusted({label: test.p_value for label, test in comparisons.items()})
    always = _adjusted({label: test.p_value_always_valid for label, test in comparisons.items()})
    rows = []
    for label, arm in arms.items():
        row = _row(label, arm, standing.get(label))
        if label in comparisons and baseline is not None:
            _add_comparison(row, comparisons[label], arm, arms[baseline])
            chance = chance_to_beat(beliefs[label], beliefs[baseline])
            row["chance_to_beat_baseline"] = _round(chance)
            row["p_value_adjusted"] = _round(fixed[label])
            row["p_value_always_valid_adjusted"] = _round(always[label])
        rows.append(row)
    return rows


def _row(label: str, arm: Arm, standing: Standing | None) -> Row:
    return {
        "label": label,
        "successes": int(arm.successes),
        "trials": int(arm.trials),
        "rate": _round(arm.rate),
        "rate_interval": _round_both(arm.interval),
        "lift": None,
        "lift_interval": None,
        "p_value": None,
        "p_value_adjusted": None,
        "lift_interval_always_valid": None,
        "p_value_always_valid": None,
        "p_value_always_valid_adjusted": None,
        "chance_to_beat_baseline": None,
        "chance_to_be_best": _round(standing.chance_to_be_best) if standing else None,
        "expected_loss": _round(standing.expected_loss) if standing else None,
    }


def _add_comparison(row: Row, test: Comparison, arm: Arm, base: Arm) -> None:
    lift = _lift(arm, base)
    row["lift"] = _round(lift)
    row["lift_interval"] = _around(lift, test.interval)
    row["p_value"] = _round(test.p_value)
    row["lift_interval_always_valid"] = _around(lift, test.interval_always_valid)
    row["p_value_always_valid"] = _round(test.p_value_always_valid)


def _pair(label: str, against: str, arms: Mapping[str, Arm], adjusted: float) -> Pair:
    arm, base = arms[label], arms[against]
    test, lift = compare(arm, base), _lift(arm, base)
    return {
        "label": label,
        "against": against,
        "lift": _round(lift),
        "lift_interval": _around(lift, test.interval),
        "p_value": _round(test.p_value),
        "lift_interval_always_valid": _around(lift, test.interval_always_valid),
        "p_value_always_valid": _round(test.p_value_always_valid),
        "p_value_always_valid_adjusted": _round(adjusted),
    }


def _adjusted(p_values: Mapping[str, float]) -> dict[str, float]:
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _round(value: float | None) -> float | None:
    """Five significant digits: more would say what nobody knows."""
    return None if value is None else float(f"{value:.5g}")


def _around(lift: float | None, interval: Interval | None) -> Interval | None:
    """The interval, reaching as far as the lift itself.

    It is one of smoothed rates, which lie a little nearer to each other: with no conversions the
    lift is −100 %, where no interval on the log scale reaches. Both are on one side of 0.
    """
    if interval is None or lift is None:
        return _round_both(interval)
    return _round_both((min(interval[0], lift), max(interval[1], lift)))


def _round_both(interval: Interval | None) -> Interval | None:
    return None if interval is None else (float(f"{interval[0]:.5g}"), float(f"{interval[1]:.5g}"))
