"""The roles of goals in the words of a verdict: who decides, and which guardrails accompany it.

A goal in the fields of `GET /experiment` comes in, and its verdict gets the sentences.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from gimel.backend.results import sentences
from gimel.backend.results.verdict import Evidence

GuardrailState = Literal["held", "broken", "open"]


def guardrail_states(evidence: Evidence) -> dict[str, GuardrailState]:
    """Return how each variant keeps within a guardrail's margin, by its always-valid interval."""
    margin, sign = evidence.aim.margin or 0.0, evidence.aim.sign
    states: dict[str, GuardrailState] = {}
    for label in evidence.arms:
        if label == evidence.baseline:
            continue
        states[label] = "open"
        test = evidence.comparisons.get(label)
        interval = test.lift_interval_always_valid if test else None
        if interval:
            worst, best = interval if sign > 0 else (-interval[1], -interval[0])
            if worst >= -margin:
                states[label] = "held"
            elif best < -margin:
                states[label] = "broken"
    return states


def complete(goals: Sequence[dict[str, Any]], primary: Sequence[str]) -> None:
    """Add to each verdict what the roles of the goals say. `primary`: the goals that decide."""
    for goal in goals:
        verdict = goal["verdict"]
        if goal["role"] == "primary":
            _add_guardrails(verdict, goals)
        elif verdict["state"] != "do_not_trust":
            said = sentences.guardrail(goal["guardrail"]) if goal["guardrail"] else ""
            verdict["reason"] += f" {said}{sentences.NOT_DECIDING}"
            verdict["next_step"] = sentences.decide_by(primary)


def _add_guardrails(verdict: dict[str, Any], goals: Sequence[Mapping[str, Any]]) -> None:
    """Name the guardrails that are broken or open: for the winner, or for any variant."""
    states = {
        goal["goal"]: _state(goal["guardrail"], verdict["winner"])
        for goal in goals
        if goal["guardrail"]
    }
    broken, still_open = (
        [goal for goal, state in states.items() if state == wanted] for wanted in ("broken", "open")
    )
    if (not broken and not still_open) or verdict["state"] == "do_not_trust":
        return
    verdict["reason"] += f" {sentences.guardrails(broken, still_open)}"
    if verdict["state"] == "winner":
        verdict["next_step"] = sentences.with_guardrails(
            verdict["next_step"], verdict["winner"], broken, still_open
        )


def _state(states: Mapping[str, str], winner: str | None) -> str:
    """Return the state of a guardrail: that of the winner, or the worst of all variants."""
    if winner is not None and winner in states:
        return states[winner]
    return next((each for each in ("broken", "open") if each in states.values()), "held")
