"""The sentences that say what keeps a goal from being judged."""

from collections.abc import Mapping

from gimel.backend.results.comparison import Arm

NONE_REACHED = "No visitor has reached this goal yet."
FEW_REACHED = (
    "Too few visitors have reached this goal: an interval takes about 30 of them in each variant."
)


def without_participation(arms: Mapping[str, Arm]) -> str | None:
    """Return a variant whose visitors reach the goal without any participation."""
    return next((label for label, arm in arms.items() if arm.successes and not arm.trials), None)


def find_obstacle(
    arms: Mapping[str, Arm], baseline: str | None, of_goal: str | None = None
) -> str | None:
    """Return a sentence that says why no comparison is possible, or None if one is.

    `of_goal`: a sentence that says why the goal cannot be measured, if it cannot.
    """
    if len(arms) < 2:
        return "There is nothing to compare: fewer than two variants have enough visitors."
    if baseline is None or baseline not in arms:
        return "There is no baseline to compare the variants with."
    if not arms[baseline].trials:
        return f"The baseline, {baseline}, has no visitors yet."
    if of_goal and of_goal != FEW_REACHED:
        return of_goal
    if not any(arm.trials for label, arm in arms.items() if label != baseline):
        return f"Only the baseline, {baseline}, has visitors yet."
    if not any(arm.successes for arm in arms.values()):
        return NONE_REACHED
    return of_goal
