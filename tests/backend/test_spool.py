"""`gimel local` without its Redis: what is answered 200 is on the disk, and counted afterwards."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
import requests
from hypothesis import given
from hypothesis import strategies as st

from gimel.backend.queue import NotQueuedError
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
from tests.support.servers import free_port, kill, url_of, valkey

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
    synced: list[bytes] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        synced.append(path.read_bytes() if path.is_file() else b"the folder")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    Spool(tmp_path).put([ONE])
    assert synced == [(tmp_path / "spool").read_bytes(), b"the folder"]


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
    (tmp_path / "spool.aside").rename(tmp_path / "spool")
    assert replayed(spool) == [TWO]


def test_two_that_replay_lose_nothing(tmp_path: Path) -> None:
    one, other = Spool(tmp_path), Spool(tmp_path)
    one.put([ONE])
    counted: list[Event] = []

    def take(events: list[Event]) -> dict[int, str]:
        assert other.replay(lambda events: {}) == 0
        one.put([TWO])
        assert other.replay(lambda events: {}) == 0
        counted.extend(events)
        return {}

    assert one.replay(take) == 2
    assert counted[:2] == [ONE, TWO]
    assert replayed(other) == [TWO]


def test_what_is_waiting_is_measured_while_nothing_is_taken_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path)
    spool.put([ONE])
    counting, measured = threading.Event(), threading.Event()

    def take(events: list[Event]) -> dict[int, str]:
        counting.set()
        measured.wait(10)
        return {}

    replay = threading.Thread(target=lambda: Spool(tmp_path).replay(take))
    replay.start()
    counting.wait(10)
    real = Spool._files

    def files(self: Spool) -> list[Path]:
        found = real(self)
        measured.set()
        replay.join(0.2)
        return found

    monkeypatch.setattr(Spool, "_files", files)
    spool.put([TWO])
    replay.join()


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


@given(st.integers(0, 200))
def test_a_torn_line_spoils_no_other(length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool(Path(folder))
        spool.put([ONE])
        whole = len((Path(folder) / "spool").read_bytes())
        spool.put([TWO])
        with (Path(folder) / "spool").open("r+b") as file:
            file.truncate(min(whole + length, 2 * whole - 2))
        spool.put([THREE])
        assert replayed(spool) == [ONE, THREE]


def test_it_is_bounded(tmp_path: Path) -> None:
    spool = Spool(tmp_path, largest=1000)
    for _ in range(10):
        spool.put([ONE])
    with pytest.raises(NotQueuedError, match="full"):
        spool.put([ONE] * 20)
    assert 0 < len(replayed(spool)) < 20
    spool.put([ONE])


def test_a_disk_that_fails_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(NotQueuedError, match="No such file"):
        Spool(tmp_path / "not there").put([ONE])


# The process


@contextmanager
def local(folder: Path, *options: str) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "gimel", "local", "--port", str(port)]
    process = subprocess.Popen([*command, "--data-dir", str(folder), *options])
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            assert process.poll() is None
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0


def send(url: str, uuid: str) -> dict[str, object]:
    fields = {"experiment": "e", "variant": "a", "event": "participate", "uuid": uuid}
    answer = requests.get(f"{url}/e", fields, timeout=10)
    assert answer.status_code == 200
    body: dict[str, object] = answer.json()
    return body


def comes_to(url: str, trials: int) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = requests.get(f"{url}/experiments", timeout=10)
        if answer.status_code == 200 and answer.json()[1:]:
            seen = answer.json()[1]["variants"][0]["trials"]
            assert seen <= trials
            if seen == trials:
                return True
        time.sleep(0.1)
    return False


def test_local_outlives_its_valkey(tmp_path: Path) -> None:
    with local(tmp_path) as url:
        assert "queued" not in send(url, "0")
        with redis.Redis(unix_socket_path=str(tmp_path / "valkey.sock")) as client:
            kill(client)
        for n in range(1, 20):
            send(url, str(n))
        assert comes_to(url, 20), "the embedded Valkey is started again"
    with local(tmp_path) as url:
        assert comes_to(url, 20)


def test_what_waited_is_counted_at_the_next_start(tmp_path: Path) -> None:
    folder = tmp_path / "made at the start"
    with valkey() as lost, local(folder, "--redis-url", url_of(lost)) as url:
        kill(lost)
        for n in range(5):
            assert send(url, str(n))["queued"] is True
    with valkey() as server, local(folder, "--redis-url", url_of(server)) as url:
        assert comes_to(url, 5)
        assert "queued" not in send(url, "5")
