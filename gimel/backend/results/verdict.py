"""The verdicts on an experiment's goals: one of six states each, with the reason and a next step.

`decision` says which differences are found, and `sentences` has the words. The sentences quote the
names of variants as they are. The caller must escape them for its output.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypedDict

from gimel.backend.results import sentences
from gimel.backend.results.arms import lift_of
from gimel.backend.results.comparison import (
    ALPHA,
    Arm,
    Comparison,
    Interval,
    rounded,
    rounded_interval,
)
from gimel.backend.results.decision import (
    FINAL_ALPHA,
    Finding,
    decide,
    normal_quantile,
)
from gimel.backend.results.design import Aim, Design
from gimel.backend.results.lift import MAX_SHOWN, describe_range
from gimel.backend.results.obstacles import (
    FEW_REACHED,
    NONE_REACHED,
    find_obstacle,
    without_participation,
)
from gimel.backend.results.remaining import more_visitors
from gimel.backend.results.sample_ratio import ALARM

# With fewer conversions in an arm, nothing is said about how long a decision takes.
MIN_CONVERSIONS = 25

State = Literal[
    "winner", "loser", "no_difference", "inconclusive", "keep_collecting", "do_not_trust"
]
Look = Literal["any", "final"]
DECISIVE: tuple[State, ...] = ("winner", "loser", "no_difference", "inconclusive")


class Verdict(TypedDict):
    """The verdict on one goal.

    `variant` is the one that the lifts are about: the winner, or the best of the losers.
    `interval` holds the lifts that the rule does not reject; without a `variant`, those of all
    variants together. `lift_expected` is the most to expect from now on: a lift that was just found
    is exaggerated. `look` says which part of the rule a decisive verdict follows: looks at any
    time, or the final one.

    `visitors_needed` is about how many more visitors a decision takes, all variants together: the
    rest of the plan, or an estimate that `visitors_needed_range` surrounds. It is None if that is
    unknown or more than `remaining.MAX_VISITORS_NEEDED`. `days_needed` is a range at the present
    pace.
    """

    state: State
    winner: str | None
    reason: str
    visitors_needed: int | None
    visitors_needed_range: tuple[int, int] | None
    days_needed: tuple[int, int] | None
    variant: str | None
    interval: Interval | None
    lift: float | None
    lift_expected: float | None
    look: Look | None
    next_step: str


class Evidence(NamedTuple):
    """The facts that the verdict on one goal depends on.

    `arms` and `comparisons` are by variant. Each comparison is with the baseline. `obstacle` is a
    sentence that says why this goal has no comparison. `final_arms` and `final_comparisons` are
    those of the final look.
    """

    arms: Mapping[str, Arm]
    baseline: str | None
    comparisons: Mapping[str, Comparison]
    srm_alarm: bool
    equivalence: float | None
    aim: Aim = Aim()
    obstacle: str | None = None
    final_arms: Mapping[str, Arm] = {}
    final_comparisons: Mapping[str, Comparison] = {}


def judge(evidence: Mapping[str, Evidence], design: Design) -> dict[str, Verdict]:
    """Return the verdict on each goal.

    Primary goals decide together, and all others are corrected together.
    """
    findings = _find(evidence, design)
    verdicts = {}
    for goal, each in evidence.items():
        verdicts[goal] = _Goal(each, findings[goal], design).judge()
    return verdicts


def _find(evidence: Mapping[str, Evidence], design: Design) -> dict[str, dict[str, Finding]]:
    found: dict[str, dict[str, Finding]] = {goal: {} for goal in evidence}
    for is_primary in (True, False):
        family = {
            goal: each
            for goal, each in evidence.items()
            if (each.aim.role == "primary") == is_primary
        }
        variants = max((len(each.arms) for each in family.values()), default=2)
        decided = decide(
            _by_key({goal: each.comparisons for goal, each in family.items()}),
            planned_visitors=design.planned_visitors,
            variants=max(2, variants),
            final=_by_key({goal: each.final_comparisons for goal, each in family.items()}),
            size=sum(len(each.arms) - 1 for each in family.values()),
        )
        for (goal, label), finding in decided.items():
            found[goal][label] = finding
    return found


def _by_key(
    comparisons: Mapping[str, Mapping[str, Comparison]],
) -> dict[tuple[str, str], Comparison]:
    return {
        (goal, label): test for goal, tests in comparisons.items() for label, test in tests.items()
    }


class _Goal(NamedTuple):
    """One goal that is judged."""

    evidence: Evidence
    findings: Mapping[str, Finding]
    design: Design

    def judge(self) -> Verdict:
        evidence = self.evidence
        if missing := without_participation(evidence.arms):
            # It also explains an alarm.
            state: State = "do_not_trust" if evidence.srm_alarm else "keep_collecting"
            reason = sentences.no_participation(missing)
            return _verdict(state, reason, sentences.SEND_PARTICIPATION)
        if evidence.srm_alarm:
            return _verdict("do_not_trust", ALARM, sentences.FIX_THE_SPLIT)
        if obstacle := find_obstacle(evidence.arms, evidence.baseline, evidence.obstacle):
            step = self._wait(None)
            if obstacle == NONE_REACHED:
                step = sentences.CHECK_GOAL
            elif obstacle == evidence.obstacle != FEW_REACHED:
                step = sentences.MEASURE_ANEW
            return _verdict("keep_collecting", obstacle, step)
        return (
            self._no_difference()
            or self._winner()
            or self._loser()
            or self._inconclusive()
            or self._keep_collecting()
        )

    def _no_difference(self) -> Verdict | None:
        """Return the verdict if every lift lies within the region of practical equivalence.

        The claim is about all variants at once, so it needs no correction for their number (Berger
        1982). The intervals are the always-valid ones, or those of the final look.
        """
        margin = self.evidence.equivalence
        if margin is None:
            return None
        z = normal_quantile(FINAL_ALPHA / 2)
        tests, final_tests = self.evidence.comparisons, self.evidence.final_comparisons
        at_end = [test.interval_of(z) for test in final_tests.values()]
        always_valid = [test.lift_interval_always_valid for test in tests.values()]
        looks: tuple[tuple[Look, list[Interval | None]], ...]
        looks = ("final", at_end), ("any", always_valid)
        for look, intervals in looks:
            known = [each for each in intervals if each]
            hull = _hull(known) if known and len(known) == len(intervals) else None
            if hull and -margin <= hull[0] and hull[1] <= margin:
                reason = (
                    f"The lift of every variant over {self.evidence.baseline} is within "
                    f"±{100 * margin:.3g}%, the range set as too small to matter."
                )
                step = sentences.stop(self._baseline)
                return _verdict("no_difference", reason, step, interval=hull, look=look)
        return None

    @property
    def _baseline(self) -> str:
        return self.evidence.baseline or ""

    @property
    def _significant(self) -> list[str]:
        return [label for label, found in self.findings.items() if found.is_significant]

    def _benefit(self, label: str) -> float:
        """Return how much better than the baseline a variant is, on the log scale."""
        return self.findings[label].log_ratio * self.evidence.aim.sign

    def _winner(self) -> Verdict | None:
        better = [label for label in self._significant if self._benefit(label) > 0]
        if not better:
            return None
        best = max(better, key=self._benefit)
        reason = f"{best} beats {self._baseline}{self._lift_clause('its lift is', best)}."
        return self._about(best, "winner", reason, sentences.ship(best), winner=best)

    def _loser(self) -> Verdict | None:
        """Return the verdict if every variant is worse than the baseline."""
        significant = self._significant
        if not significant or len(significant) < len(self.findings):
            return None
        best = max(significant, key=self._benefit)
        if len(significant) == 1:
            clause = self._lift_clause("its lift is", best)
            reason = f"{best} does worse than {self._baseline}{clause}."
        else:
            clause = self._lift_clause(f"the lift of the best of them, {best}, is", best)
            reason = f"Every variant does worse than {self._baseline}{clause}."
        return self._about(best, "loser", reason, sentences.keep(self._baseline))

    def _about(
        self, label: str, state: State, reason: str, step: str, winner: str | None = None
    ) -> Verdict:
        """Return a verdict that is about one variant's lift."""
        finding = self.findings[label]
        lift = self._lift(label)
        if lift is not None:
            # The estimate is around the ratio of smoothed rates, slightly nearer to 0.
            expected = min(lift, finding.lift_expected, key=abs)
            if winner and expected <= MAX_SHOWN:
                reason += f" {sentences.expect_less(expected)}"
            if self._is_surprising(label, lift):
                step = f"{sentences.TWYMAN} {step}"
        else:
            expected = None
        return _verdict(
            state,
            reason,
            step,
            winner=winner,
            variant=label,
            interval=finding.interval,
            lift=lift,
            lift_expected=expected,
            look="final" if finding.is_final else "any",
        )

    def _lift(self, label: str) -> float | None:
        """Return the observed lift at the look that the finding is from."""
        is_final = self.findings[label].is_final
        arms = self.evidence.final_arms if is_final else self.evidence.arms
        return lift_of(arms[label], arms[self._baseline])

    def _is_surprising(self, label: str, lift: float) -> bool:
        arms = self.evidence.arms[label], self.evidence.arms[self._baseline]
        is_enough = min(arm.trials for arm in arms) >= sentences.ENOUGH_FOR_TWYMAN
        return is_enough and abs(lift) > sentences.SURPRISING_LIFT

    def _lift_clause(self, opening: str, label: str) -> str:
        interval = self.findings[label].interval
        return f": {opening} {describe_range(interval)}" if interval else ""

    def _inconclusive(self) -> Verdict | None:
        """Return the verdict if the plan is fulfilled and nothing was found."""
        if not self.evidence.final_comparisons:
            return None
        at_end = [found for found in self.findings.values() if found.is_final]
        known = [found.interval for found in at_end if found.interval]
        hull = _hull(known) if known and len(known) == len(at_end) else None
        reason = self._worse() + sentences.ruled_out(
            hull, is_primary=self.evidence.aim.role == "primary"
        )
        step = sentences.stop_inconclusive(self._baseline)
        return _verdict("inconclusive", reason, step, interval=hull, look="final")

    def _worse(self) -> str:
        """Return a sentence on the variants that do worse while others are undecided."""
        names = sorted(self._significant)
        if not names:
            return ""
        verb = "does" if len(names) == 1 else "do"
        return f"{sentences.join_names(names)} {verb} worse than {self._baseline}. "

    def _keep_collecting(self) -> Verdict:
        """Return the verdict while some variants are undecided. The others are worse.

        It names the undecided variant that leads. If none is ahead of the baseline, it names the
        one that is closest to a decision.
        """
        tests, sign = self.evidence.comparisons, self.evidence.aim.sign
        undecided = tests.keys() - set(self._significant) or tests.keys()
        leading = {label for label in undecided if sign * tests[label].z_score > 0}
        closest = max(leading or undecided, key=lambda label: (abs(tests[label].z_score), label))
        opening = (
            f"{self._worse()}The difference between {closest} and {self._baseline} "
            "may still be chance."
        )
        if self.design.planned_visitors is not None:
            return self._until_the_plan(opening, self.design.planned_visitors)
        return self._without_plan(opening, closest)

    @property
    def _visitors(self) -> float:
        return sum(arm.trials for arm in self.evidence.arms.values())

    def _wait(self, visitors: float | None) -> str:
        if not self.design.is_running:
            return sentences.RESUME
        return sentences.wait(self.design.pace.date_of(visitors) if visitors is not None else None)

    def _until_the_plan(self, opening: str, planned_visitors: int) -> Verdict:
        if waits_for := self.design.waits_for:
            reason = f"{opening} {sentences.final_look_waits(waits_for)}"
            return _verdict("keep_collecting", reason, sentences.WAIT_FOR_EVENTS)
        more = int(planned_visitors - self._visitors)
        if more <= 0 or self.design.final:
            return _verdict(
                "keep_collecting", f"{opening} {sentences.PLAN_IS_PAST}", self._wait(None)
            )
        days = self.design.pace.days((more, more)) if self.design.is_running else None
        reason = f"{opening} {sentences.plan_remains(planned_visitors, more, days)}"
        found = _verdict("keep_collecting", reason, self._wait(more))
        found["visitors_needed"], found["visitors_needed_range"] = more, (more, more)
        found["days_needed"] = days
        return found

    def _without_plan(self, opening: str, closest: str) -> Verdict:
        arms = self.evidence.arms
        alpha = ALPHA / max(1, len(self.findings) - len(self._significant))
        needed = more_visitors(
            self.evidence.comparisons[closest], arms[closest].relative_error, alpha, self._visitors
        )
        if needed.is_too_many:
            return _verdict("keep_collecting", f"{opening} {sentences.TOO_MANY}", self._wait(None))
        conversions = min(arms[closest].successes, arms[self._baseline].successes)
        if not needed.likely or not needed.range or conversions < MIN_CONVERSIONS:
            return _verdict("keep_collecting", f"{opening} {sentences.TOO_EARLY}", self._wait(None))
        days = self.design.pace.days(needed.range) if self.design.is_running else None
        reason = f"{opening} {sentences.visitors_remain(needed.range, days)}"
        found = _verdict("keep_collecting", reason, self._wait(needed.likely))
        found["visitors_needed"], found["visitors_needed_range"] = needed.likely, needed.range
        found["days_needed"] = days
        return found


def _verdict(
    state: State,
    reason: str,
    next_step: str,
    *,
    winner: str | None = None,
    variant: str | None = None,
    interval: Interval | None = None,
    lift: float | None = None,
    lift_expected: float | None = None,
    look: Look | None = None,
) -> Verdict:
    return {
        "state": state,
        "winner": winner,
        "reason": reason,
        "visitors_needed": None,
        "visitors_needed_range": None,
        "days_needed": None,
        "variant": variant,
        "interval": rounded_interval(interval),
        "lift": rounded(lift),
        "lift_expected": rounded(lift_expected),
        "look": look,
        "next_step": next_step,
    }


def _hull(intervals: Sequence[Interval]) -> Interval:
    return min(low for low, _ in intervals), max(high for _, high in intervals)
