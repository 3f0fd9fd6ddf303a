"""Records are readable whatever the counts, and crafted ones are refused or do no harm."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from gimel.backend.experiment.definition import Definition, Goal, Variant
from gimel.backend.results import record, record_validity
from gimel.backend.results.counts import ExperimentCounts
from tests.support.handler_requests import call, post

NOW = datetime(2026, 11, 29, tzinfo=UTC)
FINAL = {
    "at": "2026-11-29T00:00:00Z",
    "trials": {"a": 100, "b": 100},
    "goals": {"g": {"a": 50, "b": 50}},
    "samples": {},
}
VERDICT = {
    "at": "2026-11-29T00:00:00Z",
    "visitors": 200,
    "state": "winner",
    "reason": "b beats a.",
    "winner": "b",
    "variant": "b",
    "interval": [0.1, 0.4],
    "lift": 0.2,
    "lift_expected": 0.1,
    "look": "any",
}


def counts(kind: str, trials: int, a: int, b: int, plan: int | None = None) -> ExperimentCounts:
    goal = Goal("g", "primary", kind, cap=100 if kind == "value" else None)  # type: ignore[arg-type]
    samples = {}
    if kind != "unique":
        shown = [trials / 64] * 64
        samples = {
            "participate": {"a": shown, "b": shown},
            "g": {
                label: [number // 64 + (n < number % 64) for n in range(64)]
                for label, number in (("a", a), ("b", b))
            },
        }
    definition = Definition(
        variants=(Variant("a"), Variant("b")), goals=(goal,), planned_visitors=plan
    )
    return ExperimentCounts(
        "e",
        64,
        settings=definition,
        trials={"a": trials, "b": trials},
        goals={"g": {"a": a, "b": b}},
        has_events=True,
        is_salted=True,
        samples=samples,
    )


@pytest.mark.parametrize("kind", ["unique", "total", "value"])
@pytest.mark.parametrize("plan", [None, 100, 10**5, 10**9])
def test_every_verdict_that_is_recorded_can_be_read(kind: str, plan: int | None) -> None:
    """Without any conversion of the baseline, an interval reaches as far as 1e17."""
    decided = 0
    for trials in (1, 2, 60, 100, 10_000, 10**6, 2**60):
        for a, b in ((0, 0), (0, 25), (25, 0), (10, 60), (trials // 2, trials), (trials, trials)):
            found = counts(kind, trials, a, b, plan)
            analysis = found.analyse(NOW)
            assert [goal["goal"] for goal in analysis["goals"]] == ["g"], "none was left out"
            new = record.new_verdicts(found, analysis, NOW)
            decided += len(new)
            assert all(record_validity.is_valid(*each) for each in new.items()), new
            json.dumps(found.describe(analysis), allow_nan=False)
    assert decided >= 2


@pytest.mark.parametrize(
    "change",
    [
        {"interval": [None, None]},
        {"interval": [1e300, 2e300]},
        {"lift": True},
        {"visitors": 10**30},
        {"visitors": -1},
        {"reason": "\ud800"},
        {"winner": "\udfff"},
        {"variant": None},
        {"at": "yesterday"},
        {"look": None},
        {"state": ["winner"]},
    ],
)
def test_a_crafted_verdict_is_not_valid(change: dict[str, Any]) -> None:
    assert record_validity.is_valid("verdict []", json.dumps(VERDICT))
    assert not record_validity.is_valid("verdict []", json.dumps(VERDICT | change))


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-11-29"},
        {"trials": {"a": 2**63}},
        {"goals": {"g": {"a": 0.5}}},
        {"samples": {"g": {"a": [5e-324] * 64}}},
        {"samples": {"g": {"a": [float("nan")]}}},
        {"samples": {"g": [1]}},
        {"samples": {"g": {"a": [[1]]}}},
    ],
)
def test_crafted_counts_of_a_final_look_are_not_valid(change: dict[str, Any]) -> None:
    assert record_validity.is_valid("final x", json.dumps(FINAL))
    assert not record_validity.is_valid("final x", json.dumps(FINAL | change))


ROW = {"label": "a", "trials": 9, "successes": 3, "sum": None, "rate": 0.3, "lift": None}
DECIDED: dict[str, Any] = {
    "goal": "g", "role": "primary", "kind": "unique", "state": "winner", "winner": "a",
    "variants": [ROW | {"lift_interval_always_valid": [-0.1, 0.5]}],
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"goal": "\ud800"},
        {"state": None},
        {"winner": 1},
        {"variants": None},
        {"variants": [ROW]},
        {"variants": [DECIDED["variants"][0] | {"trials": -1}]},
        {"variants": [DECIDED["variants"][0] | {"lift": "1"}]},
    ],
)
def test_crafted_figures_of_a_decision_are_not_valid(change: dict[str, Any]) -> None:
    def is_valid(goal: object) -> bool:
        figures = {"at": "2026-11-29T00:00:00Z", "goals": [goal], "goals_left_out": 0}
        return record_validity.is_valid("decision x", json.dumps(figures))

    assert is_valid(DECIDED)
    assert not is_valid(DECIDED | change)
    assert not is_valid([])


def test_counts_that_cannot_be_right_take_no_other_experiment_away(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("good", "bad"):
        event = {"experiment": name, "variant": "a", "event": "participate"}
        post([event | {"uuid": str(number)} for number in range(3)])
        post([event | {"event": "buy", "uuid": "1"}])
    analyse = ExperimentCounts._analyse

    def fail(found: ExperimentCounts, now: datetime) -> Any:
        if found.name == "bad" and found.goals:
            raise OverflowError("math range error")
        return analyse(found, now)

    monkeypatch.setattr(ExperimentCounts, "_analyse", fail)
    _, bad, good = call("GET", "/experiments").body
    assert ([each["goal"] for each in good["goals"]], bad["goals"]) == (["buy"], [])
    assert bad["variants"][0]["trials"] == 3
    assert '"analysis": "OverflowError"' in capsys.readouterr().out
