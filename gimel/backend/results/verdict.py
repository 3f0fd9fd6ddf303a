"""What to do about a goal: one of five states, and a sentence that says why.

Names stand in the sentences as they are; whoever shows a sentence escapes it.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Literal, NamedTuple, TypedDict

from gimel.backend.results.comparison import ALPHA, Arm, Comparison, boundary, holm, intrinsic_time

MAX_VISITORS_NEEDED = 10_000_000

State = Literal["winner", "loser", "no_difference", "keep_collecting", "do_not_trust"]


class Verdict(TypedDict):
    """`visitors_needed`: about how many more, all variants together; None: not known, or over
    `MAX_VISITORS_NEEDED`."""

    state: State
    winner: str | None
    reason: str
    visitors_needed: int | None


class Evidence(NamedTuple):
    """What a verdict on one goal rests on; `comparisons` are with the baseline, by label."""

    arms: Mapping[str, Arm]
    baseline: str | None
    comparisons: Mapping[str, Comparison]
    srm_alarm: bool
    equivalence: float | None


def judge(evidence: Evidence) -> Verdict:
    """The verdict on one goal, by the always-valid tests, corrected for several variants."""
    if evidence.srm_alarm:
        return _verdict(
            "do_not_trust",
            "The visitors are not divided between the variants as they should be: something is "
            "wrong with the experiment, so its lifts mean nothing.",
        )
    missing = _missing(evidence)
    if missing:
        return _verdict("keep_collecting", missing)
    if _equivalent(evidence):
        return _verdict(
            "no_difference",
            f"No variant's lift over {evidence.baseline} can be more than "
            f"{100 * (evidence.equivalence or 0):.3g}% either way, which is not worth finding.",
        )
    sure = _sure(evidence)
    return _decided(evidence, sure) or _undecided(evidence, sure)


def _verdict(
    state: State, reason: str, winner: str | None = None, visitors_needed: int | None = None
) -> Verdict:
    return {
        "state": state,
        "winner": winner,
        "reason": reason,
        "visitors_needed": visitors_needed,
    }


def _missing(evidence: Evidence) -> str | None:
    """What a comparison lacks altogether, if so."""
    arms, baseline = evidence.arms, evidence.baseline
    if len(arms) < 2:
        return "There is only one variant, so there is nothing to compare."
    if baseline is None or baseline not in arms:
        return "There is no baseline to compare with."
    if not arms[baseline].trials:
        return f"{baseline}, the baseline, has no visitors yet."
    if not evidence.comparisons:
        return f"Only {baseline} has visitors yet."
    if not any(arm.successes for arm in arms.values()):
        return "Nobody has reached this goal yet."
    return None


def _equivalent(evidence: Evidence) -> bool:
    """Whether every lift lies within the region of practical equivalence.

    The claim is about all variants at once, so it needs no correction for their number.
    """
    margin = evidence.equivalence
    if margin is None:
        return False
    intervals = [test.interval_always_valid for test in evidence.comparisons.values()]
    return all(found and -margin <= found[0] and found[1] <= margin for found in intervals)


def _sure(evidence: Evidence) -> list[str]:
    """The variants whose difference to the baseline is other than chance."""
    tests = evidence.comparisons
    p_values = holm([test.p_value_always_valid for test in tests.values()])
    return [label for label, p in zip(tests, p_values, strict=True) if p < ALPHA]


def _decided(evidence: Evidence, sure: list[str]) -> Verdict | None:
    """Winner or loser, if the tests say so."""
    tests = evidence.comparisons
    better = [label for label in sure if tests[label].log_ratio > 0]
    if better:
        best = max(better, key=lambda label: tests[label].log_ratio)
        extent = _range("its lift", tests[best])
        return _verdict("winner", f"{best} beats {evidence.baseline}{extent}.", best)
    if len(sure) == len(tests):
        least = max(sure, key=lambda label: tests[label].log_ratio)
        if len(sure) == 1:
            opening, whose = f"{least} does", "its lift"
        else:
            opening, whose = "Every variant does", f"the lift of {least}, the best of them,"
        extent = _range(whose, tests[least])
        return _verdict("loser", f"{opening} worse than {evidence.baseline}{extent}.")
    return None


def _range(whose: str, test: Comparison) -> str:
    found = test.interval_always_valid
    return f": {whose} is between {found[0]:+,.1%} and {found[1]:+,.1%}" if found else ""


def _undecided(evidence: Evidence, sure: list[str]) -> Verdict:
    """What the open comparison that is nearest to an end would still take."""
    tests = evidence.comparisons
    leader = max(tests.keys() - sure, key=lambda label: (abs(tests[label].score), label))
    opening = f"The difference between {leader} and {evidence.baseline} may still be chance"
    if sure:
        opening = f"{' and '.join(sorted(sure))} did worse. {opening}"
    alpha = ALPHA / (len(tests) - len(sure))
    times = _times_needed(tests[leader], evidence.arms[leader].relative_error, alpha)
    visitors = sum(arm.trials for arm in evidence.arms.values())
    needed = None if times is None else _two_digits((times - 1) * visitors)
    if needed is None or needed > MAX_VISITORS_NEEDED:
        over = f"over {MAX_VISITORS_NEEDED // 1_000_000} million"
        return _verdict(
            "keep_collecting",
            f"{opening}: a difference as small as the one seen would take {over} more visitors.",
        )
    return _verdict(
        "keep_collecting",
        f"{opening}: if it stays as seen, about {needed:,} more visitors would tell.",
        visitors_needed=needed,
    )


def _times_needed(test: Comparison, relative_error: float, alpha: float) -> float | None:
    """By how much the visitors must multiply for the lift seen to reach the boundary.

    None where they would have to by more than 10⁶, or where no number of them will do: counters
    keep their error, here taken at its largest.
    """
    counting = 4 * relative_error**2

    def told(times: float) -> bool:
        sampling = test.sampling / times
        time = intrinsic_time(test.visitors * times, sampling, counting)
        return abs(test.log_ratio) > boundary(time, alpha) * sqrt(sampling + counting)

    low, high = 1.0, 2.0
    while not told(high):
        low, high = high, high * 2
        if high > 1e6:
            return None
    for _ in range(8):
        middle = (low + high) / 2
        low, high = (low, middle) if told(middle) else (middle, high)
    return high


def _two_digits(visitors: float) -> int:
    """Rounded to what is known: two digits."""
    return max(1, int(float(f"{visitors:.2g}")))
