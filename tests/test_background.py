"""Servers with several processes: what waits is counted and snapshots are written, whoever dies."""

import hashlib
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import redis
import requests

from gimel import background
from gimel.backend.counting.keys import WRITER
from gimel.backend.experiment.history import Snapshot, history
from gimel.backend.redis.connection import Connection
from gimel.client import BackendClient, BackendError
from tests.support import http_server
from tests.support.gimel_local import trials
from tests.support.handler_requests import KEY, call
from tests.support.http_server import TWO_WORKERS, granian, workers
from tests.support.servers import free_port, kill, url_of, valkey
from tests.support.waiting import wait
from tests.support.webhook import webhook

pytestmark = pytest.mark.slow


def gunicorn(app: str, port: int, *options: str) -> list[str]:
    command = [sys.executable, "-m", "gunicorn", app, "--bind", f"127.0.0.1:{port}"]
    return [*command, "--log-level", "warning", *options]


SERVERS = {
    "granian, RSGI": lambda port: granian("gimel.rsgi:app", port, *TWO_WORKERS),
    "granian, WSGI": lambda port: granian("gimel.wsgi:app", port, *TWO_WORKERS),
    "gunicorn": lambda port: gunicorn("gimel.wsgi:app", port, "--workers", "2"),
    "gunicorn that loads the application first": lambda port: gunicorn(
        "gimel.wsgi:app", port, "--workers", "2", "--preload"
    ),
}


@contextmanager
def serving(server: str, spool: Path | None, redis_url: str) -> Iterator[tuple[str, int]]:
    """A server with two workers: its address and its process."""
    port = free_port()
    environ = {
        "GIMEL_REDIS_URL": redis_url,
        "GIMEL_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest(),
        **({"GIMEL_SPOOL": str(spool)} if spool else {}),
    }
    url = f"http://127.0.0.1:{port}"
    with http_server.serving(SERVERS[server](port), url, environ) as process:
        yield url, process


def send(url: str, uuid: int) -> bool:
    """Send an event. Return whether it was queued."""
    fields = {"experiment": "e", "variant": "a", "event": "participate", "uuid": str(uuid)}
    answer = requests.get(f"{url}/e", fields, timeout=60)
    assert answer.status_code == 200
    return "queued" in answer.json()


def counted(url: str) -> int:
    # A connection to a worker that was killed is reset.
    with suppress(BackendError, requests.ConnectionError):
        return trials(BackendClient(url, KEY)).get("e", 0)
    return 0


@pytest.mark.parametrize("server", SERVERS)
def test_what_was_queued_is_counted_when_redis_is_back(server: str, tmp_path: Path) -> None:
    with (
        valkey() as store,
        serving(server, tmp_path, url_of(store)) as (url, _),
    ):
        store.replicaof("127.0.0.1", "1")
        assert [send(url, number) for number in range(8)] == [True] * 8
        store.replicaof("NO", "ONE")
        wait(lambda: counted(url) == 8)


@pytest.mark.parametrize("server", ["granian, RSGI", "gunicorn"])
def test_another_worker_replays_when_one_is_killed(server: str, tmp_path: Path) -> None:
    with (
        valkey() as store,
        serving(server, tmp_path, url_of(store)) as (url, process),
    ):
        store.replicaof("127.0.0.1", "1")
        assert all(send(url, number) for number in range(20))
        os.kill(workers(process)[0], signal.SIGKILL)
        store.replicaof("NO", "ONE")
        wait(lambda: counted(url) == 20)


def test_nothing_is_counted_twice_or_lost_when_the_server_is_killed(tmp_path: Path) -> None:
    with valkey() as store, serving("granian, RSGI", tmp_path, url_of(store)) as (url, process):
        kill(store)
        assert all(send(url, number) for number in range(20))
        for each in [process, *workers(process)]:
            os.kill(each, signal.SIGKILL)
    with valkey() as store, serving("granian, RSGI", tmp_path, url_of(store)) as (url, _):
        wait(lambda: counted(url) == 20)


@pytest.mark.parametrize("server", SERVERS)
def test_a_body_in_chunks_is_read(server: str, tmp_path: Path, store: redis.Redis) -> None:
    event = b'{"experiment":"e","variant":"a","event":"participate","uuid":"1"}'
    with serving(server, tmp_path, url_of(store)) as (url, _):
        answer = requests.post(f"{url}/e", iter([event[:20], event[20:]]), timeout=60)
        assert (answer.status_code, answer.json()["accepted"]) == (200, 1)


HURRIED = {
    "granian, RSGI": lambda port: granian("tests.support.hurried:rsgi_app", port, *TWO_WORKERS),
    "gunicorn": lambda port: gunicorn("tests.support.hurried:app", port, "--workers", "2"),
}


@pytest.mark.parametrize("server", HURRIED)
def test_snapshots_are_written_with_and_without_a_spool(
    server: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SERVERS, server, HURRIED[server])
    with serving(server, None, url_of(store)) as (url, process):
        assert [send(url, number) for number in range(8)] == [False] * 8
        wait(lambda: snapshots(store))
        for worker in workers(process)[:1]:
            os.kill(worker, signal.SIGKILL)
        store.delete("alephbet:e:history")
        # Another process, or the one that takes its place
        wait(lambda: counted(url) == 8 and snapshots(store))
    assert {each.visitors for each in snapshots(store)} == {8}


@pytest.mark.parametrize("server", HURRIED)
def test_two_workers_tell_a_webhook_once(
    server: str, store: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SERVERS, server, HURRIED[server])
    with webhook(tmp_path, monkeypatch) as hook:
        monkeypatch.setenv("GIMEL_NOTIFY", hook.url)
        hook.status = 503
        with serving(server, None, url_of(store)) as (url, _):
            client = BackendClient(url, KEY)
            client.declare("e", {"variants": [{"name": "a"}, {"name": "b"}]})
            fields = {"experiment": "e", "variant": "a", "event": "participate"}
            batch = [{**fields, "uuid": str(number)} for number in range(300)]
            requests.post(f"{url}/e", json=batch, timeout=60)
            wait(lambda: len(hook.got) > 2)
            hook.status = 200
            wait(lambda: bool(hook.taken))
            for _ in range(5):
                # Another round writes it again.
                store.delete("alephbet:e:history")
                wait(lambda: bool(snapshots(store)))
    assert [body["kind"] for body in hook.taken] == ["split"]


def snapshots(store: redis.Redis) -> list[Snapshot]:
    return history(Connection(url_of(store)), ("alephbet", "e"))


@pytest.fixture
def hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_done", 0)


def test_an_hour_that_is_done_asks_redis_nothing(
    backend: redis.Redis, hour: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("GET", "/e", {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"})
    assert background.snapshot() == ""
    assert [each.visitors for each in snapshots(backend)] == [1]
    monkeypatch.setattr(background, "write_snapshots", lambda seconds: pytest.fail("again"))
    assert background.snapshot() == ""


def test_what_was_not_written_is_tried_again_and_a_failure_is_logged_once(
    backend: redis.Redis, hour: None, capsys: pytest.CaptureFixture[str]
) -> None:
    call("GET", "/e", {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"})
    backend.config_set("maxmemory", "1mb")
    failure = background.snapshot()
    assert background.snapshot(failure) == failure == "OutOfMemoryError"
    assert capsys.readouterr().out.count('{"level": "warning", "snapshot"') == 1
    backend.config_set("maxmemory", "0")
    backend.set(WRITER, "another", ex=30)
    assert background.snapshot() == ""
    assert snapshots(backend) == []
    backend.delete(WRITER)
    assert background.snapshot() == ""
    assert [each.visitors for each in snapshots(backend)] == [1]
