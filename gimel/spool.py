"""A file for events that Redis did not take: what `gimel local` has in place of a queue.

Each message stands between two ends of line, so that one torn by a crash spoils no other. A message
that was torn had got no answer: its sender still has it.
"""

import fcntl
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from gimel.http import MAX_BATCH, Event
from gimel.spill import SpillError, decode, encode

_LARGEST = 256 << 20


class Spool:
    """Messages in a folder, safe to share between threads and processes."""

    def __init__(self, folder: Path, largest: int = _LARGEST) -> None:
        """`largest`: bytes that may wait; over them, senders keep their events."""
        self._folder = folder
        self._new, self._old = folder / "spool", folder / "spool.replaying"
        self._largest = largest

    def put(self, events: Sequence[Event]) -> None:
        """Write the events to the disk, and wait until they are there. Raises SpillError."""
        text = "".join(f"\n{message}\n" for message in encode(events)).encode()
        try:
            with self._alone():
                waiting = sum(path.stat().st_size for path in self._files())
                if waiting + len(text) > self._largest:
                    raise SpillError("the spool is full")
                self._append(text)
        except OSError as error:
            raise SpillError(f"the spool: {error.strerror}") from None

    def _append(self, text: bytes) -> None:
        is_new = not self._new.exists()
        with self._new.open("ab") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if is_new:
            _sync(self._folder)

    def replay(self, count: Callable[[list[Event]], object]) -> int:
        """Give `count` all events that wait, and forget them when it took all. Returns how many.

        What `count` raises ends it: the next replay begins again, and counts nothing twice.
        """
        done = 0
        for _ in range(2):  # what an earlier replay left behind, then what is new
            with self._alone():
                if self._new.exists() and not self._old.exists():
                    self._new.rename(self._old)
            if self._old.exists():
                done += self._replay_old(count)
                self._old.unlink()
        return done

    def _replay_old(self, count: Callable[[list[Event]], object]) -> int:
        done = 0
        batch: list[Event] = []
        with self._old.open("rb") as file:
            for line in file:
                batch += _events(line)
                if len(batch) >= MAX_BATCH:
                    count(batch)
                    done, batch = done + len(batch), []
        if batch:
            count(batch)
        return done + len(batch)

    def _files(self) -> list[Path]:
        return [path for path in (self._new, self._old) if path.exists()]

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """No other thread or process writes or takes away meanwhile."""
        with (self._folder / "spool.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


def _events(line: bytes) -> list[Event]:
    """The events of a line: none of an empty or a torn one."""
    try:
        return decode(line.decode())
    except ValueError:
        return []


def _sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
