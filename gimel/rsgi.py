"""The RSGI application `gimel.rsgi:app`: the handlers behind granian, a compiled HTTP server.

A WSGI server gives a thread to each request before its body has come, so a few senders that stop
in the middle hold up all others. Here the event loop reads each body, with a limit on size and
time, and a handler runs once the request is complete.

A single event is answered in the event loop itself: handing it to a thread would take as long as
counting it. So are evaluations of flags. When Redis becomes slow, both go to threads, so that they
wait side by side. Reads have threads of their own and hold up no event.

RSGI: https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

import asyncio
import time
from base64 import b64decode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gimel import background
from gimel.backend.log import log
from gimel.backend.wire import MAX_BODY, HTTPError, ProxyEvent, Response
from gimel.wsgi import answer, event_of, is_open, with_cors

# Seconds for the whole body
_BODY_SECONDS = 10.0
# Bytes. A sender reads the refusal only after it has sent its body, so some of a long one is read.
_MOST_READ = 2 * MAX_BODY
# Bytes. A longer body is a batch, which takes milliseconds.
_SMALL = 4096
# Seconds. A handler that takes longer has waited for Redis.
_SLOW = 0.005
# The event loop may wait for a slow Redis during about a tenth of the time.
_PAUSE = 10
_EVENT_THREADS, _READ_THREADS = 8, 4


class App:
    """An application that answers with `answer`, for one process."""

    def __init__(self, answer: Callable[[ProxyEvent], Response] = answer) -> None:
        self._answer = answer
        self._event_threads = ThreadPoolExecutor(_EVENT_THREADS, "event")
        self._read_threads = ThreadPoolExecutor(_READ_THREADS, "read")
        self._slow_until = 0.0

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Start what a process needs. Granian calls this once."""
        background.start()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer a request, as RSGI specifies."""
        try:
            body = await _body(scope, protocol) if _has_body(scope.headers) else b""
            event = _event_of(scope, body)
            threads = self._threads_for(event)
            if threads is None:
                response = self._answer_here(event)
            else:
                loop = asyncio.get_running_loop()
                response = await loop.run_in_executor(threads, self._answer, event)
        except HTTPError as error:
            response = with_cors(scope.path, error.response())
            # The rest of the body may still come.
            response["headers"]["connection"] = "close"
        except Exception as error:
            log("error", failed=type(error).__name__)
            response = HTTPError(500, "an error in Gimel: its log names the kind").response()
        headers = list(response["headers"].items())
        if response.get("isBase64Encoded"):
            protocol.response_bytes(response["statusCode"], headers, b64decode(response["body"]))
        else:
            protocol.response_str(response["statusCode"], headers, response["body"])

    def _threads_for(self, event: ProxyEvent) -> ThreadPoolExecutor | None:
        """Return the threads that answer the request, or None if the event loop does."""
        if not is_open(event["rawPath"]):
            return self._read_threads
        if time.monotonic() < self._slow_until or len(event["body"]) > _SMALL:
            return self._event_threads
        return None

    def _answer_here(self, event: ProxyEvent) -> Response:
        started = time.monotonic()
        response = self._answer(event)
        ended = time.monotonic()
        if ended - started > _SLOW:
            self._slow_until = ended + _PAUSE * (ended - started)
        return response


def _has_body(headers: Any) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers


def _event_of(scope: Any, body: bytes) -> ProxyEvent:
    headers = dict(scope.headers.items())
    if len(headers) < len(scope.headers):
        # Granian leaves out values that are not ASCII. A key among them is wrong, not missing.
        headers = dict.fromkeys(scope.headers.keys(), "\ufffd") | headers
    return event_of(scope.method, scope.path, scope.query_string, headers, body)


async def _body(scope: Any, protocol: Any) -> bytes:
    """Read the body. Raises HTTPError if it is too long, too slow or incomplete."""
    length = scope.headers.get("content-length")
    too_long = HTTPError(413, f"the body is over {MAX_BODY} bytes", "body")
    if length and int(length) > _MOST_READ:
        raise too_long
    body = bytearray()
    size = ends = 0
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            async for part in protocol:
                size += len(part)
                if size <= MAX_BODY:
                    body += part
                # Granian gives an empty part at the end, and another one where the body is broken.
                ends += not part
                if size > _MOST_READ:
                    raise too_long
    except TimeoutError:
        raise HTTPError(408, f"the body took over {_BODY_SECONDS:.0f} seconds", "body") from None
    if ends > 1 or (length and size < int(length)):
        raise HTTPError(400, "the body is incomplete", "body")
    if size > MAX_BODY:
        raise too_long
    return bytes(body)


app = App()
