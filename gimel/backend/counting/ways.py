"""The ways of counting: what a counter is made of, where a uuid goes, how many there are.

**HyperLogLog**: `shards` of them; a hash of the uuid picks one. The count is their sum.

**Exact**: sets of 64-bit integers, each the hash of a uuid. Redis and Valkey keep a set of integers
as a sorted array of 8 bytes each while it has no more than 512 members, so the number of sets
follows the count: first 16, then 64, 256 and so on. Each number is a generation, and a member m is
in set m mod n of a generation with n sets. The following holds whoever stopped between any two
commands, and however old a process's memory of the newest generation is:

1. A generation is written into the experiment's settings before anything is added to it, and stays.
2. An event is one SADD to the newest generation that its process knows of.
3. The count is the number of distinct members in all generations. A read moves the members of the
   older ones into the newest: it adds them there first, and then removes just these from where
   they were. So a member is always somewhere, and moving it twice is harmless.
4. A read looks, when it has counted, whether there is a newer generation by now, and starts again.

No clock is relied upon: that of a frozen function may stand still. Two of n uuids share a hash with
a chance of n²/2⁶⁵: 2.7e-8 for a million.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from math import expm1, log1p
from typing import NamedTuple
from zlib import crc32

from gimel.backend.redis.connection import Addition, Connection, Series, heard

HYPERLOGLOG, EXACT = "hyperloglog", "exact"
METHODS = (HYPERLOGLOG, EXACT)
FIRST_SETS = 16
GROWTH = 4
# Members that one set may have before there is a new generation. When that too is as full, and gets
# the members of all generations before, its sets have 4/3 of this on average: well below 512.
FULL = 300
_ROOMY = FULL // 2
_MOVED_AT_ONCE = 20_000
_REGISTERS = 16_384
_LINEAR = 512

# by counter: the generations that it has, the newest last
Generations = dict[str, list[int]]


def shard_of(uuid: str, shards: int) -> int:
    """The shard that an event with this uuid goes to, the same in every process for ever."""
    return crc32(uuid.encode()) % shards


def member_of(uuid: str) -> int:
    """The signed 64-bit integer that stands for a uuid, the same in every process for ever."""
    return int.from_bytes(hashlib.blake2b(uuid.encode(), digest_size=8).digest(), signed=True)


@cache
def shard_endings(shards: int) -> tuple[str, ...]:
    """How the keys of a counter's HyperLogLogs end; they begin with the counter's."""
    return ("", *[f"#{shard}" for shard in range(1, shards)])


@cache
def _set_endings(sets: int) -> tuple[str, ...]:
    return tuple([f"#{sets}:{place}" for place in range(sets)])


def _set_key(counter: str, sets: int, member: int) -> str:
    return f"{counter}#{sets}:{member % sets}"


def sum_of_shards(counts: Iterable[int]) -> int:
    """What the HyperLogLogs of a counter say together, the server's rounding of each undone.

    All of them have about as many members, so rounding is off the same way in each: by 0.3 % of the
    sum at 6,000 uuids. While few registers are set, their number k tells the estimate as it was,
    m·ln(m/(m − k)) for m registers (linear counting, Whang et al. 1990), and follows from it.
    """
    return round(sum([_unrounded(each) if each <= _LINEAR else each for each in counts if each]))


@cache
def _unrounded(count: int) -> float:
    registers = round(_REGISTERS * -expm1(-count / _REGISTERS))
    return -_REGISTERS * log1p(-registers / _REGISTERS)


class HyperLogLogs(NamedTuple):
    """Count with so many HyperLogLogs."""

    shards: int

    def addition(self, counter: str, uuid: str) -> Addition:
        """What counts this uuid."""
        return "PFADD", counter + shard_endings(self.shards)[shard_of(uuid, self.shards)], uuid


class IntegerSets(NamedTuple):
    """Count exactly, adding to the generation with so many sets."""

    sets: int

    def addition(self, counter: str, uuid: str) -> Addition:
        """What counts this uuid."""
        member = member_of(uuid)
        return "SADD", _set_key(counter, self.sets, member), str(member)


Way = HyperLogLogs | IntegerSets


# The generations of exact counters, as fields of their experiment's settings.


def generation_field(counter: str, sets: int) -> str:
    """The field that says that the counter has a generation with so many sets."""
    return f"sets {sets} {counter}"


def generations_in(settings: Mapping[str, str]) -> Generations:
    """Each exact counter's generations."""
    found: Generations = {}
    for field in settings:
        if field.startswith("sets "):
            _, sets, counter = field.split(" ", 2)
            found.setdefault(counter, []).append(int(sets))
    return {counter: sorted(generations) for counter, generations in found.items()}


def fullness_key(counter: str, sets: int) -> str:
    """The set whose size stands for the others': a hash spreads members evenly."""
    return _set_key(counter, sets, 0)


def sets_for(members: int, sets: int) -> int:
    """How many sets a counter should have, one of whose `sets` sets has so many members."""
    wanted = sets
    if members > FULL:
        while members * sets > _ROOMY * wanted:
            wanted *= GROWTH
    return wanted


def set_keys(counter: str, generations: Iterable[int]) -> Iterator[str]:
    """The keys of all sets of these generations."""
    for sets in generations:
        yield from (counter + ending for ending in _set_endings(sets))


def count_sets(connection: Connection, generations: Generations) -> dict[str, int]:
    """Each exact counter's number of uuids, everything moved into its newest generation."""
    _settle(connection, generations)
    newest = [
        Series("SCARD", counter, _set_endings(sets)) for counter, (*_, sets) in generations.items()
    ]
    sizes = heard(connection.ask(newest))
    return {
        # In the place of a set there may be a key of gimel 1.x, whose names are as they are.
        counter: sum(size or 0 for size in found)
        for counter, found in zip(generations, sizes, strict=True)
    }


def _settle(connection: Connection, generations: Generations) -> None:
    """Move what older generations hold into the newest.

    From the oldest on, one round trip each: another read may move members up at the same time.
    """
    found: list[tuple[str, str, int, list[str]]] = []
    for age in range(max(map(len, generations.values())) - 1):
        older = [
            (key, counter, known[-1])
            for counter, known in generations.items()
            for key in set_keys(counter, known[age:-1][:1])
        ]
        replies = connection.tell([("SMEMBERS", key) for key, _, _ in older])
        for place, members in zip(older, replies, strict=True):
            if members:
                found.append((*place, sorted(members)))
    while found:
        batch, size = [], 0
        while found and size < _MOVED_AT_ONCE:
            batch.append(found.pop())
            size += len(batch[-1][-1])
        _move(connection, batch)


def _move(connection: Connection, batch: list[tuple[str, str, int, list[str]]]) -> None:
    arriving: dict[str, list[str]] = {}
    for _, counter, newest, members in batch:
        for member in members:
            arriving.setdefault(_set_key(counter, newest, int(member)), []).append(member)
    connection.tell([("SADD", key, *members) for key, members in arriving.items()])
    # Only now: whoever stops here leaves them in both places, and they count once all the same.
    connection.tell([("SREM", key, *members) for key, _, _, members in batch])
