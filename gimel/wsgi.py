"""The handlers behind any WSGI server: `gimel.wsgi:app`. Settings come from the environment.

It does here what API Gateway does on AWS: makes the proxy event, and answers for CORS. Where reads
ask for no key (`gimel local` on loopback) no other site's page may read or delete: those routes get
no CORS headers, must be asked for under a loopback name, so that no rebound DNS name reaches them,
and by no page of another origin: a browser sends some POSTs without asking.
"""

import base64
from collections.abc import Callable, Iterable
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from gimel import gimel
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
    """The WSGI application."""
    response = _answer(environ)
    if environ["PATH_INFO"] in OPEN_PATHS or not gimel.reads_are_open():
        response["headers"] |= _CORS
    status = response["statusCode"]
    text = response["body"]
    body = base64.b64decode(text) if response.get("isBase64Encoded") else text.encode()
    headers = [*response["headers"].items(), ("content-length", str(len(body)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    # A body after HEAD would be read as the start of the next answer.
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def _answer(environ: Environ) -> Response:
    if environ["REQUEST_METHOD"] == "OPTIONS":
        return {"statusCode": 204, "headers": {}, "body": ""}
    if _is_foreign(environ):
        return HTTPError(
            403, "without a key, ask as localhost, from no other page", "host"
        ).response()
    response = gimel.handle(proxy_event(environ))
    # A handler may answer with an object that it keeps: headers are added to a copy.
    return response | {"headers": dict(response["headers"])}


def _is_foreign(environ: Environ) -> bool:
    """Whether a read without a key comes under another name than this machine's, or origin."""
    if environ["PATH_INFO"] in OPEN_PATHS or not gimel.reads_are_open():
        return False
    name = environ.get("HTTP_HOST", "")
    try:
        host = urlsplit(f"//{name}").hostname
    except ValueError:
        return True
    origin = environ.get("HTTP_ORIGIN", f"http://{name}")
    return not is_loopback(host or "") or origin != f"http://{name}"


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only mean this machine."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _text(raw: str) -> str:
    """The text of a WSGI string, which holds bytes, one a character."""
    return raw.encode("latin-1").decode("utf-8", "replace")


def proxy_event(environ: Environ) -> ProxyEvent:
    """The request as API Gateway's HTTP API would hand it over, payload format 2.0."""
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    length = int(environ.get("CONTENT_LENGTH") or 0)
    # One byte more than the limit is enough for the handler to see that the body is too long.
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
        "rawQueryString": environ.get("QUERY_STRING", "")
        .encode("latin-1")
        .decode("utf-8", "replace"),
        "headers": headers,
        "requestContext": {"http": {"method": method, "path": path}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
