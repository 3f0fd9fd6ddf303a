"""A deleted experiment leaves no record to the next one of its name."""

from typing import Any

import pytest
import redis

from gimel.backend import process
from gimel.backend.results import record
from tests.support.handler_requests import call
from tests.support.planned import declare, read, snapshot, verdict, visit


@pytest.mark.parametrize("is_a_snapshot", [False, True])
def test_a_write_during_a_delete_leaves_nothing(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch, is_a_snapshot: bool
) -> None:
    declare()
    visit(0, 600, blue=20, red=120)
    frozen = record._frozen

    def delete_first(*arguments: Any) -> str:
        process.counters().delete("alephbet", "e")
        return frozen(*arguments)

    monkeypatch.setattr(record, "_frozen", delete_first)
    if is_a_snapshot:
        snapshot(backend)
    else:
        read()
    assert not backend.exists("alephbet:e:verdicts")


def test_a_second_delete_removes_what_is_left(backend: redis.Redis) -> None:
    declare()
    visit(0, 600, blue=20, red=120)
    read()
    left = backend.hgetall("alephbet:e:verdicts")
    for _ in range(2):
        backend.hset("alephbet:e:verdicts", mapping=left)
        assert call("DELETE", "/delete", {"experiment": "e"}).status == 200
        assert not backend.exists("alephbet:e:verdicts")


def test_the_next_one_of_its_name_does_not_show_it(backend: redis.Redis) -> None:
    """Not even if it began within the same second."""
    declare()
    visit(0, 600, blue=20, red=120)
    assert verdict()["recorded"]
    left = backend.hgetall("alephbet:e:verdicts")
    created_at = read()["created_at"]
    fields = {"experiment": "e", "forget": "1"}
    assert call("DELETE", "/delete", fields).status == 200
    declare()
    backend.hset("alephbet:e:settings", "created_at", created_at)
    backend.hset("alephbet:e:verdicts", mapping=left)
    visit(0, 100, blue=10, red=10)
    assert read()["plan"]["final_look"] is None
    assert verdict()["recorded"] is None


def test_a_server_that_lost_created_at_keeps_it(backend: redis.Redis) -> None:
    declare()
    visit(0, 600, blue=20, red=120)
    read()
    before = backend.hgetall("alephbet:e:verdicts")
    backend.hset("alephbet:e:settings", "created_at", "2031-01-01T00:00:00Z")
    assert verdict()["recorded"]
    assert backend.hgetall("alephbet:e:verdicts") == before
