"""The objects that a process keeps: the connection, the counters, the queue and the intake.

Lambda keeps a process for many requests. Everything here is made at its first use, from the
environment variables that `gimel.gimel` lists.
"""

import functools
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.hyperloglog import DEFAULT_SHARDS, HYPERLOGLOG
from gimel.backend.intake import Intake
from gimel.backend.limits import Limits
from gimel.backend.log import log
from gimel.backend.queue import Backlog, EventQueue, NotQueuedError, Queue
from gimel.backend.redis.connection import Connection

if TYPE_CHECKING:
    from gimel.backend.experiment.flags import Flags
    from gimel.backend.experiment.snapshots import Round
    from gimel.backend.news.outbox import Outbox


@functools.cache
def connection() -> Connection:
    """Return the connection to Redis."""
    return Connection.from_environment(os.environ)


@functools.cache
def counters() -> Counters:
    """Return the counters."""
    shards = int(os.environ.get("GIMEL_SHARDS", DEFAULT_SHARDS))
    limits = Limits.of(os.environ.get("GIMEL_LIMITS"))
    counting = os.environ.get("GIMEL_COUNTING", HYPERLOGLOG)
    is_closed = os.environ.get("GIMEL_ACCEPT") == "declared"
    return Counters(connection(), shards, limits, counting=counting, is_closed=is_closed)


@functools.cache
def queue() -> EventQueue | None:
    """Return the queue for events that Redis does not take, if there is one."""
    if folder := os.environ.get("GIMEL_SPOOL"):
        # Imported here: functions have a queue, and SQLite would cost their cold starts 2 ms.
        from gimel.backend.spool import Spool

        return Spool(Path(folder))
    arn = os.environ.get("GIMEL_QUEUE")
    return Queue(arn) if arn else None


@functools.cache
def intake() -> Intake:
    """Return the intake, which counts or queues events."""
    return Intake(counters(), queue())


@functools.cache
def flags() -> "Flags":
    """Return the flags."""
    # Imported here: events do not need it, unless they leave out the variant.
    from gimel.backend.experiment.flags import Flags

    return Flags(connection())


def ask_backlog() -> Backlog | None:
    """Return what is not counted yet. None if there is no queue, or it does not answer."""
    kept = queue()
    try:
        return kept.backlog() if kept else None
    except NotQueuedError as error:
        log("error", backlog=str(error))
        return None


def write_snapshots(seconds: float) -> "Round | None":
    """Write the snapshots of this hour and send the news: see `SnapshotWriter.write`."""
    # Imported here: events do not need it.
    from gimel.backend.experiment.snapshots import SnapshotWriter

    backlog = ask_backlog if queue() else None
    writer = SnapshotWriter(connection(), counters(), backlog=backlog, outbox=_outbox())
    return writer.write(time.time(), seconds)


def _outbox() -> "Outbox | None":
    """Return the outbox for news. None if GIMEL_NOTIFY names no receiver."""
    if "GIMEL_NOTIFY" not in os.environ:
        return None
    from gimel.backend.news.delivery import delivery
    from gimel.backend.news.outbox import Outbox

    send = delivery(os.environ)
    return Outbox(connection(), send) if send else None


def reset() -> None:
    """Forget everything kept, so that the next request reads the environment again.

    Only tests call this.
    """
    for kept in (connection, counters, queue, intake, flags):
        kept.cache_clear()
