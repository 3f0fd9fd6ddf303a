"""Experiments in each state that a reader can meet, counted by a real backend."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import redis

from tests.support.dashboard_page import Arms, events, send
from tests.support.gimel_local import LocalBackend

WON, WAITING, NOTHING, BROKEN = "Won", "Waiting", "Nothing found", "Broken guardrail"
AMOUNTS, REPEATED, SKEWED = "Amounts", "Repeated goal", "Skewed split"
ALL = (WON, WAITING, NOTHING, BROKEN, AMOUNTS, REPEATED, SKEWED)

_VARIANTS = [{"name": "blue"}, {"name": "red"}]
_PRIMARY = {"name": "signup", "role": "primary"}
_REFUND = {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.1}
_LATENCY = {"name": "error shown", "role": "guardrail", "better": "lower", "margin": 0.2}


def fill(backend: LocalBackend, namespace: str) -> None:
    """Count the experiments. A verdict is recorded by a read before more visitors come."""
    goals = [_PRIMARY, _REFUND, _LATENCY, {"name": "share", "role": "secondary"}]
    _declare(backend, namespace, WON, goals, planned_visitors=10_000)
    _count(backend, namespace, WON, {"blue": (2000, _of(200, 90)), "red": (2010, _of(290, 60))})
    _age(backend.data_dir, namespace, WON, days=8)
    backend.client.experiment(WON, namespace)
    _count(backend, namespace, WON, {"blue": (2600, _of(262, 120)), "red": (2590, _of(350, 75))})
    _declare(backend, namespace, WAITING, [_PRIMARY], planned_visitors=6000)
    waiting: Arms = {"blue": (1000, {"signup": 100}), "red": (1010, {"signup": 108})}
    _count(backend, namespace, WAITING, waiting)
    _age(backend.data_dir, namespace, WAITING, days=5)
    _declare(backend, namespace, NOTHING, [_PRIMARY], planned_visitors=2000)
    nothing: Arms = {"blue": (1003, {"signup": 150}), "red": (1001, {"signup": 153})}
    _count(backend, namespace, NOTHING, nothing)
    _declare(backend, namespace, BROKEN, [_PRIMARY, _REFUND])
    _count(backend, namespace, BROKEN, {"blue": (2000, _of(200, 60)), "red": (2010, _of(290, 160))})
    _declare(backend, namespace, AMOUNTS, [_PAID], counting="hyperloglog")
    send(backend.url, _amounts(namespace))
    arms: Arms = {"blue": (300, {"click": 900}), "red": (300, {"click": 1000})}
    _count(backend, namespace, REPEATED, arms)
    backend.client.configure(REPEATED, {"totals": ["click"]}, namespace=namespace)
    skewed: Arms = {"blue": (1500, {"signup": 150}), "red": (1100, {"signup": 150})}
    _count(backend, namespace, SKEWED, skewed)


_PAID = {"name": "paid", "role": "primary", "kind": "value", "cap": 200}


def _of(signup: int, refund: int) -> dict[str, int]:
    return {"signup": signup, "refund": refund, "error shown": 20, "share": 31}


def _declare(
    backend: LocalBackend, namespace: str, name: str, goals: list[dict[str, Any]], **more: Any
) -> None:
    body = {"variants": _VARIANTS, "goals": goals, "counting": "exact"} | more
    backend.client.declare(name, body, namespace=namespace)


def _count(backend: LocalBackend, namespace: str, name: str, arms: Arms) -> None:
    send(backend.url, events(namespace, name, arms))


def _age(data_dir: Path, namespace: str, name: str, *, days: int) -> None:
    """Let an experiment have begun so many days ago."""
    born = datetime.now(UTC) - timedelta(days=days, hours=1)
    with redis.Redis(unix_socket_path=str(data_dir / "valkey.sock")) as store:
        store.hset(f"{namespace}:{name}:settings", "created_at", f"{born:%Y-%m-%dT%H:%M:%SZ}")


def _amounts(namespace: str) -> Iterator[dict[str, Any]]:
    """Visitors, of whom a third pay once or twice, the same every time."""
    chance = random.Random(5)
    for variant, mean in (("blue", 3.0), ("red", 3.3)):
        for number in range(1500):
            event = {"namespace": namespace, "experiment": AMOUNTS, "variant": variant}
            event |= {"visitor": f"{variant} {number}", "uuid": f"{variant} {number}"}
            yield event | {"event": "participate"}
            for order in range(chance.choice((0, 0, 0, 1, 2))):
                paid = {"event": "paid", "uuid": f"{variant} {number} {order}"}
                yield event | paid | {"value": round(chance.lognormvariate(mean, 0.9), 2)}
