"""No event lost: a load with known ids during faults, and what was counted of it.

    python -m tests.full.ledger [--deployed | --serverless | --served | --cluster]
                                [--events 200000] [--clients 4]

Clients send single events and batches through the WSGI application and its spool, into a Valkey
with a replica: see tests/full/faults.py. Half of the events go to an experiment of 1,024 shards,
half to an exact one. At the end all that waited is replayed, and the counters are compared with
clean ones, register by register and member by member: see tests/full/membership.py.

`--deployed`: to a stack that `gimel deploy` made on an emulated account, with its queue and its
replay function. `--serverless`: with what is known of ElastiCache Serverless in front of the
Valkey, see tests/support/serverless_cache.py. `--served`: over HTTP to granian with two workers,
one of which is killed now and then, see tests/full/ledger_served.py. `--cluster`: into a cluster
whose nodes lose their last second in turn, see tests/full/ledger_cluster.py.
"""

import argparse
import contextlib
import json
import random
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gimel.backend import process
from tests.full import ledger_cluster, ledger_deployed, ledger_served, membership
from tests.full.faults import Pair, disturb, faults_of
from tests.full.ledger_application import application, ask
from tests.full.load import SHARDS, Load
from tests.support.serverless_cache import serverless_cache


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
    spool = pair.folder / "spool"
    faults["stopped, and the spool full (503)"] = lambda: _spool_full(pair, spool)
    with application(redis_environ, spool):
        load = Load(ask, events, clients, singles=40, batch=40, hurry=0.05)
        done = disturb(load, faults, pause)
    figures = membership.verify(pair.primary.port, load)
    pair.close()
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
    return membership.verify(pair.primary.port, load) | {
        "queue empty after (s)": drained,
        "faults": done,
    }


def _spool_full(pair: Pair, folder: Path) -> None:
    """Redis stopped, and nowhere else to go: 503."""
    spool: Any = process.queue()
    # From now on the file may not grow, and it has no free pages.
    spool._pages, room = 1, spool._pages
    with contextlib.closing(sqlite3.connect(folder / "spool.sqlite", timeout=20)) as database:
        database.execute("VACUUM")
    pair.primary.freeze(1.5)
    spool._pages = room


def measure(asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    events, clients = asked.events, asked.clients
    if asked.served:
        return ledger_served.run(events, clients, folder)
    if asked.cluster:
        return ledger_cluster.run(events, clients, folder)
    if not asked.deployed:
        return run(events, clients, folder, serverless=asked.serverless)
    pair = Pair(folder)
    try:
        with ledger_deployed.deployed(folder, pair.url, SHARDS) as stack:
            return run_deployed(events, clients, pair, stack, pair.faults)
    finally:
        pair.close()


def main() -> None:
    """Run it from the command line; the status is 1 if anything is missing or made up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--clients", type=int, default=4)
    to = parser.add_mutually_exclusive_group()
    to.add_argument("--deployed", action="store_true")
    to.add_argument("--serverless", action="store_true")
    to.add_argument("--served", action="store_true")
    to.add_argument("--cluster", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(asked, Path(folder))
    print(json.dumps(figures, indent=2))
    sys.exit(any(figures[name] for name in membership.Difference._fields))


if __name__ == "__main__":
    main()
