"""An experiment with a plan, over the handlers: its events, reads and snapshots."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from gimel.backend.counting.counters import Counters
from gimel.backend.experiment.snapshots import SnapshotWriter
from gimel.backend.queue import Backlog, Pile
from gimel.backend.redis.connection import Connection
from gimel.backend.results.backlog import Waiting
from tests.support.handler_requests import call, post
from tests.support.servers import url_of

GOALS = [{"name": "signup", "role": "primary"}, {"name": "share"}]
VARIANTS = [{"name": "blue"}, {"name": "red"}]


def declare(experiment: str = "e", planned_visitors: int | None = 1200, **more: Any) -> None:
    body: dict[str, Any] = {"variants": VARIANTS, "goals": GOALS, "counting": "exact"} | more
    if planned_visitors:
        body["planned_visitors"] = planned_visitors
    assert (
        call("PUT", "/experiment", {"experiment": experiment}, body=json.dumps(body)).status == 200
    )


def send(variant: str, event: str, numbers: range, experiment: str = "e") -> None:
    fields = {"experiment": experiment, "variant": variant, "event": event}
    events = [fields | {"uuid": f"{variant}{number}"} for number in numbers]
    for start in range(0, len(events), 500):
        assert post(events[start : start + 500]).status == 200


def visit(first: int, last: int, *, blue: int, red: int, experiment: str = "e") -> None:
    """Let visitors come to both variants, the first of whom reach the goal."""
    for variant, reached in (("blue", blue), ("red", red)):
        send(variant, "participate", range(first, last), experiment)
        send(variant, "signup", range(first, first + reached), experiment)


def order(visitors: range, **times: int) -> None:
    """Let each visitor of a variant order so many times."""
    for variant, number in times.items():
        sent = [
            {"experiment": "e", "variant": variant, "event": "order", "value": 30}
            | {"uuid": f"{variant}{visitor}-{time}", "visitor": f"{variant}{visitor}"}
            for visitor in visitors
            for time in range(number)
        ]
        for start in range(0, len(sent), 500):
            assert post(sent[start : start + 500]).status == 200


def waits(experiment: str, events: int) -> Waiting:
    """Return a backlog in which so many events of an experiment wait."""
    backlog = Backlog(Pile(1, 5), Pile(0, None), {f'["alephbet","{experiment}"]': events})
    return Waiting("alephbet", backlog)


def read(experiment: str = "e") -> Any:
    return call("GET", "/experiment", {"experiment": experiment}).body


def verdict(experiment: str = "e", goal: str = "signup") -> Any:
    (found,) = [each for each in read(experiment)["goals"] if each["goal"] == goal]
    return found["verdict"]


@contextmanager
def full(store: redis.Redis) -> Iterator[None]:
    store.config_set("maxmemory", "1")
    try:
        yield
    finally:
        store.config_set("maxmemory", "0")


def snapshot(store: redis.Redis, now: float = 1.8e9) -> None:
    connection = Connection(url_of(store))
    SnapshotWriter(connection, Counters(connection)).write(now, 20.0)
