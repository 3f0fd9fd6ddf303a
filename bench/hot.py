"""One counter that all events go to, on a cluster of three nodes: 64 shards, or one key.

Three servers on two cores cannot be three times as quick as one. So the CPU time of each server is
measured too. That of the busiest node says what a cluster can take in which each node has a core.
"""

import socket
import statistics
import time
import uuid
from bisect import bisect
from collections.abc import Sequence
from contextlib import ExitStack

from redis import Redis
from redis.crc import key_slot

from bench.harness import Lines
from gimel.backend.counting.hyperloglog import shard_of
from gimel.backend.counting.keys import PARTICIPATE, Keys, shard_endings
from tests.support.valkey_cluster import FIRST_SLOTS, cluster

HEAD = (
    "a counter of",
    "sent",
    "events a second here",
    "server CPU an event, all nodes",
    "the busiest node's",
    "so three nodes take",
)
NODES = len(FIRST_SLOTS)
SHARDS = 64
EVENTS = 30_000
AT_ONCE = 500
ROUNDS = 5

# events a second, and each node's CPU in µs an event
Run = tuple[float, list[float]]


def node_of(key: str) -> int:
    """Which node serves a key."""
    return bisect(FIRST_SLOTS, key_slot(key.encode())) - 1


def _commands(shards: int) -> list[list[bytes]]:
    """By node: PFADD of new uuids to the counter, as bytes on the wire."""
    counter = Keys("alephbet", "button color").counter(PARTICIPATE, "red")
    found: list[list[bytes]] = [[] for _ in range(NODES)]
    for _ in range(EVENTS):
        identity = str(uuid.uuid4())
        key = counter + shard_endings(shards)[shard_of(identity, shards)]
        command = f"*3\r\n$5\r\nPFADD\r\n${len(key)}\r\n{key}\r\n$36\r\n{identity}\r\n"
        found[node_of(key)].append(command.encode())
    return found


def _send(lines: Sequence[socket.socket], by_node: list[list[bytes]], at_once: int) -> None:
    """Send so many commands to each node, then take their answers, until all are sent."""
    for start in range(0, max(map(len, by_node)), at_once):
        parts = [commands[start : start + at_once] for commands in by_node]
        for line, part in zip(lines, parts, strict=True):
            line.sendall(b"".join(part))
        for line, part in zip(lines, parts, strict=True):
            answered = 0
            while answered < len(part):
                answer = line.recv(1 << 16)
                if not answer or b"-" in answer:
                    raise SystemExit(f"a node refused: {answer[:100]!r}")
                answered += answer.count(b"\n")


def _cpu(node: Redis) -> float:
    seconds = node.info("cpu")
    return float(seconds["used_cpu_user"] + seconds["used_cpu_sys"]) * 1e6


def run(nodes: list[Redis], shards: int, at_once: int) -> Run:
    for node in nodes:
        node.flushall()
    by_node = _commands(shards)
    ports = [node.connection_pool.connection_kwargs["port"] for node in nodes]
    with ExitStack() as stack:
        lines = [
            stack.enter_context(socket.create_connection(("127.0.0.1", port))) for port in ports
        ]
        for line in lines:
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        before = [_cpu(node) for node in nodes]
        began = time.perf_counter()
        _send(lines, by_node, at_once)
        took = time.perf_counter() - began
        used = [_cpu(node) - start for node, start in zip(nodes, before, strict=True)]
    return EVENTS / took, [each / EVENTS for each in used]


def measure() -> Lines:
    ways = [(shards, at_once) for at_once in (AT_ONCE, 1) for shards in (1, SHARDS)]
    found: dict[tuple[int, int], list[Run]] = {way: [] for way in ways}
    with cluster() as nodes:
        for number in range(ROUNDS):
            for way in ways if number % 2 else reversed(ways):
                found[way].append(run(nodes, *way))
    return [_line(way, runs) for way, runs in found.items()]


def _line(way: tuple[int, int], runs: list[Run]) -> tuple[str, ...]:
    shards, at_once = way
    rate = statistics.median(rate for rate, _ in runs)
    whole = statistics.median(sum(used) for _, used in runs)
    busiest = statistics.median(max(used) for _, used in runs)
    return (
        "one key" if shards == 1 else f"{shards} shards",
        "one by one" if at_once == 1 else f"{at_once} at once",
        f"{rate:,.0f}",
        f"{whole:.1f} µs",
        f"{busiest:.1f} µs ({busiest / whole:.0%})",
        f"{1e6 / busiest:,.0f} a second",
    )
