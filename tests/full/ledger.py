"""No event lost: a load with known ids while things are done to Redis, and what was counted of it.

    python -m tests.full.ledger [--deployed | --serverless] [--events 200000] [--clients 4]

Clients send single events and batches through the WSGI application and its spool, into a Valkey
with a replica: see tests/full/faults.py. `--deployed`: to a stack that `gimel deploy` made on an
emulated account, with its queue and its replay function. `--serverless`: with what is known of
ElastiCache Serverless in front of the Valkey, see tests/support/serverless_cache.py. Half of the
events go to an experiment of 1,024 shards, half to an exact one. At the end all that waited is
replayed, and the counters are compared with clean ones, register by register and member by member:
see tests/full/membership.py.
"""

import argparse
import contextlib
import io
import json
import os
import random
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import redis

from gimel import replayer, wsgi
from gimel.backend import process
from gimel.backend.counting.declaring import change
from gimel.backend.counting.exact import EXACT
from gimel.backend.wire import Event
from tests.full import ledger_deployed, membership
from tests.full.faults import Pair, faults_of
from tests.full.load import NAMESPACE, Load, body_of
from tests.support.serverless_cache import serverless_cache

SHARDS = 1024


def ask(events: list[Event]) -> dict[str, Any] | None:
    """The application's answer where it is 200."""
    environ: dict[str, Any] = {"PATH_INFO": "/e", "REQUEST_METHOD": "POST"}
    body = body_of(events)
    if len(events) == 1:
        (fields,) = json.loads(body)
        environ |= {"REQUEST_METHOD": "GET", "QUERY_STRING": urlencode(fields)}
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    status: list[str] = []
    answer = b"".join(wsgi.app(environ, lambda line, headers: status.append(line)))
    assert status[0][:3] in ("200", "400", "503"), status
    return json.loads(answer) if status[0].startswith("200") else None


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


def run(
    events: int, clients: int, folder: Path, pause: float = 2.5, *, serverless: bool = False
) -> dict[str, Any]:
    """Run it all in this process; the figures of the ledger."""
    random.seed(1)
    pair = Pair(folder)
    if not serverless:
        return _run(pair, pair.faults, {"GIMEL_REDIS_URL": pair.url}, events, clients, pause)
    with serverless_cache(pair.proxy.port) as cache:
        faults = pair.faults | faults_of(cache)
        return _run(pair, faults, cache.environ, events, clients, pause)


def _run(
    pair: Pair,
    faults: dict[str, Callable[[], None]],
    redis_environ: dict[str, str],
    events: int,
    clients: int,
    pause: float,
) -> dict[str, Any]:
    place = pair.folder / "spool"
    place.mkdir()
    environ = redis_environ | {
        "GIMEL_KEY_SHA256": "none",
        "GIMEL_SHARDS": str(SHARDS),
        "GIMEL_SPOOL": str(place),
    }
    os.environ |= environ
    process.reset()
    change(process.connection(), (NAMESPACE, "x"), {"counting": EXACT}, "owner")
    faults["stopped, and the spool full (503)"] = lambda: _spool_full(pair, place)
    # A log line for each request that is queued is of no use here.
    with contextlib.redirect_stdout(None), replaying():
        load = Load(ask, events, clients, singles=40, batch=40, hurry=0.05)
        done = disturb(load, faults, pause)
    figures = verify(pair, load)
    pair.close()
    for name in environ:
        del os.environ[name]
    process.reset()
    return figures | {"faults": done}


def run_deployed(
    events: int,
    clients: int,
    pair: Pair,
    stack: ledger_deployed.Stack,
    faults: dict[str, Callable[[], None]],
) -> dict[str, Any]:
    """Run it all against a deployed stack, whose Redis is the pair."""
    random.seed(1)
    load = Load(stack.ask, events, clients, singles=4, batch=100, hurry=0.5)
    done = disturb(load, faults, 2.5)
    drained = stack.drain()
    return verify(pair, load) | {"queue empty after (s)": drained, "faults": done}


def _spool_full(pair: Pair, place: Path) -> None:
    """Redis stopped, and nowhere else to go: 503."""
    spool: Any = process.queue()
    # From now on the file may not grow, and it has no free pages.
    spool._pages, room = 1, spool._pages
    with contextlib.closing(sqlite3.connect(place / "spool.sqlite", timeout=20)) as database:
        database.execute("VACUUM")
    pair.primary.freeze(1.5)
    spool._pages = room


@contextlib.contextmanager
def replaying() -> Iterator[None]:
    """The application replays the spool by itself; at the end until nothing waits."""
    try:
        yield
        # Its thread may be replaying: then a replay here does nothing and fails in nothing.
        while (spool := process.queue()) and spool.backlog().waiting.messages:
            replayer.replay()
            time.sleep(0.1)
    finally:
        replayer.stop()


def verify(pair: Pair, load: Load) -> dict[str, Any]:
    """Membership both ways, and the time of an answer."""
    with redis.Redis(port=pair.primary.port) as store:
        difference = membership.compare(store, SHARDS, load.sure, load.possible)
    return {
        "acknowledged": len(load.sure),
        "given up": len(load.possible),
        **load.tally,
        **difference._asdict(),
        "p99 of one (s)": load.p99("one"),
        "p99 of a batch (s)": load.p99("batch"),
        "slowest (s)": round(max(max(times) for times in load.seconds.values()), 3),
    }


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    events, clients = asked.events, asked.clients
    if not asked.deployed:
        return run(events, clients, folder, serverless=asked.serverless)
    pair = Pair(folder)
    try:
        with ledger_deployed.deployed(folder, pair.url, SHARDS) as stack:
            return run_deployed(events, clients, pair, stack, pair.faults)
    finally:
        pair.close()


def main() -> None:
    """Run it from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=4)
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--deployed", action="store_true")
    to.add_argument("--serverless", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(asked, Path(folder))
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
