"""The first event of a counter, races of several processes at it, and deleted experiments."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import redis

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.declaring import begin, change
from gimel.backend.counting.keys import Keys
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from tests.support.counting import counters_of, counters_of_proxy, event, events, full_experiment
from tests.support.proxy import proxy_of
from tests.support.servers import url_of


def test_processes_that_meet_agree_on_the_shards(store: redis.Redis) -> None:
    rounds = 25
    barrier = Barrier(4, timeout=60)

    def process(shards: int) -> None:
        counters = counters_of(store, shards)
        for turn in range(rounds):
            barrier.wait()
            counters.add(events(["1"], experiment=f"e{turn}"))
            counters.add(events(["2"], experiment=f"e{turn}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(process, (64, 16, 3, 1)))
    found = counters_of(store).read("alephbet")
    assert [each.trials for each in found] == [{"a": 2}] * rounds


@pytest.mark.usefixtures("fixed_salt")
def test_a_first_event_cut_anywhere_is_sent_again_and_counted(store: redis.Redis) -> None:
    """AlephBet sends again what was not answered; nothing half-made may stand in its way."""
    with proxy_of(store) as proxy:
        counters_of_proxy(proxy.port).add([event()])
        expected = set(store.scan_iter())
        for budget in range(5, proxy.taken, 23):
            store.flushall()
            proxy.budget = budget
            with pytest.raises(redis.ConnectionError):
                counters_of_proxy(proxy.port).add([event()])
            proxy.budget = None
            counters_of_proxy(proxy.port).add([event()])
            assert set(store.scan_iter()) == expected
            (found,) = counters_of(store).read("alephbet")
            assert (found.shards, found.trials) == (64, {"a": 1})


def test_late_events_do_not_bring_a_deleted_experiment_back(store: redis.Redis) -> None:
    full_experiment(store)
    assert counters_of(store).delete("alephbet", "e") is True
    fresh = counters_of(store)  # a process that never knew it
    assert fresh.add(events([1, 2])) == {}
    assert fresh.read("alephbet") == []
    assert sorted(store.scan_iter()) == ["alephbet:deleted", "alephbet:e:deleted"]
    assert store.smembers("alephbet:deleted") == {"e"}


def test_late_events_of_a_half_deleted_experiment_count_as_little(store: redis.Redis) -> None:
    """The delete stopped after its mark, and the settings still say which goals count."""
    connection, name = Connection(url_of(store)), ("alephbet", "e")
    begin(connection, name, 64, "exact")
    change(connection, name, {"variants": '[{"name": "a"}, {"name": "b"}]'}, "owner")
    store.sadd("alephbet:deleted", "e")
    before = store.dbsize()
    late = [event(), event(goal="undeclared"), event(variant="undeclared")]
    assert counters_of(store).add(late) == {}
    assert store.dbsize() == before


def test_a_forgotten_name_may_be_used_anew(store: redis.Redis) -> None:
    full_experiment(store)
    counters = counters_of(store)
    counters.delete("alephbet", "e")
    counters.add(events([1]))
    assert counters.delete("alephbet", "e", forget=True) is True, "the tombstone was there"
    assert counters.delete("alephbet", "e", forget=True) is False
    assert store.dbsize() == 0
    counters.add(events([1]))
    (found,) = counters.read("alephbet")
    assert found.trials == {"a": 1}


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
def test_what_a_process_that_remembers_counts_late_is_not_in_what_starts_anew(
    store: redis.Redis, counting: str
) -> None:
    here, remembers = (Counters(Connection(url_of(store)), counting=counting) for _ in "12")
    remembers.add(events(range(100)))
    here.delete("alephbet", "e")
    remembers.add(events(range(100)))
    assert store.dbsize() > 2, "there are late counts"
    here.delete("alephbet", "e", forget=True)
    assert store.dbsize() == 0
    here.add(events([1]))
    (found,) = here.read("alephbet")
    assert found.trials == {"a": 1}


def test_a_name_that_never_was_gets_no_tombstone(store: redis.Redis) -> None:
    assert counters_of(store).delete("alephbet", "e") is False
    assert store.dbsize() == 0


def test_tombstones_take_no_limits_place_and_are_refused_by_none(store: redis.Redis) -> None:
    full_experiment(store)
    counters_of(store).delete("alephbet", "e")
    full = Counters(Connection(url_of(store)), limits=Limits(experiments=1))
    others = [event._replace(experiment="other") for event in events([1])]
    assert full.add(events([1]) + others) == {}
    assert [found.name for found in full.read("alephbet")] == ["other"]


def _firsts(store: redis.Redis) -> list[str]:
    return store.hmget("alephbet:e:settings", "counting", "salt", "shards")


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
@pytest.mark.parametrize("lost", ["the settings", "the settings and the counters' names"])
def test_settings_that_a_cluster_lost_are_written_again_by_who_knows_them(
    store: redis.Redis, counting: str, lost: str
) -> None:
    """One server kept the experiment's name; the other lost its last second."""
    here = Counters(Connection(url_of(store)), counting=counting, shards=128)
    here.add(events(range(50)))
    before = _firsts(store)
    store.delete("alephbet:e:settings")
    if lost != "the settings":
        store.delete(Keys("alephbet", "e").counters)
    here.forget()  # as after a reconnect
    here.add(events(range(50)))
    assert _firsts(store) == before == [counting, before[1], "128"]
    (found,) = counters_of(store).read("alephbet")
    assert found.trials == {"a": 50}


def test_an_experiment_that_a_cluster_lost_in_part_can_be_declared_again(
    store: redis.Redis,
) -> None:
    begin(Connection(url_of(store)), ("alephbet", "e"), 64, "exact")
    store.delete("alephbet:e:settings")
    begin(Connection(url_of(store)), ("alephbet", "e"), 64, "exact")
    assert store.hget("alephbet:e:settings", "salt")


def test_a_declaration_lists_an_experiment_that_a_limit_refused(store: redis.Redis) -> None:
    """Several processes met at the limit: the settings of what they took back stay."""
    begin(Connection(url_of(store)), ("alephbet", "e"), 64, "exact")
    store.srem("alephbet:experiments", "e")
    begin(Connection(url_of(store)), ("alephbet", "e"), 64, "exact")
    assert counters_of(store).names("alephbet")[1] == ["e"]
