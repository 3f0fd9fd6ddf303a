"""Declared experiments for the dashboard's tests, and a tally of ignored events."""

import json
from pathlib import Path
from typing import Any

import redis
import requests

from gimel.backend.counting.keys import ignored_events, ignored_names
from tests.support.gimel_local import key_header

DEFINITION: dict[str, Any] = {
    "hypothesis": "Red draws the eye",
    "owner": "ana",
    "link": "https://tracker.example/1842",
    "variants": [{"name": "blue"}, {"name": "red"}],
    "goals": [{"name": "signup", "role": "primary"}],
    "planned_visitors": 40_000,
}
ARMS = {"blue": (30, {"signup": 3}), "red": (31, {"signup": 5})}


def put(url: str, namespace: str, name: str, **changes: Any) -> None:
    fields = {"namespace": namespace, "experiment": name}
    requests.put(
        f"{url}/experiment",
        params=fields,
        json=DEFINITION | changes,
        headers=key_header(url),
        timeout=60,
    ).raise_for_status()


def read(url: str, namespace: str, name: str) -> Any:
    fields = {"namespace": namespace, "experiment": name}
    headers = key_header(url)
    return requests.get(f"{url}/experiment", params=fields, headers=headers, timeout=60).json()


def tally(data_dir: Path, namespace: str, experiment: str, variant: str) -> None:
    """Write a tally of ignored events, as a process does after a minute."""
    reason = "undeclared variant"
    last = {"reason": reason, "experiment": experiment, "goal": "g", "variant": variant}
    with redis.Redis(unix_socket_path=str(data_dir / "valkey.sock")) as store:
        store.hset(ignored_events(namespace), f"{reason}:{experiment}", 31)
        store.lpush(ignored_names(namespace), json.dumps(last))
