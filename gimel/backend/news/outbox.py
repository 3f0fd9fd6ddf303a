"""The outbox: it keeps each message until it is sent, then its id, so that it is sent once.

It is one hash in Redis. Only the writer of snapshots uses it, while it holds the writers' mark.

    <id>                   JSON: a message that was not sent yet
    <id>                   when it was sent, in Unix seconds
    waiting, set_aside     when such events were first seen, in Unix seconds

A message is marked after the webhook has answered. If the process dies between the two, the next
one sends the message again, and nothing is lost. A webhook that does not answer ends the round, and
the next round begins with the oldest message.
"""

import json
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, NamedTuple

from gimel.backend.counting.keys import NEWS
from gimel.backend.experiment.history import decode
from gimel.backend.log import log
from gimel.backend.news.delivery import Send
from gimel.backend.news.messages import (
    Message,
    about_backlog,
    about_experiment,
    piles_since,
)
from gimel.backend.news.traffic import traffic_stopped_since
from gimel.backend.queue import Backlog
from gimel.backend.redis.connection import Command, Connection

if TYPE_CHECKING:
    from gimel.backend.results.record import Observed

# Messages that a round tries to send, seconds for one of them, and messages that may wait
_PER_ROUND, _SECONDS, _MOST = 20, 5.0, 500
# Seconds at the end of a round in which no sending begins: Redis needs some to mark what was sent
_SPARE = 0.3
# Seconds after which the id of a message that was sent is forgotten
_REMEMBERED = 400 * 86400
_PILES = ("waiting", "set_aside")


class _Waiting(NamedTuple):
    """A message that was not sent yet, and when it began to wait."""

    at: int
    message: Message


class Outbox:
    """The outbox of one Redis, during one round of snapshots."""

    def __init__(self, connection: Connection, send: Send) -> None:
        self._connection = connection
        self._send = send
        self._found: list[Message] = []

    def look_at(
        self, namespace: str, seen: "Observed", history: Mapping[str, str], now: float
    ) -> None:
        """Find the news about an experiment, given the hash with its history."""
        if not seen.found.settings.is_declared:
            return
        moment, found = datetime.fromtimestamp(now, UTC), seen.describe()
        stopped = traffic_stopped_since(found, decode(history), moment)
        found["traffic_stopped_since"] = stopped
        self._found += about_experiment(namespace, found, moment)

    def deliver(self, backlog: Backlog | None, seconds: float) -> None:
        """Add new messages to the outbox and send those that wait, for at most so many seconds.

        Raises redis.RedisError.
        """
        until = time.monotonic() + seconds - _SPARE
        sent = 0
        for each in sorted(self._keep(backlog).values())[:_PER_ROUND]:
            if (left := until - time.monotonic()) <= 0:
                break
            try:
                status = self._send(each.message, min(left, _SECONDS))
            except (OSError, HTTPException, ValueError) as error:
                # The message of an error may quote the webhook's address.
                log("warning", notify=type(error).__name__)
                break
            if 200 <= status < 300:
                self._connection.execute([("HSET", NEWS, each.message.id, str(int(time.time())))])
                sent += 1
            else:
                log("warning", notify=f"HTTP {status}")
        if sent:
            log("info", notified=sent)

    def _keep(self, backlog: Backlog | None) -> dict[str, _Waiting]:
        """Add what is new to the outbox. Return what waits in it."""
        now = time.time()
        (held,) = self._connection.query([("HGETALL", NEWS)])
        held = dict(held)
        found, changes = self._found, dict[str, str]()
        gone = [id for id, text in held.items() if _is_forgotten(id, text, now)]
        if backlog:
            known = {name: int(held[name]) for name in _PILES if name in held}
            since = piles_since(backlog, known, now)
            found = [*found, *about_backlog(backlog, since, now)]
            changes |= {name: str(when) for name, when in since.items()}
            gone += known.keys() - since.keys()
        waiting = {id: each for id, text in held.items() if (each := _read(text))}
        for message in found:
            if message.id not in held and len(waiting) < _MOST:
                waiting[message.id] = new = _Waiting(int(now), message)
                changes[message.id] = _written(new)
        self._connection.execute([*_changes(changes, gone)])
        return waiting


def _changes(changes: Mapping[str, str], gone: Iterable[str]) -> Iterable[Command]:
    if changes:
        yield "HSET", NEWS, *(text for field in changes.items() for text in field)
    if fields := [*gone]:
        yield "HDEL", NEWS, *fields


def _is_forgotten(id: str, text: str, now: float) -> bool:
    return id not in _PILES and text.isdigit() and now - int(text) > _REMEMBERED


def _written(waiting: _Waiting) -> str:
    return json.dumps({"at": waiting.at} | waiting.message._asdict())


def _read(text: str) -> _Waiting | None:
    """Return the message that waits. None if it was sent, or another version wrote it."""
    try:
        fields: dict[str, Any] = json.loads(text)
        return _Waiting(fields.pop("at"), Message(**fields))
    except (AttributeError, TypeError, ValueError, KeyError):
        return None
