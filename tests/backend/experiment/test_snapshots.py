"""The writer of snapshots on a real Valkey: whatever Redis, strangers and other writers do."""

import json
import time
from collections.abc import Iterator
from threading import Event as Signal
from threading import Thread
from typing import Any

import pytest
import redis
from redis.exceptions import ConnectionError, OutOfMemoryError, TimeoutError

from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import SNAPSHOTS, WRITER
from gimel.backend.experiment import snapshots
from gimel.backend.experiment.history import Snapshot, history
from gimel.backend.experiment.snapshots import Round, SnapshotWriter
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.results.record import Observed, observe
from tests.support.counting import counters_of, event, events, track_1x
from tests.support.handler_requests import post
from tests.support.redis_content import content
from tests.support.servers import free_port, url_of
from tests.support.valkey_cluster import cluster
from tests.support.whole_life import put, send

HOUR = 3600.0
NOW = 490_000 * HOUR + 17 * 60


def writer_of(store: redis.Redis, **options: Any) -> SnapshotWriter:
    connection = Connection(url_of(store))
    return SnapshotWriter(connection, Counters(connection), **options)


def write(store: redis.Redis, now: float = NOW, seconds: float = 20.0) -> Round | None:
    return writer_of(store).write(now, seconds)


def history_of(store: redis.Redis, name: str = "e") -> list[Snapshot]:
    return history(Connection(url_of(store)), ("alephbet", name))


def visitors(store: redis.Redis, name: str = "e") -> list[int]:
    return [each.visitors for each in history_of(store, name)]


def test_a_snapshot_has_the_counts_of_the_hour_and_says_when(backend: redis.Redis) -> None:
    put("declared")
    send("declared", 20)
    send("declared", 6, event="signup")
    send("undeclared: #1", 4)
    assert write(backend) == Round(2, is_complete=True)
    (found,) = history_of(backend, "declared")
    assert found.time.timestamp() == NOW
    assert (found.trials, found.goals) == (
        *({"blue": 10, "red": 10}, {"signup": {"blue": 3, "red": 3}}),
    )
    assert visitors(backend, "undeclared: #1") == [4]
    assert not backend.exists(WRITER)


def test_an_hour_is_written_once_and_a_missed_hour_is_a_gap(backend: redis.Redis) -> None:
    send("e", 2)
    assert write(backend) == Round(1, is_complete=True)
    send("e", 5)
    assert write(backend, NOW + 60) == Round(0, is_complete=True)
    assert write(backend, NOW + 3 * HOUR) == Round(1, is_complete=True)
    assert visitors(backend) == [2, 5]
    times = [each.time.timestamp() for each in history_of(backend)]
    assert times == [NOW, NOW + 3 * HOUR]


def test_what_has_no_event_or_does_not_run_has_no_snapshot(backend: redis.Redis) -> None:
    put("declared")
    for state in ("stopped", "archived"):
        send(state, 5)
        backend.hset(f"alephbet:{state}:settings", "state", state)
    assert write(backend) == Round(0, is_complete=True)
    assert [key for key in backend.scan_iter() if key.endswith(":history")] == []


def test_experiments_of_gimel_1x_and_lamed_have_a_history(backend: redis.Redis) -> None:
    track_1x(backend, "alephbet", "old: one", "participate", "a", *map(str, range(30)))
    track_1x(backend, "alephbet", "of lamed", "participate", "a", "x")
    backend.set("alephbet:counters:of lamed:participate:a", 17)
    assert write(backend) == Round(2, is_complete=True)
    assert (visitors(backend, "old: one"), visitors(backend, "of lamed")) == ([30], [17])


def test_a_deleted_experiment_has_no_history_and_its_name_begins_anew(
    backend: redis.Redis,
) -> None:
    send("e", 5)
    write(backend)
    process.counters().delete("alephbet", "e", forget=True)
    assert not backend.exists("alephbet:e:history")
    # An earlier version deletes everything but the history.
    send("e", 3)
    write(backend)
    backend.hset("alephbet:e:history", "began", "2026-01-01T00:00:00Z")
    assert history_of(backend) == []
    write(backend, NOW + HOUR)
    assert visitors(backend) == [3]


def test_a_server_that_lost_the_settings_keeps_its_history(backend: redis.Redis) -> None:
    """The process gives the experiment the salt that it had, and another `created_at`."""
    send("e", 5)
    write(backend)
    backend.delete("alephbet:e:settings")
    process.counters().forget()
    send("e", 7)
    backend.hset("alephbet:e:settings", "created_at", "2031-01-01T00:00:00Z")
    write(backend, NOW + HOUR)
    assert visitors(backend) == [5, 7]


def test_a_delete_during_a_snapshot_leaves_no_history(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    send("e", 5)
    encode = snapshots.encode

    def delete_first(*arguments: Any) -> str:
        process.counters().delete("alephbet", "e")
        return encode(*arguments)

    monkeypatch.setattr(snapshots, "encode", delete_first)
    assert write(backend) == Round(0, is_complete=True)
    assert not backend.exists("alephbet:e:history")


def test_one_writer_works_at_a_time(backend: redis.Redis) -> None:
    send("e", 5)
    backend.set(WRITER, "another", ex=30)
    assert write(backend) is None
    assert visitors(backend) == []
    # It died: its mark expires.
    backend.pexpire(WRITER, 1)
    time.sleep(0.01)
    assert write(backend) == Round(1, is_complete=True)


def test_two_writers_do_no_harm(backend: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second one begins while the first is about to write: its mark has expired."""
    send("e", 5)
    encode, inside, go_on = snapshots.encode, Signal(), Signal()

    def wait(*arguments: Any) -> str:
        inside.set()
        assert go_on.wait(30)
        return encode(*arguments)

    monkeypatch.setattr(snapshots, "encode", wait)
    first = Thread(target=write, args=(backend,))
    first.start()
    assert inside.wait(30)
    backend.delete(WRITER)
    monkeypatch.setattr(snapshots, "encode", encode)
    send("e", 8)
    assert write(backend) == Round(1, is_complete=True)
    backend.set(WRITER, "the second one again", ex=30)
    go_on.set()
    first.join()
    assert visitors(backend) in ([5], [8])
    # The first one leaves the mark of another alone.
    assert backend.get(WRITER) == "the second one again"


class Clock:
    """Passes a second at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def test_a_round_goes_on_where_the_last_one_stopped(backend: redis.Redis) -> None:
    names = [f"e{number:02}" for number in range(35)]
    for name in names:
        send(name, 2)
    put("declared")
    send("declared", 2)
    # Three pages in a round: the declared experiment, and 20 others
    rounds = [writer_of(backend, clock=Clock()).write(NOW, 5.0) for _ in range(3)]
    assert rounds == [Round(written, is_complete=False) for written in (21, 15, 0)]
    assert all(visitors(backend, name) == [2] for name in names)
    # The next hour begins behind those that were first in this one.
    assert backend.hget(SNAPSHOTS, "undeclared") == "alephbet:e24"
    writer_of(backend, clock=Clock()).write(NOW + HOUR, 5.0)
    done = [name for name in names if len(history_of(backend, name)) == 2]
    assert done == [*names[:10], *names[25:]]


def test_a_writer_that_dies_goes_on_elsewhere(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Experiments at which it dies every time come last, and keep no other from its snapshot."""
    names = [f"e{number:02}" for number in range(30)]
    for name in names:
        send(name, 2)

    def die(found: Any, *rest: Any) -> Any:
        if found.name == "e05":
            raise SystemExit
        return fields(found, *rest)

    fields = snapshots._fields
    monkeypatch.setattr(snapshots, "_fields", die)
    for _ in range(2):
        with pytest.raises(SystemExit):
            write(backend)
    assert [name for name in names if not history_of(backend, name)] == names[:10]


def test_settings_that_nobody_of_gimels_wrote_hide_their_experiment_alone(
    backend: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        send(f"e{number:02}", 2)
    backend.hset("alephbet:e03:settings", "shards", "many")
    backend.delete("alephbet:e04:history")
    backend.rpush("alephbet:e04:history", "a list")
    write(backend)
    found = [number for number in range(12) if visitors(backend, f"e{number:02}")]
    assert found == [0, 1, 2, *range(5, 12)]
    assert {"level": "warning", "snapshot": "ValueError"} in [
        json.loads(line) for line in capsys.readouterr().out.splitlines()
    ]


def test_a_redis_that_is_away_is_an_error(store: redis.Redis) -> None:
    nowhere = Connection(f"redis://127.0.0.1:{free_port()}")
    with pytest.raises(ConnectionError):
        SnapshotWriter(nowhere, Counters(nowhere)).write(NOW, 5.0)


def test_a_redis_that_stops_replying_ends_the_round_in_time(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    send("e", 5)
    writer = writer_of(backend)

    def pause(*arguments: Any) -> Observed:
        backend.client_pause(3000)
        return observe(*arguments)

    monkeypatch.setattr(snapshots, "observe", pause)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        writer.write(NOW, 1.0)
    assert time.monotonic() - started < 2.5
    backend.client_unpause()


@pytest.fixture
def limited(backend: redis.Redis) -> Iterator[redis.Redis]:
    yield backend
    backend.config_set("maxmemory", "0")


def test_a_full_redis_stays_as_it_is(limited: redis.Redis) -> None:
    send("e", 5)
    limited.config_set("maxmemory", "1mb")
    before = content(limited)
    with pytest.raises(OutOfMemoryError):
        write(limited)
    assert content(limited) == before
    # What was counted is in the next snapshot, once there is room.
    limited.config_set("maxmemory", "0")
    assert write(limited, NOW + HOUR) == Round(1, is_complete=True)
    assert visitors(limited) == [5]


def test_while_memory_is_short_declared_experiments_alone_have_snapshots(
    limited: redis.Redis,
) -> None:
    put("declared")
    send("declared", 2)
    send("undeclared", 2)
    used = int(limited.info("memory")["used_memory"])
    limited.config_set("maxmemory", str(int(used / 0.8)))
    assert write(limited) == Round(1, is_complete=True)
    assert visitors(limited, "declared") == [2]


def test_a_strangers_experiment_takes_little_room(store: redis.Redis) -> None:
    """As many variants and goals as the limits allow, with the longest names."""
    connection = Connection(url_of(store))
    counters = Counters(connection, shards=1)
    variants = [f"{number:02}" + "ü" * 254 for number in range(20)]
    goals = [f"{number:02}" + "😀" * 254 for number in range(50)]
    for number, variant in enumerate(variants):
        counters.add(events(range(number), variant=variant))
    cells = [(goal, variant) for goal in goals for variant in variants]
    counters.add([event(uuid="1", goal=goal, variant=variant) for goal, variant in cells])
    SnapshotWriter(connection, counters).write(NOW, 20.0)
    (found,) = history_of(store)
    # The most visited ones, and the goal that came first
    assert list(found.trials) == sorted(variants)[-2:]
    assert list(found.goals) == goals[:1]
    assert sum(map(len, store.hgetall("alephbet:e:history").values())) < 3000


def test_of_many_variants_the_most_visited_are_in_a_snapshot(store: redis.Redis) -> None:
    connection = Connection(url_of(store))
    counters = Counters(connection, shards=1)
    for number in range(20):
        counters.add(events(range(number + 1), variant=f"v{number:02}"))
    cells = [(f"g{goal}", f"v{number:02}") for goal in range(3) for number in range(20)]
    # 80 counters: more than are counted of what nobody declared
    counters.add([event(uuid="1", goal=goal, variant=variant) for goal, variant in cells])
    SnapshotWriter(connection, counters).write(NOW, 20.0)
    (found,) = history_of(store)
    assert list(found.trials) == [f"v{number:02}" for number in range(4, 20)]
    assert list(found.goals) == ["g0"]


def test_of_a_declared_experiment_everything_is_in_a_snapshot(backend: redis.Redis) -> None:
    variants = [f"v{number:02}" for number in range(20)]
    goals = [{"name": f"g{number}", "role": "secondary"} for number in range(4)]
    goals[0]["role"] = "primary"
    put("declared", variants=[{"name": name} for name in variants], goals=goals)
    for goal in ("participate", *(each["name"] for each in goals)):
        sent = {"experiment": "declared", "event": goal, "uuid": "1"}
        assert post([sent | {"variant": variant} for variant in variants]).status == 200
    write(backend)
    (found,) = history_of(backend, "declared")
    assert found.trials == dict.fromkeys(variants, 1)
    assert found.goals == {each["name"]: dict.fromkeys(variants, 1) for each in goals}


def test_an_undeclared_experiment_of_usual_size_has_all_its_counts(store: redis.Redis) -> None:
    connection = Connection(url_of(store))
    counters = Counters(connection, shards=1)
    goals = ["signup", "buy", "share"]
    for variant in ("a", "b", "c"):
        counters.add(events(range(5), variant=variant))
        for goal in goals:
            counters.add(events(range(2), variant=variant, goal=goal))
    SnapshotWriter(connection, counters).write(NOW, 20.0)
    (found,) = history_of(store)
    assert found.trials == {"a": 5, "b": 5, "c": 5}
    assert found.goals == {goal: {"a": 2, "b": 2, "c": 2} for goal in sorted(goals)}


def test_limits_of_the_stack_decide_what_is_short(limited: redis.Redis) -> None:
    """A Redis that reports no limit of its own: `limits.memory` stands for it."""
    send("e", 2)
    connection = Connection(url_of(limited))
    counters = Counters(connection, limits=Limits(memory=1))
    assert counters.memory_is_short()
    assert not counters_of(limited).memory_is_short()


@pytest.mark.slow
def test_in_a_cluster_every_key_is_where_it_belongs() -> None:
    with cluster() as nodes:
        connection = Connection(url_of(nodes[0]), cluster=True)
        counters = Counters(connection)
        names = [f"e{number:02}" for number in range(25)]
        counters.add([event(experiment=name, uuid=str(n)) for name in names for n in range(4)])
        for hours, expected in ((0, 25), (1, 25)):
            done = SnapshotWriter(connection, counters).write(NOW + hours * HOUR, 20.0)
            assert done == Round(expected, is_complete=True)
        found = [history(connection, ("alephbet", name)) for name in names]
        assert [[each.visitors for each in of_one] for of_one in found] == [[4, 4]] * 25
        held = [sum(key.endswith(":history") for key in node.scan_iter()) for node in nodes]
        assert all(held)
        assert sum(held) == 25
