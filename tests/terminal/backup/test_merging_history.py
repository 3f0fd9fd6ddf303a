"""Histories are exported, merged and moved with their experiments."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from gimel.backend import process
from gimel.backend.counting.keys import SNAPSHOTS, WRITER
from gimel.backend.experiment.history import BEGAN, Snapshot, history
from gimel.backend.experiment.snapshots import SnapshotWriter
from gimel.backend.redis.connection import Connection
from gimel.terminal.backup.file import File, write
from gimel.terminal.backup.merging import Merger
from gimel.terminal.backup.moving import Move
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.restoring import restore
from tests.support.counting import counters_of, events
from tests.support.servers import url_of, valkey
from tests.support.whole_life import put, send

NOW, HOUR = 490_000 * 3600.0, 3600.0
KEY = "alephbet:e:history"


@pytest.fixture
def other() -> Iterator[redis.Redis]:
    """A second, empty Valkey."""
    with valkey() as client:
        yield client


def snapshot(store: redis.Redis, hours: int) -> None:
    connection = Connection(url_of(store))
    assert SnapshotWriter(connection, counters_of(store)).write(NOW + hours * HOUR, 20.0)


def export(store: redis.Redis, folder: Path) -> File:
    path = folder / "x.jsonl.gz"
    write(path, Reader(Connection(url_of(store))).sections())
    return File(path)


def merge(file: File, store: redis.Redis) -> int:
    merger = Merger(Connection(url_of(store)))
    restore(file, merger, [], lambda line: None)
    return merger.new


def history_of(store: redis.Redis) -> list[Snapshot]:
    return history(Connection(url_of(store)), ("alephbet", "e"))


def visitors(store: redis.Redis) -> list[int]:
    return [each.visitors for each in history_of(store)]


def test_a_history_comes_back_as_it_was(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    put("e")
    for hours in range(4):
        send("e", 10 * (hours + 1))
        snapshot(backend, hours)
    file = export(backend, tmp_path)
    merge(file, other)
    assert other.hgetall(KEY) == backend.hgetall(KEY)
    assert visitors(other) == [10, 20, 30, 40]
    assert merge(file, other) == 0
    # What the writer does at the moment is no part of it.
    assert not other.exists(SNAPSHOTS, WRITER)


def test_of_two_histories_each_hour_is_kept_and_the_fuller_snapshot_of_an_hour(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    send("e", 10)
    snapshot(backend, 0)
    merge(export(backend, tmp_path), other)
    # Both go on by themselves.
    for store, counts in ((backend, {1: 30, 2: 40, 4: 50}), (other, {2: 35, 3: 45, 4: 60})):
        counters = counters_of(store)
        for hours, visitors_then in counts.items():
            counters.add(events(range(1000, 990 + visitors_then), variant="blue"))
            snapshot(store, hours)
    merge(export(backend, tmp_path), other)
    assert visitors(other) == [10, 30, 40, 45, 60]
    merge(export(other, tmp_path), backend)
    assert visitors(backend) == visitors(other)
    # The next snapshot counts what was merged.
    snapshot(other, 5)
    assert visitors(other)[-1] >= 60


def test_the_history_of_another_experiment_is_left_out(
    backend: redis.Redis, other: redis.Redis, tmp_path: Path
) -> None:
    """Of one that an earlier version deleted, or that an earlier version began elsewhere."""
    send("e", 10)
    snapshot(backend, 0)
    file = export(backend, tmp_path)
    other.hset(KEY, mapping={BEGAN: "2025-01-01T00:00:00Z", "480000": "1 00000000 0 1"})
    merge(file, other)
    assert other.hgetall(KEY) == backend.hgetall(KEY)
    # Neither has a salt: they count together, and each had a beginning of its own.
    for store, year in ((backend, 2025), (other, 2024)):
        store.hdel("alephbet:e:settings", "salt")
        store.hset("alephbet:e:settings", "created_at", f"{year}-01-01T00:00:00Z")
        store.delete(KEY)
    snapshot(backend, 1)
    merge(export(backend, tmp_path), other)
    assert not other.exists(KEY)


def test_a_move_takes_the_history_along_and_does_not_wait_for_snapshots(
    backend: redis.Redis, other: redis.Redis
) -> None:
    send("e", 10)
    snapshot(backend, 0)
    move = Move(Connection(url_of(backend)), Connection(url_of(other)), lambda line: None)
    move.begin()
    assert move.copy() > 0
    snapshot(backend, 3)
    assert move.copy() == 0
    move.finish(quiet=0.1)
    assert other.hgetall(KEY) == backend.hgetall(KEY)
    process.reset()
