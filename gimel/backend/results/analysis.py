"""The inference for an experiment: its counts come in, numbers and verdicts for the wire go out.

`comparison` holds the tests, `posterior` the chances and expected losses, `verdict` the verdicts.
All functions are pure and use the standard library only. They accept any counts and raise nothing.
A number that the counts cannot give is None.
"""

from collections.abc import Collection, Mapping
from itertools import combinations, permutations
from math import sqrt
from typing import TypedDict, TypeVar

from gimel.backend.results.comparison import (
    Arm,
    Comparison,
    GoalKind,
    Interval,
    compare,
    holm,
)
from gimel.backend.results.posterior import (
    PosteriorSummary,
    chance_to_beat,
    posterior_of,
    summarise_posteriors,
)
from gimel.backend.results.roles import GuardrailState, guardrail_states
from gimel.backend.results.sample_ratio import SampleRatio, sample_ratio
from gimel.backend.results.verdict import (
    Aim,
    Design,
    Evidence,
    Verdict,
    judge,
)

_Key = TypeVar("_Key")

# A rate may exceed 1 by this many standard errors of counting and still be a proportion.
_PROPORTION_TOLERANCE = 4
_NO_DESIGN = Design()


class VariantResult(TypedDict):
    """One variant's numbers for one goal. A field is None if the counts cannot give it.

    The lift and all tests compare the variant with the baseline. `p_value_adjusted` and
    `p_value_always_valid_adjusted` have Holm's correction for the number of variants. The intervals
    and the other p-values have none.
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


class GoalResult(TypedDict):
    """One goal: its kind, its verdict and its variants, sorted by label.

    A visitor reaches a goal of the kind `unique` at most once, and a `total` any number of times.
    `guardrail` says of each variant whether it keeps within the margin; None for other roles.
    """

    goal: str
    kind: GoalKind
    role: str
    better: str
    guardrail: dict[str, GuardrailState] | None
    verdict: Verdict
    results: list[VariantResult]


class Analysis(TypedDict):
    """The inference for one experiment."""

    srm: SampleRatio
    goals: list[GoalResult]


class PairComparison(TypedDict):
    """One variant compared with another for one goal.

    The adjusted p-value has Holm's correction for all pairs of the goal.
    """

    label: str
    against: str
    lift: float | None
    lift_interval: Interval | None
    p_value: float | None
    lift_interval_always_valid: Interval | None
    p_value_always_valid: float | None
    p_value_always_valid_adjusted: float | None


class GoalMatrix(TypedDict):
    """The comparisons of every variant with every other for one goal, in both directions."""

    goal: str
    kind: GoalKind
    pairs: list[PairComparison]


def analyse(
    trials: Mapping[str, int],
    goals: Mapping[str, Mapping[str, int]],
    *,
    baseline: str | None,
    relative_error: float,
    weights: Mapping[str, float] | None = None,
    equivalence: float | None = None,
    totals: Collection[str] = (),
    excluded: Collection[str] = (),
    design: Design = _NO_DESIGN,
) -> Analysis:
    """Return the sample ratio of an experiment, and the results of each goal, sorted by name.

    `trials` maps each variant to its number of visitors, and `goals` maps each goal to its number
    of conversions by variant. `relative_error` is the relative standard error of a counter, 0 for
    exact counting.

    `weights` are the intended shares of visitors, equal if None. A variant without a weight takes
    no part in the sample-ratio test. A lift within ±`equivalence` is too small to matter. `totals`
    names the goals that a visitor may reach many times. A goal with clearly more conversions than
    visitors is a total even if it is not named. `excluded` variants appear with their counts and
    take no part in any test. `design`: the plan, and the roles of the goals.
    """
    included = {label: count for label, count in trials.items() if label not in excluded}
    srm = sample_ratio(included, relative_error, weights)
    found: dict[str, tuple[dict[str, Arm], Evidence]] = {}
    for goal, successes in sorted(goals.items()):
        arms = _arms_of(trials, successes, relative_error, goal in totals)
        included_arms = {label: arm for label, arm in arms.items() if label in included}
        evidence = Evidence(
            included_arms,
            baseline,
            _compare_with_baseline(included_arms, baseline),
            srm["alarm"],
            equivalence,
            design.aims.get(goal, Aim()),
        )
        if design.final and goal in design.final.goals:
            final = design.final
            at_end = _arms_of(final.trials, final.goals[goal], relative_error, goal in totals)
            at_end = {label: arm for label, arm in at_end.items() if label in included}
            tests = _compare_with_baseline(at_end, baseline)
            evidence = evidence._replace(final_arms=at_end, final_comparisons=tests)
        found[goal] = arms, evidence
    verdicts = judge({goal: evidence for goal, (_, evidence) in found.items()}, design)
    return {
        "srm": srm,
        "goals": [_goal_result(goal, *found[goal], verdicts[goal]) for goal in found],
    }


def _goal_result(
    goal: str, arms: dict[str, Arm], evidence: Evidence, verdict: Verdict
) -> GoalResult:
    aim = evidence.aim
    return {
        "goal": goal,
        "kind": _kind_of(arms),
        "role": aim.role,
        "better": aim.better,
        "guardrail": guardrail_states(evidence) if aim.role == "guardrail" else None,
        "verdict": verdict,
        "results": _variant_results(arms, evidence.arms, evidence.baseline, evidence.comparisons),
    }


def compare_all_pairs(
    trials: Mapping[str, int],
    goals: Mapping[str, Mapping[str, int]],
    *,
    relative_error: float,
    totals: Collection[str] = (),
) -> list[GoalMatrix]:
    """Return, for each goal, the comparisons of every variant with every other.

    The arguments are those of `analyse`. Variants without visitors are left out.
    """
    matrices: list[GoalMatrix] = []
    for goal, successes in sorted(goals.items()):
        arms = _arms_of(trials, successes, relative_error, goal in totals)
        labels = [label for label, arm in arms.items() if arm.trials]
        tests = {(a, b): compare(arms[a], arms[b]) for a, b in combinations(labels, 2)}
        adjusted = _holm_by_key({pair: test.p_value_always_valid for pair, test in tests.items()})
        adjusted |= {(b, a): p_value for (a, b), p_value in adjusted.items()}
        pairs = [_pair(a, b, arms, adjusted[a, b]) for a, b in permutations(labels, 2)]
        matrices.append({"goal": goal, "kind": _kind_of(arms), "pairs": pairs})
    return matrices


def _arms_of(
    trials: Mapping[str, int], successes: Mapping[str, int], relative_error: float, is_total: bool
) -> dict[str, Arm]:
    """Return one goal's arms by label, sorted. The goal is a total if any rate is far above 1."""
    tolerance = 1 + _PROPORTION_TOLERANCE * sqrt(2) * relative_error
    is_total = is_total or any(
        0 < trials[label] * tolerance < successes.get(label, 0) for label in trials
    )
    kind: GoalKind = "total" if is_total else "unique"
    return {
        label: Arm(successes.get(label, 0), trials[label], relative_error, kind)
        for label in sorted(trials)
    }


def _kind_of(arms: Mapping[str, Arm]) -> GoalKind:
    return next((arm.kind for arm in arms.values()), "unique")


def _compare_with_baseline(arms: Mapping[str, Arm], baseline: str | None) -> dict[str, Comparison]:
    """Compare each variant that has visitors with the baseline. Return the comparisons by label.

    The result is empty if the baseline has no visitors.
    """
    base = arms.get(baseline) if baseline is not None else None
    if base is None or not base.trials:
        return {}
    return {
        label: compare(arm, base) for label, arm in arms.items() if label != baseline and arm.trials
    }


def _lift(arm: Arm, base: Arm) -> float | None:
    if arm.rate is None or not base.rate:
        return None
    return arm.rate / base.rate - 1


def _variant_results(
    arms: Mapping[str, Arm],
    included_arms: Mapping[str, Arm],
    baseline: str | None,
    comparisons: Mapping[str, Comparison],
) -> list[VariantResult]:
    """Return the result of each variant. Those that are not included have their counts only."""
    posteriors = {label: posterior_of(arm) for label, arm in included_arms.items() if arm.trials}
    summaries = summarise_posteriors(posteriors, _kind_of(arms))
    adjusted = _holm_by_key({label: test.p_value for label, test in comparisons.items()})
    adjusted_always_valid = _holm_by_key(
        {label: test.p_value_always_valid for label, test in comparisons.items()}
    )
    results = []
    for label, arm in arms.items():
        result = _variant_result(label, arm, summaries.get(label))
        if label in comparisons and baseline is not None:
            _add_comparison(result, comparisons[label], arm, arms[baseline])
            chance = chance_to_beat(posteriors[label], posteriors[baseline])
            result["chance_to_beat_baseline"] = _round(chance)
            result["p_value_adjusted"] = _round(adjusted[label])
            result["p_value_always_valid_adjusted"] = _round(adjusted_always_valid[label])
        results.append(result)
    return results


def _variant_result(label: str, arm: Arm, summary: PosteriorSummary | None) -> VariantResult:
    """Return a result without the comparison with the baseline."""
    return {
        "label": label,
        "successes": int(arm.successes),
        "trials": int(arm.trials),
        "rate": _round(arm.rate),
        "rate_interval": _round_interval(arm.rate_interval),
        "lift": None,
        "lift_interval": None,
        "p_value": None,
        "p_value_adjusted": None,
        "lift_interval_always_valid": None,
        "p_value_always_valid": None,
        "p_value_always_valid_adjusted": None,
        "chance_to_beat_baseline": None,
        "chance_to_be_best": _round(summary.chance_to_be_best) if summary else None,
        "expected_loss": _round(summary.expected_loss) if summary else None,
    }


def _add_comparison(result: VariantResult, test: Comparison, arm: Arm, base: Arm) -> None:
    lift = _lift(arm, base)
    result["lift"] = _round(lift)
    result["lift_interval"] = _extend_to_lift(test.lift_interval, lift)
    result["p_value"] = _round(test.p_value)
    result["lift_interval_always_valid"] = _extend_to_lift(test.lift_interval_always_valid, lift)
    result["p_value_always_valid"] = _round(test.p_value_always_valid)


def _pair(
    label: str, against: str, arms: Mapping[str, Arm], adjusted_p_value: float
) -> PairComparison:
    arm, base = arms[label], arms[against]
    test, lift = compare(arm, base), _lift(arm, base)
    return {
        "label": label,
        "against": against,
        "lift": _round(lift),
        "lift_interval": _extend_to_lift(test.lift_interval, lift),
        "p_value": _round(test.p_value),
        "lift_interval_always_valid": _extend_to_lift(test.lift_interval_always_valid, lift),
        "p_value_always_valid": _round(test.p_value_always_valid),
        "p_value_always_valid_adjusted": _round(adjusted_p_value),
    }


def _holm_by_key(p_values: Mapping[_Key, float]) -> dict[_Key, float]:
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))


def _round(value: float | None) -> float | None:
    """Round to five significant digits. The counts do not support more."""
    return None if value is None else float(f"{value:.5g}")


def _extend_to_lift(interval: Interval | None, lift: float | None) -> Interval | None:
    """Return the interval, rounded, and extended to the observed lift if it leaves that out.

    The interval is around the ratio of smoothed rates, which are slightly closer to each other than
    the observed rates. Without conversions, for example, the lift is −100 %, and no interval on the
    log scale reaches that far. The extension never crosses 0: both are on the same side.
    """
    if interval is None or lift is None:
        return _round_interval(interval)
    return _round_interval((min(interval[0], lift), max(interval[1], lift)))


def _round_interval(interval: Interval | None) -> Interval | None:
    return None if interval is None else (float(f"{interval[0]:.5g}"), float(f"{interval[1]:.5g}"))
