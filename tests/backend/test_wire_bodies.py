"""Hostile JSON bodies, on each route that takes a body: accepted, or refused in one line."""

import json
from typing import Any

import pytest
import redis
from hypothesis import example, given
from hypothesis import strategies as st

from tests.backend.experiment.bodies import BARE, BODY, JSON
from tests.support.handler_requests import call
from tests.support.hypothesis_settings import on_one_server

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}
SURROGATE = "\ud800"
NESTED: Any = json.loads("[" * 900 + "]" * 900)
ROUTES = [("POST", "/settings"), ("PUT", "/experiment"), ("POST", "/e"), ("POST", "/track")]


def send(route: tuple[str, str], body: Any) -> Any:
    method, path = route
    query = {} if method == "POST" and path != "/settings" else {"experiment": "e"}
    answer = call(method, path, query, body=json.dumps(body))
    # What Lambda and WSGI do with it.
    json.dumps(answer.body, ensure_ascii=False).encode()
    assert answer.status in (200, 400, 409, 429)
    if answer.status != 200:
        assert answer.body["error"].isprintable()
    return answer


@on_one_server
@given(
    st.sampled_from(ROUTES),
    JSON
    | st.fixed_dictionaries({}, optional=dict.fromkeys(BODY, JSON))
    | st.fixed_dictionaries(
        {name: st.just(value) for name, value in EVENT.items()},
        optional={"visitor": JSON, "value": JSON, SURROGATE: JSON},
    )
    | st.lists(JSON | st.just(EVENT), max_size=4),
)
@example(ROUTES[0], {SURROGATE: 1})
@example(ROUTES[1], BARE | {SURROGATE: 1})
@example(ROUTES[2], EVENT | {SURROGATE: 1})
@example(ROUTES[0], {"baseline": NESTED})
@example(ROUTES[1], BARE | {"link": NESTED})
def test_any_body(backend: redis.Redis, route: tuple[str, str], body: Any) -> None:
    call("GET", "/e", EVENT)
    send(route, body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({SURROGATE: 1}, "\\ud800"),
        ({"baseline": SURROGATE}, "baseline"),
        ({"weights": {SURROGATE: 1}}, "weights"),
        ({"a\udfffb": None, "state": "stopped"}, "a\\udfffb"),
        ([SURROGATE], "body"),
    ],
)
def test_half_a_character_in_a_setting(backend: redis.Redis, body: Any, field: str) -> None:
    call("GET", "/e", EVENT)
    answer = send(("POST", "/settings"), body)
    assert (answer.status, answer.body["field"]) == (400, field)
    assert "state" not in backend.hgetall("alephbet:e:settings")
