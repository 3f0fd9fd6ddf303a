"""Requests as clients of gimel 1.x send them, answered by gimel 1.5.0's own code and by ours."""

from typing import Any
from urllib.parse import parse_qsl

import pytest
import redis

from gimel import gimel as handlers
from tests.support.handler_requests import KEY, KEY_SHA256, call, point_handlers_at, request
from tests.support.old_handlers import OldHandlers
from tests.support.servers import url_of

# As AlephBet 0.27.0's GimelAdapter wrote them, in a browser's log.
TRACKED = [
    "experiment=button+color&uuid=6b0a3a04-3b1e-4a52-a0a8-0d5a7a5d0c11&variant=blue&event=participate&namespace=alephbet",
    "experiment=button+color&uuid=6b0a3a04-3b1e-4a52-a0a8-0d5a7a5d0c12&variant=red&event=participate&namespace=alephbet",
    "experiment=button+color&uuid=6b0a3a04-3b1e-4a52-a0a8-0d5a7a5d0c13&variant=red&event=button+clicked&namespace=alephbet",
    "experiment=button+color&uuid=6b0a3a04-3b1e-4a52-a0a8-0d5a7a5d0c13&variant=red&event=button+clicked&namespace=alephbet",
    "experiment=my+a%2Fb+test&uuid=0c1&variant=%D7%90&event=participate&namespace=alephbet",
    "experiment=other&uuid=0c1&variant=a&event=participate&namespace=staging",
    "experiment=other&uuid=0c2&variant=a&event=participate",
]
# Dashboards and scripts: `gimel.all` and `gimel.delete` behind REST, the key in X-Api-Key.
READ = [
    ("all", "GET", "/experiments", ""),
    ("all", "GET", "/experiments", "namespace=alephbet"),
    ("all", "GET", "/experiments", "namespace=staging"),
    ("all", "GET", "/experiments", "namespace=nowhere"),
    ("all", "GET", "/experiments", "scope=button%20color"),
    ("all", "GET", "/experiments", "scope=button+color,other&namespace=alephbet"),
    ("all", "GET", "/experiments", "scope=unknown"),
]
DELETED = [
    ("DELETE", "/delete", "experiment=button%20color"),
    ("DELETE", "/delete", "experiment=button%20color&namespace=alephbet"),
    ("DELETE", "/delete", "experiment=unknown"),
]
HEADERS = {"x-api-key": KEY, "origin": "https://dashboard.example", "accept": "*/*"}


def extends(ours: Any, theirs: Any) -> bool:
    """Whether ours says all that theirs says, of the same types, in the same places."""
    if isinstance(theirs, dict):
        return all(field in ours and extends(ours[field], theirs[field]) for field in theirs)
    if isinstance(theirs, list):
        # gimel 1.x answers in the order of a set: none.
        return len(ours) == len(theirs) and all(
            any(extends(mine, other) for mine in ours) for other in theirs
        )
    return type(ours) is type(theirs) and ours == theirs


@pytest.fixture
def filled(
    backend: redis.Redis,
    run_old: OldHandlers,
    monkeypatch: pytest.MonkeyPatch,
) -> list[Any]:
    """What gimel 1.5.0 answered to READ. Ours, on the emptied Redis, has had the same events."""
    events = [("track", dict(parse_qsl(query))) for query in TRACKED]
    reads = [(handler, dict(parse_qsl(query))) for handler, _, _, query in READ]
    *_, theirs = run_old("gimel", *events), run_old("gimel", *reads)
    backend.flushall()
    point_handlers_at(monkeypatch, url_of(backend), KEY_SHA256)
    for query in TRACKED:
        assert call("GET", "/track", query).status == 200
    return theirs


def test_all_that_1_5_0_answered_is_still_answered(filled: list[Any]) -> None:
    assert len(filled) == len(READ)
    assert filled[1][0] == {"meta": {"scope": None}}
    for (_, method, path, query), theirs in zip(READ, filled, strict=True):
        answer = call(method, path, query, headers=HEADERS)
        assert answer.status == 200
        assert answer.body[0].keys() == {"meta"}
        assert extends(answer.body, theirs), (query, theirs)


def test_deleting_answers_200_as_1_5_0_did(filled: list[Any]) -> None:
    for method, path, query in DELETED:
        assert call(method, path, query, headers=HEADERS).status == 200
    left = call("GET", "/experiments", headers=HEADERS).body[1:]
    assert {each["experiment"] for each in left} == {"my a/b test", "other"}


def test_an_extra_endpoint_is_the_track_handler(filled: list[Any]) -> None:
    """`extra_wiring` names `gimel.track`; what path it is called by does not matter."""
    response = handlers.track(request("GET", "/my_endpoint", TRACKED[0]))
    assert response["statusCode"] == 200


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        ([{"a": 1, "b": 2}], [{"a": 1}], True),
        ([{"b": 2}], [{"a": 1}], False),
        ([{"a": 1.0}], [{"a": 1}], False),
        ([{"a": 1}, {"a": 2}], [{"a": 1}], False),
    ],
)
def test_the_comparison_of_shapes_can_fail(ours: Any, theirs: Any, same: bool) -> None:
    assert extends(ours, theirs) is same
