"""What happens to an experiment's counts whenever Gimel has counted all of it.

A read of the experiment calls `observe`, and so does each snapshot: what must happen at a certain
count happens even if nobody reads.
"""

from typing import TYPE_CHECKING

from gimel.backend.redis.connection import Connection

if TYPE_CHECKING:
    from gimel.backend.results.counts import ExperimentCounts


def observe(connection: Connection, namespace: str, found: "ExperimentCounts") -> None:
    """Take note of the counts of an experiment. Raises redis.RedisError.

    Of an undeclared experiment with many counters, a snapshot passes on the primary goal alone.
    """
