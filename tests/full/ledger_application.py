"""The ledger's application: `gimel.wsgi` in this process, with a spool."""

import contextlib
import io
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gimel import background, wsgi
from gimel.backend import process
from gimel.backend.counting.declaring import change
from gimel.backend.counting.exact import EXACT
from gimel.backend.wire import Event
from tests.full.load import NAMESPACE, SHARDS, body_of


@contextlib.contextmanager
def application(redis_environ: dict[str, str], spool: Path) -> Iterator[None]:
    """Configure this process, and declare experiment "x" exact. At the end, nothing waits."""
    spool.mkdir()
    environ = redis_environ | {
        "GIMEL_KEY_SHA256": "none",
        "GIMEL_SHARDS": str(SHARDS),
        "GIMEL_SPOOL": str(spool),
    }
    os.environ |= environ
    process.reset()
    try:
        change(process.connection(), (NAMESPACE, "x"), {"counting": EXACT}, "owner")
        # A log line for each request that is queued is of no use here.
        with contextlib.redirect_stdout(None), replaying():
            yield
    finally:
        for name in environ:
            del os.environ[name]
        process.reset()


def ask(events: list[Event]) -> dict[str, Any] | None:
    """The application's answer where it is 200."""
    environ: dict[str, Any] = {"PATH_INFO": "/e", "REQUEST_METHOD": "POST"}
    body = body_of(events)
    if len(events) == 1:
        (fields,) = json.loads(body)
        environ |= {"REQUEST_METHOD": "GET", "QUERY_STRING": urlencode(fields)}
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    status: list[str] = []
    answer = b"".join(wsgi.app(environ, lambda line, headers: status.append(line)))
    assert status[0][:3] in ("200", "400", "503"), status
    return json.loads(answer) if status[0].startswith("200") else None


@contextlib.contextmanager
def replaying() -> Iterator[None]:
    """The application replays the spool by itself; at the end until nothing waits."""
    try:
        yield
        # Its thread may be replaying: then a replay here does nothing and fails in nothing.
        while (spool := process.queue()) and spool.backlog().waiting.messages:
            background.replay()
            time.sleep(0.1)
    finally:
        background.stop()
