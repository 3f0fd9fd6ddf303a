"""Counting with HyperLogLogs: small, and off by a known error.

A counter has `shards` HyperLogLogs. A hash of the visitor picks the shard, so the shards' counts
add up, and each shard is an independent sample of visitors. The relative standard error of the sum
is that of one HyperLogLog divided by √shards.
"""

from collections.abc import Iterable
from functools import cache
from math import expm1, log1p
from typing import NamedTuple
from zlib import crc32

from gimel.backend.counting.keys import shard_endings
from gimel.backend.counting.salt import digest
from gimel.backend.redis.connection import Addition, Command
from gimel.backend.wire import Event

HYPERLOGLOG = "hyperloglog"
DEFAULT_SHARDS = 64
# Redis's documentation: the relative standard error of one HyperLogLog of 16,384 registers.
SHARD_ERROR = 0.0081
_REGISTERS = 16_384
# Up to this count, a shard's registers can be derived from it.
_LINEAR = 512


def relative_error(shards: int) -> float:
    """Return the relative standard error of a counter with `shards` shards."""
    return float(SHARD_ERROR / shards**0.5)


def shard_of(uuid: str, shards: int) -> int:
    """Return the shard of this uuid in an experiment without a salt, the same for ever."""
    return crc32(uuid.encode()) % shards


class HyperLogLogs(NamedTuple):
    """The method that counts with `shards` HyperLogLogs: visitors, or all of their events."""

    shards: int
    salt: bytes = b""
    counts_events: bool = False

    def additions(self, counter: str, event: Event) -> list[Addition]:
        """Return the command that counts this event."""
        endings = shard_endings(self.shards)
        if not self.salt:
            uuid = event.uuid
            return [("PFADD", counter + endings[shard_of(uuid, self.shards)], uuid)]
        visitor = digest(event.visitor or event.uuid, self.salt)
        shard = int.from_bytes(visitor[:4]) % self.shards
        counted = digest(event.uuid, self.salt) if self.counts_events else visitor
        return [("PFADD", counter + endings[shard], counted[4:].hex())]


def unrounded(counts: Iterable[int]) -> tuple[float, ...]:
    """Return the counts of HyperLogLogs, with the server's rounding of each undone.

    All shards have about as many members, so rounding is off in the same direction in each: by
    0.3 % of the sum at 6,000 uuids. While few registers are set, their number k follows from the
    rounded count, and the estimate before rounding is m·ln(m/(m − k)) for m registers (linear
    counting, Whang et al. 1990).
    """
    # A key of gimel 1.x may have the name of a shard: such a shard counts as empty.
    known = [each or 0 for each in counts]
    return tuple([_unrounded(each) if each <= _LINEAR else each for each in known])


@cache
def _unrounded(count: int) -> float:
    registers = round(_REGISTERS * -expm1(-count / _REGISTERS))
    return -_REGISTERS * log1p(-registers / _REGISTERS)


def start_of(key: str) -> Command:
    """Return the command that reads the start of an old counter's value: enough to tell its kind.

    The longest integer of lamed has 20 digits.
    """
    return "GETRANGE", key, "0", "19"


def is_hyperloglog(start: bytes) -> bool:
    """Return whether a value that starts so is a HyperLogLog. lamed's values are numbers."""
    return start.startswith(b"HYLL")
