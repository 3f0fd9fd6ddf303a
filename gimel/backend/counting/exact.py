"""Counting exactly: sets of 64-bit integers, each the hash of a visitor or of an event.

Redis and Valkey keep a set of at most 512 integers as a sorted array of 8 bytes each. So the number
of sets grows with the count: first 64, then 256, 1024 and so on; without a salt, first 16. Each
number is a generation. Member m belongs to set m mod n of a generation with n sets. The last 6 bits
of a member are those of its visitor's hash: so the sets fold into 64 samples of visitors. The
following holds even if a process stops between two commands, or remembers an old generation as the
newest:

1. A generation is written into the experiment's settings before anything is added to it, and stays.
2. An event is one SADD to the newest settled generation that its process knows.
3. The count is the number of distinct members in all generations. A read moves the members of older
   generations into the newest one, so a member is always somewhere.
4. A read that has counted checks whether another generation came into use, and then whether there
   is a newer one. In both cases the read starts again.

A server that fails may lose its last seconds, and so may a failover to a replica. What was safe
before is still counted afterwards:

5. A member is added to its new set first. Then SDIFFSTORE takes out of the old set what the new
   sets hold. They share a slot of a cluster, so one server does both: if it lost the additions, it
   takes nothing out, and what it loses later, it loses in the reverse order.
6. A later generation is used once it is settled: when it has been in the settings for 5 minutes.
   Nothing moves into a generation that the server of the settings may still lose.

No count relies on a clock: the clock of a frozen function may stand still. If a process with a fast
clock uses a generation early, reads find its members there, and use it too. The probability that
two of n visitors or events get the same member is n²/2⁶⁵, which is 2.7e-8 for a million.

An exact counter of a salted experiment has a ceiling. Otherwise a stranger who sends made-up ids
could fill Redis.
"""

import hashlib
import time
from typing import NamedTuple

from redis.exceptions import ClusterCrossSlotError

from gimel.backend.counting.keys import Generation, Generations
from gimel.backend.counting.salt import digest
from gimel.backend.redis.connection import Addition, Connection, Series, checked
from gimel.backend.wire import Event

EXACT = "exact"
FIRST_SETS = 64
FIRST_SETS_UNSALTED = 16
# Members that a counter of a salted experiment may have
CEILING = 10_000_000
# With a plan, the ceiling is a multiple of the plan. It has a minimum, because the size of one set
# is a poor estimate of a smaller counter.
_TIMES_THE_PLAN = 10
_LOWEST_CEILING = 10_000
GROWTH = 4
# Members of one set above which a new generation begins. If that generation gets as full and takes
# the members of all generations before it, its sets have 4/3 of this on average: well below 512.
FULL = 300
_ROOMY = FULL // 2
_MOVED_AT_ONCE = 20_000
# ElastiCache Serverless accepts at most 3,999 arguments:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/SupportedCommands.html
_IN_ONE_COMMAND = 1000
# Seconds after which a write is on disk or on a replica, if Redis ever writes it there
SETTLING_SECONDS = 300


def member_of(uuid: str) -> int:
    """Return the signed integer for a uuid in an experiment without a salt, the same for ever."""
    return int.from_bytes(hashlib.blake2b(uuid.encode(), digest_size=8).digest(), signed=True)


def ceiling(plan: int | None, *, counts_events: bool = False) -> int:
    """Return how many members a counter may have, if `plan` visitors are planned in all.

    A visitor may reach a total any number of times, so the plan says nothing about its events.
    """
    if plan is None or counts_events:
        return CEILING
    return max(_TIMES_THE_PLAN * plan, _LOWEST_CEILING)


class IntegerSets(NamedTuple):
    """The method that counts exactly. It adds to a generation of sets."""

    generation: Generation
    salt: bytes = b""
    counts_events: bool = False

    def additions(self, prefix: str, event: Event) -> list[Addition]:
        """Return the command that counts this event."""
        member = self._member(event) if self.salt else member_of(event.uuid)
        return [("SADD", self.generation.key(prefix, member), str(member))]

    def _member(self, event: Event) -> int:
        visitor = digest(event.visitor or event.uuid, self.salt)[:8]
        if not self.counts_events:
            return int.from_bytes(visitor, signed=True)
        counted = int.from_bytes(digest(event.uuid, self.salt)[:8], signed=True)
        return counted & ~63 | visitor[-1] & 63


def fullness_key(counter: str, generation: Generation) -> str:
    """Return the key of the set whose size stands for all: a hash spreads members evenly."""
    return generation.key(generation.prefix(counter), 0)


def is_settled(generation: Generation) -> bool:
    """Return whether no server can lose the generation from the settings any more."""
    return generation.since <= time.time() - SETTLING_SECONDS


def following(newest: Generation, members: int) -> Generation | None:
    """Return the generation to begin, if one of the newest one's sets has `members` members."""
    wanted = newest.sets
    if members > FULL:
        while members * newest.sets > _ROOMY * wanted:
            wanted *= GROWTH
    if wanted == newest.sets and not newest.is_scattered:
        return None
    return Generation(wanted, int(time.time()))


def in_use(connection: Connection, generations: Generations) -> Generations:
    """Return the generations without those that are neither settled nor have members."""
    unused: set[tuple[str, Generation]] = set()
    for age in range(1, max(map(len, generations.values()), default=0)):
        # Members may move up meanwhile, so the older generations are asked first.
        young = [
            (counter, known[age])
            for counter, known in generations.items()
            if age < len(known) and not is_settled(known[age])
        ]
        sizes = connection.query([_sizes(*each) for each in young])
        unused |= {each for each, found in zip(young, sizes, strict=True) if not any(found)}
    return {
        counter: [each for each in known if (counter, each) not in unused]
        for counter, known in generations.items()
    }


def count_sets(connection: Connection, generations: Generations) -> dict[str, list[int]]:
    """Return the number of members of each set, by exact counter. Their sum is the count.

    Moves all members to the newest generation first, so each is in one set.
    """
    _move_up(connection, generations)
    sizes = connection.query([_sizes(counter, known[-1]) for counter, known in generations.items()])
    return {
        # A key of gimel 1.x may have the name of a set: such a set counts as empty.
        counter: [size or 0 for size in found]
        for counter, found in zip(generations, sizes, strict=True)
    }


def _sizes(counter: str, generation: Generation) -> Series:
    return Series("SCARD", generation.prefix(counter), generation.endings)


class _Source(NamedTuple):
    """A set of an older generation, some of its members, and the generation that they move to."""

    key: str
    number: int
    sets: int
    target_prefix: str
    newest: Generation
    members: list[str]

    @property
    def targets(self) -> list[str]:
        """The keys of the sets that members of this set belong to."""
        members = range(self.number, self.newest.sets, self.sets)
        return [self.newest.key(self.target_prefix, member) for member in members]


def _move_up(connection: Connection, generations: Generations) -> None:
    """Move the members of older generations to the newest.

    The oldest generation comes first, one round trip each: another read may be moving members up.
    """
    found: list[_Source] = []
    for age in range(max(map(len, generations.values())) - 1):
        older = [
            _Source(key, number, generation.sets, known[-1].prefix(counter), known[-1], [])
            for counter, known in generations.items()
            for generation in known[age:-1][:1]
            for number, key in enumerate(generation.keys(counter))
        ]
        replies = connection.query([("SMEMBERS", source.key) for source in older])
        for source, members in zip(older, replies, strict=True):
            ordered = sorted(members)
            for start in range(0, len(ordered), _IN_ONE_COMMAND):
                found.append(source._replace(members=ordered[start : start + _IN_ONE_COMMAND]))
    while found:
        batch, size = [], 0
        while found and size < _MOVED_AT_ONCE:
            batch.append(found.pop())
            size += len(batch[-1].members)
        _move(connection, batch)


def _move(connection: Connection, batch: list[_Source]) -> None:
    arriving: dict[str, list[str]] = {}
    for source in batch:
        for member in source.members:
            key = source.newest.key(source.target_prefix, int(member))
            arriving.setdefault(key, []).append(member)
    connection.execute(
        [
            ("SADD", key, *members[start : start + _IN_ONE_COMMAND])
            for key, members in arriving.items()
            for start in range(0, len(members), _IN_ONE_COMMAND)
        ]
    )
    # Last: a process that stops before this leaves the members in both sets, and they count once.
    replies = connection.ask(
        [("SDIFFSTORE", source.key, source.key, *source.targets) for source in batch]
    )
    # In a cluster, sets of an earlier version are in other slots: their members stay there too.
    checked([each for each in replies if not isinstance(each, ClusterCrossSlotError)])
