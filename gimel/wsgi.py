"""The WSGI application `gimel.wsgi:app`: the handlers behind any WSGI server.

Settings come from the environment. The application does what API Gateway does on AWS: it builds the
proxy event and adds the CORS headers. `gimel.background` replays the spool and writes snapshots.

`GIMEL_KEY_SHA256=none` opens the reads without a key, for tests and benchmarks on this machine.
Pages of other sites must still not read or delete anything. So every route but those for events,
flags and the browser client

- gets no CORS headers;
- must be requested under a loopback name, which stops DNS rebinding;
- is refused to pages of another origin, since browsers send some POSTs without a preflight.
"""

import base64
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from gimel import background, gimel
from gimel.backend.access import reads_are_open
from gimel.backend.wire import (
    CORS_EXPOSED,
    CORS_HEADERS,
    CORS_MAX_AGE,
    CORS_METHODS,
    FLAGS_PATH,
    MAX_BODY,
    HTTPError,
    ProxyEvent,
    Response,
)

OPEN_PATHS = ("/e", "/track", "/gimel.js")
_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": ", ".join(CORS_METHODS),
    "access-control-allow-headers": ", ".join(CORS_HEADERS),
    "access-control-expose-headers": ", ".join(CORS_EXPOSED),
    "access-control-max-age": str(CORS_MAX_AGE),
}

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], object]


def app(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """Answer a request, as WSGI specifies."""
    background.start()
    try:
        response = answer(proxy_event(environ))
    except HTTPError as error:
        response = with_cors(environ["PATH_INFO"], error.response())
    status = response["statusCode"]
    text = response["body"]
    body = base64.b64decode(text) if response.get("isBase64Encoded") else text.encode()
    headers = [*response["headers"].items(), ("content-length", str(len(body)))]
    start_response(f"{status} {HTTPStatus(status).phrase}", headers)
    # The client would read a body after HEAD as the start of the next answer.
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]


def answer(event: ProxyEvent) -> Response:
    """Answer a request as API Gateway and the handlers do together."""
    path = event["rawPath"]
    if event["requestContext"]["http"]["method"] == "OPTIONS":
        response: Response = {"statusCode": 204, "headers": {}, "body": ""}
    elif not _lets_any_origin_in(path) and _is_foreign(event["headers"]):
        reason = "without a key, this route answers only localhost and its own pages"
        response = HTTPError(403, reason, "host").response()
    else:
        response = gimel.handle(event)
    return with_cors(path, response)


def with_cors(path: str, response: Response) -> Response:
    """Return the response with the CORS headers, if pages of any origin may use the path."""
    if not _lets_any_origin_in(path):
        return response
    # A handler may return an object that it keeps, so the headers are added to a copy.
    return response | {"headers": response["headers"] | _CORS}


def is_open(path: str) -> bool:
    """Return whether pages of any origin may use the path, and nothing there asks for a key."""
    return path in OPEN_PATHS or path == FLAGS_PATH or path.startswith(f"{FLAGS_PATH}/")


def _lets_any_origin_in(path: str) -> bool:
    return is_open(path) or not reads_are_open()


def _is_foreign(headers: Mapping[str, str]) -> bool:
    """Return whether a read without a key has a foreign host name, or comes from another origin."""
    name = headers.get("host", "")
    try:
        host = urlsplit(f"//{name}").hostname
    except ValueError:
        return True
    origin = headers.get("origin", f"http://{name}")
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
    """Return the request as a proxy event. Raises HTTPError if its body did not come."""
    headers = {
        name[5:].replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return event_of(
        environ["REQUEST_METHOD"],
        _decode(environ["PATH_INFO"]),
        _decode(environ.get("QUERY_STRING", "")),
        headers,
        _body(environ),
    )


def _body(environ: Environ) -> bytes:
    """Read the body, whole or in chunks. Raises HTTPError if it ends too early."""
    # One byte over the limit lets the handler see that the body is too long.
    most = MAX_BODY + 1
    if environ.get("CONTENT_LENGTH"):
        expected = min(int(environ["CONTENT_LENGTH"]), most)
        body: bytes = environ["wsgi.input"].read(expected)
        if len(body) < expected:
            raise HTTPError(400, "the body is shorter than its content-length", "body")
        return body
    if environ.get("wsgi.input_terminated"):
        # Chunks have no length. The server ends the input where the last chunk ends.
        return bytes(environ["wsgi.input"].read(most))
    if "HTTP_TRANSFER_ENCODING" in environ:
        raise HTTPError(411, "send the body with a content-length, not in chunks", "body")
    return b""


def event_of(
    method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
) -> ProxyEvent:
    """Return a request as API Gateway's HTTP API passes it on, in payload format 2.0.

    WSGI and RSGI decode all of the path, and an HTTP API all of it but `%25`: see `ofrep`.
    """
    path = path.replace("%", "%25")
    return {
        "version": "2.0",
        "routeKey": f"{method} {path}",
        "rawPath": path,
        "rawQueryString": query,
        "headers": headers,
        "requestContext": {"http": {"method": method, "path": path}},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
