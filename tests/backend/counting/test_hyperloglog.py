"""Counters of HyperLogLogs: their shards, how exactly they count, what memory they take."""

import random
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterable

import pytest
import redis

from gimel.backend.counting.hyperloglog import SHARD_ERROR, HyperLogLogs, shard_of
from tests.support.counting import SALT, counters_of, event, events, salt_of


def test_shards_are_the_same_for_ever() -> None:
    # CRC-32's published check value is 0xCBF43926 for this text.
    assert shard_of("123456789", 1 << 32) == 0xCBF43926
    assert [shard_of(each, 64) for each in ("123456789", "", "user-1", "עלמה")] == SHARDS
    assert shard_of("anything", 1) == 0
    code = "from gimel.backend.counting.hyperloglog import shard_of; print(shard_of('עלמה', 64))"
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        said = subprocess.check_output([sys.executable, "-c", code], env=environment)
        assert int(said) == SHARDS[3]


SHARDS = [38, 0, 20, 50]


def some_uuids(seed: int) -> Callable[[int], str]:
    chance = random.Random(seed)
    return lambda _: str(uuid.UUID(int=chance.getrandbits(128), version=4))


WAYS = {
    "uuid": some_uuids(1),
    "sequence": "user-{}".format,
    "digits": "{:09d}".format,
    "even": lambda n: str(2 * n),
    "thousands": lambda n: f"{n}000",
    "hex": "{:024x}".format,
    "mail": "someone.{}@example.com".format,
}


@pytest.mark.parametrize("way", WAYS)
def test_ids_of_any_make_spread_over_all_shards(way: str) -> None:
    for salt in (b"", SALT):
        assert_even(way, HyperLogLogs(64, salt))


def assert_even(way: str, method: HyperLogLogs) -> None:
    keys = [method.additions("", event(uuid=WAYS[way](n)))[0][1] for n in range(20_000)]
    sizes = Counter(keys).values()
    # As many shards as the error of the sum behaves like; random ids: 63.8.
    effective = sum(sizes) ** 2 / sum(size**2 for size in sizes)
    assert effective > 60


def fill(store: redis.Redis, ids: Iterable[str]) -> None:
    """What `add` does, many ids a command."""
    by_key: dict[str, list[str]] = {}
    method = HyperLogLogs(64, salt_of(store))
    for each in ids:
        ((_, key, element),) = method.additions(
            "alephbet:counters:e:participate:a", event(uuid=each)
        )
        by_key.setdefault(key, []).append(element)
    pipeline = store.pipeline(transaction=False)
    for key, elements in by_key.items():
        pipeline.pfadd(key, *elements)
    pipeline.execute()


def memory(store: redis.Redis) -> int:
    keys = store.keys("alephbet:counters:*")
    return sum(store.memory_usage(key) for key in keys)


def test_filling_a_counter_in_bulk_is_what_add_does(store: redis.Redis) -> None:
    counters_of(store).add(events(map(WAYS["sequence"], range(1000))))
    keys = store.keys("alephbet:counters:*")
    added = {key: store.dump(key) for key in keys}
    store.delete(*keys)
    fill(store, map(WAYS["sequence"], range(1000)))
    assert {key: store.dump(key) for key in store.keys("alephbet:counters:*")} == added


@pytest.mark.slow
@pytest.mark.parametrize("way", ["uuid", "sequence", "mail"])
def test_error_and_memory_are_those_of_the_design(store: redis.Redis, way: str) -> None:
    design = {1_000: 12.6, 10_000: 38, 100_000: 190, 1_000_000: 775}  # KB
    sizes = list(design) if way == "uuid" else list(design)[:3]
    counters_of(store).add(events([WAYS[way](0)]))
    filled = 1
    for size in sizes:
        fill(store, map(WAYS[way], range(filled, size)))
        filled = size
        (found,) = counters_of(store).read("alephbet")
        assert found.relative_error == pytest.approx(0.0081 / 8)
        assert found.trials["a"] == pytest.approx(size, rel=4 * SHARD_ERROR / 8)
        assert memory(store) / 1024 == pytest.approx(design[size], rel=0.2)


@pytest.mark.parametrize("size", [3_000, 6_400, 10_000])
def test_counts_are_not_off_to_one_side(store: redis.Redis, size: int) -> None:
    """The server rounds each HyperLogLog's estimate: all the same way, for all are as full."""
    some = some_uuids(7)
    errors = []
    for _ in range(10):
        store.flushall()
        counters_of(store).add(events([some(0)]))
        fill(store, map(some, range(size - 1)))
        (found,) = counters_of(store).read("alephbet")
        errors.append(found.trials["a"] / size - 1)
    # 4 standard errors of the mean of ten
    assert abs(sum(errors) / len(errors)) < 4 * SHARD_ERROR / 8 / 10**0.5
