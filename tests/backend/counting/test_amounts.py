"""Amounts: elements of one PFADD, rounded by the hash, on a real server."""

import random
from collections import Counter

import pytest
import redis

from gimel.backend.counting.amounts import Amounts
from gimel.backend.counting.exact import IntegerSets
from gimel.backend.counting.hyperloglog import HyperLogLogs
from gimel.backend.counting.keys import Generation
from gimel.backend.redis.connection import Connection
from tests.support.counting import SALT, event
from tests.support.servers import url_of

COUNTER = "alephbet:counters:e:revenue:a"


def amounts(cap: float = 500, hashed: int = 4, shards: int = 64) -> Amounts:
    return Amounts(shards, cap, SALT, hashed)


def elements(value: float, uuid: str = "1", cap: float = 500) -> int:
    found = amounts(cap).additions(COUNTER, event(uuid=uuid, visitor="ana", value=value))
    return sum(len(names) for _, key, *names in found if not key.endswith("#above"))


@pytest.mark.parametrize(
    ("value", "number"), [(0, 0), (5, 1), (250, 50), (500, 100), (501, 100), (1e308, 100)]
)
def test_an_amount_is_its_share_of_the_cap(value: float, number: int) -> None:
    assert elements(value) == number


@pytest.mark.parametrize("cap", [1e-9, 1e12])
def test_any_cap_can_be_reached(cap: float) -> None:
    assert elements(cap, cap=cap) == 100
    assert elements(1e308, cap=cap) == 100


def test_fractions_are_rounded_without_bias() -> None:
    found = Counter(elements(6, str(number)) for number in range(20_000))
    assert found.keys() == {1, 2}
    assert sum(number * times for number, times in found.items()) / 20_000 == pytest.approx(
        1.2, abs=0.012
    )


def test_an_event_that_comes_again_adds_what_it_added() -> None:
    first = amounts().additions(COUNTER, event(visitor="ana", value=33.3))
    assert amounts().additions(COUNTER, event(visitor="ana", value=33.3)) == first
    ((_, _, *more),) = amounts().additions(COUNTER, event(visitor="ana", value=99))
    ((_, _, *less),) = first
    assert set(less) < set(more)


def test_only_an_amount_above_the_cap_takes_a_second_command() -> None:
    assert len(amounts().additions(COUNTER, event(visitor="ana", value=500))) == 1
    _, (_, key, *names) = amounts().additions(COUNTER, event(visitor="ana", value=500.1))
    assert key == f"{COUNTER}#above"
    assert len(names) == 1


def test_the_shard_is_the_sample_of_the_visitors_participation() -> None:
    for ana in (f"visitor {number}" for number in range(50)):
        sent = event(uuid="order 1", visitor=ana, value=9)
        ((_, shard, _),) = HyperLogLogs(64, SALT).additions(COUNTER, sent)
        assert amounts().additions(COUNTER, sent)[0][1] == shard
        ((_, key, _),) = IntegerSets(Generation(256), SALT).additions("", sent)
        for shards in (64, 128):
            place = amounts(hashed=8, shards=shards).additions("", sent)[0][1]
            assert int(place.removeprefix("#") or 0) % 64 == int(key.rpartition(":")[2]) % 64


def test_sums_are_within_the_counters_error(store: redis.Redis) -> None:
    connection, draw = Connection(url_of(store)), random.Random(1)
    values = [draw.lognormvariate(3, 1.2) for _ in range(5_000)]
    for start in range(0, 5_000, 500):
        additions = [
            addition
            for number in range(start, start + 500)
            for addition in amounts().additions(
                COUNTER, event(uuid=str(number), visitor=f"v{number}", value=values[number])
            )
        ]
        connection.add(additions)
        connection.add(additions)
    counted = sum(store.pfcount(COUNTER + (f"#{shard}" if shard else "")) for shard in range(64))
    assert counted * 5 == pytest.approx(sum(min(value, 500) for value in values), rel=0.01)
    assert store.pfcount(f"{COUNTER}#above") == sum(value > 500 for value in values)


def test_a_batch_of_one_visitors_large_amounts_stays_within_serverless_limits(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ElastiCache Serverless refuses a command with over 3,999 arguments."""
    connection = Connection(url_of(store))
    sent = [event(uuid=str(number), visitor="ana", value=500) for number in range(500)]
    lengths: list[int] = []
    execute = connection.execute
    monkeypatch.setattr(
        connection,
        "execute",
        lambda commands: (lengths.extend(map(len, commands)), execute(commands))[1],
    )
    connection.add([each for one in sent for each in amounts().additions(COUNTER, one)])
    assert max(lengths) <= 1002
    assert sum(lengths) == 50_000 + 2 * 50
