"""`gimel local` without its Redis: what is answered 200 is on the disk, and counted afterwards."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import requests

from gimel.backend.counting.admission import NO_GOAL
from gimel.backend.queue import Backlog, NotQueuedError, Pile, decode
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
from gimel.client import BackendError
from tests.support.counting import exact_counters_of
from tests.support.gimel_local import LocalBackend, trials
from tests.support.servers import kill, url_of, valkey
from tests.support.waiting import wait

ONE, TWO, THREE = (Event("n", "e", "participate", "a", uuid) for uuid in "123")


def replayed(spool: Spool) -> list[Event]:
    found: list[Event] = []

    def take(events: list[Event]) -> dict[int, str]:
        found.extend(events)
        return {}

    spool.replay(take)
    return found


def test_what_was_put_comes_back_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put([ONE, TWO])
    spool.put([THREE])
    assert replayed(Spool(tmp_path)) == [ONE, TWO, THREE]
    assert replayed(spool) == []


def test_it_is_on_the_disk_before_put_returns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite syncs each commit in WAL mode if synchronous is FULL (2)."""
    modes: list[tuple[str, int]] = []

    class Watched(sqlite3.Connection):
        def executemany(self, *arguments: Any) -> sqlite3.Cursor:
            (journal,) = self.execute("PRAGMA journal_mode").fetchone()
            (synchronous,) = self.execute("PRAGMA synchronous").fetchone()
            modes.append((journal, synchronous))
            return super().executemany(*arguments)

    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", partial(connect, factory=Watched))
    Spool(tmp_path).put([ONE])
    assert modes == [("wal", 2)]


def test_a_process_that_is_killed_loses_nothing_that_it_answered(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
Spool(Path(sys.argv[1])).put([Event("n", "e", "participate", "a", "1")])
os.kill(os.getpid(), signal.SIGKILL)
"""
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert replayed(Spool(tmp_path)) == [ONE]


def test_threads_and_processes_share_it(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
from gimel.backend.queue import NotQueuedError, decode
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
spool = Spool(Path(sys.argv[1]))
for n in range(20):
    while True:  # as a sender does that gets a 503
        try:
            spool.put([Event("n", "e", "participate", sys.argv[2], str(n))])
            break
        except NotQueuedError:
            pass
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    processes = [subprocess.Popen([*command, variant]) for variant in "bcd"]
    spool = Spool(tmp_path)

    def put(variant: str) -> None:
        for n in range(20):
            while True:
                with suppress(NotQueuedError):
                    spool.put([ONE._replace(variant=variant, uuid=str(n))])
                    break

    threads = [threading.Thread(target=put, args=[variant]) for variant in "xyz"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [process.wait(30) for process in processes] == [0, 0, 0]
    found = replayed(spool)
    assert len(set(found)) == 120


def test_what_could_not_be_replayed_stays(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put([ONE])

    def fail(events: list[Event]) -> dict[int, str]:
        spool.put([TWO])  # meanwhile
        raise redis.ConnectionError

    with pytest.raises(redis.ConnectionError):
        spool.replay(fail)
    assert replayed(Spool(tmp_path)) == [ONE, TWO]


def test_what_is_over_a_limit_is_kept_for_a_higher_one(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put([ONE, TWO, THREE])
    assert spool.replay(lambda events: {1: "over a limit"}) == 3
    assert replayed(spool) == []
    with sqlite3.connect(tmp_path / "spool.sqlite") as database:
        database.execute("INSERT INTO waiting (message) SELECT message FROM aside")
    assert replayed(spool) == [TWO]


def test_a_message_that_holds_no_events_is_set_aside(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.put([ONE])
    with sqlite3.connect(tmp_path / "spool.sqlite") as database:
        database.execute("INSERT INTO waiting (message) VALUES ('of a later version')")
    spool.put([TWO])
    assert replayed(spool) == [ONE, TWO]
    with sqlite3.connect(tmp_path / "spool.sqlite") as database:
        assert database.execute("SELECT message FROM aside").fetchall() == [("of a later version",)]


def test_what_redis_loses_after_it_was_counted_is_counted_again(
    tmp_path: Path, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("gimel.backend.spool.time.time", lambda: now[0])
    spool, counters = Spool(tmp_path), exact_counters_of(store)
    spool.put([ONE, TWO])
    assert spool.replay(counters.add) == 2
    store.flushall()  # a server that lost its last second
    for now[0] in (1004.0, 1000.0):
        assert spool.replay(counters.add) == 0
    assert not store.dbsize(), "not yet"
    now[0] = 1006.0
    counters.forget()
    assert spool.replay(counters.add) == 0
    assert counters.read("n")[0].trials == {"a": 2}
    store.flushall()
    now[0] = 1020.0
    assert spool.replay(counters.add) == 0
    assert not store.dbsize(), "it is deleted"


def test_what_was_counted_does_not_wait_until_a_clock_that_was_set_back_catches_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool, passed = Spool(tmp_path), []
    spool.put([ONE])
    with monkeypatch.context() as patch:
        patch.setattr("gimel.backend.spool.time.time", lambda: time.monotonic() + 1e10)
        spool.replay(lambda events: {})
    spool.replay(lambda events: passed.extend(events) or {})
    assert passed == [ONE]


def test_what_is_ignored_is_neither_set_aside_nor_counted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.backend.spool._DURABLE_SECONDS", -1)
    spool = Spool(tmp_path)
    spool.put([ONE, TWO, THREE])
    spool.replay(lambda events: {0: NO_GOAL, 1: "over a limit"})
    assert spool.backlog().set_aside.messages == 1
    again: list[Event] = []
    spool.replay(lambda events: again.extend(events) or {})
    assert again == [THREE]


def test_two_that_replay_lose_nothing(tmp_path: Path) -> None:
    one, other = Spool(tmp_path), Spool(tmp_path)
    one.put([ONE])
    counted: list[Event] = []

    def take(events: list[Event]) -> dict[int, str]:
        assert other.replay(lambda events: {}) == 0
        if ONE in events:
            one.put([TWO])
        assert other.replay(lambda events: {}) == 0
        counted.extend(events)
        return {}

    assert one.replay(take) == 2
    assert counted == [ONE, TWO]
    assert replayed(other) == []


def test_many_are_replayed_in_batches(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    events = [ONE._replace(uuid=str(n)) for n in range(1200)]
    for start in range(0, 1200, 100):
        spool.put(events[start : start + 100])
    batches: list[list[Event]] = []

    def take(events: list[Event]) -> dict[int, str]:
        batches.append(events)
        return {}

    assert spool.replay(take) == 1200
    assert [len(batch) for batch in batches] == [500, 500, 200]
    assert [event for batch in batches for event in batch] == events


def test_it_is_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path, largest=64 << 10)
    event = ONE._replace(experiment="e" * 200)

    def fill() -> Iterator[int]:
        for stored in range(1000):
            spool.put([event] * 20)
            yield stored + 1

    stored = 0
    with pytest.raises(NotQueuedError, match="full"):
        stored = [stored := each for each in fill()][-1]
    assert 0 < stored < 20
    assert (tmp_path / "spool.sqlite").stat().st_size <= 64 << 10
    assert len(replayed(spool)) == 20 * stored
    spool.put([event])


def test_its_backlog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = Spool(tmp_path)
    assert spool.backlog() == Backlog(Pile(0, None), Pile(0, None), {})
    assert not list(tmp_path.iterdir()), "a question makes no file"
    now = time.time()
    with monkeypatch.context() as patch:
        patch.setattr("gimel.backend.queue.time.time", lambda: now)
        spool.put([ONE, TWO])
        now += 30
        spool.put([THREE])
        now += 30
        assert spool.backlog() == Backlog(Pile(2, 60), Pile(0, None), {'["n","e"]': 3})
    spool.replay(lambda events: {0: "a limit"})
    assert spool.backlog().waiting == Pile(0, None)
    assert spool.backlog().set_aside.messages == 1
    spool._file.write_bytes(b"no database" * 1000)
    with pytest.raises(NotQueuedError):
        spool.backlog()


@pytest.mark.slow
def test_what_is_set_aside_leaves_room_for_what_waits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spool = Spool(tmp_path, largest=128 << 10)
    events = [ONE._replace(experiment="e" * 200, uuid=str(n)) for n in range(20)]
    for _ in range(50):
        spool.put(events)
        spool.replay(lambda events: dict.fromkeys(range(len(events)), "over a limit"))
    with sqlite3.connect(tmp_path / "spool.sqlite") as database:
        (size,) = database.execute("SELECT sum(length(message)) FROM aside").fetchone()
        (oldest,) = database.execute("SELECT message FROM aside ORDER BY id").fetchone()
    assert 20 << 10 < size <= 32 << 10
    assert decode(oldest) == events
    assert '"discarded": 20' in capsys.readouterr().out
    spool.put(events)
    assert replayed(spool) == events


@pytest.mark.slow
def test_a_full_spool_of_refused_events_replays(tmp_path: Path) -> None:
    spool = Spool(tmp_path, largest=300 << 10)
    event = ONE._replace(experiment="e" * 200)
    with suppress(NotQueuedError):
        for number in range(10_000):
            spool.put([event._replace(uuid=f"{number}")])
    assert 0 < number < 9_999, "it is full"
    spool.replay(lambda events: dict.fromkeys(range(len(events)), "over a limit"))
    assert spool.backlog().waiting.messages == 0
    assert spool.backlog().set_aside.messages > 0
    spool.put([event])


def test_a_disk_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotQueuedError, match="unable to open"):
        Spool(tmp_path / "not there").put([ONE])


# The process


def send(url: str, uuid: str) -> dict[str, object]:
    fields = {"experiment": "e", "variant": "a", "event": "participate", "uuid": uuid}
    answer = requests.get(f"{url}/e", fields, timeout=60)
    assert answer.status_code == 200
    body: dict[str, object] = answer.json()
    return body


def has_counted(local: LocalBackend, number: int) -> bool:
    with suppress(BackendError):
        seen = trials(local.client).get("e", 0)
        assert seen <= number
        return bool(seen == number)
    return False


@pytest.mark.slow
def test_local_outlives_its_valkey(tmp_path: Path) -> None:
    with LocalBackend(tmp_path) as local:
        assert "queued" not in send(local.url, "0")
        with redis.Redis(unix_socket_path=str(tmp_path / "valkey.sock")) as client:
            kill(client)
        for n in range(1, 20):
            send(local.url, str(n))
        # The embedded Valkey is started again.
        wait(lambda: has_counted(local, 20))
    with LocalBackend(tmp_path) as local:
        wait(lambda: has_counted(local, 20))


@pytest.mark.slow
def test_what_waited_is_counted_at_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "made at the start"
    with valkey() as lost, LocalBackend(folder, "--redis-url", url_of(lost)) as local:
        kill(lost)
        for n in range(5):
            assert send(local.url, str(n))["queued"] is True
    with valkey() as server, LocalBackend(folder, "--redis-url", url_of(server)) as local:
        wait(lambda: has_counted(local, 5))
        assert "queued" not in send(local.url, "5")
