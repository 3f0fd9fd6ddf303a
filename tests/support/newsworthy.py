"""Experiments that are news: one with a winner, one with a split that broke."""

from typing import Any

from tests.support.handler_requests import post
from tests.support.whole_life import put, send


def win(name: str, **definition: Any) -> None:
    """Declare an experiment and fulfil its plan, with a winner."""
    put(name, planned_visitors=400, **definition)
    send(name, 400)
    won = {"experiment": name, "event": "signup", "variant": "red"}
    assert post([won | {"uuid": f"id{number}"} for number in range(1, 300, 2)]).status == 200


def skew(name: str) -> None:
    """Declare an experiment, all of whose visitors are shown one variant."""
    put(name)
    one = {"experiment": name, "event": "participate", "variant": "red"}
    assert post([one | {"uuid": f"id{number}"} for number in range(300)]).status == 200
