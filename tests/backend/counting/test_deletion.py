"""Deleting: the mark comes first, a full Redis makes room, and an interrupted delete goes on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import redis

from gimel.backend.counting import declaring
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.tally import read_tally
from gimel.backend.redis.connection import Connection
from tests.support.counting import (
    counters_of,
    counters_of_proxy,
    event,
    events,
    full_experiment,
    track_1x,
)
from tests.support.handler_requests import call
from tests.support.proxy import proxy_of
from tests.support.servers import debian_redis, frozen, url_of
from tests.support.valkey_cluster import cluster, is_whole
from tests.support.waiting import wait

FULL = {
    "error": "Redis is full: raise its maxmemory or `gimel delete` an experiment, then try again",
    "field": None,
}


def large_experiment(counters: Counters) -> None:
    """Count 500 visitors of 3 goals in each of 20 variants: more than 600 KB."""
    for number in range(60):
        goal = ("participate", "signup", "order")[number % 3]
        counters.add(events(range(500), variant=f"variant {number // 3}", goal=goal))


@contextmanager
def full(store: redis.Redis, by: int = 30_000) -> Iterator[None]:
    """Let the server use `by` bytes less than it does."""
    store.config_set("maxmemory-policy", "noeviction")
    store.config_set("maxmemory", store.info("memory")["used_memory"] - by)
    try:
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            store.execute_command("SADD", store.randomkey(), "x")
        yield
    finally:
        store.config_set("maxmemory", 0)


def contents(store: redis.Redis) -> dict[str, bytes | None]:
    return {key: store.dump(key) for key in store.scan_iter()}


@pytest.fixture(params=["valkey", "redis"])
def server(request: pytest.FixtureRequest) -> Iterator[redis.Redis]:
    if request.param == "valkey":
        yield request.getfixturevalue("store")
    else:
        with debian_redis() as store:
            yield store


@pytest.mark.parametrize("maker", ["gimel", "gimel 1.x"])
def test_a_full_redis_makes_room(server: redis.Redis, maker: str) -> None:
    counters = counters_of(server)
    if maker == "gimel":
        large_experiment(counters)
    else:
        for variant in "abcdefghij":
            track_1x(server, "alephbet", "e", "participate", variant, *map(str, range(3000)))
    # It is connected already: a new connection would take more than these counts.
    counters.add(events(range(10), experiment="other"))
    with full(server):
        assert counters.delete("alephbet", "e") is True
        assert counters.delete("alephbet", "e") is False
    fresh = counters_of(server)
    assert fresh.add([event()]) == {}
    assert [each.name for each in fresh.read("alephbet")] == ["other"]
    assert server.smembers("alephbet:deleted") == {"e"}
    assert not server.exists("alephbet:{alephbet:experiments}:deleted")
    assert fresh.delete("alephbet", "e", forget=True) is True
    assert not [key for key in server.scan_iter() if ":e:" in key]


def test_a_redis_far_too_full_keeps_the_mark_and_the_delete_goes_on(server: redis.Redis) -> None:
    full_experiment(server)
    with full(server, 500_000):
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            counters_of(server).delete("alephbet", "e")
        assert not [key for key in server.scan_iter() if ":counters:" in key]
    assert counters_of(server).add([event()]) == {}, "it is marked"
    assert not [key for key in server.scan_iter() if ":counters:" in key]
    assert counters_of(server).delete("alephbet", "e") is True
    assert sorted(server.scan_iter()) == ["alephbet:deleted", "alephbet:e:deleted"]
    assert counters_of(server).delete("alephbet", "e") is False


def test_a_delete_that_cannot_mark_changes_nothing(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    full_experiment(backend)
    # It is not listed, as when its first event was interrupted: there is no name to move.
    backend.srem("alephbet:experiments", "e")
    before = contents(backend)
    with full(backend):
        answer = call("DELETE", "/delete", {"experiment": "e"})
        assert (answer.status, answer.body) == (503, FULL)
        assert contents(backend) == before
    assert call("DELETE", "/delete", {"experiment": "e"}).body["deleted"] is True


@pytest.mark.parametrize("fraction", [0.02, 0.1, 0.3, 0.6, 0.9, 0.98])
def test_counts_go_only_once_the_mark_stands(store: redis.Redis, fraction: float) -> None:
    full_experiment(store)
    with proxy_of(store) as proxy:
        counters_of_proxy(proxy.port).delete("alephbet", "e")
        whole, proxy.taken = proxy.taken, 0
        store.flushall()
        full_experiment(store)
        before = {key for key in store.scan_iter() if ":counters:" in key}
        proxy.budget = int(whole * fraction)
        with pytest.raises(redis.ConnectionError):
            counters_of_proxy(proxy.port).delete("alephbet", "e")
    left = {key for key in store.scan_iter() if ":counters:" in key}
    assert left == before or store.sismember("alephbet:deleted", "e")
    counters = counters_of(store)
    assert counters.delete("alephbet", "e") is True
    counters.add([event()])
    assert sorted(store.scan_iter()) == ["alephbet:deleted", "alephbet:e:deleted"]


@pytest.mark.parametrize("forget", [True, False])
def test_the_tally_of_ignored_events_goes_too(store: redis.Redis, forget: bool) -> None:
    connection, counters = Connection(url_of(store)), counters_of(store)
    for name in ("e", "e: 2"):
        declaring.begin(connection, ("alephbet", name), 64, "exact")
        change = {"variants": '[{"name": "a"}, {"name": "b"}]'}
        declaring.change(connection, ("alephbet", name), change, "owner")
        ignored = [event(experiment=name, variant="x"), event(experiment=name, goal="x")]
        assert len(counters.add(ignored)) == 2
    counters._tally.flush()
    kept = read_tally(connection, "alephbet", "e: 2")
    assert (sum(kept.reasons.values()), len(kept.last)) == (2, 2)
    assert counters.delete("alephbet", "e", forget=forget) is True
    assert read_tally(connection, "alephbet") == kept


@pytest.mark.slow
@pytest.mark.parametrize("away", range(3))
def test_a_delete_goes_on_when_a_node_is_back(away: int) -> None:
    with cluster() as nodes:
        counters = Counters(Connection(url_of(nodes[0]), cluster=True))
        counters.add(events(range(500)))
        with frozen(nodes[away]), pytest.raises(redis.RedisError):
            counters.delete("alephbet", "e")
        fresh = Counters(Connection(url_of(nodes[0]), cluster=True))
        for node in nodes:
            wait(lambda node=node: is_whole(node))  # type: ignore[misc]
        marked = any(node.smembers("alephbet:deleted") for node in nodes if _has(node))
        (found,) = fresh.read("alephbet")
        assert marked or abs(found.trials["a"] - 500) < 5
        assert fresh.delete("alephbet", "e") is True
        fresh.add([event()])
        left = sorted(key for node in nodes for key in node.scan_iter())
        assert left == ["alephbet:deleted", "alephbet:e:deleted"]


def _has(node: redis.Redis) -> bool:
    return "alephbet:deleted" in node.scan_iter()


@pytest.mark.slow
def test_a_full_cluster_makes_room() -> None:
    with cluster() as nodes:
        counters = Counters(Connection(url_of(nodes[0]), cluster=True))
        large_experiment(counters)
        with ExitStack() as stack:
            for node in nodes:
                stack.enter_context(full(node, 10_000))
            assert counters.delete("alephbet", "e") is True
        counters.add([event()])
        left = sorted(key for node in nodes for key in node.scan_iter())
        assert left == ["alephbet:deleted", "alephbet:e:deleted"]
