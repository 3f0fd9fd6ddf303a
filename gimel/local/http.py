"""The HTTP server: granian, embedded in this process.

Its event loop runs in the calling thread. A connection that sends no whole request head for
_HEAD_SECONDS is closed, whether it is slow or idle.
"""

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from granian.constants import HTTPModes
from granian.http import HTTP1Settings
from granian.server.embed import Server

from gimel.local.errors import LocalError

_HEAD_SECONDS = 10
# Bytes of a request's first line and headers
_MAX_HEAD = 64 << 10
# Connections at once. More wait until one of these ends.
_MAX_CONNECTIONS = 1024
# Seconds that requests in progress get when the server stops
_STOP_SECONDS = 5


class HTTPServer:
    """An RSGI application on a port."""

    def __init__(self, app: Any, host: str, port: int) -> None:
        """Check the address, and choose a free port for port 0. Raises LocalError."""
        address, self.port = _free_address(host, port)
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}"
        self._app = app
        self._address = address
        self._stop: Callable[[], object] | None = None

    def stop(self) -> None:
        """Stop serving. Signal handlers and other threads may call this."""
        if self._stop is not None:
            self._stop()

    async def serve(self, when_ready: Callable[[], object]) -> None:
        """Serve until `stop`. Then let requests in progress end. Raises LocalError."""
        loop = asyncio.get_running_loop()
        server = Server(
            _Announcing(self._app, when_ready),
            address=self._address,
            port=self.port,
            http=HTTPModes.http1,
            websockets=False,
            log_enabled=False,
            backlog=_MAX_CONNECTIONS,
            backpressure=_MAX_CONNECTIONS,
            http1_settings=HTTP1Settings(
                header_read_timeout=1000 * _HEAD_SECONDS, max_buffer_size=_MAX_HEAD
            ),
        )
        server.workers_kill_timeout = _STOP_SECONDS
        self._stop = partial(loop.call_soon_threadsafe, server.stop)
        # A sender that stops in the middle of a request does not hold up the end.
        with suppress(TimeoutError):
            await server.serve()
        self._stop = None
        if not server.interrupt_signal:
            raise LocalError(f"the HTTP server on {self.url} ended: start it again")


class _Announcing:
    """The application, which calls `when_ready` as soon as the server accepts connections."""

    def __init__(self, app: Any, when_ready: Callable[[], object]) -> None:
        self.__rsgi__ = app.__rsgi__
        self._app = app
        self._when_ready = when_ready

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._app.__rsgi_init__(loop)
        # Granian starts to listen before it returns to the event loop.
        loop.call_soon(self._when_ready)


def _free_address(host: str, port: int) -> tuple[str, int]:
    """Return the numeric address and the port, after making sure that nothing listens there.

    Granian shares a port that is in use with the server that uses it (SO_REUSEPORT).
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.getaddrinfo(host, port, family)
        with socket.create_server((host, port), family=family) as probe:
            address, port = probe.getsockname()[:2]
            return address, port
    except (socket.gaierror, UnicodeError):
        raise LocalError(
            f"{host} is not an address of this machine: choose another --host"
        ) from None
    except OSError as error:
        reason = os.strerror(error.errno or errno.EADDRNOTAVAIL)
        raise LocalError(
            f"cannot listen on {host}:{port} ({reason}): choose another --port or --host"
        ) from None
