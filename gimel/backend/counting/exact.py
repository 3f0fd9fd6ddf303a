"""Counting exactly: sets of 64-bit integers, each the hash of a visitor or of an event.

Redis and Valkey keep a set of at most 512 integers as a sorted array of 8 bytes each. So the number
of sets grows with the count: first 64, then 256, 1024 and so on; without a salt, first 16. Each
number is a generation. Member m belongs to set m mod n of a generation with n sets. The last 6 bits
of a member are those of its visitor's hash: so the sets fold into 64 samples of visitors. The
following holds even if a process stops between two commands, or remembers an old generation as the
newest:

1. A generation is written into the experiment's settings before anything is added to it, and stays.
2. An event is one SADD to the newest generation that its process knows.
3. The count is the number of distinct members in all generations. A read moves the members of older
   generations into the newest one: it adds them there first, and then removes exactly these members
   from where they were. So a member is always somewhere, and moving it twice does no harm.
4. A read that has counted checks for a newer generation. If there is one, the read starts again.

No step relies on a clock: the clock of a frozen function may stand still. The chance that two of n
members are equal by chance is n²/2⁶⁵, which is 2.7e-8 for a million.

An exact counter of a salted experiment has a ceiling. Otherwise a stranger who sends made-up ids
could fill Redis.
"""

import hashlib
from typing import NamedTuple

from gimel.backend.counting.keys import Generations, set_endings, set_key, set_keys
from gimel.backend.counting.salt import digest
from gimel.backend.redis.connection import Addition, Connection, Series
from gimel.backend.wire import Event

EXACT = "exact"
FIRST_SETS = 64
FIRST_SETS_UNSALTED = 16
# Members that a counter of a salted experiment may have
CEILING = 10_000_000
GROWTH = 4
# Members of one set above which a new generation begins. If that generation gets as full and takes
# the members of all generations before it, its sets have 4/3 of this on average: well below 512.
FULL = 300
_ROOMY = FULL // 2
_MOVED_AT_ONCE = 20_000
# ElastiCache Serverless accepts at most 3,999 arguments:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/SupportedCommands.html
_IN_ONE_COMMAND = 1000


def member_of(uuid: str) -> int:
    """Return the signed integer for a uuid in an experiment without a salt, the same for ever."""
    return int.from_bytes(hashlib.blake2b(uuid.encode(), digest_size=8).digest(), signed=True)


class IntegerSets(NamedTuple):
    """The method that counts exactly. It adds to the generation with `sets` sets."""

    sets: int
    salt: bytes = b""
    counts_events: bool = False

    def addition(self, counter: str, event: Event) -> Addition:
        """Return the command that counts this event."""
        member = self._member(event) if self.salt else member_of(event.uuid)
        return "SADD", set_key(counter, self.sets, member % self.sets), str(member)

    def _member(self, event: Event) -> int:
        visitor = digest(event.visitor or event.uuid, self.salt)[:8]
        if not self.counts_events:
            return int.from_bytes(visitor, signed=True)
        counted = int.from_bytes(digest(event.uuid, self.salt)[:8], signed=True)
        return counted & ~63 | visitor[-1] & 63


def fullness_key(counter: str, sets: int) -> str:
    """Return the key of the set whose size stands for all: a hash spreads members evenly."""
    return set_key(counter, sets, 0)


def sets_for(members: int, sets: int) -> int:
    """Return how many sets a counter needs, if one of its `sets` sets has `members` members."""
    wanted = sets
    if members > FULL:
        while members * sets > _ROOMY * wanted:
            wanted *= GROWTH
    return wanted


def count_sets(connection: Connection, generations: Generations) -> dict[str, int]:
    """Return each exact counter's number of uuids. Moves all members to the newest generation."""
    _move_up(connection, generations)
    newest = [
        Series("SCARD", counter, set_endings(sets)) for counter, (*_, sets) in generations.items()
    ]
    sizes = connection.query(newest)
    return {
        # A key of gimel 1.x may have the name of a set: such a set counts as empty.
        counter: sum(size or 0 for size in found)
        for counter, found in zip(generations, sizes, strict=True)
    }


def _move_up(connection: Connection, generations: Generations) -> None:
    """Move the members of older generations to the newest.

    The oldest generation comes first, one round trip each: another read may be moving members up.
    """
    found: list[tuple[str, str, int, list[str]]] = []
    for age in range(max(map(len, generations.values())) - 1):
        older = [
            (key, counter, known[-1])
            for counter, known in generations.items()
            for key in set_keys(counter, known[age:-1][:1])
        ]
        replies = connection.execute([("SMEMBERS", key) for key, _, _ in older])
        for source, members in zip(older, replies, strict=True):
            ordered = sorted(members)
            for start in range(0, len(ordered), _IN_ONE_COMMAND):
                found.append((*source, ordered[start : start + _IN_ONE_COMMAND]))
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
            arriving.setdefault(set_key(counter, newest, int(member) % newest), []).append(member)
    connection.execute([("SADD", key, *members) for key, members in arriving.items()])
    # Last: a process that stops before this leaves the members in both sets, and they count once.
    connection.execute([("SREM", key, *members) for key, _, _, members in batch])
