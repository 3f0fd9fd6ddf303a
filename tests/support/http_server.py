"""HTTP servers: that of `gimel local` in a thread of this process, and granian's own command."""

import asyncio
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gimel.local.http import HTTPServer

SECONDS = 60


def granian(app: str, port: int, *options: str) -> list[str]:
    """The command that serves an application, in a process of its own for each worker."""
    interface = "rsgi" if "rsgi" in app else "wsgi"
    command = [sys.executable, "-m", "granian", "--interface", interface, "--port", str(port)]
    return [*command, "--no-ws", "--log-level", "warning", *options, app]


def start_server(app: Any, port: int = 0) -> HTTPServer:
    """Serve until this process ends or the server is stopped."""
    server = HTTPServer(app, "127.0.0.1", port)
    ready = threading.Event()
    program = server.serve(ready.set)
    server.thread = threading.Thread(target=asyncio.run, args=(program,), daemon=True)  # type: ignore[attr-defined]
    server.thread.start()  # type: ignore[attr-defined]
    assert ready.wait(SECONDS)
    return server


@contextmanager
def running_server(app: Any, port: int = 0) -> Iterator[HTTPServer]:
    server = start_server(app, port)
    yield server
    server.stop()
    thread: threading.Thread = server.thread  # type: ignore[attr-defined]
    thread.join(SECONDS)
    assert not thread.is_alive()
