"""docs/security.md: the example of a goal that nobody can forge."""

import pytest
import redis

from tests.support.commands import server_url
from tests.support.documented_examples import examples
from tests.support.handler_requests import KEY, KEY_SHA256, call, point_handlers_at
from tests.support.servers import url_of


def test_an_order_counts_with_the_key_only(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    point_handlers_at(monkeypatch, url_of(store), f"{KEY_SHA256}")
    monkeypatch.setenv("GIMEL_URL", server_url())
    headers = {"x-api-key": KEY}
    query = {"experiment": "checkout"}
    definition = examples("security.md", "json")[0]
    assert call("PUT", "/experiment", query, body=definition, headers=headers).status == 200
    program: dict[str, object] = {}
    exec(examples("security.md", "python")[0], program)
    for key in (KEY, "wrong"):
        monkeypatch.setenv("GIMEL_SEND_KEY", key)
        program["order_was_paid"](f"visitor of {key}", "one page")  # type: ignore[operator]
    (goal,) = call("GET", "/experiment", query, headers=headers).body["goals"]
    counted = {row["label"]: row["successes"] for row in goal["results"]}
    assert counted == {"one page": 1, "two steps": 0}
