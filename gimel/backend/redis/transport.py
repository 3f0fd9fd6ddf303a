"""redis-py's connections, with a deadline on every step that they take on the socket.

redis-py connects, logs in, speaks TLS and reads errors, texts and lists. Replies that are numbers,
as nearly all of Gimel's are, are taken from the socket here.
"""

import threading
import time
from collections.abc import Callable
from math import inf
from types import TracebackType
from typing import Any, ClassVar

from redis import exceptions
from redis.connection import (
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)

from gimel.backend.redis.errors import is_away_for_now
from gimel.backend.tls import tls_context

# Seconds for one step on the socket: a connect, a piece sent, or a reply.
_STEP = 0.5
# Bytes read from the socket at once
_READ = 1 << 16
_NUMBERS = b":0123456789\r\n"


class _Deadline(threading.local):
    """The time at which this thread's work must have ended."""

    at = inf


_deadline = _Deadline()


class Deadline:
    """A context: this thread's work with Redis ends within `seconds`, successful or not."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        _deadline.at = time.monotonic() + self._seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        _deadline.at = inf


def seconds_for_a_step() -> float:
    """Return the time for the next step on a socket. Raises redis.TimeoutError if none is left."""
    left = _deadline.at - time.monotonic()
    if left <= 0:
        raise exceptions.TimeoutError("no time is left")
    return min(_STEP, left)


class _BoundedSocket:
    """A socket whose every step ends in time, however often redis-py retries above it."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self._unread = b""
        self.sendall = self._bounded(sock.sendall)
        self._receive = self._bounded(sock.recv)

    def _bounded(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        sock = self._sock

        def bounded(argument: Any) -> Any:
            # redis-py sets a timeout of 0 to ask whether anything has arrived.
            if set_to := sock.gettimeout():
                seconds = seconds_for_a_step()
                # Setting a timeout is a system call.
                if seconds != set_to:
                    sock.settimeout(seconds)
            return step(argument)

        return bounded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)

    def recv(self, size: int) -> Any:
        """Return what was put back, or else what arrives. redis-py's parser calls this."""
        if not self._unread:
            return self._receive(size)
        data, self._unread = self._unread[:size], self._unread[size:]
        return data

    def recv_into(self, buffer: bytearray) -> int:
        """Do what `recv` does. hiredis's parser calls this, where hiredis is installed."""
        data = self.recv(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def numbers(self, wanted: int) -> list[int]:
        """Return `wanted` replies, or those before the first piece with a reply of another kind.

        That piece is put back, with everything after it: redis-py's parser reads it.
        """
        found: list[int] = []
        rest = b""
        while len(found) < wanted:
            piece = self.recv(_READ)
            data = rest + piece
            if not piece or data.translate(None, _NUMBERS):
                self._unread = data
                break
            *whole, rest = data.split(b"\r\n", wanted - len(found))
            found += map(int, b"".join(whole).split(b":")[1:])
        else:
            self._unread = rest
        return found

    @property
    def has_unread(self) -> bool:
        """Whether more has arrived than was asked for."""
        return bool(self._unread)


class _Bounded:
    """A mixin that bounds the steps of a redis-py connection."""

    credential_provider: Any
    socket_timeout: float | None
    # how often this process connected again
    reconnects: ClassVar[int] = 0
    bounded: _BoundedSocket
    _was_connected = False

    # A host name may have several addresses: the time is computed again for each of them. Raising
    # an error here would leave a socket open.
    socket_connect_timeout: Any = property(
        lambda _: min(_STEP, max(_deadline.at - time.monotonic(), 0.001)), lambda _, __: None
    )

    def connect_check_health(self, *arguments: Any, **options: Any) -> None:
        """Connect and log in, once more if the password changed since it was read."""
        connect = super().connect_check_health  # type: ignore[misc]
        try:
            connect(*arguments, **options)
        except exceptions.AuthenticationError:
            if self.credential_provider is None or not self.credential_provider.renew():
                raise
            connect(*arguments, **options)
        except exceptions.ResponseError as error:
            if is_away_for_now(error):
                raise exceptions.ConnectionError(str(error)) from None
            raise

    def _connect(self) -> Any:
        self.socket_timeout = seconds_for_a_step()
        sock = super()._connect()  # type: ignore[misc]
        _Bounded.reconnects += self._was_connected
        self._was_connected = True
        self.bounded = _BoundedSocket(sock)
        return self.bounded


class _Tcp(_Bounded, Connection):
    pass


class _Tls(_Bounded, SSLConnection):
    def _wrap_socket_with_ssl(self, sock: Any) -> Any:
        own = (self.certfile, self.ca_certs, self.ca_path, self.ssl_ciphers)
        if any(own) or not self.check_hostname:
            # Files may change while the process runs.
            return super()._wrap_socket_with_ssl(sock)  # type: ignore[no-untyped-call]
        context = tls_context(self.ca_data, self.ssl_min_version)
        return context.wrap_socket(sock, server_hostname=self.host)


class _Unix(_Bounded, UnixDomainSocketConnection):
    pass


_BOUNDED: dict[type, type] = {
    Connection: _Tcp,
    SSLConnection: _Tls,
    UnixDomainSocketConnection: _Unix,
}


def reconnects() -> int:
    """Return how often a connection of this process was made again."""
    return _Bounded.reconnects


def count_reconnect() -> None:
    """Count one connection that was made in place of a broken one."""
    _Bounded.reconnects += 1


class BoundedPool(ConnectionPool):
    """A redis-py pool of bounded connections."""

    def __init__(self, connection_class: type = Connection, **options: Any) -> None:
        super().__init__(_BOUNDED[connection_class], **options)

    def connect(self) -> Any:
        """Return a new, open connection that the pool does not own. It ends with its thread."""
        connection: Any = self.make_connection()
        # From redis-py 8 on, `connect` repeats a login that Redis refused.
        connection.connect_check_health()
        return connection
