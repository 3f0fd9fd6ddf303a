"""The inference for an experiment: its counts come in, numbers and verdicts for the wire go out.

`comparison` holds the tests, `posterior` the chances and expected losses, `verdict` the verdicts.
All functions are pure and use the standard library only. They accept any counts and raise nothing.
A number that the counts cannot give is None.
"""

from collections.abc import Collection, Mapping
from itertools import combinations, permutations
from typing import TypedDict, TypeVar

from gimel.backend.results.arms import (
    arms_of,
    compare_arms,
    lift_of,
    measure_of,
    obstacle_of,
    shown_interval,
)
from gimel.backend.results.between import Measure, SampledArm
from gimel.backend.results.comparison import (
    Arm,
    Comparison,
    GoalKind,
    Interval,
    holm,
    rounded,
    rounded_interval,
)
from gimel.backend.results.decision import FinalLook
from gimel.backend.results.design import Aim, Design
from gimel.backend.results.posterior import (
    PosteriorSummary,
    chance_to_beat,
    posterior_of,
    summarise_posteriors,
)
from gimel.backend.results.roles import GuardrailState, guardrail_states
from gimel.backend.results.sample_ratio import SampleRatio, sample_ratio
from gimel.backend.results.verdict import Evidence, Verdict, judge

_Key = TypeVar("_Key")

_NO_DESIGN = Design()


class VariantResult(TypedDict):
    """One variant's numbers for one goal. A field is None if the counts cannot give it.

    Of a goal of the kind value, `rate` is the mean amount per visitor, `sum` the approximate sum of
    the amounts, `successes` the same without decimals, and `above_cap` how many amounts were above
    the cap. `relative_variance` is that of the rate of a goal that a visitor may reach many times.

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
    sum: float | None
    above_cap: int | None
    relative_variance: float | None


class GoalResult(TypedDict):
    """One goal: its kind, its verdict and its variants, sorted by label.

    A visitor reaches a goal of the kind `unique` at most once, and a `total` any number of times. A
    `value` measures amounts. `samples` is the number of samples of visitors between which the
    variance is taken, if it is. `guardrail` says of each variant whether it keeps within the
    margin; None for other roles.
    """

    goal: str
    kind: GoalKind
    samples: int | None
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
    goals: Mapping[str, Mapping[str, float]],
    *,
    baseline: str | None,
    relative_error: float,
    weights: Mapping[str, float] | None = None,
    equivalence: float | None = None,
    measures: Mapping[str, Measure] | None = None,
    excluded: Collection[str] = (),
    design: Design = _NO_DESIGN,
) -> Analysis:
    """Return the sample ratio of an experiment, and the results of each goal, sorted by name.

    `trials` maps each variant to its number of visitors, and `goals` maps each goal to its number
    of conversions by variant. `relative_error` is the relative standard error of a counter, 0 for
    exact counting.

    `weights` are the intended shares of visitors, equal if None. A variant without a weight takes
    no part in the sample-ratio test. A lift within ±`equivalence` is too small to matter.
    `measures` has the goals that a visitor may reach many times. A goal with clearly more
    conversions than visitors is one of them even if it is not named. `excluded` variants appear
    with their counts and take no part in any test. `design`: the plan, and the roles of the goals.
    """
    included = {label: count for label, count in trials.items() if label not in excluded}
    srm = _sample_ratio(included, design.final, relative_error, weights)
    found: dict[str, tuple[Measure, dict[str, Arm], Evidence]] = {}
    for goal, successes in sorted(goals.items()):
        measure = measure_of(goal, included, successes, relative_error, measures or {})
        arms = arms_of(trials, successes, relative_error, measure)
        included_arms = {label: arm for label, arm in arms.items() if label in included}
        comparisons = _compare_with_baseline(included_arms, baseline)
        evidence = Evidence(
            included_arms,
            baseline,
            comparisons,
            srm["alarm"],
            equivalence,
            design.aims.get(goal, Aim()),
            obstacle_of(measure, comparisons),
        )
        evidence = _with_final_look(evidence, goal, design, relative_error)
        found[goal] = measure, arms, evidence
    verdicts = judge({goal: evidence for goal, (_, _, evidence) in found.items()}, design)
    return {
        "srm": srm,
        "goals": [_goal_result(goal, *found[goal], verdicts[goal]) for goal in found],
    }


def _sample_ratio(
    trials: Mapping[str, int],
    final: FinalLook | None,
    relative_error: float,
    weights: Mapping[str, float] | None,
) -> SampleRatio:
    """Return the test of the present split, or that of the final look if only this one alarms.

    Verdicts may rest on the frozen counts, and visitors that come later do not mend these.
    """
    found = sample_ratio(trials, relative_error, weights)
    if final and not found["alarm"]:
        at_end = {label: final.trials.get(label, 0) for label in trials}
        frozen = sample_ratio(at_end, relative_error, weights)
        return frozen if frozen["alarm"] else found
    return found


def _with_final_look(
    evidence: Evidence, goal: str, design: Design, relative_error: float
) -> Evidence:
    """Return the evidence with the counts of the goal at the final look, if that has been."""
    final = design.final
    if final is None or goal not in final.goals:
        return evidence
    trials = {label: count for label, count in final.trials.items() if label in evidence.arms}
    successes = final.goals[goal]
    measure = measure_of(goal, trials, successes, relative_error, design.final_measures)
    arms = arms_of(trials, successes, relative_error, measure)
    frozen = design.final_measures.get(goal)
    return evidence._replace(
        final_arms=arms,
        final_comparisons=_compare_with_baseline(arms, evidence.baseline),
        obstacle=(frozen and frozen.obstacle) or evidence.obstacle,
    )


def _goal_result(
    goal: str, measure: Measure, arms: dict[str, Arm], evidence: Evidence, verdict: Verdict
) -> GoalResult:
    aim = evidence.aim
    results = _variant_results(
        arms, evidence.arms, evidence.baseline, evidence.comparisons, aim.sign
    )
    for result in results if measure.kind == "value" else ():
        result["above_cap"] = measure.above_cap.get(result["label"], 0)
    return {
        "goal": goal,
        "kind": measure.kind,
        "samples": min((each.samples for each in measure.spreads.values()), default=None),
        "role": aim.role,
        "better": aim.better,
        "guardrail": guardrail_states(evidence) if aim.role == "guardrail" else None,
        "verdict": verdict,
        "results": results,
    }


def compare_all_pairs(
    trials: Mapping[str, int],
    goals: Mapping[str, Mapping[str, float]],
    *,
    relative_error: float,
    measures: Mapping[str, Measure] | None = None,
) -> list[GoalMatrix]:
    """Return, for each goal, the comparisons of every variant with every other.

    The arguments are those of `analyse`. Variants without visitors are left out.
    """
    matrices: list[GoalMatrix] = []
    for goal, successes in sorted(goals.items()):
        measure = measure_of(goal, trials, successes, relative_error, measures or {})
        arms = arms_of(trials, successes, relative_error, measure)
        labels = [label for label, arm in arms.items() if arm.trials]
        found = {(a, b): compare_arms(arms[a], arms[b]) for a, b in combinations(labels, 2)}
        tests = {pair: test for pair, test in found.items() if test}
        adjusted = _holm_by_key({pair: test.p_value_always_valid for pair, test in tests.items()})
        adjusted |= {(b, a): p_value for (a, b), p_value in adjusted.items()}
        pairs = [_pair(a, b, arms, adjusted.get((a, b))) for a, b in permutations(labels, 2)]
        matrices.append({"goal": goal, "kind": measure.kind, "pairs": pairs})
    return matrices


def _compare_with_baseline(arms: Mapping[str, Arm], baseline: str | None) -> dict[str, Comparison]:
    """Compare each variant that has visitors with the baseline. Return the comparisons by label.

    The result is empty if the baseline has no visitors.
    """
    base = arms.get(baseline) if baseline is not None else None
    if base is None or not base.trials:
        return {}
    found = {
        label: compare_arms(arm, base)
        for label, arm in arms.items()
        if label != baseline and arm.trials
    }
    return {label: test for label, test in found.items() if test}


def _variant_results(
    arms: Mapping[str, Arm],
    included_arms: Mapping[str, Arm],
    baseline: str | None,
    comparisons: Mapping[str, Comparison],
    sign: int,
) -> list[VariantResult]:
    """Return the result of each variant. Those that are not included have their counts only.

    `sign` is -1 if the lowest rate is the best.
    """
    shown = {label: arm for label, arm in included_arms.items() if arm.trials}
    found = {label: posterior_of(arm) for label, arm in shown.items()}
    posteriors = {label: posterior for label, posterior in found.items() if posterior}
    summaries: dict[str, PosteriorSummary] = {}
    if 1 < len(shown) == len(posteriors):
        is_share = all(arm.kind == "unique" for arm in shown.values())
        summaries = summarise_posteriors(posteriors, is_share=is_share, sign=sign)
    adjusted = _holm_by_key({label: test.p_value for label, test in comparisons.items()})
    adjusted_always_valid = _holm_by_key(
        {label: test.p_value_always_valid for label, test in comparisons.items()}
    )
    results = []
    for label, arm in arms.items():
        result = _variant_result(label, arm, summaries.get(label))
        if label in comparisons and baseline is not None:
            _add_comparison(result, comparisons[label], arm, arms[baseline])
            if label in posteriors and baseline in posteriors:
                chance = chance_to_beat(posteriors[label], posteriors[baseline])
                result["chance_to_beat_baseline"] = rounded(chance if sign > 0 else 1 - chance)
            result["p_value_adjusted"] = rounded(adjusted[label])
            result["p_value_always_valid_adjusted"] = rounded(adjusted_always_valid[label])
        results.append(result)
    return results


def _variant_result(label: str, arm: Arm, summary: PosteriorSummary | None) -> VariantResult:
    """Return a result without the comparison with the baseline."""
    spread = arm.spread if isinstance(arm, SampledArm) and arm.spread.is_reached else None
    return {
        "label": label,
        "successes": round(arm.successes),
        "trials": int(arm.trials),
        "rate": rounded(arm.rate),
        "rate_interval": rounded_interval(arm.rate_interval),
        "lift": None,
        "lift_interval": None,
        "p_value": None,
        "p_value_adjusted": None,
        "lift_interval_always_valid": None,
        "p_value_always_valid": None,
        "p_value_always_valid_adjusted": None,
        "chance_to_beat_baseline": None,
        "chance_to_be_best": rounded(summary.chance_to_be_best) if summary else None,
        "expected_loss": rounded(summary.expected_loss) if summary else None,
        "sum": rounded(arm.successes) if arm.kind == "value" else None,
        "above_cap": None,
        "relative_variance": rounded(spread.relative_variance) if spread else None,
    }


def _add_comparison(result: VariantResult, test: Comparison, arm: Arm, base: Arm) -> None:
    lift = lift_of(arm, base)
    result["lift"] = rounded(lift)
    result["lift_interval"] = shown_interval(test.lift_interval, lift)
    result["p_value"] = rounded(test.p_value)
    result["lift_interval_always_valid"] = shown_interval(test.lift_interval_always_valid, lift)
    result["p_value_always_valid"] = rounded(test.p_value_always_valid)


def _pair(
    label: str, against: str, arms: Mapping[str, Arm], adjusted_p_value: float | None
) -> PairComparison:
    arm, base = arms[label], arms[against]
    test, lift = compare_arms(arm, base), lift_of(arm, base)
    pair: PairComparison = {
        "label": label,
        "against": against,
        "lift": rounded(lift),
        "lift_interval": None,
        "p_value": None,
        "lift_interval_always_valid": None,
        "p_value_always_valid": None,
        "p_value_always_valid_adjusted": rounded(adjusted_p_value),
    }
    if test:
        always_valid = test.lift_interval_always_valid
        pair["lift_interval"] = shown_interval(test.lift_interval, lift)
        pair["p_value"] = rounded(test.p_value)
        pair["lift_interval_always_valid"] = shown_interval(always_valid, lift)
        pair["p_value_always_valid"] = rounded(test.p_value_always_valid)
    return pair


def _holm_by_key(p_values: Mapping[_Key, float]) -> dict[_Key, float]:
    return dict(zip(p_values, holm(list(p_values.values())), strict=True))
