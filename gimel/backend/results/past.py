"""The results of one goal over time, from the snapshots of an experiment's history."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from gimel.backend.experiment.history import Snapshot
from gimel.backend.results.arms import arms_of, compare_arms, lift_of, measure_of, shown_interval
from gimel.backend.results.comparison import rounded
from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.results.measures import measures_of


def describe_past(
    found: ExperimentCounts, past: Iterable[Snapshot], goal: str | None, now: datetime
) -> list[dict[str, Any]]:
    """Return the results of a goal at each snapshot, the oldest first, and those of `now` at last.

    Each has the `time`, in UTC, and the `variants` that take part. A snapshot in which a variant
    does not occur was taken before its first visitor. Without a goal, there are visitors only.

    Snapshots hold no samples of visitors. So of a goal that a visitor may reach many times, the
    past has lifts without intervals.
    """
    at_past = replace(found, samples={}, above_cap={})
    points = [
        (at_past, snapshot.time, snapshot.trials, snapshot.goals.get(goal or "", {}))
        for snapshot in past
    ]
    points.append((found, now, found.trials, found.goals.get(goal or "", {})))
    return [
        {
            "time": f"{time:%Y-%m-%dT%H:%M:%SZ}",
            "variants": _variants(counts, trials, reached, goal),
        }
        for counts, time, trials, reached in points
    ]


def _variants(
    counts: ExperimentCounts,
    trials: Mapping[str, int],
    successes: Mapping[str, float],
    goal: str | None,
) -> list[dict[str, Any]]:
    """Return each variant's numbers for one goal at one time, sorted by label."""
    labels = sorted(counts.trials.keys() - counts.negligible_variants)
    shown = {label: trials.get(label, 0) for label in labels}
    if goal is None:
        return [_row(label, shown[label]) for label in labels]
    error = counts.relative_error
    measure = measure_of(goal, shown, successes, error, measures_of(counts))
    arms = arms_of(shown, successes, error, measure)
    base = arms.get(counts.baseline or "")
    rows = []
    for label, arm in arms.items():
        row = _row(label, shown[label], round(arm.successes), rounded(arm.rate))
        if base and label != counts.baseline and base.trials and arm.trials:
            test, lift = compare_arms(arm, base), lift_of(arm, base)
            interval = shown_interval(test.lift_interval_always_valid, lift) if test else None
            row |= {"lift": rounded(lift), "lift_interval_always_valid": interval}
        rows.append(row)
    return rows


def _row(
    label: str, trials: int, successes: int | None = None, rate: float | None = None
) -> dict[str, Any]:
    row = {"label": label, "trials": trials, "successes": successes, "rate": rate}
    return row | {"lift": None, "lift_interval_always_valid": None}
