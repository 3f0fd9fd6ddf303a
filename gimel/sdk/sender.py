"""The sending of events: a bounded queue, and a thread that posts what waits there."""

import atexit
import logging
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Mapping
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
    those are the participations without which their goals mean nothing.
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
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_hurried = self._is_away = self._is_full = False

    def put(self, event: bytes) -> bool:
        """Add an event to the queue. Return whether there was room."""
        if not self._url:
            return True
        with self._changed:
            has_room = not self._is_closed and len(self._waiting) < self._room
            is_first_dropped = not (has_room or self._is_full or self._is_closed)
            if has_room:
                self._add(event)
            else:
                self._is_full = True
                self.dropped += 1
        if is_first_dropped:
            _log.warning("%d events wait already: more are dropped", self._room)
        return has_room

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
            return self._changed.wait_for(lambda: not self._waiting, timeout)

    def close(self, timeout: float) -> bool:
        """Flush, and end the thread."""
        atexit.unregister(self.close)
        is_sent = self.flush(timeout)
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if not is_sent:
            _log.warning("%d events were not sent before the end", len(self._waiting))
        return is_sent

    def _run(self) -> None:
        """Post what waits until the sender is closed. After a failure, wait longer each time."""
        wait = 0.0
        with requests.Session() as session:
            while batch := self._next_batch(wait):
                is_done = self._post(session, batch)
                wait = 0.0 if is_done else min(2 * wait or _FIRST_WAIT, _LONGEST_WAIT)
                with self._changed:
                    if is_done:
                        self._is_full = False
                        for _ in batch:
                            self._waiting.popleft()
                    self._changed.notify_all()

    def _next_batch(self, wait: float) -> list[bytes]:
        """Wait for events, and then for more of them. Return the oldest, or [] once closed."""

        def is_due() -> bool:
            is_whole = not wait and len(self._waiting) >= MAX_BATCH
            return is_whole or self._is_hurried or self._is_closed

        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
            self._changed.wait_for(is_due, wait or _GATHER_SECONDS)
            self._is_hurried = False
            batch: list[bytes] = []
            size = 0
            for event in self._waiting if not self._is_closed else ():
                size += len(event) + 1
                if len(batch) == MAX_BATCH or size >= MAX_BODY:
                    break
                batch.append(event)
        return batch

    def _post(self, session: requests.Session, batch: list[bytes]) -> bool:
        """Post events. Return whether they can be removed: they are counted, or never can be."""
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
            return self._note_failure(f"cannot be reached ({type(error).__name__})")
        status, content = answer.status_code, _json_object(answer)
        # Of a list, Gimel judges each event, whatever the status is.
        if isinstance(content.get("rejected"), list):
            self._note_judgement(content)
        elif status in (400, 413):
            self._drop(len(batch), f"{self._url} answered {status}")
        else:
            reason = content.get("error", "which is no answer of Gimel's")
            return self._note_failure(f"answers {status}: {reason}")
        return True

    def _note_failure(self, failure: str) -> bool:
        """Log the first failure of several. Return False: the events stay."""
        # A thread that logs while Python ends would abort the process.
        if not self._is_away and not self._is_closed:
            _log.warning("%s %s: events wait in memory", self._url, failure)
        self._is_away = True
        return False

    def _note_judgement(self, answer: Mapping[str, Any]) -> None:
        """Log why events do not count, and that the backend is back."""
        if self._is_away:
            _log.warning("%s takes events again", self._url)
        self._is_away = False
        if answer.get("ignored") or answer["rejected"]:
            self._forget()
        for reason in answer.get("reasons") or ():
            warn(f"events are ignored: {reason}. `gimel show EXPERIMENT` lists them")
        for refused in answer["rejected"]:
            self._drop(1, refused["error"] if isinstance(refused, dict) else "")

    def _drop(self, number: int, reason: str) -> None:
        warn(f"events are dropped: {reason}")
        with self._changed:
            self.dropped += number


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
