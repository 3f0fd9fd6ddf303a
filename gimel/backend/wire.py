"""The wire: requests parsed and checked, responses and errors made.

A request is a proxy event of API Gateway's HTTP API, payload format 2.0. Whatever it holds, it ends
in a response, or in an `HTTPError`, which becomes a JSON response.
"""

import base64
import json
import re
import zlib
from collections.abc import Mapping
from sys import float_info
from typing import Any, NamedTuple, TypeGuard
from urllib.parse import unquote_plus

from gimel.backend.errors import GimelError

ProxyEvent = Mapping[str, Any]
Response = dict[str, Any]

DEFAULT_NAMESPACE = "alephbet"
# The HTTP API's stage variable that tells the dashboard where pages send events
EVENTS_VARIABLE = "events"
# OFREP's path, which is open to any page like that of the events. Below it, a path names a flag.
FLAGS_PATH = "/ofrep/v1/evaluate/flags"
MAX_NAME = 256
MAX_BODY = 1 << 20
MAX_BATCH = 500
MAX_LIMIT = 1000
# Bytes of JSON that Lambda passes on, less what surrounds the body
MAX_ANSWER = 6 * 1024 * 1024 - 8192
# Characters from which a response is worth compressing
_LARGE = 8192

# Control characters break lines in logs and terminals; lone surrogates have no UTF-8. The patterns
# are compiled when needed: no valid event needs them, and compiling takes longer than the rest.
_NUMBER = r"[0-9]{1,400}(\.[0-9]{0,400})?([eE][+-]?[0-9]{1,3})?"
_GZIP = r"(?i)gzip(?!\s*;\s*q=0(\.0*)?\s*(,|$))"
_FORBIDDEN = "[\x00-\x1f\x7f-\x9f\ud800-\udfff]"
_HEADERS = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


# What a browser may send from another origin. The event path is open to any page, as AlephBet
# needs; the other routes ask for a key.
CORS_METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS")
CORS_HEADERS = ("content-type", "if-none-match", "x-api-key", "x-gimel-namespace")
CORS_EXPOSED = ("etag",)
CORS_MAX_AGE = 86400  # seconds


class HTTPError(GimelError):
    """A refused request: the status, the reason, and the field at fault."""

    def __init__(self, status: int, error: str, field: str | None = None) -> None:
        self.status = status
        # A caller's field may be named by half a character, which has no UTF-8.
        self.error = _encodable(error)
        self.field = None if field is None else _encodable(field)
        super().__init__(self.error)

    def response(self) -> Response:
        """Return the error as a response. A 503 or 429 says after how many seconds to try again."""
        answer = respond({"error": self.error, "field": self.field}, self.status)
        if self.status in (429, 503):
            answer["headers"]["retry-after"] = "5"
        return answer


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


class Event(NamedTuple):
    """One checked event. The first four fields name its counter.

    `visitor` names whose event it is; where it is empty, the uuid stands for it. `is_vouched`: the
    sender had a key. `value` is the event's amount, for a goal that measures one.
    """

    namespace: str
    experiment: str
    goal: str
    variant: str
    uuid: str
    visitor: str = ""
    is_vouched: bool = False
    value: float | None = None


def respond(payload: object, status: int = 200) -> Response:
    """Return a JSON response."""
    body = json.dumps(payload, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return {"statusCode": status, "headers": dict(_HEADERS), "body": body}


def fitted(event: ProxyEvent, response: Response, large: int = _LARGE) -> Response:
    """Return the response, compressed if it has `large` characters and the client accepts gzip.

    Raises HTTPError 413 if Lambda could not pass it on.
    """
    if len(response["body"]) >= large and re.search(_GZIP, header(event, "accept-encoding")):
        packed = zlib.compress(response["body"].encode(), wbits=zlib.MAX_WBITS | 16)
        encoding = {"content-encoding": "gzip", "vary": "accept-encoding"}
        response = response | {
            "headers": response["headers"] | encoding,
            "body": base64.b64encode(packed).decode(),
            "isBase64Encoded": True,
        }
    if len(response["body"]) > _LARGE and len(json.dumps(response["body"])) > MAX_ANSWER:
        raise HTTPError(413, "the answer is over 6 MB: ask for fewer experiments", "scope")
    return response


def is_request(event: Any) -> bool:
    """Return whether a Lambda event is a request in payload format 2.0, as the handlers take it."""
    try:
        method, route = event["requestContext"]["http"]["method"], event.get("routeKey", "")
    except (KeyError, TypeError, IndexError):
        return False
    return isinstance(method, str) and isinstance(route, str)


def query(event: ProxyEvent) -> dict[str, str]:
    """Return the query's fields. If a field is repeated, its last value counts.

    Raises HTTPError 400 on broken UTF-8. `urllib.parse.parse_qsl` would take a sixth of the time
    that an event may cost.
    """
    fields: dict[str, str] = {}
    try:
        for pair in (event.get("rawQueryString") or "").split("&"):
            field, _, value = pair.partition("=")
            fields[_decoded(field)] = _decoded(value)
    except UnicodeDecodeError:
        raise HTTPError(400, "the query is not UTF-8", "query") from None
    return fields


def _decoded(text: str) -> str:
    return unquote_plus(text, errors="strict") if "%" in text else text.replace("+", " ")


def header(event: ProxyEvent, name: str) -> str:
    """Return a header's value, or "". API Gateway writes the names in lower case."""
    return str((event.get("headers") or {}).get(name, ""))


def json_body(event: ProxyEvent) -> object:
    """Return the parsed body. Raises HTTPError: 413 over MAX_BODY bytes, 400 if it is not JSON."""
    body = event.get("body") or ""
    try:
        raw = base64.b64decode(body) if event.get("isBase64Encoded") else body.encode()
        if len(raw) > MAX_BODY:
            raise HTTPError(413, f"the body is over {MAX_BODY} bytes", "body")
        return json.loads(raw.decode())
    except (ValueError, RecursionError):
        raise HTTPError(400, "the body is not JSON in UTF-8", "body") from None


def name(fields: Mapping[str, object], field: str, default: str | None = None) -> str:
    """Return the field's value, a name of 1 to MAX_NAME characters. Raises HTTPError 400."""
    value = fields.get(field)
    if value is None:
        value = default
    if isinstance(value, str) and value.strip() and len(value) <= MAX_NAME and value.isprintable():
        return value
    return _checked_name(value, field)


def _checked_name(value: object, field: str) -> str:
    """Return an unusual name that is valid. Raises HTTPError 400, saying what is wrong with it."""
    if value is None:
        raise HTTPError(400, f"{field} is missing", field)
    if not isinstance(value, str):
        raise HTTPError(400, f"{field} must be a string", field)
    if not value.strip():
        raise HTTPError(400, f"{field} is empty", field)
    if len(value) > MAX_NAME:
        raise HTTPError(400, f"{field} is over {MAX_NAME} characters", field)
    if re.search(_FORBIDDEN, value):
        raise HTTPError(400, f"{field} holds a control character", field)
    return value


def number(fields: Mapping[str, str], field: str, most: int) -> int | None:
    """Return the field's value, a whole number from 1 to `most`. Return None if it is missing.

    Raises HTTPError 400.
    """
    text = fields.get(field)
    if text is None:
        return None
    # A check of the length first: int() refuses thousands of digits in its own way.
    if text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most:
        return int(text)
    raise HTTPError(400, f"{field} must be a whole number from 1 to {most}", field)


def namespace(fields: Mapping[str, object]) -> str:
    """Return the namespace that the fields name, or the default one."""
    return name(fields, "namespace", DEFAULT_NAMESPACE)


def event_of(fields: object, is_vouched: bool = False) -> Event:
    """Return the event that a query or a JSON object describes. Raises HTTPError 400."""
    if not isinstance(fields, dict):
        raise HTTPError(400, "an event must be a JSON object", None)
    return Event(
        namespace(fields),
        name(fields, "experiment"),
        name(fields, "event"),
        name(fields, "variant"),
        name(fields, "uuid"),
        "" if fields.get("visitor") in (None, "") else name(fields, "visitor"),
        is_vouched,
        None if fields.get("value") in (None, "") else _amount(fields["value"]),
    )


def _amount(value: object) -> float:
    """Return an event's amount, a number of JSON or its text in a query. Raises HTTPError 400."""
    if isinstance(value, str) and re.fullmatch(_NUMBER, value):
        value = float(value)
    if not is_amount(value):
        raise HTTPError(400, "value must be a finite number, 0 or more", "value")
    return float(value)


def is_amount(value: object) -> TypeGuard[float]:
    """Return whether a value is a finite number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= float_info.max
