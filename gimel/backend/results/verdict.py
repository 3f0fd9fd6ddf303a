"""The verdict on a goal: one of five states, and a sentence that gives the reason.

The sentences quote the names of variants as they are. The caller must escape them for its output.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypedDict

from gimel.backend.results.comparison import ALPHA, Arm, Comparison, holm
from gimel.backend.results.lift import describe_range
from gimel.backend.results.sample_ratio import ALARM

MAX_VISITORS_NEEDED = 10_000_000

_MAX_GROWTH = 1e6

State = Literal["winner", "loser", "no_difference", "keep_collecting", "do_not_trust"]


class Verdict(TypedDict):
    """The verdict on one goal.

    `visitors_needed` is about how many more visitors a decision takes, all variants together. It is
    None if that is unknown or more than `MAX_VISITORS_NEEDED`.
    """

    state: State
    winner: str | None
    reason: str
    visitors_needed: int | None


class Evidence(NamedTuple):
    """The facts that the verdict on one goal depends on.

    `arms` and `comparisons` are by variant. Each comparison is with the baseline.
    """

    arms: Mapping[str, Arm]
    baseline: str | None
    comparisons: Mapping[str, Comparison]
    srm_alarm: bool
    equivalence: float | None


def judge(evidence: Evidence) -> Verdict:
    """Return the verdict on one goal.

    It follows the always-valid p-values after Holm's correction over the variants.
    """
    if evidence.srm_alarm:
        return _make_verdict("do_not_trust", ALARM)
    obstacle = _find_obstacle(evidence)
    if obstacle:
        return _make_verdict("keep_collecting", obstacle)
    if _is_equivalent(evidence):
        return _make_verdict(
            "no_difference",
            f"The lift of every variant over {evidence.baseline} is within "
            f"±{100 * (evidence.equivalence or 0):.3g}%, the range set as too small to matter.",
        )
    significant = _significant_variants(evidence)
    return _winner_or_loser(evidence, significant) or _keep_collecting(evidence, significant)


def _make_verdict(
    state: State, reason: str, winner: str | None = None, visitors_needed: int | None = None
) -> Verdict:
    return {
        "state": state,
        "winner": winner,
        "reason": reason,
        "visitors_needed": visitors_needed,
    }


def _find_obstacle(evidence: Evidence) -> str | None:
    """Return a sentence that says why no comparison is possible, or None if one is."""
    arms, baseline = evidence.arms, evidence.baseline
    if len(arms) < 2:
        return "There is nothing to compare: fewer than two variants have enough visitors."
    if baseline is None or baseline not in arms:
        return "There is no baseline to compare the variants with."
    if not arms[baseline].trials:
        return f"The baseline, {baseline}, has no visitors yet."
    if not evidence.comparisons:
        return f"Only the baseline, {baseline}, has visitors yet."
    if not any(arm.successes for arm in arms.values()):
        return "No visitor has reached this goal yet."
    return None


def _is_equivalent(evidence: Evidence) -> bool:
    """Return whether every lift lies within the region of practical equivalence.

    The claim is about all variants at once, so it needs no correction for their number (Berger
    1982).
    """
    margin = evidence.equivalence
    if margin is None:
        return False
    intervals = [test.lift_interval_always_valid for test in evidence.comparisons.values()]
    return all(
        interval and -margin <= interval[0] and interval[1] <= margin for interval in intervals
    )


def _significant_variants(evidence: Evidence) -> list[str]:
    """Return the variants whose difference from the baseline is significant."""
    tests = evidence.comparisons
    p_values = holm([test.p_value_always_valid for test in tests.values()])
    return [label for label, p_value in zip(tests, p_values, strict=True) if p_value < ALPHA]


def _winner_or_loser(evidence: Evidence, significant: Sequence[str]) -> Verdict | None:
    """Return the verdict if a variant is better than the baseline, or all are worse; else None."""
    tests, baseline = evidence.comparisons, evidence.baseline
    better = [label for label in significant if tests[label].log_ratio > 0]
    if better:
        best = max(better, key=lambda label: tests[label].log_ratio)
        lift = _lift_clause("its lift is", tests[best])
        return _make_verdict("winner", f"{best} beats {baseline}{lift}.", best)
    if len(significant) < len(tests):
        return None
    best = max(significant, key=lambda label: tests[label].log_ratio)
    if len(significant) == 1:
        lift = _lift_clause("its lift is", tests[best])
        return _make_verdict("loser", f"{best} does worse than {baseline}{lift}.")
    lift = _lift_clause(f"the lift of the best of them, {best}, is", tests[best])
    return _make_verdict("loser", f"Every variant does worse than {baseline}{lift}.")


def _lift_clause(opening: str, test: Comparison) -> str:
    interval = test.lift_interval_always_valid
    return f": {opening} {describe_range(interval)}" if interval else ""


def _keep_collecting(evidence: Evidence, significant: Sequence[str]) -> Verdict:
    """Return the verdict while some variants are undecided. The others do worse than the baseline.

    It names the undecided variant that is closest to a decision, and the visitors still needed.
    """
    tests, baseline = evidence.comparisons, evidence.baseline
    closest = max(tests.keys() - significant, key=lambda label: (abs(tests[label].z_score), label))
    opening = f"The difference between {closest} and {baseline} may still be chance."
    if significant:
        verb = "does" if len(significant) == 1 else "do"
        names = _join_names(sorted(significant))
        opening = f"{names} {verb} worse than {baseline}. {opening}"
    alpha = ALPHA / (len(tests) - len(significant))
    growth = _growth_needed(tests[closest], evidence.arms[closest].relative_error, alpha)
    visitors = sum(arm.trials for arm in evidence.arms.values())
    needed = None if growth is None else _round_to_two_digits((growth - 1) * visitors)
    if needed is None or needed > MAX_VISITORS_NEEDED:
        return _make_verdict(
            "keep_collecting",
            f"{opening} To confirm a difference this small would take over "
            f"{MAX_VISITORS_NEEDED // 1_000_000} million more visitors.",
        )
    return _make_verdict(
        "keep_collecting",
        f"{opening} If it stays this large, a decision takes about {needed:,} more visitors.",
        visitors_needed=needed,
    )


def _join_names(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def _growth_needed(test: Comparison, relative_error: float, alpha: float) -> float | None:
    """Return the factor by which the visitors must grow for the observed lift to be significant.

    Return None if the factor is above `_MAX_GROWTH`, or if no number of visitors is enough because
    the counters keep their error. That error is taken at its maximum, four full counters.
    """
    counting_variance = 4 * relative_error**2

    def is_significant(growth: float) -> bool:
        return test.grown(growth, counting_variance).p_value_always_valid < alpha

    low, high = 1.0, 2.0
    while not is_significant(high):
        low, high = high, high * 2
        if high > _MAX_GROWTH:
            return None
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (low, middle) if is_significant(middle) else (middle, high)
    return high


def _round_to_two_digits(visitors: float) -> int:
    """Round to two significant digits, since an estimate knows no more. Return at least 1."""
    return max(1, int(float(f"{visitors:.2g}")))
