"""Verdicts in the terminal: the words above a goal's table, and what they rest on."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.text import Text

from gimel.terminal.text import plain, plural

_STATES = {
    "winner": ("▲", "winner", "bold green"),
    "loser": ("▼", "loser", "bold red"),
    "no_difference": ("=", "no difference that matters", "bold"),
    "inconclusive": ("○", "inconclusive", "bold"),
    "keep_collecting": ("…", "keep collecting", "bold yellow"),
    "do_not_trust": ("✗", "do not trust these numbers", "bold red"),
}
_ROLES = ("primary", "guardrail", "secondary")
_NO_VERDICT = ("–", "no verdict", "bold")
# The worst first
_GUARDRAILS = {"broken": ("✗", "bold red"), "open": ("…", "yellow"), "held": ("✓", "dim")}
_BEST = (
    "Best: the chance to be the best variant, if this were your only look. It jumps about early "
    "on, so 95% can stand beside “keep collecting”. Decide by the verdict."
)
_PLAN = (
    "With a plan, the verdict keeps most of the error that it may make for the final look. So it "
    "asks for more than the intervals before that look, and for less at it."
)


def rank(goal: Mapping[str, Any]) -> int:
    """Return the place of a goal among the others: those that decide come first."""
    # An earlier version of the backend has no roles.
    role = goal.get("role")
    return _ROLES.index(role) if role in _ROLES else len(_ROLES)


def show_plan(console: Console, experiment: Mapping[str, Any]) -> None:
    """Print how far the plan is, and how many days it still takes."""
    if not (plan := experiment.get("plan")):
        return
    planned = plural(plan["visitors"], "visitor")
    if look := plan["final_look"]:
        when = f"fulfilled on {look['at'][:10]}, at {look['visitors']:,} of {planned}"
        console.print(Text(f"✓ plan {when}", "dim"))
        return
    counted = sum(each["trials"] for each in experiment["variants"] if not each["stray"])
    days = next(filter(None, (g["verdict"]["days_needed"] for g in experiment["goals"])), None)
    share = f"({counted / plan['visitors']:.0%})"
    console.print(Text(f"· plan: {counted:,} of {planned} {share}{_days_left(days)}", "dim"))


def _days_left(days: tuple[int, int] | None) -> str:
    if days is None:
        return ""
    fewest, most = days
    number = plural(most, "day") if fewest == most else f"{fewest:,} to {plural(most, 'day')}"
    return f", {number} left at the present pace"


def show_guardrails(console: Console, goals: Iterable[Mapping[str, Any]]) -> None:
    """Print, for each guardrail, whether each variant keeps within its margin."""
    for goal in goals:
        if not (states := goal.get("guardrail")):
            continue
        worst = next(state for state in _GUARDRAILS if state in states.values())
        mark, style = _GUARDRAILS[worst]
        said = ", ".join(f"{plain(label)} {state}" for label, state in states.items())
        console.print(Text(f"{mark} guardrail {plain(goal['goal'])}: {said}", style))


def show_verdict(console: Console, goal: Mapping[str, Any], alarm: str | None) -> None:
    """Print the verdict on a goal, and the next step. `alarm` was printed before."""
    verdict = goal["verdict"]
    mark, words, style = _describe_state(goal)
    if verdict["winner"] is not None:
        words = f"{words}: {plain(verdict['winner'])}"
    name = plain(goal["goal"]) + ("" if goal["kind"] == "unique" else " (per visitor)")
    aim = ", ".join(_describe_aim(goal))
    heading = Text.assemble((name, "bold"), "  ", (f"{mark} {words}", style))
    console.print(heading.append(f"  {aim}", "dim") if aim else heading)
    # An earlier version of the backend has no such sentence, and no next step.
    since = verdict.get("since") or ""
    if verdict["reason"] != alarm:
        console.print(
            Text(plain(verdict["reason"].replace(f" {since}", "") if since else verdict["reason"]))
        )
    if since:
        console.print(Text(plain(since), "dim"))
    if above_cap := sum(row["above_cap"] or 0 for row in goal["results"]):
        amounts = plural(above_cap, "amount")
        console.print(Text(f"{amounts} above the cap counted as the cap", "dim"))
    if step := verdict.get("next_step"):
        console.print(Text(f"→ {plain(step)}", "bold"))


def _describe_state(goal: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return a mark, words and a style. Without samples of visitors there is no verdict."""
    state = goal["verdict"]["state"]
    if state == "keep_collecting" and goal["kind"] != "unique" and goal["samples"] is None:
        return _NO_VERDICT
    return _STATES.get(state, ("·", plain(state), "bold"))


def _describe_aim(goal: Mapping[str, Any]) -> Iterable[str]:
    if goal.get("role", "primary") != "primary":
        yield goal["role"]
    if goal.get("better") == "lower":
        yield "lower is better"


def show_footnotes(console: Console, *, has_chances: bool, has_plan: bool) -> None:
    """Print what explains the figures of all tables."""
    notes = [note for note, applies in ((_BEST, has_chances), (_PLAN, has_plan)) if applies]
    if notes:
        console.print()
    for note in notes:
        console.print(Text(note, "dim"))
