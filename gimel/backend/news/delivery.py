"""The ways to send a message: a webhook, in Slack's form or a general one, or an SNS topic.

The webhook's address is a secret: nothing here prints it, or puts it into an error.
"""

import json
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from gimel.backend.aws_service import Service, open_socket, seconds_until
from gimel.backend.log import log
from gimel.backend.news.messages import Kind, Message

# Sends a message within so many seconds, and returns the status of the answer. Raises OSError,
# HTTPException and ValueError.
Send = Callable[[Message, float], int]

_SUBJECTS: dict[Kind, str] = {
    "verdict": "a verdict",
    "split": "a split that broke",
    "traffic": "traffic that stopped",
    "waiting": "events that wait",
    "set_aside": "events set aside",
}


def delivery(environ: Mapping[str, str]) -> Send | None:
    """Return the way that GIMEL_NOTIFY names: an https URL, or the ARN of a topic."""
    target = environ.get("GIMEL_NOTIFY", "")
    if target.startswith("https://"):
        form = _slack if environ.get("GIMEL_NOTIFY_FORM") == "slack" else _generic
        return lambda message, seconds: _post(target, form(message), seconds)
    if target.startswith("arn:"):
        return lambda message, seconds: _publish(target, message, seconds, environ)
    if target:
        log("error", notify="GIMEL_NOTIFY must start with https:// or be the ARN of an SNS topic")
    return None


def _slack(message: Message) -> dict[str, Any]:
    """Return the body for Slack: https://docs.slack.dev/messaging/formatting-message-text."""
    text = message.text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return {"text": text, "mrkdwn": False, "unfurl_links": False, "unfurl_media": False}


def _generic(message: Message) -> dict[str, Any]:
    return message._asdict()


def _post(url: str, content: Mapping[str, Any], seconds: float) -> int:
    """Post JSON. A redirect is not followed: another server would learn what the message says."""
    parts, left = urlsplit(url), partial(seconds_until, time.monotonic() + seconds)
    body = json.dumps(content).encode()
    connection = HTTPConnection(parts.netloc)
    sock = connection.sock = open_socket(url, left)
    # A server that answers a byte at a time keeps within each step's time.
    guard = threading.Timer(left(), _shut, [sock])
    guard.start()
    try:
        sock.settimeout(left())
        target = f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"
        connection.request("POST", target, body, {"content-type": "application/json"})
        sock.settimeout(left())
        return connection.getresponse().status
    finally:
        guard.cancel()
        connection.close()


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def _publish(arn: str, message: Message, seconds: float, environ: Mapping[str, str]) -> int:
    """Publish to a topic, which mails it to its subscribers."""
    service = Service(arn, environ)
    arguments = {
        "TopicArn": arn,
        "Subject": f"Gimel: {_SUBJECTS[message.kind]}",
        "Message": f"{message.message}\n\n{message.next_step}",
    }
    connection, left = service.connection(), partial(seconds_until, time.monotonic() + seconds)
    try:
        return service.call(connection, "Publish", arguments, left)[0]
    finally:
        connection.close()
