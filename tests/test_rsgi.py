"""The handlers behind granian: slow senders, slow Redis and slow reads hold up nobody else."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest
import redis
import requests

from gimel import rsgi
from gimel.backend.wire import ProxyEvent, Response, respond
from gimel.wsgi import answer
from tests.support.http_server import running_server
from tests.support.servers import frozen

EVENT = {"experiment": "e", "variant": "a", "event": "participate"}
HALVES = [
    b"GET /e?experiment=e HTTP/1.1\r\nHost: lo",
    b"POST /e HTTP/1.1\r\nHost: localhost\r\nContent-Length: 65\r\n\r\n{",
    b"POST /e HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n40\r\n{",
]
# Seconds. What is not held up takes milliseconds; this machine may be busy.
AT_ONCE = 1.0


def seconds(url: str, uuid: int = 0) -> float:
    """The time of one event that is answered 200."""
    started = time.monotonic()
    sent = EVENT | {"uuid": str(uuid)}
    assert requests.get(f"{url}/e", sent, timeout=60).status_code == 200
    return time.monotonic() - started


@contextmanager
def half_sent(port: int, number: int) -> Iterator[list[socket.socket]]:
    """So many connections, each with half of a request."""
    with ExitStack() as stack:
        lines = []
        for each in range(number):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            line.sendall(HALVES[each % len(HALVES)])
            lines.append(line)
        yield lines


@pytest.mark.usefixtures("backend")
def test_senders_that_stop_in_the_middle_hold_up_nobody() -> None:
    with running_server(rsgi.App()) as server, half_sent(server.port, 300):
        assert max(seconds(server.url, number) for number in range(20)) < AT_ONCE


@pytest.mark.usefixtures("backend")
def test_a_body_that_does_not_come_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rsgi, "_BODY_SECONDS", 0.3)
    with running_server(rsgi.App()) as server, half_sent(server.port, 3) as lines:
        for line in lines[1:]:
            line.settimeout(60)
            answered = b"".join(iter(partial(line.recv, 1 << 16), b""))
            assert answered.startswith(b"HTTP/1.1 408 ")


@pytest.mark.usefixtures("backend")
def test_a_head_that_does_not_come_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gimel.local.http._HEAD_SECONDS", 1)
    with running_server(rsgi.App()) as server, half_sent(server.port, 1) as (line,):
        line.settimeout(60)
        assert line.recv(1 << 16) == b""


@pytest.mark.usefixtures("backend")
def test_the_server_ends_in_time_whatever_is_half_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gimel.local.http._STOP_SECONDS", 1)
    with running_server(rsgi.App()) as server, half_sent(server.port, 30):
        seconds(server.url)
        started = time.monotonic()
        server.stop()
        server.thread.join(60)  # type: ignore[attr-defined]
        assert time.monotonic() - started < 5


def test_a_slow_read_holds_up_no_event(backend: redis.Redis) -> None:
    reading, goes_on = threading.Event(), threading.Event()

    def with_slow_reads(event: ProxyEvent) -> Response:
        if event["rawPath"] == "/experiments":
            reading.set()
            assert goes_on.wait(60)
            return respond("read")
        return answer(event)

    with running_server(rsgi.App(with_slow_reads)) as server, ThreadPoolExecutor(9) as pool:
        reads = [
            pool.submit(requests.get, f"{server.url}/experiments", timeout=60) for _ in range(9)
        ]
        assert reading.wait(60)
        assert max(seconds(server.url, number) for number in range(20)) < AT_ONCE
        goes_on.set()
        assert {read.result().json() for read in reads} == {"read"}


def test_events_wait_for_a_slow_redis_side_by_side() -> None:
    def slow(event: ProxyEvent) -> Response:
        time.sleep(0.2)
        return respond("counted")

    with running_server(rsgi.App(slow)) as server, ThreadPoolExecutor(16) as pool:
        seconds(server.url)  # the event loop waits for the first one
        started = time.monotonic()
        list(pool.map(seconds, [server.url] * 16))
        assert time.monotonic() - started < 16 * 0.2 / 2


def test_a_redis_that_hangs_costs_one_timeout(
    backend: redis.Redis, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gimel.backend import process

    monkeypatch.setenv("GIMEL_SPOOL", str(tmp_path))
    process.reset()
    with running_server(rsgi.App()) as server, ThreadPoolExecutor(16) as pool:
        seconds(server.url)
        with frozen(backend):
            assert max(pool.map(seconds, [server.url] * 32, range(32))) < 3


def test_an_error_of_ours_is_no_traceback(capfd: pytest.CaptureFixture[str]) -> None:
    def broken(event: ProxyEvent) -> Response:
        raise ZeroDivisionError("secret")

    with running_server(rsgi.App(broken)) as server:
        failed = requests.get(f"{server.url}/e", timeout=60)
    assert (failed.status_code, failed.json()["field"]) == (500, None)
    printed = "".join(capfd.readouterr())
    assert "ZeroDivisionError" in printed
    assert "secret" not in printed + failed.text
