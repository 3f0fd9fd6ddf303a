"""Answers to reads: every variant compared with every other."""

import pytest
import redis

from tests.support.handler_requests import Answer, call, post
from tests.support.whole_life import put


def send(variants: dict[str, int], goal: str = "signup") -> None:
    """Count 400 visitors of each variant. So many of them reach the goal."""
    for variant, reached in variants.items():
        for event, number in {"participate": 400, goal: reached}.items():
            fields = {"experiment": "e", "variant": variant, "event": event}
            assert post([fields | {"uuid": f"{n}"} for n in range(number)]).status == 200


def ask(**fields: str) -> Answer:
    return call("GET", "/experiment", {"experiment": "e"} | fields)


def test_on_request_every_variant_is_compared_with_every_other(backend: redis.Redis) -> None:
    send({"a": 40, "b": 60, "c": 90})
    send({"a": 4, "b": 5, "c": 6}, "paid")
    assert "matrix" not in ask().body
    answer = ask(matrix="signup")
    assert (answer.status, answer.body["experiment"]) == (200, "e")
    matrix = answer.body["matrix"]
    assert (matrix["goal"], matrix["kind"]) == ("signup", "unique")
    pairs = {(each["label"], each["against"]): each for each in matrix["pairs"]}
    assert pairs.keys() == {(one, other) for one in "abc" for other in "abc" if one != other}
    # Against the baseline, a pair is what the goal's row says. Others are not in the rows.
    signup = next(each for each in answer.body["goals"] if each["goal"] == "signup")
    row = signup["results"][2]
    for field in ("lift", "lift_interval", "lift_interval_always_valid", "p_value_always_valid"):
        assert pairs["c", "a"][field] == row[field]
    assert pairs["c", "b"]["lift"] == pytest.approx(0.5, abs=0.01)
    assert pairs["b", "c"]["lift"] == pytest.approx(-1 / 3, abs=0.01)


def test_variants_that_take_no_part_are_not_compared(backend: redis.Redis) -> None:
    put("e")
    send({"blue": 40, "red": 60, "stray": 90})
    pairs = ask(matrix="signup").body["matrix"]["pairs"]
    assert {each["label"] for each in pairs} == {"blue", "red"}


@pytest.mark.parametrize("goal", ["none", "participate"])
def test_a_goal_without_conversions_has_no_matrix(backend: redis.Redis, goal: str) -> None:
    send({"a": 1, "b": 2})
    answer = ask(matrix=goal)
    assert (answer.status, answer.body["field"]) == (404, "matrix")
    assert ask(matrix="").status == 400
