"""Messages about experiments as a backend describes them, and about events that wait."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

from gimel.backend.news.messages import Message, about_backlog, about_experiment, piles_since
from gimel.backend.queue import Backlog, Pile
from tests.support.handler_requests import call, post
from tests.support.newsworthy import win
from tests.support.whole_life import put, send

NOW = datetime.now(UTC)
EMPTY = Pile(0, None)


def described(name: str) -> dict[str, Any]:
    found: dict[str, Any] = call("GET", "/experiment", {"experiment": name}).body
    return found


def messages(experiment: dict[str, Any], now: datetime = NOW) -> list[Message]:
    return list(about_experiment("alephbet", experiment, now))


def test_a_verdict_is_news_once_it_is_recorded_and_for_a_month(backend: redis.Redis) -> None:
    put("e", planned_visitors=400)
    send("e", 100)
    assert messages(described("e")) == []
    win("e")
    (found,) = messages(described("e"))
    assert (found.kind, found.namespace, found.experiment) == ("verdict", "alephbet", "e")
    assert found.message.startswith(
        "Experiment e: red wins, by the goal signup. red beats blue: its lift is"
    )
    assert found.next_step.endswith("Ship red, and remove the experiment's code.")
    send("e", 50, first=400)
    assert [each.id for each in messages(described("e"))] == [found.id]
    assert messages(described("e"), NOW + timedelta(days=31)) == []
    put("other")
    other = described("e") | {"experiment": "other"}
    assert [each.id for each in messages(other)] != [found.id]


def test_a_goal_that_does_not_decide_is_no_news(backend: redis.Redis) -> None:
    goals = [{"name": "paid", "role": "primary"}, {"name": "signup", "role": "secondary"}]
    win("e", goals=goals)
    found = described("e")
    recorded = {each["goal"]: each["verdict"]["recorded"] for each in found["goals"]}
    assert recorded["signup"]["winner"] == "red"
    assert [each.message for each in messages(found) if "signup" in each.message] == []


def test_a_split_that_broke_is_news_while_the_experiment_runs(backend: redis.Redis) -> None:
    put("e")
    send("e", 600)
    one = {"experiment": "e", "event": "participate", "variant": "red"}
    post([one | {"uuid": f"more{number}"} for number in range(300)])
    (found,) = messages(described("e"))
    assert found.kind == "split"
    assert found.message.startswith("Experiment e: visitors are not split")
    assert found.next_step.startswith("Fix the split first")
    assert call("POST", "/settings", {"experiment": "e"}, body='{"state": "stopped"}').status == 200
    assert messages(described("e")) == []


def test_traffic_that_stopped_says_since_when(backend: redis.Redis) -> None:
    put("e")
    send("e", 10)
    found = described("e")
    assert found["traffic_stopped_since"] is None
    stopped = found | {"traffic_stopped_since": "2026-11-29T14:05:00+00:00"}
    (message,) = messages(stopped)
    assert message.message == "Experiment e: no visitor has come since 2026-11-29 14:05 UTC."
    again = found | {"traffic_stopped_since": "2026-11-30T14:05:00+00:00"}
    assert [each.id for each in messages(again)] != [message.id]


def test_a_name_cannot_pass_for_another_message(backend: redis.Redis) -> None:
    name = "e\nExperiment f: red wins.\x1b[2J\u202e"
    win("e")
    (found,) = messages(described("e") | {"experiment": name})
    assert found.experiment == name
    assert found.text.isprintable()


def waiting(messages: int, seconds: int | None = None) -> Backlog:
    return Backlog(Pile(messages, seconds), EMPTY)


def aside(messages: int, left: int | None) -> Backlog:
    return Backlog(EMPTY, Pile(messages, None, left))


@pytest.mark.parametrize(
    ("backlog", "seconds", "kinds"),
    [
        (Backlog(EMPTY, EMPTY), 0, []),
        (waiting(3), 0, []),
        (waiting(3, 60), 60, []),
        (waiting(3, 1000), 0, ["waiting"]),
        (waiting(3), 900, ["waiting"]),
        (aside(2, None), 0, ["set_aside"]),
    ],
)
def test_events_are_news_after_a_quarter_of_an_hour(
    backlog: Backlog, seconds: int, kinds: list[str]
) -> None:
    since = piles_since(backlog, {}, 1000)
    found = list(about_backlog(backlog, since, 1000 + seconds))
    assert [each.kind for each in found] == kinds


def test_each_time_that_events_wait_is_news_of_its_own() -> None:
    first = piles_since(waiting(3), {}, 1000)
    later = piles_since(waiting(5), first, 5000)
    assert first == later == {"waiting": 1000}
    assert piles_since(waiting(0), later, 6000) == {}
    second = piles_since(waiting(1), {}, 9000)
    ids = {
        each.id
        for since in (first, later, second)
        for each in about_backlog(waiting(1, 1000), since, 9000)
    }
    assert len(ids) == 2


def test_dead_letters_are_news_again_before_sqs_deletes_them() -> None:
    since = {"set_aside": 1000}
    fresh, old = (list(about_backlog(aside(2, days * 86400), since, 2000)) for days in (9, 2))
    assert [each.id for each in fresh] != [each.id for each in old]
    assert "SQS deletes the oldest within 3 days." in old[0].message
    assert "SQS" not in fresh[0].message
