"""Experiments of every sort, through the handlers: they leave each kind of key in Redis.

A later kind of key appears here as soon as its route or its event writes it.
"""

import json
from typing import Any

import redis

from gimel.backend import process
from tests.support.counting import track_1x
from tests.support.handler_requests import call, post

DECLARED: dict[str, Any] = {
    "hypothesis": "Red: draws {the} eye",
    "variants": [{"name": "blue", "weight": 50}, {"name": "red", "weight": 50}],
    "goals": [{"name": "signup", "role": "primary"}],
    "planned_visitors": 40_000,
}


def send(experiment: str, visitors: int, first: int = 0, **more: str) -> None:
    fields = {"experiment": experiment, "event": "participate", **more}
    events = [
        fields | {"variant": ("blue", "red")[number % 2], "uuid": f"id{number}"}
        for number in range(first, first + visitors)
    ]
    for start in range(0, len(events), 500):
        assert post(events[start : start + 500]).status == 200


def put(experiment: str, **changes: Any) -> None:
    body = json.dumps(DECLARED | changes)
    assert call("PUT", "/experiment", {"experiment": experiment}, body=body).status == 200


def live(store: redis.Redis) -> None:
    """Live a whole life of experiments with the handlers, which use this Redis."""
    send("undeclared: #1", 700)
    send("undeclared: #1", 100, event="sign {up}")
    put("declared")
    send("declared", 300)
    send("declared", 30, event="signup")
    send("declared", 3, event="not declared")
    process.counters()._tally.flush()
    fields = {"experiment": "set before its first event", "namespace": "new"}
    assert call("POST", "/settings", fields, body='{"counting": "exact"}').status == 200
    put("amounts", goals=[{"name": "revenue", "kind": "value", "cap": 10}])
    send("amounts", 100)
    orders = {"experiment": "amounts", "event": "revenue", "variant": "blue", "visitor": "ana"}
    assert post([orders | {"uuid": str(n), "value": n} for n in range(30)]).status == 200
    put("exact", counting="exact")
    # One set in 64 has over 300 members: the next process begins 256 sets.
    send("exact", 26_000)
    process.reset()
    send("exact", 100, first=26_000)
    _decided()
    _lives_before(store)
    _deleted()
    for path in ("/experiments", "/experiment"):
        assert call("GET", path, {"experiment": "declared"}).status == 200
    assert process.write_snapshots(20.0)
    process.reset()


def _lives_before(store: redis.Redis) -> None:
    """Leave data of gimel 1.x and lamed, with colons in some names."""
    for variant in "ab":
        uuids = [f"{variant}{number}" for number in range(200)]
        track_1x(store, "alephbet", "old: one", "participate", variant, *uuids)
    track_1x(store, "old", "of lamed", "participate", "a", "x")
    store.set("old:counters:of lamed:participate:a", 17)
    assert post([{"namespace": "old", "experiment": "of lamed", "event": "participate",
                  "variant": "a", "uuid": "new"}]).status == 200  # fmt: skip


def _decided() -> None:
    """Leave an experiment whose verdict a read has recorded, and one that is decided by it."""
    put("decided", planned_visitors=400)
    send("decided", 400)
    won = {"experiment": "decided", "event": "signup", "variant": "red"}
    assert post([won | {"uuid": f"id{number}"} for number in range(1, 300, 2)]).status == 200
    (goal,) = call("GET", "/experiment", {"experiment": "decided"}).body["goals"]
    assert goal["verdict"]["recorded"]["winner"] == "red"
    put("archived")
    send("archived", 20)
    decision = {"winner": "blue", "reason": "It is cheaper"}
    body = json.dumps({"decision": decision, "state": "archived"})
    assert call("POST", "/settings", {"experiment": "archived"}, body=body).status == 200


def _deleted() -> None:
    send("undeclared: #1", 4, event="junk: #1")
    part = {"experiment": "undeclared: #1", "goal": "junk: #1"}
    assert call("DELETE", "/delete", part).status == 200
    for namespace in ("alephbet", "left empty"):
        fields = {"experiment": "deleted", "namespace": namespace}
        send("deleted", 10, namespace=namespace)
        assert call("DELETE", "/delete", fields).status == 200
