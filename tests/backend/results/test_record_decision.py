"""Decisions through the handlers: the experiment stops, and the figures of that moment stay."""

import json
from typing import Any

import pytest
import redis

from gimel.backend import process
from gimel.backend.results import record_validity
from tests.support.commands import count
from tests.support.handler_requests import Answer, call, post
from tests.support.planned import full

KEY = "alephbet:e:settings"
GOALS = ["signup", "refund", "share"]
DECLARED = {
    "variants": [{"name": "blue"}, {"name": "red"}],
    "goals": [
        {"name": "share", "role": "secondary"},
        {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.1},
        {"name": "signup", "role": "primary"},
    ],
    "counting": "exact",
}
WON = {"winner": "red", "reason": "Red won.\nAnd it is cheaper."}


@pytest.fixture(params=["declared", "undeclared"])
def experiment(
    backend: redis.Redis, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> redis.Redis:
    """An experiment in which red wins, and a client of its Redis."""
    monkeypatch.setenv("GIMEL_COUNTING", "exact")
    process.reset()
    if request.param == "declared":
        declare()
    count("e", {"blue": 1000, "red": 1000}, {"signup": {"blue": 100, "red": 200}})
    return backend


def declare(**changes: Any) -> None:
    body = json.dumps(DECLARED | changes)
    assert call("PUT", "/experiment", {"experiment": "e"}, body=body).status == 200


def tell(**settings: Any) -> Answer:
    return call("POST", "/settings", {"experiment": "e"}, body=json.dumps(settings))


def read() -> dict[str, Any]:
    found: dict[str, Any] = call("GET", "/experiment", {"experiment": "e"}).body
    return found


def test_a_decision_stops_and_freezes_the_figures(experiment: redis.Redis) -> None:
    before = read()
    answer = tell(decision=WON)
    assert answer.status == 200
    found = answer.body
    assert found == read()
    assert found["state"] == "stopped"
    decision = found["decision"]
    assert (decision["winner"], decision["reason"]) == ("red", WON["reason"])
    assert decision["figures"]["at"] == decision["at"] == found["changes"][0]["at"]
    assert set(found["changes"][0]["fields"]) == {"state", "decision"}
    (signup,) = [each for each in before["goals"] if each["goal"] == "signup"]
    (kept,) = [each for each in decision["figures"]["goals"] if each["goal"] == "signup"]
    assert (kept["state"], kept["winner"]) == ("winner", "red")
    assert (kept["role"], kept["kind"]) == ("primary", "unique")
    assert kept["variants"] == [
        {field: row[field] for field in kept["variants"][0]} for row in signup["results"]
    ]
    red = kept["variants"][1]
    assert (red["label"], red["trials"], red["successes"], red["lift"]) == ("red", 1000, 200, 1.0)
    low, high = red["lift_interval_always_valid"]
    assert 0 < low < 1 < high
    fields = experiment.hgetall("alephbet:e:verdicts")
    assert all(record_validity.is_valid(*field) for field in fields.items())


def test_events_that_come_after_it_are_ignored(experiment: redis.Redis) -> None:
    tell(decision=WON)
    process.reset()
    late = {"experiment": "e", "variant": "red", "event": "participate", "uuid": "late"}
    assert post(late).status == 200
    assert sum(each["trials"] for each in read()["variants"]) == 2000


def test_deciding_again_keeps_the_figures(experiment: redis.Redis) -> None:
    first = tell(decision=WON).body["decision"]
    # As a process does that has not heard of the decision yet
    experiment.hdel(KEY, "state")
    process.reset()
    count("e", {"blue": 1500, "red": 1500})
    second = tell(decision={"winner": "blue", "reason": "Red is too expensive"}).body
    assert (second["decision"]["winner"], second["state"]) == ("blue", "stopped")
    assert second["decision"]["figures"] == first["figures"]
    assert [json.loads(each["fields"]["decision"])["winner"] for each in second["changes"][:2]] == [
        "blue",
        "red",
    ]


def test_a_decided_experiment_does_not_resume(experiment: redis.Redis) -> None:
    tell(decision=WON)
    stored = experiment.hgetall(KEY)
    answer = tell(state="running")
    assert (answer.status, answer.body["field"]) == (409, "state")
    assert "`gimel settings EXPERIMENT --reset decision`" in answer.body["error"]
    assert tell(state=None).status == 409
    assert tell(decision=WON, state="running").status == 409
    assert experiment.hgetall(KEY) == stored
    taken_back = tell(decision=None).body
    assert (taken_back["decision"], taken_back["state"]) == (None, "stopped")
    assert taken_back["changes"][0]["fields"] == {"decision": None}
    assert tell(state="running").body["state"] == "running"


def test_a_decision_after_one_that_was_taken_back_has_figures_of_its_own(
    experiment: redis.Redis,
) -> None:
    tell(decision=WON)
    old = json.loads(experiment.hget(KEY, "decision") or "")
    assert tell(decision=None, state="running").status == 200
    _put_back(experiment, old["frozen_at"], "2026-01-01T00:00:00Z")
    process.reset()
    count("e", {"blue": 1500, "red": 1500})
    figures = tell(decision=WON).body["decision"]["figures"]
    (signup,) = [each for each in figures["goals"] if each["goal"] == "signup"]
    assert [row["trials"] for row in signup["variants"]] == [1500, 1500]


def _put_back(store: redis.Redis, at: str, to: str) -> None:
    """Let the figures of a time be those of an earlier one."""
    verdicts = "alephbet:e:verdicts"
    (field,) = [each for each in store.hkeys(verdicts) if each.endswith(at)]
    store.hset(verdicts, field.replace(at, to), store.hget(verdicts, field) or "")
    store.hdel(verdicts, field)


def test_the_next_step_follows_the_decision(experiment: redis.Redis) -> None:
    found = tell(decision=WON | {"winner": "blue"}).body
    step = "The experiment is decided: keep blue, and remove the experiment's code."
    assert {goal["verdict"]["next_step"] for goal in found["goals"]} == {step}


def test_archived_ones_keep_everything(experiment: redis.Redis) -> None:
    decided = tell(decision=WON).body
    archived = tell(state="archived").body
    assert archived["decision"] == decided["decision"]
    assert archived["goals"] == decided["goals"]
    assert [each["fields"] for each in archived["changes"]][1:] == [
        each["fields"] for each in decided["changes"]
    ]
    again = tell(decision=WON | {"winner": "blue"}).body
    assert (again["state"], again["decision"]["winner"]) == ("archived", "blue")


def test_lists_have_it_too_and_a_summary_has_the_primary_goals(backend: redis.Redis) -> None:
    declare()
    count("e", {"blue": 1000, "red": 1000}, {"signup": {"blue": 100, "red": 200}})
    whole = tell(decision=WON).body["decision"]
    assert [each["goal"] for each in whole["figures"]["goals"]] == ["signup", "refund", "share"]
    _, listed = call("GET", "/experiments").body
    assert listed["decision"] == whole
    _, short = call("GET", "/experiments", {"view": "summary"}).body
    assert [each["goal"] for each in short["decision"]["figures"]["goals"]] == ["signup"]


def test_declaring_again_neither_changes_nor_copies_a_decision(backend: redis.Redis) -> None:
    declare()
    decision = tell(decision=WON).body["decision"]
    declare(owner="ana")
    found = read()
    assert found["decision"] == decision
    assert "decision" not in found["definition"]
    body = json.dumps(DECLARED | {"state": "running"})
    assert call("PUT", "/experiment", {"experiment": "e"}, body=body).status == 409
    body = json.dumps(DECLARED | {"decision": WON})
    assert call("PUT", "/experiment", {"experiment": "e"}, body=body).status == 400


def test_an_experiment_without_events_can_be_decided(backend: redis.Redis) -> None:
    declare()
    decision = tell(decision=WON).body["decision"]
    assert [row["rate"] for row in decision["figures"]["goals"][0]["variants"]] == [None, None]


def test_the_record_is_bounded(backend: redis.Redis) -> None:
    goals = [{"name": f"goal {number:02}"} for number in range(50)]
    variants = [{"name": f"variant {number:02}"} for number in range(25)]
    declare(goals=goals, variants=variants)
    winner = {"winner": "variant 03", "reason": "It won"}
    figures = tell(decision=winner).body["decision"]["figures"]
    assert (len(figures["goals"]), figures["goals_left_out"]) == (40, 10)
    assert figures["goals"][0]["goal"] == "goal 00", "the primary goal"
    (text,) = backend.hvals("alephbet:e:verdicts")
    assert len(text) < 200_000


def test_a_full_redis_decides_nothing(backend: redis.Redis) -> None:
    declare()
    count("e", {"blue": 10, "red": 10})
    with full(backend):
        answer = tell(decision=WON)
    assert answer.status == 503
    found = read()
    assert (found["decision"], found["state"]) == (None, "running")
