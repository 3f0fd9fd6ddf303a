"""An event and a read on a cluster of three: Gimel's way, redis-py's cluster client, one server."""

import time
from collections.abc import Callable
from random import Random
from typing import Any

from redis.cluster import RedisCluster

from bench import harness
from bench.reads import GOALS, VARIANTS, VISITORS
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import Keys, shard_endings
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.servers import url_of
from tests.support.valkey_cluster import cluster

ROUNDS = 9
EVENTS = 500
EXPERIMENTS = [f"experiment number {number}" for number in range(100)]
_SHARDS = shard_endings(64)


def _fill(counters: Counters, bits: Random) -> None:
    for name in EXPERIMENTS:
        counters.add(
            [
                Event("alephbet", name, goal, variant, f"{bits.getrandbits(128):x}")
                for goal in GOALS
                for variant in VARIANTS
                for _ in range(VISITORS)
            ]
        )


def _timed(work: Callable[[], object], times: int = 1) -> Callable[[], float]:
    """Milliseconds that the work takes, done so many times."""

    def measure() -> float:
        began = time.perf_counter()
        for _ in range(times):
            work()
        return (time.perf_counter() - began) * 1000 / times

    return measure


def _contenders(counters: Counters, bits: Random) -> dict[str, Callable[[], float]]:
    def add() -> None:
        counters.add([Event("alephbet", EXPERIMENTS[0], "buy", "red", f"{bits.random()}")])

    return {
        "event": _timed(add, EVENTS),
        "read": _timed(lambda: counters.read("alephbet", EXPERIMENTS)),
    }


def _by_client(client: Any, bits: Random) -> dict[str, Callable[[], float]]:
    """The commands alone, by redis-py's cluster client."""
    layouts = [Keys("alephbet", name) for name in EXPERIMENTS]
    counters = [each.counter(goal, of) for each in layouts for goal in GOALS for of in VARIANTS]

    def add() -> None:
        client.pfadd(counters[0] + bits.choice(_SHARDS), f"{bits.random()}")

    def read() -> None:
        pipeline = client.pipeline()
        for counter in counters:
            for ending in _SHARDS:
                pipeline.execute_command("PFCOUNT", counter + ending)
        pipeline.execute()

    return {"event": _timed(add, EVENTS), "read": _timed(read)}


def measure(port: int) -> list[harness.Section]:
    bits = Random(7)
    with cluster() as nodes:
        ways = {
            "cluster": Counters(Connection(url_of(nodes[0]), cluster=True)),
            "one": Counters(Connection(f"redis://127.0.0.1:{port}")),
        }
        contenders: dict[str, Callable[[], float]] = {}
        for way, counters in ways.items():
            _fill(counters, bits)
            own = _contenders(counters, bits)
            contenders |= {f"{what} {way}": work for what, work in own.items()}
        client = _by_client(RedisCluster.from_url(url_of(nodes[0])), bits)
        contenders |= {f"{what} client": work for what, work in client.items()}
        harness.in_turn(contenders, 1)
        found = harness.in_turn(contenders, ROUNDS)
    return [("cluster", harness.HEAD, [row.cells() for row in _rows(found)])]


def _rows(found: harness.Rounds) -> list[harness.Row]:
    rows = []
    for what, said in (("event", "an event"), ("read", "100 experiments, 38,400 PFCOUNTs")):
        one = found[f"{what} one"]
        for way, words in (
            ("one", "one server"),
            ("cluster", "a cluster of three"),
            ("client", "a cluster of three, the commands alone by redis-py's client"),
        ):
            own, base = (
                [each * 1000 if what == "event" else each for each in times]
                for times in (found[f"{what} {way}"], one)
            )
            unit = "µs" if what == "event" else "ms"
            rows.append(harness.ratio_row(f"{said}: {words}", own, base, unit, "one server"))
    return rows
