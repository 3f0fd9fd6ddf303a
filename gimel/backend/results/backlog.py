"""The events that wait to be counted: which verdicts they may change, and the sentence about it."""

import json
from collections.abc import Iterator, Mapping
from math import inf, log1p
from typing import Any, NamedTuple

from gimel.backend.queue import Backlog
from gimel.backend.wire import MAX_BATCH

# n more events move the log of one rate by at most log(1 + n / conversions). The factor covers that
# they also narrow the intervals. A simulation in the tests looks for changes that it misses.
_SAFETY = 2.0
# Holm's correction widens an interval by less than this part of its half width.
_HOLM = 0.25


def note_backlog(experiment: dict[str, Any], namespace: str, backlog: Backlog) -> None:
    """Add how many of an experiment's events wait, and a sentence to each verdict they can change.

    `experiment` is what `ExperimentCounts.describe` returned. If it is unknown how many of its
    events wait, each message may hold the most events that a message can.
    """
    messages = backlog.waiting.messages
    events = _events(namespace, experiment["experiment"], backlog)
    if backlog.events is None:
        wait, end = _wait("message", messages), ". They may change this verdict."
    else:
        experiment["waiting_events"] = events
        wait, end = _wait("event", events), ", enough to change this verdict."
    goals = (experiment["definition"] or {}).get("goals", [])
    caps = {goal["name"]: goal["cap"] for goal in goals if "cap" in goal}
    for goal in experiment["goals"]:
        cap = caps.get(goal["goal"], 1.0)
        is_fixed = goal["verdict"].get("recorded") is not None
        if events and not is_fixed and may_change(goal, experiment["equivalence"], events, cap):
            goal["verdict"]["reason"] += f" But {wait} to be counted{end}"


class Waiting(NamedTuple):
    """The events of a namespace that are not counted yet. `backlog`: None if it is unknown."""

    namespace: str
    backlog: Backlog | None

    def may_change(
        self, experiment: str, goal: Mapping[str, Any], equivalence: float | None, cap: float
    ) -> bool:
        """Return whether events that are known to wait can change the verdict on a goal."""
        if self.backlog is None:
            # Functions in a VPC may have no way to their queue, for ever.
            return False
        events = _events(self.namespace, experiment, self.backlog)
        return events > 0 and may_change(goal, equivalence, events, cap)

    def describe(self, experiment: str) -> str:
        """Return how many events of an experiment wait, or how many messages; "" if none."""
        if self.backlog is None:
            return "an unknown number of events"
        if self.backlog.events is None:
            noun, number = "message", self.backlog.waiting.messages
        else:
            noun, number = "event", _events(self.namespace, experiment, self.backlog)
        return f"{number:,} {noun}{'s'[: number != 1]}" if number else ""


def _events(namespace: str, experiment: str, backlog: Backlog) -> int:
    """Return how many events of the experiment wait, or at most wait."""
    if backlog.events is None:
        return backlog.waiting.messages * MAX_BATCH
    return backlog.events.get(_name_of(namespace, experiment), 0)


def _wait(noun: str, number: int) -> str:
    return f"1 {noun} waits" if number == 1 else f"{number:,} {noun}s wait"


def _name_of(namespace: str, experiment: str) -> str:
    # As SQLite writes it
    return json.dumps([namespace, experiment], ensure_ascii=False, separators=(",", ":"))


def may_change(
    goal: Mapping[str, Any], equivalence: float | None, events: int, cap: float = 1.0
) -> bool:
    """Return whether so many more events can change the verdict on a goal, if it makes a claim.

    `cap` is the most that one event can add: 1 conversion, or the largest amount. No event can
    change the counts of the final look.
    """
    verdict = goal["verdict"]
    if verdict["look"] == "final" or verdict["state"] not in ("winner", "loser", "no_difference"):
        return False
    fewest = min(row["successes"] for row in goal["results"]) / cap
    shift = _SAFETY * log1p(events / fewest) if fewest else inf
    return shift >= min(_distances(goal, equivalence), default=0.0)


def _distances(goal: Mapping[str, Any], equivalence: float | None) -> Iterator[float]:
    """Yield by how much the log lifts may move before the verdict changes."""
    rows, verdict = goal["results"], goal["verdict"]
    intervals = [row["lift_interval_always_valid"] for row in rows]
    logs = [tuple(map(_log, interval)) for interval in intervals if interval]
    margin = equivalence or 0.0
    # Negative where an interval is inside of the range that is too small to matter
    outside = [max(high - _log(margin), _log(-margin) - low) for low, high in logs]
    if verdict["state"] == "no_difference":
        yield max(0.0, -max(outside))
        return
    if equivalence is not None:
        yield max(0.0, *outside)
    wider = _wider(rows, verdict) + (_HOLM if len(logs) > 1 else 0.0)
    for low, high in logs:
        if low > 0 or high < 0:
            yield max(0.0, max(low, -high) - wider * (high - low) / 2)
    lifts = {row["label"]: _log(row["lift"]) for row in rows if row["lift"] is not None}
    if best := lifts.pop(verdict["winner"], None):
        sign = -1 if goal["better"] == "lower" else 1
        yield from (sign * (best - lift) for lift in lifts.values())


def _wider(rows: list[dict[str, Any]], verdict: Mapping[str, Any]) -> float:
    """Return by what part of its half width the rule's interval is wider than a row's."""
    of_row = next(
        (r["lift_interval_always_valid"] for r in rows if r["label"] == verdict["variant"]), None
    )
    if not of_row or not verdict["interval"]:
        return inf
    row, rule = ([_log(lift) for lift in each] for each in (of_row, verdict["interval"]))
    return max(0.0, (rule[1] - rule[0]) / (row[1] - row[0]) - 1)


def _log(lift: float) -> float:
    return log1p(max(lift, -1 + 1e-12))
