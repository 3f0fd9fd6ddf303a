"""The sending of events: a bounded queue, and a thread that posts what waits there."""

import atexit
import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import requests

from gimel.backend.wire import MAX_BATCH, MAX_BODY

# Seconds that the process may take at its end to send what waits
EXIT_SECONDS = 3.0
# Seconds from an event to its request, so that events travel together
_GATHER_SECONDS = 1.0
# Seconds from a failed request to the next one: after the first failure, and at most
_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0
_MAX_LOGGED = 100

_log = logging.getLogger("gimel")
_logged: set[str] = set()


def warn(message: str) -> None:
    """Log each message once."""
    if message not in _logged and len(_logged) < _MAX_LOGGED:
        _logged.add(message)
        _log.warning("%s", message)


class Sender:
    """The events that wait, and the thread that posts them. Threads may share a sender.

    The thread starts with the first event, so that each forked process has its own. While the
    backend is away, events wait. Once `room` of them do, new ones are dropped, and not the oldest:
    those are the participations without which their goals mean nothing. Events that a limit of the
    backend refuses wait apart, so that they hold up no others, in at most half of the room.
    """

    def __init__(
        self,
        url: str | None,
        key: str | None,
        timeout: float,
        room: int,
        forget: Callable[[], None],
    ) -> None:
        """`forget` is called when some of the events that were sent do not count."""
        self._url = url and url.rstrip("/").removesuffix("/e") + "/e"
        self._headers = {"content-type": "application/json"} | ({"x-api-key": key} if key else {})
        self._timeout = timeout
        self._room = room
        self._forget = forget
        self._is_closed = False
        self.begin()
        _senders.add(self)
        atexit.register(self.close, EXIT_SECONDS)

    def begin(self) -> None:
        """Start without events. A forked process calls this: its parent sends those that waited."""
        self.dropped = 0
        self._waiting: deque[bytes] = deque()
        self._refused: list[bytes] = []
        self._refused_wait = self._refused_until = 0.0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_hurried = self._is_away = self._is_full = False

    def put(self, event: bytes) -> bool:
        """Add an event to the queue. Return whether there was room."""
        if not self._url:
            return True
        with self._changed:
            has_room = not self._is_closed and self._unsent < self._room
            is_first_dropped = not (has_room or self._is_full or self._is_closed)
            if has_room:
                self._add(event)
            else:
                self._is_full = True
                self.dropped += 1
        if is_first_dropped:
            _log.warning("%d events wait already: more are dropped", self._room)
        return has_room

    @property
    def _unsent(self) -> int:
        return len(self._waiting) + len(self._refused)

    @property
    def _is_refused_due(self) -> bool:
        is_time = self._is_hurried or time.monotonic() >= self._refused_until
        return bool(self._refused) and is_time

    def _add(self, event: bytes) -> None:
        self._waiting.append(event)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="gimel", daemon=True)
            self._thread.start()
        if len(self._waiting) in (1, MAX_BATCH):
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until the queue is empty, at most so many seconds. Return whether it is."""
        with self._changed:
            self._is_hurried = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._unsent, timeout)

    def close(self, timeout: float) -> bool:
        """Flush, and end the thread."""
        atexit.unregister(self.close)
        is_sent = self.flush(timeout)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if not is_sent:
            _log.warning("%d events were not sent before the end", self._unsent)
        return is_sent

    def _run(self) -> None:
        """Post what waits until the sender is closed. After a failure, wait longer each time."""
        wait = 0.0
        with requests.Session() as session:
            while batch := self._next_batch(wait):
                refused = self._post(session, batch)
                wait = 0.0 if refused is not None else _longer(wait)
                with self._changed:
                    if refused is not None:
                        self._is_full = False
                        for _ in batch:
                            self._waiting.popleft()
                        self._keep_apart(refused)
                    self._changed.notify_all()

    def _keep_apart(self, refused: Sequence[bytes]) -> None:
        """Keep events that a limit refused, longer after each time, until they are sent again."""
        if not self._refused:
            self._refused_wait = _longer(self._refused_wait) if refused else 0.0
            self._refused_until = time.monotonic() + self._refused_wait
        room = max(0, self._room // 2 - len(self._refused))
        self._refused += refused[:room]
        if refused[room:]:
            self._drop(len(refused) - room, "too many wait that are refused for now")
            self._forget()

    def _next_batch(self, wait: float) -> list[bytes]:
        """Wait for events, and then for more of them. Return the oldest, or [] once closed."""

        def is_due() -> bool:
            is_whole = not wait and len(self._waiting) >= MAX_BATCH
            return is_whole or self._is_hurried or self._is_closed

        with self._changed:
            while not (self._waiting or self._is_closed or self._is_refused_due):
                rest = self._refused_until - time.monotonic()
                self._changed.wait(rest if self._refused else None)
            self._changed.wait_for(is_due, wait or _GATHER_SECONDS)
            if self._is_refused_due:
                self._waiting += self._refused
                self._refused.clear()
            self._is_hurried = False
            batch: list[bytes] = []
            size = 0
            for event in self._waiting if not self._is_closed else ():
                size += len(event) + 1
                if len(batch) == MAX_BATCH or size >= MAX_BODY:
                    break
                batch.append(event)
        return batch

    def _post(self, session: requests.Session, batch: list[bytes]) -> list[bytes] | None:
        """Post events. Return those that a limit refused, None if all must be sent again.

        The others are done with: counted, or unable ever to count.
        """
        try:
            answer = session.post(
                str(self._url),
                b"[" + b",".join(batch) + b"]",
                headers=self._headers,
                timeout=self._timeout,
                # A redirect would take the key to another server.
                allow_redirects=False,
            )
        except Exception as error:
            self._note_failure(f"cannot be reached ({type(error).__name__})")
            return None
        status, content = answer.status_code, _json_object(answer)
        # Of a list, Gimel judges each event, whatever the status is.
        if isinstance(content.get("rejected"), list):
            return [batch[index] for index in self._note_judgement(content) if index < len(batch)]
        if status in (400, 413):
            self._drop(len(batch), f"{self._url} answered {status}")
            return []
        reason = content.get("error", "which is no answer of Gimel's")
        self._note_failure(f"answers {status}: {reason}")
        return None

    def _note_failure(self, failure: str) -> None:
        """Log the first failure of several."""
        # A thread that logs while Python ends would abort the process.
        if not self._is_away and not self._is_closed:
            _log.warning("%s %s: events wait in memory", self._url, failure)
        self._is_away = True

    def _note_judgement(self, answer: Mapping[str, Any]) -> list[int]:
        """Log why events do not count, and that the backend is back.

        Return the places of those that a limit refused.
        """
        if self._is_away:
            _log.warning("%s takes events again", self._url)
        self._is_away = False
        for reason in answer.get("reasons") or ():
            warn(f"events are ignored: {reason}. `gimel show EXPERIMENT` lists them")
        places: list[int] = []
        for each in answer["rejected"]:
            rejected = each if isinstance(each, dict) else {}
            if rejected.get("retry") is True and isinstance(rejected.get("index"), int):
                warn(f"events wait in memory, refused for now: {rejected.get('error')}")
                places.append(rejected["index"])
            else:
                self._drop(1, rejected.get("error", ""))
        if answer.get("ignored") or len(places) < len(answer["rejected"]):
            self._forget()
        return places

    def _drop(self, number: int, reason: str) -> None:
        warn(f"events are dropped: {reason}")
        with self._changed:
            self.dropped += number


def _longer(wait: float) -> float:
    """Return the seconds to wait after one more failure."""
    return min(2 * wait or _FIRST_WAIT, _LONGEST_WAIT)


def _json_object(answer: requests.Response) -> dict[str, Any]:
    """Return the JSON object in the answer; {} if the answer is anything else."""
    try:
        content = answer.json()
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


_senders: "weakref.WeakSet[Sender]" = weakref.WeakSet()


def _begin_all() -> None:
    for sender in list(_senders):
        sender.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_all)
