"""Where events go that Redis did not take: onto a queue, which holds them until it does.

boto3 takes 0.3 s to import on a fast machine, several times that in a function of 256 MB: longer
than an event may take. A request signed by hand imports nothing but the standard library.
"""

import hashlib
import hmac
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from gimel.backend.errors import GimelError
from gimel.backend.wire import Event

# Seconds for all messages of one request, after what Redis took of the 2 s an event may take.
_QUEUE_SECONDS = 0.7
# Bytes, under SQS's 262,144 by what the envelope may take.
_LARGEST_MESSAGE = 250_000


class NotQueuedError(GimelError):
    """The events could not be put where they are safe: the sender has to keep them."""


class Spill(Protocol):
    """A place where events wait for Redis."""

    def put(self, events: Sequence[Event]) -> None:
        """Keep the events. When it returns, they are durable. Raises NotQueuedError."""


def encode(events: Iterable[Event], largest: int = _LARGEST_MESSAGE) -> Iterator[str]:
    """The events as messages, ASCII text of at most `largest` bytes each."""
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
    """The events of a message. Raises ValueError on what `encode` did not write."""
    try:
        found = json.loads(message)["events"]
        events = [Event(*fields) for fields in found]
    except (KeyError, TypeError, RecursionError) as error:
        raise ValueError("not a message of events") from error
    strings = all(isinstance(field, str) for event in events for field in event)
    if not strings or any(isinstance(fields, str) for fields in found):
        raise ValueError("not a message of events")
    return events


class Queue:
    """The stack's SQS queue, by its ARN. Credentials and endpoint are the environment's."""

    def __init__(self, arn: str, environ: Mapping[str, str] = os.environ) -> None:
        self._kept = threading.local()
        self._arn = arn
        _, partition, _, self._region, account, name = arn.split(":")
        suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
        self._endpoint = environ.get("AWS_ENDPOINT_URL") or f"https://sqs.{self._region}.{suffix}"
        self._url = f"{self._endpoint}/{account}/{name}"
        self._environ = environ

    def __del__(self) -> None:
        if line := getattr(self._kept, "line", None):
            line.close()

    def put(self, events: Sequence[Event]) -> None:
        """Send the events, in as many messages as they need. Raises NotQueuedError within 0.7 s."""
        deadline = time.monotonic() + _QUEUE_SECONDS
        for message in encode(events):
            self._call("SendMessage", {"MessageBody": message}, deadline)

    def set_aside(self, events: Sequence[Event]) -> None:
        """Put the events on the dead-letter queue. Raises NotQueuedError."""
        Queue(f"{self._arn}-dead", self._environ).put(events)

    def hold(self, receipts: Mapping[str, int]) -> None:
        """Let received messages come back after so many seconds, at most 10 of them.

        Raises NotQueuedError.
        """
        entries = [
            {"Id": str(place), "ReceiptHandle": receipt, "VisibilityTimeout": seconds}
            for place, (receipt, seconds) in enumerate(receipts.items())
        ]
        deadline = time.monotonic() + 5
        self._call("ChangeMessageVisibilityBatch", {"Entries": entries}, deadline)

    def _call(self, action: str, arguments: Mapping[str, Any], deadline: float) -> None:
        """One action, on the kept connection first, which a freeze may have killed."""
        from http.client import HTTPException

        body = json.dumps({"QueueUrl": self._url, **arguments}).encode()
        headers = signed(self._endpoint, self._region, action, body, self._environ)
        for fresh in (False, True):
            try:
                status = self._post(body, headers, deadline, fresh=fresh)
                break
            except (OSError, HTTPException) as error:
                if fresh:
                    raise NotQueuedError(f"the queue: {type(error).__name__}") from None
        if status != 200:
            raise NotQueuedError(f"the queue answered {status}")

    def _post(
        self, body: bytes, headers: Mapping[str, str], deadline: float, *, fresh: bool
    ) -> int:
        from http.client import HTTPConnection, HTTPSConnection

        line = getattr(self._kept, "line", None)
        if line is not None and fresh:
            line.close()
        if line is None or fresh:
            parts = urlsplit(self._endpoint)
            made = HTTPSConnection if parts.scheme == "https" else HTTPConnection
            line = self._kept.line = made(parts.netloc)
        if line.sock is not None and not fresh:
            # A line that a freeze killed may not say so: half of the time is for a fresh one.
            deadline -= _left(deadline) / 2
        line.timeout = _left(deadline)
        if line.sock is not None:
            line.sock.settimeout(line.timeout)
        try:
            line.request("POST", "/", body, dict(headers))
            line.sock.settimeout(_left(deadline))
            answer = line.getresponse()
            answer.read()
        except BaseException:
            line.close()
            raise
        return int(answer.status)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time is left")
    return left


def signed(
    endpoint: str, region: str, action: str, body: bytes, environ: Mapping[str, str]
) -> dict[str, str]:
    """The headers of an SQS request, with AWS's signature, version 4.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    headers = {
        "content-type": "application/x-amz-json-1.0",
        "host": urlsplit(endpoint).netloc,
        "x-amz-date": now,
        "x-amz-target": f"AmazonSQS.{action}",
    }
    if token := environ.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    steps = (now[:8], region, "sqs", "aws4_request")
    scope = "/".join(steps)
    digest = hashlib.sha256(request.encode()).hexdigest()
    secret = b"AWS4" + environ.get("AWS_SECRET_ACCESS_KEY", "").encode()
    for step in (*steps, f"AWS4-HMAC-SHA256\n{now}\n{scope}\n{digest}"):
        secret = hmac.digest(secret, step.encode(), "sha256")
    credential = f"{environ.get('AWS_ACCESS_KEY_ID', '')}/{scope}"
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={secret.hex()}"
    )
    return headers
