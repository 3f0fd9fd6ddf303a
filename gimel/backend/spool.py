"""A file for events that Redis did not take: what `gimel local` has in place of a queue.

Each message stands between two ends of line, so that one torn by a crash spoils no other. A message
that was torn had got no answer: its sender still has it.
"""

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from gimel.backend.queue import NotQueuedError, decode, encode
from gimel.backend.wire import MAX_BATCH, Event

_LARGEST = 256 << 20

# Counts events. Returns the places of those over a limit, each with the reason.
Count = Callable[[list[Event]], Mapping[int, str]]


class Spool:
    """Messages in a folder, safe to share between threads and processes."""

    def __init__(self, folder: Path, largest: int = _LARGEST) -> None:
        """`largest`: bytes that may wait; over them, senders keep their events."""
        self._folder = folder
        self._new, self._old = folder / "spool", folder / "spool.replaying"
        self._aside = folder / "spool.aside"
        self._largest = largest

    def put(self, events: Sequence[Event]) -> None:
        """Write the events to the disk, and wait until they are there. Raises NotQueuedError."""
        text = _text(events)
        try:
            with self._alone():
                waiting = sum(path.stat().st_size for path in self._files())
                if waiting + len(text) > self._largest:
                    raise NotQueuedError("the spool is full")
                _append(self._new, text)
        except OSError as error:
            raise NotQueuedError(f"the spool: {error.strerror}") from None

    def replay(self, count: Count) -> int:
        """Give `count` all events that wait, and forget them when it took all. Returns how many.

        What `count` raises ends it: the next replay begins again, and counts nothing twice. Those
        that it refuses, over a limit, are kept in `spool.aside`: renamed to `spool`, they count.
        Does nothing while another thread or process replays.
        """
        try:
            with self._alone("spool.replay.lock", fcntl.LOCK_EX | fcntl.LOCK_NB):
                return self._replay(count)
        except BlockingIOError:
            return 0

    def _replay(self, count: Count) -> int:
        done = 0
        for _ in range(2):  # what an earlier replay left behind, then what is new
            with self._alone():
                if self._new.exists() and not self._old.exists():
                    self._new.rename(self._old)
            if self._old.exists():
                done += self._replay_old(count)
                with self._alone():
                    self._old.unlink()
        return done

    def _replay_old(self, count: Count) -> int:
        done = 0
        batch: list[Event] = []
        with self._old.open("rb") as file:
            for line in file:
                batch += _events(line)
                if len(batch) >= MAX_BATCH:
                    self._count(batch, count)
                    done, batch = done + len(batch), []
        if batch:
            self._count(batch, count)
        return done + len(batch)

    def _count(self, batch: list[Event], count: Count) -> None:
        if over := count(batch):
            _append(self._aside, _text(batch[place] for place in over))

    def _files(self) -> list[Path]:
        return [path for path in (self._new, self._old) if path.exists()]

    @contextmanager
    def _alone(self, lock: str = "spool.lock", how: int = fcntl.LOCK_EX) -> Iterator[None]:
        """No other thread or process does meanwhile what takes this lock: write or take away."""
        with (self._folder / lock).open("w") as file:
            fcntl.flock(file, how)
            yield


def _text(events: Iterable[Event]) -> bytes:
    return "".join(f"\n{message}\n" for message in encode(events)).encode()


def _append(path: Path, text: bytes) -> None:
    is_new = not path.exists()
    with path.open("ab") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    if is_new:
        _sync(path.parent)


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
