"""Counting amounts, such as revenue: an amount adds elements to the counter's HyperLogLogs.

An amount as high as the goal's cap adds 100 elements, and half of the cap adds 50. A fraction is
rounded at random, by the hash of the event: so the sum has no bias, and an event that comes again
adds the same elements. Memory stays bounded, whichever way the experiment counts. An amount above
the cap counts as the cap, and one more HyperLogLog counts how many there were.
"""

from typing import NamedTuple

from gimel.backend.counting.keys import ABOVE_CAP, shard_endings
from gimel.backend.counting.salt import digest
from gimel.backend.redis.connection import Addition
from gimel.backend.wire import Event

ELEMENTS_AT_CAP = 100


class Amounts(NamedTuple):
    """The method that counts amounts up to `cap`.

    `hashed`: the number of leading bytes of the visitor's hash that choose the shard. The shard has
    to be the sample that the visitor's participation counts in: 4 bytes where that is a
    HyperLogLog, 8 where it is in an exact set.
    """

    shards: int
    cap: float
    salt: bytes = b""
    hashed: int = 4

    def additions(self, counter: str, event: Event) -> list[Addition]:
        """Return the commands that count this event's amount."""
        visitor = digest(event.visitor or event.uuid, self.salt)
        shard = int.from_bytes(visitor[: self.hashed]) % self.shards
        counted = digest(event.uuid, self.salt)
        name = counted[4:].hex()
        value = event.value or 0.0
        elements = _elements(value / self.cap, int.from_bytes(counted[:4]) / 2**32)
        found: list[Addition] = []
        if elements:
            names = [f"{name}{number}" for number in range(elements)]
            found.append(("PFADD", counter + shard_endings(self.shards)[shard], *names))
        if value > self.cap:
            found.append(("PFADD", counter + ABOVE_CAP, name))
        return found


def _elements(share_of_cap: float, chance: float) -> int:
    """Return the number of elements of an amount. `chance`, from 0 to 1, rounds it."""
    exact = ELEMENTS_AT_CAP * min(share_of_cap, 1.0)
    whole = int(exact)
    return whole + (chance < exact - whole)
