"""Verdicts that waiting events can change say so."""

import random
from typing import Any

import pytest

from gimel.backend.queue import Backlog, Pile
from gimel.backend.results.analysis import analyse
from gimel.backend.results.backlog import may_change, note_backlog
from gimel.backend.results.design import Aim, Design

CLEAR = ({"a": 10_000, "b": 10_000}, {"a": 500, "b": 900})


def goal(
    trials: dict[str, int],
    successes: dict[str, int],
    equivalence: float | None = None,
    better: str = "higher",
) -> dict[str, Any]:
    found = analyse(
        trials,
        {"g": successes},
        baseline="a",
        relative_error=0.0,
        equivalence=equivalence,
        design=Design(aims={"g": Aim(better=better)}),
    )
    described: dict[str, Any] = dict(found["goals"][0])
    return described


def test_few_messages_change_no_clear_verdict() -> None:
    clear = goal(*CLEAR)
    assert clear["verdict"]["state"] == "winner"
    assert not may_change(clear, None, 10)
    assert may_change(clear, None, 400)
    # 10 amounts as high as the cap add as much as 400 conversions.
    assert not may_change(clear, None, 10, cap=1)
    assert may_change(clear, None, 10, cap=40)
    assert not may_change(goal({"a": 100, "b": 100}, {"a": 5, "b": 6}), None, 400)


@pytest.mark.parametrize(("better", "best"), [("higher", 1300), ("lower", 500)])
def test_few_messages_change_no_clear_verdict_on_three_variants(better: str, best: int) -> None:
    clear = goal(dict.fromkeys("abc", 10_000), {"a": 900, "b": best, "c": 880}, better=better)
    assert (clear["verdict"]["state"], clear["verdict"]["winner"]) == ("winner", "b")
    assert not may_change(clear, None, 10)
    assert may_change(clear, None, 400)


def test_nothing_that_waits_changes_the_final_look() -> None:
    clear = goal(*CLEAR)
    clear["verdict"]["look"] = "final"
    assert not may_change(clear, None, 10**6)


FEW = ({"a": 1000, "b": 1000}, {"a": 8, "b": 60})
NONE = Pile(0, None)


@pytest.mark.parametrize(
    ("messages", "events", "sentence"),
    [
        (1, None, "1 message waits to be counted. They may change this verdict."),
        (2000, None, "2,000 messages wait to be counted. They may change this verdict."),
        (3, {'["n","e"]': 60}, "60 events wait to be counted, enough to change this verdict."),
        (3, {'["n","e"]': 1, '["n","f"]': 60}, None),
        (1, {'["n","f"]': 60}, None),
        (0, {}, None),
    ],
)
def test_the_sentence(messages: int, events: dict[str, int] | None, sentence: str | None) -> None:
    few = goal(*FEW)
    before = few["verdict"]["reason"]
    experiment = {"experiment": "e", "goals": [few], "equivalence": None, "definition": None}
    note_backlog(experiment, "n", Backlog(Pile(messages, 5), NONE, events))
    assert few["verdict"]["reason"] == before + (f" But {sentence}" if sentence else "")


def changed(
    trials: dict[str, int], successes: dict[str, int], label: str, kind: str, n: int
) -> Any:
    """The counts after n more events of a variant: conversions, visitors or both."""
    if kind != "conversions":
        trials = {**trials, label: trials[label] + n}
    if kind != "visitors":
        more = min(trials[label], successes[label] + n)
        successes = {**successes, label: more}
    return trials, successes


@pytest.mark.slow
def test_no_change_of_a_verdict_goes_unannounced() -> None:
    """20,000 experiments, each with the worst that its waiting events can be."""
    draw = random.Random(1)
    changes = announced = decided = 0
    for _ in range(20_000):
        labels = "abcd"[: draw.choice([2, 2, 2, 3, 4])]
        visitors, rate = 10 ** draw.uniform(2, 5), 10 ** draw.uniform(-2, -0.2)
        trials = {label: int(visitors * draw.uniform(0.97, 1.03)) for label in labels}
        successes = {
            label: min(number, int(number * rate * draw.uniform(0.7, 1.4)))
            for label, number in trials.items()
        }
        margin, better = draw.choice([None, 0.02, 0.1]), draw.choice(["higher", "lower"])
        before = goal(trials, successes, margin, better)
        if before["verdict"]["state"] in ("keep_collecting", "do_not_trust"):
            continue
        decided += 1
        events = int(max(1, min(successes.values()) * 10 ** draw.uniform(-3, 0.5)))
        says = may_change(before, margin, events)
        announced += says
        for label in labels:
            for kind in ("conversions", "visitors", "both"):
                after = goal(*changed(trials, successes, label, kind, events), margin, better)
                # A split that is wrong afterwards has an alarm of its own.
                is_other = after["verdict"]["state"] != "do_not_trust" and (
                    after["verdict"]["state"],
                    after["verdict"]["winner"],
                ) != (before["verdict"]["state"], before["verdict"]["winner"])
                changes += is_other
                assert says or not is_other, (trials, successes, margin, events, label, kind)
    assert decided > 3_000
    assert changes > 1_000
    # It is not said of everything.
    assert announced < 0.7 * decided


def test_the_plan_s_stricter_rule_is_what_waiting_events_are_measured_by() -> None:
    """The row's interval at 95 % is far from 0, that of the rule at 99 % is not."""
    counts = {"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1160}
    planned = analyse(
        counts[0],
        {"g": counts[1]},
        baseline="a",
        relative_error=0.0,
        design=Design(planned_visitors=20_001),
    )["goals"][0]
    assert planned["verdict"]["state"] == "winner"
    assert may_change(planned, None, 3)
    assert not may_change(goal(*counts), None, 1)
