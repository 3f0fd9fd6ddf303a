"""The results of one goal over time, as `GET /history` answers, on a real Valkey."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.experiment.snapshots import SnapshotWriter
from gimel.backend.redis.connection import Connection
from tests.support.handler_requests import call, point_handlers_at, post
from tests.support.servers import url_of
from tests.support.whole_life import put, send

HOUR = 3600.0
START = 490_000 * HOUR + 17 * 60


def snapshot(store: redis.Redis, now: float) -> None:
    connection = Connection(url_of(store))
    assert SnapshotWriter(connection, Counters(connection)).write(now, 20.0)


def history(experiment: str = "e", **fields: str) -> dict[str, Any]:
    answer = call("GET", "/history", {"experiment": experiment, **fields})
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.body
    return found


def trials(answer: dict[str, Any]) -> list[dict[str, int]]:
    points = answer["snapshots"]
    return [{row["label"]: row["trials"] for row in each["variants"]} for each in points]


def test_it_has_a_point_for_each_snapshot_and_one_for_now(backend: redis.Redis) -> None:
    put("e")
    for hour, visitors in ((0, 1000), (1, 2000), (3, 3000)):
        send("e", visitors)
        send("e", visitors // 10, event="signup")
        snapshot(backend, START + hour * HOUR)
    send("e", 4000)
    found = history()
    assert (found["goal"], found["baseline"], found["recorded"]) == ("signup", "blue", None)
    times = [each["time"] for each in found["snapshots"]]
    # Hour 2 was missed, and nothing is made up for it.
    assert times[:3] == ["2025-11-24T16:17:00Z", "2025-11-24T17:17:00Z", "2025-11-24T19:17:00Z"]
    assert abs(time.time() - _seconds(times[3])) < 600
    counted = trials(found)
    for visitors, point in zip((1000, 2000, 3000, 4000), counted, strict=True):
        assert sum(point.values()) == pytest.approx(visitors, rel=0.01)


def _seconds(text: str) -> float:
    return time.mktime(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone


def test_the_last_point_is_what_the_experiment_says(backend: redis.Redis) -> None:
    put("e")
    send("e", 4000)
    send("e", 300, event="signup")
    snapshot(backend, START)
    before, now = (each["variants"] for each in history()["snapshots"])
    (goal,) = call("GET", "/experiment", {"experiment": "e"}).body["goals"]
    expected = [{field: row[field] for field in now[0]} for row in goal["results"]]
    assert now == before == expected
    assert expected[1]["lift_interval_always_valid"] is not None


def test_the_interval_narrows(backend: redis.Redis) -> None:
    put("e")
    for number in range(1, 5):
        send("e", 2000 * number)
        send("e", 400 * number, event="signup")
        snapshot(backend, START + number * HOUR)
    widths = []
    for point in history()["snapshots"]:
        low, high = point["variants"][1]["lift_interval_always_valid"]
        widths.append(high - low)
    assert widths == sorted(widths, reverse=True)
    assert widths[0] > 1.5 * widths[-1]


def test_a_variant_or_goal_that_came_later_has_no_past(backend: redis.Redis) -> None:
    send("e", 100)
    send("e", 20, event="first")
    snapshot(backend, START)
    assert post([_event("green", f"g{number}") for number in range(50)]).status == 200
    send("e", 20, event="later")
    found = history(goal="later")
    green = [each["variants"][1] for each in found["snapshots"]]
    assert [row["label"] for row in green] == ["green", "green"]
    assert [row["trials"] for row in green] == [0, 50]
    assert green[0]["rate"] is None
    assert green[0]["lift"] is None
    blue = [each["variants"][0] for each in found["snapshots"]]
    assert [row["successes"] for row in blue] == [0, 10]


def _event(variant: str, uuid: str) -> dict[str, str]:
    return {"experiment": "e", "variant": variant, "event": "participate", "uuid": uuid}


def test_a_goal_of_many_conversions_has_lifts_without_intervals_in_the_past(
    backend: redis.Redis,
) -> None:
    put("e", goals=[{"name": "revenue", "kind": "value", "cap": 10}])
    send("e", 4000)
    amounts = [
        {
            "experiment": "e",
            "variant": ("blue", "red")[number % 2],
            "event": "revenue",
            "uuid": f"order {number}",
            "visitor": f"id{number}",
            "value": 1 + number % 7,
        }
        for number in range(2000)
    ]
    for start in range(0, 2000, 500):
        assert post(amounts[start : start + 500]).status == 200
    snapshot(backend, START)
    past, now = (each["variants"][1] for each in history()["snapshots"])
    assert past["lift"] == now["lift"]
    assert past["rate"] == now["rate"] == pytest.approx(2, rel=0.1)
    assert past["lift_interval_always_valid"] is None
    assert now["lift_interval_always_valid"] is not None


def test_without_snapshots_or_goals_there_is_still_now(backend: redis.Redis) -> None:
    send("e", 10)
    found = history()
    assert found["goal"] is None
    assert trials(found) == [{"blue": 5, "red": 5}]
    assert found["snapshots"][0]["variants"][0]["rate"] is None


def test_a_recorded_verdict_comes_along(backend: redis.Redis) -> None:
    put("e", planned_visitors=400)
    send("e", 400)
    send("e", 40, event="signup")
    recorded = call("GET", "/experiment", {"experiment": "e"}).body["goals"][0]["verdict"]
    found = history()
    assert found["recorded"] == recorded["recorded"] is not None
    assert found["plan"]["visitors"] == 400


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({}, 400, "experiment"),
        ({"experiment": "unknown"}, 404, "experiment"),
        ({"experiment": "e", "goal": "unknown"}, 404, "goal"),
        ({"experiment": "e", "goal": ""}, 400, "goal"),
        ({"experiment": "e", "namespace": "x\n"}, 400, "namespace"),
    ],
)
def test_mistakes(backend: redis.Redis, fields: dict[str, str], status: int, field: str) -> None:
    send("e", 10)
    send("e", 2, event="signup")
    answer = call("GET", "/history", fields)
    assert (answer.status, answer.body["field"]) == (status, field)


@pytest.fixture
def closed(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    point_handlers_at(monkeypatch, url_of(store), "0" * 64)
    yield
    process.reset()


def test_it_needs_a_key(closed: None) -> None:
    assert call("GET", "/history", {"experiment": "e"}).status == 403
