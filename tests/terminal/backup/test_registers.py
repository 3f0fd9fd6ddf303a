"""HyperLogLogs as real servers keep them, read register by register."""

from collections.abc import Iterator

import pytest
import redis

from gimel.terminal.backup.registers import covers, registers_of
from tests.support.redis_content import raw
from tests.support.servers import debian_redis


@pytest.fixture(params=["valkey", pytest.param("redis 7.0", marks=pytest.mark.slow)])
def server(request: pytest.FixtureRequest, store: redis.Redis) -> Iterator[redis.Redis]:
    if request.param == "valkey":
        yield store
        return
    with debian_redis() as client:
        yield client


@pytest.mark.parametrize("visitors", [0, 1, 300, 1000, 2000, 50_000])
def test_registers_are_those_that_the_server_lists(server: redis.Redis, visitors: int) -> None:
    for start in range(0, max(visitors, 1), 1000):
        server.pfadd("a", *map(str, range(start, min(start + 1000, visitors))))
    with raw(server) as plain:
        value = plain.get("a")
    assert value is not None
    assert value[4] == (0 if visitors > 2000 else value[4])
    # It makes the value dense, therefore last.
    listed = server.execute_command("PFDEBUG", "GETREG", "a")
    found = registers_of(bytes(value))
    assert [found >> 6 * index & 63 for index in range(16_384)] == listed


def test_covering_is_register_by_register() -> None:
    here = sum(register << 6 * index for index, register in enumerate([5, 0, 63, 17]))
    assert covers(here, here)
    assert covers(here, 0)
    for index in range(4):
        one = 1 << 6 * index
        register = here >> 6 * index & 63
        if register < 63:
            assert not covers(here, here + one)
        if register:
            assert covers(here, here - one)
    last = 1 << 6 * 16_383
    assert not covers(here, last)
    assert covers(here + last, last)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"17",
        b"HYLL",
        b"HYLL\0" + bytes(11 + 12_287),
        b"HYLL\2" + bytes(11 + 12_288),
        # runs of too few, and of too many registers
        b"HYLL\1" + bytes(11) + b"\x7f\xfe",
        b"HYLL\1" + bytes(11) + b"\x7f\xff\x80",
        b"HYLL\1" + bytes(11) + b"\x7f\xf0\x8f" + b"\x8f" * 40,
        b"HYLL\1" + bytes(11) + b"\x7f",
    ],
)
def test_what_is_no_hyperloglog_is_refused(value: bytes) -> None:
    with pytest.raises(ValueError, match="HyperLogLog"):
        registers_of(value)


def test_an_empty_one_is_not_refused() -> None:
    assert registers_of(b"HYLL\1" + bytes(11) + b"\x7f\xff") == 0
