"""The data model: what is counted, under which keys, how exactly, at what cost in memory."""

import random
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.salt import beginning
from gimel.backend.experiment.definition import Definition
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.wire import Event
from tests.support.counting import counters_of, counters_of_proxy, events, full_experiment, track_1x
from tests.support.hypothesis_settings import on_one_server
from tests.support.proxy import proxy_of
from tests.support.servers import debian_redis, url_of


def snapshot(store: redis.Redis) -> dict[str, list[ExperimentCounts]]:
    """All counts, whenever their experiments were made."""
    spaces = sorted(store.smembers("gimel:namespaces"))
    return {
        space: [
            ExperimentCounts(found.name, trials=found.trials, goals=found.goals)
            for found in counters_of(store).read(space)
        ]
        for space in spaces
    }


# Counting


EVENTS = st.builds(
    Event,
    st.sampled_from(["alephbet", "n:2"]),
    st.sampled_from(["e", "e:2"]),
    st.sampled_from(["participate", "goal", "g:2"]),
    st.sampled_from(["a", "b"]),
    st.integers(0, 40).map(str),
)


@on_one_server
@given(st.lists(EVENTS, max_size=60), st.randoms(use_true_random=False))
def test_order_repetition_and_interleaving_change_no_count(
    store: redis.Redis, sent: list[Event], chance: random.Random
) -> None:
    store.flushall()
    counters_of(store).add(sorted(set(sent), key=repr))
    expected = snapshot(store)
    store.flushall()
    shuffled = sent + chance.choices(sent, k=len(sent)) if sent else []
    chance.shuffle(shuffled)
    processes = [counters_of(store, shards) for shards in (64, 16, 1)]
    shards_of_first: dict[tuple[str, ...], int] = {}
    while shuffled:
        size = chance.randint(1, 5)
        batch, shuffled = shuffled[:size], shuffled[size:]
        chance.choice(processes).add(batch)
        for each in batch:
            (found,) = processes[0].read(each.namespace, [each.experiment])
            assert shards_of_first.setdefault(each[:2], found.shards) == found.shards
    got = snapshot(store)
    # Below 41 ids a HyperLogLog, and so a sum of them, is exact but for a collision: none here.
    assert got == expected


def test_counts_are_distinct_visitors(store: redis.Redis) -> None:
    counters = counters_of(store)
    counters.add(events([1, 2, 3, 2, 1]))
    counters.add(events([1, 4], variant="b"))
    counters.add(events([2], goal="signup"))
    salt = store.hget("alephbet:e:settings", "salt").encode()
    assert counters.read("alephbet") == [
        ExperimentCounts(
            "e", 64, store.hget("alephbet:e:settings", "created_at"),
            Definition(counting="hyperloglog"),
            trials={"a": 3, "b": 2}, goals={"signup": {"a": 1, "b": 0}},
            has_events=True, first_goal="signup", is_salted=True, began=beginning(salt, None),
        )
    ]  # fmt: skip


def test_more_successes_than_trials_are_told_as_they_are(store: redis.Redis) -> None:
    counters = counters_of(store)
    counters.add([*events([1]), *events(range(5), goal="click")])
    (found,) = counters.read("alephbet")
    assert (found.trials, found.goals) == ({"a": 1}, {"click": {"a": 5}})


def test_goals_without_a_participation_are_told(store: redis.Redis) -> None:
    counters = counters_of(store)
    counters.add(events([1, 2], goal="click"))
    (found,) = counters.read("alephbet")
    assert (found.trials, found.goals) == ({"a": 0}, {"click": {"a": 2}})


@pytest.mark.usefixtures("fixed_salt")
@pytest.mark.parametrize("own", [False, True])
def test_threads_lose_nothing(store: redis.Redis, own: bool) -> None:
    shared = counters_of(store)
    barrier = Barrier(8, timeout=60)

    def work(thread: int) -> None:
        variant = f"v{thread}" if own else "a"
        barrier.wait()
        for n in range(40):
            shared.add(events([f"{thread}-{n}"], variant=variant))
            if n % 10 == 0:
                shared.add(events([f"{thread}-{n}", f"{thread}-{n}x"], variant=variant))
                shared.read("alephbet")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    threaded = counters_of(store).read("alephbet")[0].trials
    store.flushall()
    for thread in range(8):
        ids = [f"{thread}-{n}" for n in range(40)] + [f"{thread}-{n}x" for n in range(0, 40, 10)]
        counters_of(store).add(events(ids, variant=f"v{thread}" if own else "a"))
    assert threaded == counters_of(store).read("alephbet")[0].trials


# Deleting


def test_deleting_leaves_no_key_and_twice_is_fine(store: redis.Redis) -> None:
    counters = full_experiment(store)
    assert counters.delete("alephbet", "e", forget=True) is True
    assert store.dbsize() == 0
    assert counters.delete("alephbet", "e", forget=True) is False
    assert store.dbsize() == 0


def test_deleting_one_experiment_leaves_the_others(store: redis.Redis) -> None:
    counters = full_experiment(store)
    before = {key: store.dump(key) for key in store.scan_iter()}
    full_experiment(store, experiment="e2")
    full_experiment(store, namespace="other")
    counters.delete("alephbet", "e2", forget=True)
    counters.delete("other", "e", forget=True)
    assert {key: store.dump(key) for key in store.scan_iter()} == before


def test_deleting_an_unknown_experiment_changes_nothing(store: redis.Redis) -> None:
    full_experiment(store, namespace="a:b")
    before = {key: store.dump(key) for key in store.scan_iter()}
    assert counters_of(store).delete("a:b", "another", forget=True) is False
    assert {key: store.dump(key) for key in store.scan_iter()} == before


def test_a_deleted_experiment_starts_anew(store: redis.Redis) -> None:
    counters = full_experiment(store)
    counters.delete("alephbet", "e", forget=True)
    counters.add(events([1]))
    (found,) = counters.read("alephbet")
    assert (found.trials, found.goals, found.shards) == ({"a": 1}, {}, 64)


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.6, 0.9, 0.985, 0.995])
def test_a_delete_cut_half_way_can_be_done_again(store: redis.Redis, fraction: float) -> None:
    full_experiment(store)
    with proxy_of(store) as proxy:
        counters_of_proxy(proxy.port).delete("alephbet", "e", forget=True)
        whole, proxy.taken = proxy.taken, 0
        full_experiment(store)
        counters = counters_of_proxy(proxy.port)
        proxy.budget = int(whole * fraction)
        with pytest.raises(redis.ConnectionError):
            counters.delete("alephbet", "e", forget=True)
        assert store.dbsize() > 0
        proxy.budget = None
        counters.delete("alephbet", "e", forget=True)
    assert store.dbsize() == 0


@pytest.mark.slow
def test_redis_counts_as_valkey_does() -> None:
    with debian_redis() as store:
        counters = full_experiment(store)
        (found,) = counters.read("alephbet")
        assert found.trials == {"a": 150, "b": 150}
        track_1x(store, "alephbet", "old", "participate", "a", "1")
        assert [each.name for each in counters.read("alephbet")] == ["e", "old"]
        assert counters.delete("alephbet", "e", forget=True)
        assert counters.delete("alephbet", "old", forget=True)
        assert store.dbsize() == 0


def counted(store: redis.Redis) -> dict[str, object]:
    """What every counter's keys hold."""
    return {
        key: store.pfcount(key) if store.type(key) == "string" else store.smembers(key)
        for key in store.scan_iter()
        if not key.endswith(":settings")
    }


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
@pytest.mark.usefixtures("fixed_salt")
def test_a_batch_counts_as_its_events_do_one_by_one(store: redis.Redis, counting: str) -> None:
    events = [
        Event("n", f"e{n % 3}", f"g{n % 2}", f"v{n % 5}", str(n * n % 997)) for n in range(400)
    ]
    limits = Limits(experiments=2, variants=3)
    single = Counters(Connection(url_of(store)), limits=limits, counting=counting)
    refused = {place: single.add([event])[0] for place, event in enumerate(events)
               if single.add([event])}  # fmt: skip
    expected = counted(store)
    store.flushall()
    batch = Counters(Connection(url_of(store)), limits=limits, counting=counting)
    assert batch.add(events) == refused
    assert counted(store) == expected
    assert 100 < len(refused) < 300
