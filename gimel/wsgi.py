"""The WSGI application `gimel.wsgi:app`: the handlers behind any WSGI server.

Settings come from the environment. The application does what API Gateway does on AWS: it builds the
proxy event and adds the CORS headers.

`gimel local` on loopback requires no key. Pages of other sites must still not read or delete
anything. So, without a key, every route but those for events

- gets no CORS headers;
- must be requested under a loopback name, which stops DNS rebinding;
- is refused to pages of another origin, since browsers send some POSTs without a preflight.
"""

import base64
from collections.abc import Callable, Iterable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from gimel import gimel
from gimel.backend.access import reads_are_open
from gimel.backend.wire import (
    CORS_HEADERS,
    CORS_MAX_AGE,
    CORS_METHODS,
    MAX_BODY,
    HTTPError,
    ProxyEvent,
    Response,
)

OPEN_PATHS = ("/e", "/track")
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": ", ".join(CORS_METHODS),
    "access-control-allow-headers": ", ".join(CORS_HEADERS),
    "access-control-max-age": str(CORS_MAX_AGE),
}

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request, as WSGI specifies."""
    response = _answer(environ)
    if environ["PATH_INFO"] in OPEN_PATHS or not reads_are_open():
        response["headers"] |= _CORS
    status = response["statusCode"]
    text = response["body"]
    body = base64.b64decode(text) if response.get("isBase64Encoded") else text.encode()
    headers = [*response["headers"].items(), ("content-length", str(len(body)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    # The client would read a body after HEAD as the start of the next answer.
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _answer(environ: Environ) -> Response:
    if environ["REQUEST_METHOD"] == "OPTIONS":
        return {"statusCode": 204, "headers": {}, "body": ""}
    if _is_foreign(environ):
        reason = "without a key, this route answers only localhost and its own pages"
        return HTTPError(403, reason, "host").response()
    response = gimel.handle(proxy_event(environ))
    # A handler may return an object that it keeps, so the headers are added to a copy.
    return response | {"headers": dict(response["headers"])}


def _is_foreign(environ: Environ) -> bool:
    """Return whether a read without a key has a foreign host name, or comes from another origin."""
    if environ["PATH_INFO"] in OPEN_PATHS or not reads_are_open():
        return False
    name = environ.get("HTTP_HOST", "")
    try:
        host = urlsplit(f"//{name}").hostname
    except ValueError:
        return True
    origin = environ.get("HTTP_ORIGIN", f"http://{name}")
    return not is_loopback(host or "") or origin != f"http://{name}"


def is_loopback(host: str) -> bool:
    """Return whether a host name or address can only mean this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _decode(raw: str) -> str:
    """Return the text of a WSGI string, in which each character stands for one byte."""
    return raw.encode("latin-1").decode("utf-8", "replace")


def proxy_event(environ: Environ) -> ProxyEvent:
    """Return the request as API Gateway's HTTP API passes it on, in payload format 2.0."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    # One byte over the limit lets the handler see that the body is too long.
    body = environ["wsgi.input"].read(min(length, MAX_BODY + 1))
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": _decode(environ.get("QUERY_STRING", "")),
        "headers": headers,
        "requestContext": {"http": {"method": method, "path": path}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
