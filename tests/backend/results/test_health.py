"""The health of an experiment: what is said of its events, and when it is no surprise."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from gimel.backend.experiment.definition import Definition, parse_definition
from gimel.backend.experiment.history import Snapshot
from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.results.health import health_of
from tests.support.handler_requests import call
from tests.support.whole_life import put, send

NOW = datetime(2026, 11, 29, 15, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)


def checks(
    trials: dict[str, int],
    goals: dict[str, dict[str, int]],
    past: list[tuple[int, dict[str, int]]] | None = None,
    **more: Any,
) -> dict[str, dict[str, Any]]:
    """The checks by kind; the last one of a kind."""
    body = {
        "variants": [{"name": name} for name in trials],
        "goals": [{"name": goal} for goal in goals],
    }
    settings = parse_definition(body, Definition())
    begun = "2026-11-20T00:00:00Z"
    found = ExperimentCounts("e", 64, begun, settings, trials, goals)
    given = {"traffic_stopped_since": None, "waiting_events": None, "waiting": None}
    given |= {"ignored": {"reasons": {}, "last": []}}
    zeros = {goal: dict.fromkeys(trials, 0) for goal in goals}
    snapshots = [Snapshot(NOW - hours * HOUR, at, zeros) for hours, at in past or []]
    described = found.describe() | given | more
    return {each["kind"]: each for each in health_of(described, found, snapshots, NOW)}


EVEN = {"blue": 5000, "red": 5000}
GOOD = {"signup": {"blue": 500, "red": 520}}


def test_all_is_well() -> None:
    found = checks(EVEN, GOOD, [(2, {"blue": 4000, "red": 4000}), (1, {"blue": 4500, "red": 4500})])
    assert {each["level"] for each in found.values()} == {"ok"}
    assert {each["next_step"] for each in found.values()} == {None}
    assert found.keys() == {
        *("split", "traffic", "last_events", "participation", "goals", "ignored"),
    }
    assert found["last_events"]["sentence"] == (
        "Last events: each variant since 2026-11-29 14:30 UTC."
    )


def test_the_last_events_come_between_two_snapshots() -> None:
    past = [(26, {"blue": 4000, "red": 4900}), (3, {"blue": 4500, "red": 5000})]
    found = checks(EVEN, {}, [*past, (2, {"blue": 4800, "red": 5000})])
    assert found["last_events"]["sentence"] == (
        "Last events: blue since 2026-11-29 13:30 UTC; "
        "red between 2026-11-28 13:30 and 2026-11-29 12:30 UTC."
    )
    assert found["silent_variant"]["sentence"] == (
        "red has had no visitor since 2026-11-29 12:30 UTC, while 500 came to others."
    )


def test_without_history_the_last_events_came_since_the_beginning() -> None:
    assert "since 2026-11-20 00:00 UTC" in checks(EVEN, {})["last_events"]["sentence"]
    found = checks({"blue": 9, "red": 0}, {}, [(5, {"blue": 9, "red": 0})])
    assert found["last_events"]["sentence"] == (
        "Last events: blue between 2026-11-20 00:00 and 2026-11-29 10:30 UTC; red none yet."
    )
    assert "silent_variant" not in found, "nine visitors of one variant are a matter of chance"


@pytest.mark.parametrize(("more", "is_surprising"), [(9, False), (10, True)])
def test_a_variant_is_silent_once_ten_visitors_are_missing(more: int, is_surprising: bool) -> None:
    found = checks({"blue": 100 + more, "red": 100}, {}, [(3, {"blue": 100, "red": 100})])
    assert ("silent_variant" in found) is is_surprising


def test_stopped_traffic_and_a_wrong_split_are_alarms() -> None:
    found = checks(
        {"blue": 5000, "red": 3000}, GOOD, traffic_stopped_since="2026-11-29T11:00:00+00:00"
    )
    assert (found["split"]["level"], found["traffic"]["level"]) == ("alarm", "alarm")
    assert found["traffic"]["sentence"] == "No visitor has come since 2026-11-29 11:00 UTC."
    assert "gimel stop" in found["traffic"]["next_step"]
    assert "traffic" not in checks(EVEN, GOOD, state="stopped")


def test_a_new_experiment_may_be_without_visitors_for_a_day() -> None:
    empty = {"blue": 0, "red": 0}
    assert checks(empty, {})["traffic"]["level"] == "warning"
    fresh = checks(empty, {}, created_at="2026-11-29T15:00:00Z")
    assert fresh["traffic"]["level"] == "ok"
    assert fresh.keys() == {"traffic", "ignored"}


@pytest.mark.parametrize(("red", "is_wrong"), [(5015, False), (5100, True)])
def test_more_conversions_than_visitors_must_exceed_the_error(red: int, is_wrong: bool) -> None:
    found = checks(EVEN, {"signup": {"blue": 4900, "red": red}})["participation"]
    assert (found["level"] == "warning") is is_wrong
    assert found["sentence"].startswith("More visitors of red reach signup") is is_wrong


@pytest.mark.parametrize(
    ("goals", "sentence"),
    [
        ({"signup": {"blue": 0, "red": 0}}, "signup has not been reached, although 10,000"),
        ({"signup": {"blue": 0, "red": 40}}, "No visitor of blue has reached signup. By the"),
        ({}, "No goal has been reached, although 10,000 visitors came."),
    ],
)
def test_a_goal_that_is_surprisingly_not_reached(goals: Any, sentence: str) -> None:
    found = checks(EVEN, goals)["goals"]
    assert found["level"] == "warning"
    assert found["sentence"].startswith(sentence)


def test_a_rare_goal_is_no_surprise() -> None:
    for goals in ({"signup": {"blue": 0, "red": 9}}, {}):
        few = {"blue": 499, "red": 499} if not goals else EVEN
        assert checks(few, goals).get("goals", {"level": "ok"})["level"] == "ok"


@pytest.mark.parametrize(
    ("reasons", "level"),
    [
        ({"undeclared goal": 3}, "ok"),
        ({"visitor not in traffic": 9000}, "ok"),
        ({"undeclared goal": 101, "visitor not in traffic": 9000}, "warning"),
        ({"exact counter is full": 1}, "warning"),
    ],
)
def test_ignored_events_are_a_warning_if_they_are_many(reasons: Any, level: str) -> None:
    found = checks(EVEN, GOOD, ignored={"reasons": reasons, "last": []})["ignored"]
    assert found["level"] == level
    assert f"At least {sum(reasons.values()):,} event" in found["sentence"]
    assert (found["next_step"] is None) is (level == "ok")


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"waiting_events": 0}, "No event waits to be counted."),
        ({"waiting_events": 1}, "1 event waits to be counted."),
        ({"waiting": {"messages": 4}}, "4 messages wait to be counted."),
    ],
)
def test_events_that_wait(more: dict[str, Any], sentence: str) -> None:
    assert checks(EVEN, GOOD, **more)["waiting"]["sentence"] == sentence


def test_the_route_has_it_for_one_experiment(backend: redis.Redis) -> None:
    put("e")
    send("e", 100)
    found = [
        each["kind"] for each in call("GET", "/experiment", {"experiment": "e"}).body["health"]
    ]
    assert found == ["split", "traffic", "last_events", "participation", "goals", "ignored"]
    assert "health" not in call("GET", "/experiments").body[1]
