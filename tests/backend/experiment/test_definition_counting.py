"""How an experiment is counted is chosen once, before its first event."""

from typing import Any

import pytest
import redis

from tests.support.handler_requests import call

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}


def choose(way: str | None) -> Any:
    body = '{"counting": null}' if way is None else f'{{"counting": "{way}"}}'
    return call("POST", "/settings", {"experiment": "e"}, body=body)


def test_an_experiment_to_come_can_be_counted_exactly(backend: redis.Redis) -> None:
    answer = choose("exact")
    assert (answer.status, answer.body["counting"]["method"]) == (200, "exact")
    for experiment in ("e", "other"):
        call("GET", "/e", EVENT | {"experiment": experiment})
    found = {each["experiment"]: each for each in call("GET", "/experiments").body[1:]}
    assert {name: each["counting"]["method"] for name, each in found.items()} == {
        "e": "exact",
        "other": "hyperloglog",
    }
    (variant,) = found["e"]["variants"]
    assert (variant["label"], variant["trials"]) == ("a", 1)


@pytest.mark.parametrize("way", ["exact", "hyperloglog", None])
def test_the_way_stays_once_events_are_counted(backend: redis.Redis, way: str | None) -> None:
    call("GET", "/e", EVENT)
    answer = choose(way)
    assert (answer.status, answer.body["field"]) == (400, "counting")
    assert "cannot change after the first event" in answer.body["error"]
    assert call("GET", "/experiment", {"experiment": "e"}).body["counting"]["shards"] == 64


def test_the_way_is_chosen_once(backend: redis.Redis) -> None:
    assert choose("exact").status == 200
    assert choose("exact").status == 200
    assert choose("hyperloglog").body["error"].startswith("the counting method is already set")
    assert choose("exactly").status == 400
    call("DELETE", "/delete", {"experiment": "e", "forget": "1"})
    assert backend.dbsize() == 0
    assert choose("hyperloglog").status == 200
