"""The queue for events that Redis did not take: SQS keeps them until Redis does."""

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from gimel.backend.aws_service import Service
from gimel.backend.errors import GimelError
from gimel.backend.wire import Event

# Seconds for all messages of one request. Redis may have used 1.2 of an event's 2 s before.
_QUEUE_SECONDS = 0.7
# Bytes: SQS takes 262,144, of which the envelope needs some.
_LARGEST_MESSAGE = 250_000


class NotQueuedError(GimelError):
    """The events could not be stored durably: their sender has to keep them."""


class EventQueue(Protocol):
    """A durable store of events until Redis takes them: the SQS queue, or the spool."""

    def put(self, events: Sequence[Event]) -> None:
        """Store the events durably. Raises NotQueuedError."""


def encode(events: Iterable[Event], largest: int = _LARGEST_MESSAGE) -> Iterator[str]:
    """Yield the events as messages, ASCII text of at most `largest` bytes each."""
    part: list[str] = []
    size = 0
    for event in events:
        text = json.dumps(event, separators=(",", ":"))
        if part and size + len(text) + 1 > largest:
            yield _message(part)
            part, size = [], 0
        part.append(text)
        size += len(text) + 1
    if part:
        yield _message(part)


def _message(part: list[str]) -> str:
    return f'{{"at":{int(time.time())},"events":[{",".join(part)}]}}'


def decode(message: str) -> list[Event]:
    """Return the events of a message. Raises ValueError on what `encode` did not write."""
    try:
        found = json.loads(message)["events"]
        events = [Event(*fields) for fields in found]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a message of events") from error
    are_valid = all(
        isinstance(event.is_vouched, bool) and all(isinstance(text, str) for text in event[:-1])
        for event in events
    )
    if not are_valid or any(isinstance(fields, str) for fields in found):
        raise ValueError("not a message of events")
    return events


class Queue:
    """The stack's SQS queue. Credentials and endpoint come from the environment."""

    def __init__(self, arn: str, environ: Mapping[str, str] = os.environ) -> None:
        self._kept = threading.local()
        self._arn = arn
        self._service = Service(arn, environ)
        account, name = arn.split(":")[4:]
        self._url = f"{self._service.endpoint}/{account}/{name}"
        self._environ = environ

    def __del__(self) -> None:
        if connection := getattr(self._kept, "connection", None):
            connection.close()

    def put(self, events: Sequence[Event]) -> None:
        """Send the events, in as many messages as they need. Raises NotQueuedError within 0.7 s."""
        deadline = time.monotonic() + _QUEUE_SECONDS
        for message in encode(events):
            self._call("SendMessage", {"MessageBody": message}, deadline)

    def set_aside(self, events: Sequence[Event]) -> None:
        """Put the events on the dead-letter queue. Raises NotQueuedError."""
        Queue(f"{self._arn}-dead", self._environ).put(events)

    def delay(self, receipts: Mapping[str, int]) -> None:
        """Hide each received message for its number of seconds. SQS accepts at most 10 messages.

        Raises NotQueuedError.
        """
        entries = [
            {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for index, (receipt, seconds) in enumerate(receipts.items())
        ]
        deadline = time.monotonic() + 5
        self._call("ChangeMessageVisibilityBatch", {"Entries": entries}, deadline)

    def _call(self, action: str, arguments: Mapping[str, Any], deadline: float) -> None:
        """Call an action of SQS, first on the kept connection, which may have died."""
        from http.client import HTTPException

        for fresh in (False, True):
            try:
                status = self._post(action, arguments, deadline, fresh=fresh)
                break
            except (OSError, HTTPException) as error:
                if fresh:
                    raise NotQueuedError(f"the queue: {type(error).__name__}") from None
        if status != 200:
            raise NotQueuedError(f"the queue answered {status}")

    def _post(
        self, action: str, arguments: Mapping[str, Any], deadline: float, *, fresh: bool
    ) -> int:
        connection = getattr(self._kept, "connection", None)
        if connection is not None and fresh:
            connection.close()
        if connection is None or fresh:
            connection = self._kept.connection = self._service.connection()
        if connection.sock is not None and not fresh:
            # The kept connection may have died while Lambda had the process frozen. Keep half of
            # the time for a new connection.
            deadline -= _left(deadline) / 2
        status, _ = self._service.call(
            connection, action, {"QueueUrl": self._url, **arguments}, partial(_left, deadline)
        )
        return status


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time is left")
    return left
