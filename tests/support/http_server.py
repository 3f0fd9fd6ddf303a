"""HTTP servers: that of `gimel local` in a thread of this process, and granian's own command."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests

from gimel.local.http import HTTPServer
from tests.support.waiting import wait

SECONDS = 60
# A worker that is told to stop while it starts does not stop: granian kills it after 10 s.
TWO_WORKERS = ("--workers", "2", "--respawn-failed-workers", "--workers-kill-timeout", "10")


def granian(app: str, port: int, *options: str) -> list[str]:
    """The command that serves an application, in a process of its own for each worker."""
    interface = "rsgi" if "rsgi" in app else "wsgi"
    command = [sys.executable, "-m", "granian", "--interface", interface, "--port", str(port)]
    return [*command, "--no-ws", "--log-level", "warning", *options, app]


@contextmanager
def serving(command: list[str], url: str, environ: dict[str, str]) -> Iterator[int]:
    """Run a server in a process of its own. Yield its process once it answers."""
    process = subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.DEVNULL)
    try:
        wait(lambda: answers(url))
        yield process.pid
    finally:
        process.terminate()
        process.wait(SECONDS)


def answers(url: str) -> bool:
    with suppress(requests.ConnectionError):
        # A server that is no Gimel has no such page.
        return requests.get(f"{url}/dashboard", timeout=SECONDS).status_code in (200, 404)
    return False


def workers(process: int) -> list[int]:
    """The worker processes of a server, by its own process."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children]


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
