"""Events of a flag that leave out the variant: the backend fills in the assigned one."""

import json
from typing import Any

import pytest
import redis

from gimel.backend.process import counters, flags
from tests.support.flags import declare, evaluate
from tests.support.handler_requests import call, post
from tests.support.traffic import traffic

ORDER = {"experiment": "button color", "event": "signup", "visitor": "user 7", "uuid": "order 1"}


def counted(name: str = "button color") -> dict[str, dict[str, int]]:
    found = call("GET", "/experiment", {"experiment": name}).body
    seen = {"participate": {each["label"]: each["trials"] for each in found["variants"]}}
    for goal in found["goals"]:
        seen[goal["goal"]] = {row["label"]: row["successes"] for row in goal["results"]}
    return seen


def test_the_variant_is_the_one_that_was_evaluated(backend: redis.Redis) -> None:
    declare("button color")
    expected = {"blue": 0, "red": 0}
    for number in range(60):
        fields = ORDER | {"visitor": f"user {number}", "uuid": f"{number}"}
        expected[evaluate("button%20color", f"user {number}").body["variant"]] += 1
        as_list: Any = [fields, fields | {"event": "participate"}]
        assert post(as_list).body["accepted"] == 2
        assert post(fields).body["accepted"] == 1
        assert call("GET", "/e", fields).body["accepted"] == 1
    assert counted()["signup"] == counted()["participate"] == expected


@pytest.mark.parametrize("missing", ["visitor", "uuid", "event"])
def test_the_other_fields_are_still_needed(backend: redis.Redis, missing: str) -> None:
    declare("button color")
    fields = {name: value for name, value in ORDER.items() if name != missing}
    answer = post(fields)
    refused = {"error": f"{missing} is missing", "field": missing}
    assert (answer.status, answer.body) == (400, refused)


def test_without_a_flag_the_variant_is_missing(backend: redis.Redis) -> None:
    declare("button color")
    declare("no flag", flag=False)
    refused = {"error": "variant is missing", "field": "variant"}
    for fields in (
        ORDER | {"experiment": "no flag"},
        ORDER | {"experiment": "unknown"},
        ORDER | {"namespace": "unknown"},
    ):
        for answer in (post(fields), call("GET", "/e", fields)):
            assert (answer.status, answer.body) == (400, refused)
    # An empty variant is a mistake of the sender, not a missing one.
    empty = {"error": "variant is empty", "field": "variant"}
    assert post(ORDER | {"variant": ""}).body == empty
    batch: Any = [ORDER | {"experiment": "unknown"}, ORDER]
    answer = post(batch)
    assert (answer.status, answer.body["accepted"]) == (200, 1)
    assert answer.body["rejected"] == [{"index": 0} | refused]


def test_a_visitor_outside_of_the_traffic_is_ignored(backend: redis.Redis) -> None:
    declare("button color", traffic=0.3)
    accepted = 0
    for number in range(100):
        fields = ORDER | {"visitor": f"user {number}", "uuid": f"{number}"}
        answer = post(fields)
        assert answer.status == 200
        if evaluate("button%20color", f"user {number}").body["reason"] == "SPLIT":
            accepted += 1
            assert answer.body["accepted"] == 1
        else:
            assert answer.body["reasons"] == {"visitor not in traffic": 1}
    assert 15 < accepted < 50
    assert sum(counted()["signup"].values()) == accepted


@pytest.mark.parametrize(
    "settings", [{"state": "stopped"}, {"decision": {"winner": "red", "reason": "It won"}}]
)
def test_a_stopped_flag_ignores_them(backend: redis.Redis, settings: dict[str, Any]) -> None:
    declare("button color")
    call("POST", "/settings", {"experiment": "button color"}, body=json.dumps(settings))
    ignored = {"accepted": 0, "ignored": 1, "reasons": {"experiment is stopped": 1}, "rejected": []}
    batch: Any = [ORDER]
    for answer in (post(ORDER), post(batch), call("GET", "/e", ORDER)):
        assert (answer.status, answer.body) == (200, ignored)


def test_their_owner_sees_how_many_were_ignored(backend: redis.Redis) -> None:
    declare("button color", traffic=0.3)
    batch: Any = [ORDER | {"visitor": f"user {number}"} for number in range(100)]
    alone = [call("GET", "/e", fields) for fields in batch]
    number = sum(answer.body["ignored"] for answer in [post(batch), *alone])
    counters()._tally.flush()
    ignored = call("GET", "/experiment", {"experiment": "button color"}).body["ignored"]
    assert number > 100
    assert ignored["reasons"] == {"visitor not in traffic": number}
    last = {"reason": "visitor not in traffic", "experiment": "button color", "goal": "signup"}
    assert ignored["last"][0] == last | {"variant": "blue"}


def test_a_mixed_batch_is_told_apart(backend: redis.Redis) -> None:
    declare("button color")
    declare("stopped")
    call("POST", "/settings", {"experiment": "stopped"}, body='{"state": "stopped"}')
    batch: Any = [
        ORDER | {"experiment": "stopped"},
        {},
        ORDER | {"variant": "red"},
        ORDER | {"variant": "green"},
        ORDER,
    ]
    answer = post(batch)
    assert answer.status == 200
    assert (answer.body["accepted"], answer.body["ignored"]) == (2, 2)
    assert answer.body["reasons"] == {"experiment is stopped": 1, "undeclared variant": 1}
    assert [each["index"] for each in answer.body["rejected"]] == [1]


def test_a_goal_that_needs_a_key_still_needs_it(backend: redis.Redis) -> None:
    declare("button color")
    assert post(ORDER | {"event": "order"}).body["reasons"] == {"goal needs a key": 1}


def test_it_costs_redis_no_more_than_any_event(backend: redis.Redis) -> None:
    declare("button color", counting="hyperloglog")
    post(ORDER)
    with traffic(backend) as seen:
        post(ORDER | {"uuid": "order 2"})
    assert seen.commands == {"pfadd": 1}
    for variant in ("blue", "red"):
        post(ORDER | {"variant": variant})
    flags().forget()
    with traffic(backend) as seen:
        post(ORDER | {"uuid": "order 3", "variant": "red"})
    # An event with a variant asks for no flags.
    assert seen.commands == {"pfadd": 1}


def test_junk_is_answered(backend: redis.Redis) -> None:
    declare("button color")
    for junk in (1, None, [1], {"a": 1}, "x", True):
        for field in ORDER:
            answer = post(ORDER | {field: junk})
            assert answer.status in (200, 400)
    assert json.loads(json.dumps(counted()["participate"])) == {"blue": 0, "red": 0}


def test_events_of_a_stopped_experiment_are_ignored(backend: redis.Redis) -> None:
    declare("stopped")
    call("POST", "/settings", {"experiment": "stopped"}, body='{"state": "stopped"}')
    event = ORDER | {"experiment": "stopped", "variant": "red"}
    for _ in range(2):
        assert post([event]).body["reasons"] == {"experiment is stopped": 1}
