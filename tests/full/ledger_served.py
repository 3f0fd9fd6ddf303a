"""The ledger of a server with two workers, one of which is killed now and then.

The server is the one that docs/self-hosting.md describes: granian with `gimel.rsgi:app` and a spool
that the workers share. `gimel local` has one process, so none of its workers can die. Clients send
over HTTP. Redis is the pair of tests/full/faults.py with all its faults.
"""

import json
import os
import random
import signal
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from time import sleep
from typing import Any

import requests

from gimel.backend.counting.declaring import change
from gimel.backend.counting.exact import EXACT
from gimel.backend.queue import NotQueuedError
from gimel.backend.redis.connection import Connection
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
from tests.full import membership
from tests.full.faults import Pair, disturb
from tests.full.load import NAMESPACE, SHARDS, Load, body_of
from tests.support.http_server import TWO_WORKERS, granian, serving, workers
from tests.support.servers import free_port
from tests.support.waiting import wait

# Seconds between two kills, at least and at most. Granian ends if a worker dies within 5.5 s of its
# start: it takes that for a loop of crashes.
KILLS = 6.0, 8.0


class Client(threading.local):
    """A client of the server: a kept connection for each thread."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = requests.Session()

    def ask(self, events: list[Event]) -> dict[str, Any] | None:
        """The server's answer where it is 200. None where a worker dies before it answers."""
        with suppress(requests.ConnectionError):
            if len(events) == 1:
                (fields,) = json.loads(body_of(events))
                answer = self._session.get(self._url, params=fields, timeout=30)
            else:
                answer = self._session.post(self._url, body_of(events), timeout=30)
            assert answer.status_code in (200, 400, 503), answer.status_code
            found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
            return found
        return None


@contextmanager
def killing_workers(server: int, killed: list[int]) -> Iterator[None]:
    """Kill a worker now and then, and add its process to `killed`."""
    ended = threading.Event()

    def kill() -> None:
        while not ended.wait(random.uniform(*KILLS)):
            if alive := workers(server):
                killed.append(random.choice(alive))
                os.kill(killed[-1], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def lock_spool(pair: Pair, spool: Path) -> None:
    """Stop Redis while another process holds the spool: 503 once Redis has had its time."""
    with closing(sqlite3.connect(spool / "spool.sqlite", timeout=20)) as database:
        database.execute("BEGIN IMMEDIATE")
        pair.primary.freeze(1.5)
        sleep(0.7)


def is_empty(spool: Spool) -> bool:
    """Return whether no message waits, as far as the file can be read now."""
    with suppress(NotQueuedError):
        return spool.backlog().waiting.messages == 0
    return False


def run(events: int, clients: int, folder: Path, pause: float = 2.5) -> dict[str, Any]:
    """Run it all. Return the figures of the ledger."""
    random.seed(1)
    pair, place, port = Pair(folder), folder / "spool", free_port()
    place.mkdir()
    environ = {
        "GIMEL_REDIS_URL": pair.url,
        "GIMEL_KEY_SHA256": "none",
        "GIMEL_SHARDS": str(SHARDS),
        "GIMEL_SPOOL": str(place),
    }
    change(Connection(pair.url), (NAMESPACE, "x"), {"counting": EXACT}, "owner")
    faults = pair.faults | {"stopped, and the spool locked (503)": lambda: lock_spool(pair, place)}
    command = granian("gimel.rsgi:app", port, "--http", "1", *TWO_WORKERS)
    url, spool, killed = f"http://127.0.0.1:{port}", Spool(place), list[int]()
    with serving(command, url, environ) as server:
        load = Load(Client(f"{url}/e").ask, events, clients, singles=40, batch=40, hurry=0.05)
        with killing_workers(server, killed):
            done = disturb(load, faults, pause)
        wait(lambda: is_empty(spool))
    figures = membership.verify(pair.primary.port, load)
    pair.close()
    return figures | {
        "workers killed (SIGKILL)": len(killed),
        "messages set aside": spool.backlog().set_aside.messages,
        "faults": done,
    }
