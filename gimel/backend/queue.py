"""The queue for events that Redis did not take: SQS keeps them until Redis does."""

import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol

from gimel.backend.aws_service import Service, seconds_until
from gimel.backend.errors import GimelError
from gimel.backend.wire import Event, is_amount

# Seconds for all messages of one request. Redis may have used 1.2 of an event's 2 s before.
_QUEUE_SECONDS = 0.7
# Bytes: SQS takes 262,144, of which the envelope needs some.
_LARGEST_MESSAGE = 250_000
# Seconds until what was counted is on Redis's disk and on its replicas
_DURABLE_SECONDS = 10
# Seconds for all questions about what the queue holds
_BACKLOG_SECONDS = 0.7
# SQS keeps a message this long after it was first sent, also in another queue:
# https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-dead-letter-queues.html
DEAD_LETTER_SECONDS = 14 * 24 * 3600


class NotQueuedError(GimelError):
    """The events could not be stored durably: their sender has to keep them."""


class Pile(NamedTuple):
    """Messages that are not counted. Each holds at least one event.

    `seconds` is the age of the oldest, `seconds_left` the time until it is deleted; None if
    unknown, or if nothing deletes it.
    """

    messages: int
    seconds: int | None
    seconds_left: int | None = None


def dead_letters(messages: int, sent: Iterable[str]) -> Pile:
    """Return the dead letters, given SQS's `SentTimestamp` of some of them, in milliseconds."""
    ages = [max(0, int(time.time() - int(moment) / 1000)) for moment in sent]
    age = max(ages, default=None)
    return Pile(messages, age, None if age is None else max(0, DEAD_LETTER_SECONDS - age))


class Backlog(NamedTuple):
    """The messages that wait to be counted, and those that could not be counted.

    `events`: how many events of each experiment wait, by `[namespace, experiment]` as JSON. None if
    unknown: SQS tells the number of messages only.
    """

    waiting: Pile
    set_aside: Pile
    events: Mapping[str, int] | None = None


class EventQueue(Protocol):
    """A durable store of events until Redis takes them: the SQS queue, or the spool."""

    def put(self, events: Sequence[Event]) -> None:
        """Store the events durably. Raises NotQueuedError."""

    def backlog(self) -> Backlog:
        """Return how much is not counted yet. Raises NotQueuedError."""


def encode(
    events: Iterable[Event], largest: int = _LARGEST_MESSAGE, *, confirms: bool = False
) -> Iterator[str]:
    """Yield the events as messages, ASCII text of at most `largest` bytes each.

    `confirms`: they were counted, and are to be counted a second time.
    """
    part: list[str] = []
    size = 0
    for event in events:
        # Without a value, it is a message that earlier versions understand.
        fields = event[:-1] if event.value is None else event
        text = json.dumps(fields, separators=(",", ":"))
        if part and size + len(text) + 1 > largest:
            yield _message(part, confirms=confirms)
            part, size = [], 0
        part.append(text)
        size += len(text) + 1
    if part:
        yield _message(part, confirms=confirms)


def _message(part: list[str], *, confirms: bool) -> str:
    mark = '"confirms":true,' if confirms else ""
    return f'{{{mark}"at":{int(time.time())},"events":[{",".join(part)}]}}'


def is_confirmation(message: str) -> bool:
    """Return whether the events of a message that `decode` accepts were counted before."""
    return json.loads(message).get("confirms") is True


def decode(message: str) -> list[Event]:
    """Return the events of a message. Raises ValueError on what `encode` did not write."""
    try:
        found = json.loads(message)["events"]
        events = [Event(*fields) for fields in found]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a message of events") from error
    if any(isinstance(fields, str) for fields in found) or not all(map(_is_valid, events)):
        raise ValueError("not a message of events")
    return events


def _is_valid(event: Event) -> bool:
    *texts, is_vouched, value = event
    return (
        all(isinstance(text, str) for text in texts)
        and isinstance(is_vouched, bool)
        and (value is None or is_amount(value))
    )


def age(message: str) -> int | None:
    """Return the seconds since the message was made, None if it does not say."""
    try:
        return max(0, int(time.time() - json.loads(message)["at"]))
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        return None


class Queue:
    """The stack's SQS queue. Credentials and endpoint come from the environment."""

    def __init__(self, arn: str, environ: Mapping[str, str] = os.environ) -> None:
        self._kept = threading.local()
        self._service = Service(arn, environ)
        account, name = arn.split(":")[4:]
        self._url = f"{self._service.endpoint}/{account}/{name}"
        self._dead_url = f"{self._url}-dead"

    def __del__(self) -> None:
        if connection := getattr(self._kept, "connection", None):
            connection.close()

    def put(self, events: Sequence[Event]) -> None:
        """Send the events, in as many messages as they need. Raises NotQueuedError within 0.7 s."""
        self._send(self._url, events)

    def set_aside(self, events: Sequence[Event]) -> None:
        """Put the events on the dead-letter queue. Raises NotQueuedError."""
        self._send(self._dead_url, events)

    def confirm(self, events: Sequence[Event]) -> None:
        """Queue events that were counted, to be counted again. Raises NotQueuedError."""
        self._send(self._url, events, _DURABLE_SECONDS)

    def _send(self, url: str, events: Sequence[Event], delay: int = 0) -> None:
        deadline = time.monotonic() + _QUEUE_SECONDS
        for message in encode(events, confirms=bool(delay)):
            arguments = {"QueueUrl": url, "MessageBody": message, "DelaySeconds": delay}
            self._call("SendMessage", arguments, deadline)

    def backlog(self) -> Backlog:
        """Ask SQS for its approximate numbers. Raises NotQueuedError within 0.7 s.

        The age of a message is known only by receiving it. A message that is set aside may be
        received and left where it is: the age is that of the oldest of ten. To receive a waiting
        message would count as an attempt to count it, so the age of those is unknown.
        """
        deadline = time.monotonic() + _BACKLOG_SECONDS
        waiting = self._messages(self._url, deadline)
        aside = self._messages(self._dead_url, deadline)
        sent = self._sent(self._dead_url, deadline) if aside else []
        return Backlog(Pile(waiting, None), dead_letters(aside, sent))

    def _messages(self, url: str, deadline: float) -> int:
        # Delayed messages were counted: see `confirm`.
        states = ("", "NotVisible")
        names = [f"ApproximateNumberOfMessages{state}" for state in states]
        query = {"QueueUrl": url, "AttributeNames": names}
        found = self._call("GetQueueAttributes", query, deadline).get("Attributes", {})
        return sum(int(found.get(name, 0)) for name in names)

    def _sent(self, url: str, deadline: float) -> list[str]:
        """Return when some of the messages were first sent, in milliseconds."""
        query = {
            "QueueUrl": url,
            "AttributeNames": ["SentTimestamp"],
            "MaxNumberOfMessages": 10,
            "VisibilityTimeout": 0,
        }
        found = self._call("ReceiveMessage", query, deadline).get("Messages", [])
        return [message["Attributes"]["SentTimestamp"] for message in found]

    def delay(self, receipts: Mapping[str, int]) -> None:
        """Hide each received message for its number of seconds. SQS accepts at most 10 messages.

        Raises NotQueuedError.
        """
        entries = [
            {"Id": str(index), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for index, (receipt, seconds) in enumerate(receipts.items())
        ]
        deadline = time.monotonic() + 5
        arguments = {"QueueUrl": self._url, "Entries": entries}
        self._call("ChangeMessageVisibilityBatch", arguments, deadline)

    def _call(self, action: str, arguments: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """Return the answer to a call of SQS, made first on the kept connection.

        That connection may have died. Raises NotQueuedError.
        """
        from http.client import HTTPException

        for fresh in (False, True):
            try:
                status, body = self._post(action, arguments, deadline, fresh=fresh)
                break
            except (OSError, HTTPException) as error:
                if fresh:
                    raise NotQueuedError(f"the queue: {type(error).__name__}") from None
        if status != 200:
            raise NotQueuedError(f"the queue answered {status}")
        answer: dict[str, Any] = json.loads(body or b"{}")
        return answer

    def _post(
        self, action: str, arguments: Mapping[str, Any], deadline: float, *, fresh: bool
    ) -> tuple[int, bytes]:
        connection = getattr(self._kept, "connection", None)
        if connection is not None and fresh:
            connection.close()
        if connection is None or fresh:
            connection = self._kept.connection = self._service.connection()
        if connection.sock is not None and not fresh:
            # The kept connection may have died while Lambda had the process frozen. Keep half of
            # the time for a new connection.
            deadline -= seconds_until(deadline) / 2
        return self._service.call(connection, action, arguments, partial(seconds_until, deadline))
