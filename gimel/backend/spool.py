"""The spool: a file that keeps events until Redis takes them, where there is no SQS.

It is an SQLite database in WAL mode: threads and processes may share it, and what is committed
survives a crash. It has three tables of messages. `waiting`: to be counted. `counted`: counted a
moment ago. Redis may lose its last second, so they are counted a second time before they are
deleted; an event counts once. `aside`: events that cannot be counted at present. Fix the cause,
then move them back (docs/reliability.md). `aside` may take a quarter of the file, so that it leaves
room for events that wait.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

from gimel.backend.counting.admission import Ignored
from gimel.backend.log import log
from gimel.backend.queue import Backlog, NotQueuedError, Pile, age, decode, encode
from gimel.backend.wire import MAX_BATCH, Event

# Bytes of the file
_LARGEST = 256 << 20
_PAGE = 4096
# Bytes of a message that is set aside: small ones, so that some fit where not all do
_ASIDE_MESSAGE = 16_000
# Seconds to wait for another thread or process that is writing. `put` keeps the sender of an event
# waiting, so its timeout is short. A replay delays nobody.
_PUT_TIMEOUT, _REPLAY_TIMEOUT = 0.7, 10.0
_TABLES = """
CREATE TABLE IF NOT EXISTS waiting (id INTEGER PRIMARY KEY, message TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS aside (id INTEGER PRIMARY KEY, message TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS counted (id INTEGER PRIMARY KEY, message TEXT NOT NULL, at REAL);
"""
# Seconds until what was counted is on Redis's disk and on its replicas
_DURABLE_SECONDS = 5.0

# The events that wait, by experiment
_EVENTS = """
SELECT json_array(json_extract(value, '$[0]'), json_extract(value, '$[1]')), count(*)
FROM waiting, json_each(iif(json_valid(message), message, '{}'), '$.events') GROUP BY 1
"""
# Messages in which the events are counted: to count those of 20,000 takes some 0.1 s.
_MOST_COUNTED = 20_000

_INSERT = "INSERT INTO {} (message) VALUES (?)"

# Counts events. Returns the indices of those that do not count, each with the reason.
Count = Callable[[list[Event]], Mapping[int, str]]


class Spool:
    """Messages in a folder. Several threads and processes may use it."""

    def __init__(self, folder: Path, largest: int = _LARGEST) -> None:
        """Use the folder. `largest`: bytes of the file; senders keep events that do not fit."""
        self._file = folder / "spool.sqlite"
        self._lock = folder / "spool.lock"
        self._pages = largest // _PAGE

    def put(self, events: Sequence[Event]) -> None:
        """Write the events to the disk, and wait until they are there. Raises NotQueuedError."""
        with self._database(_PUT_TIMEOUT) as database:
            messages = [(message,) for message in encode(events)]
            database.executemany(_INSERT.format("waiting"), messages)

    def replay(self, count: Count) -> int:
        """Pass all waiting events to `count`. Return their number.

        They are passed to it again 5 s later or more, and then deleted. If `count` raises, the next
        replay begins with the same events; they count once. Events that `count` refuses move to
        `aside`, those that it ignores are deleted. Does nothing while another thread or process
        replays, or if nothing was ever spooled. Raises what `count` raises, and NotQueuedError.
        """
        done = 0
        if not self._file.exists():
            return done
        with hold(self._lock) as is_alone, self._database(_REPLAY_TIMEOUT) as database:
            has_deleted = is_alone and _confirm(database, count)
            while is_alone and (batch := _next_batch(database, _WAITING)).rows:
                reasons = count(batch.events)
                refused = [n for n, why in reasons.items() if not isinstance(why, Ignored)]
                aside = encode((batch.events[n] for n in refused), _ASIDE_MESSAGE)
                kept = [*aside, *batch.unreadable]
                counted = encode(e for n, e in enumerate(batch.events) if n not in reasons)
                now = time.time()
                with database:
                    # First, so that a full file has room for what follows
                    database.executemany("DELETE FROM waiting WHERE id = ?", batch.rows)
                    rows = [(message, now) for message in counted]
                    database.executemany("INSERT INTO counted (message, at) VALUES (?, ?)", rows)
                    self._set_aside(database, kept)
                done += len(batch.events)
            if done or has_deleted:
                # The write-ahead log holds what was deleted, too.
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return done

    def backlog(self) -> Backlog:
        """Return how many messages wait or were set aside. Raises NotQueuedError."""
        if not self._file.exists():
            return Backlog(Pile(0, None), Pile(0, None), {})
        with self._database(_PUT_TIMEOUT) as database:
            found = (_pile(database, "waiting"), _pile(database, "aside"))
            known = found[0].messages <= _MOST_COUNTED
            return Backlog(*found, dict(database.execute(_EVENTS)) if known else None)

    @contextmanager
    def _database(self, timeout: float) -> Iterator[sqlite3.Connection]:
        """Open the file. Commit at the end, or roll back after an exception."""
        try:
            with closing(sqlite3.connect(self._file, timeout=timeout)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                # Overwrite what is deleted: no uuid stays in the file once its event is counted.
                database.execute("PRAGMA secure_delete = ON")
                # In WAL mode only FULL makes each commit durable.
                database.execute("PRAGMA synchronous = FULL")
                database.execute(f"PRAGMA max_page_count = {self._pages}")
                database.executescript(_TABLES)
                with database:
                    yield database
        except sqlite3.Error as error:
            raise NotQueuedError(f"the spool: {error}") from None

    def _set_aside(self, database: sqlite3.Connection, messages: list[str]) -> None:
        """Put messages aside while there is room. Discard the rest: the oldest stay."""
        if not messages:
            return
        size = "SELECT coalesce(sum(length(message)), 0) FROM aside"
        (taken,) = database.execute(size).fetchone()
        room = self._pages * _PAGE // 4 - taken
        discarded = 0
        for message in messages:
            if len(message) <= room:
                database.execute(_INSERT.format("aside"), (message,))
                room -= len(message)
            else:
                discarded += _number_of_events(message)
        if discarded:
            log("error", discarded=discarded, spool="the table aside is full")


def _number_of_events(message: str) -> int:
    try:
        return len(decode(message))
    except ValueError:
        return 1


@contextmanager
def hold(path: Path) -> Iterator[bool]:
    """Take the lock that only one process or thread can hold, and yield whether it was free.

    `path` is its file. A process that dies releases the lock, and a child process does not get it.
    """
    try:
        lock = sqlite3.connect(path, timeout=0)
    except sqlite3.Error:
        yield False
        return
    with closing(lock):
        try:
            # The journal would be another file.
            lock.execute("PRAGMA journal_mode = OFF")
            lock.execute("BEGIN EXCLUSIVE")
        except sqlite3.Error:
            yield False
        else:
            yield True


def _pile(database: sqlite3.Connection, table: str) -> Pile:
    """Count the messages of a table. The first one is the oldest."""
    (number,) = database.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    first = database.execute(f"SELECT message FROM {table} ORDER BY id LIMIT 1").fetchone()  # noqa: S608
    return Pile(number, age(first[0]) if first else None)


class _Batch(NamedTuple):
    """Some of the messages that wait: their ids, their events, and messages without events."""

    rows: list[tuple[int]]
    events: list[Event]
    unreadable: list[str]


def _confirm(database: sqlite3.Connection, count: Count) -> bool:
    """Count again what was counted at least 5 s ago, and delete it. Return whether any was."""
    # An hour ahead: the clock was set back.
    now = time.time()
    due = (now - _DURABLE_SECONDS, now + 3600)
    confirmed = False
    while (batch := _next_batch(database, _COUNTED, due)).rows:
        count(batch.events)
        with database:
            database.executemany("DELETE FROM counted WHERE id = ?", batch.rows)
        confirmed = True
    return confirmed


_WAITING = "SELECT id, message FROM waiting ORDER BY id"
_COUNTED = "SELECT id, message FROM counted WHERE at < ? OR at > ? ORDER BY id"


def _next_batch(
    database: sqlite3.Connection, select: str, parameters: Sequence[float] = ()
) -> _Batch:
    """Read the oldest of the selected messages, up to about MAX_BATCH events."""
    batch = _Batch([], [], [])
    with closing(database.execute(select, parameters)) as messages:
        for row, message in messages:
            batch.rows.append((row,))
            try:
                batch.events.extend(decode(message))
            except ValueError:
                batch.unreadable.append(message)
            if len(batch.events) >= MAX_BATCH:
                break
    return batch
