"""The HTTP server of `gimel local`, in a thread of this process."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gimel.local.http import HTTPServer

SECONDS = 60


def start_server(app: Any) -> HTTPServer:
    """Serve until this process ends or the server is stopped."""
    server = HTTPServer(app, "127.0.0.1", 0)
    ready = threading.Event()
    program = server.serve(ready.set)
    server.thread = threading.Thread(target=asyncio.run, args=(program,), daemon=True)  # type: ignore[attr-defined]
    server.thread.start()  # type: ignore[attr-defined]
    assert ready.wait(SECONDS)
    return server


@contextmanager
def running_server(app: Any) -> Iterator[HTTPServer]:
    server = start_server(app)
    yield server
    server.stop()
    thread: threading.Thread = server.thread  # type: ignore[attr-defined]
    thread.join(SECONDS)
    assert not thread.is_alive()
