"""The kept connection to Redis or Valkey: bounded in time, patient with one dead socket.

What each fault costs: a dead socket, a failover (READONLY) and a server that turns out to be one of
a cluster (MOVED) cost one more try; all else that Redis may answer ends as redis.RedisError.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import inf
from types import TracebackType
from typing import Any, ClassVar, TypeVar

from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE, Pipeline, Redis
from redis.connection import Connection as Line
from redis.connection import ConnectionPool, SSLConnection, UnixDomainSocketConnection
from redis.exceptions import (
    AskError,
    ConnectionError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

T = TypeVar("T")

# Seconds for one step on the socket: a connect, a piece sent, or an answer.
_STEP = 0.5
# Commands
_PIECE = 1000
_RAW = {NEVER_DECODE: True}


class _Budget(threading.local):
    """Until when a thread's work may go on."""

    until = inf


_budget = _Budget()


class Within:
    """A context in which all work with Redis together ends, one way or another, in `seconds`."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        _budget.until = time.monotonic() + self._seconds

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        _budget.until = inf


def _seconds_for_a_step() -> float:
    left = _budget.until - time.monotonic()
    if left <= 0:
        raise TimeoutError("no time is left")
    return min(_STEP, left)


class _BoundedSocket:
    """A socket each step of which ends in time, whoever retries how often above."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.sendall = self._bounded(sock.sendall)
        self.recv = self._bounded(sock.recv)
        # What hiredis's parser calls, where that is installed.
        self.recv_into = self._bounded(sock.recv_into)

    def _bounded(self, step: Callable[[Any], Any]) -> Callable[[Any], Any]:
        sock = self._sock

        def bounded(argument: Any) -> Any:
            # A timeout of 0 is redis-py's way to ask whether anything has come.
            if set_to := sock.gettimeout():
                seconds = _seconds_for_a_step()
                # Setting it is a system call.
                if seconds != set_to:
                    sock.settimeout(seconds)
            return step(argument)

        return bounded

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


class _Bounded:
    """Makes a redis-py connection one of bounded steps."""

    socket_timeout: float | None
    # in this process, of all
    reconnects: ClassVar[int] = 0
    _was_connected = False

    # Asked for anew for each of the addresses that a name has. An error would leave a socket open.
    socket_connect_timeout: Any = property(
        lambda _: min(_STEP, max(_budget.until - time.monotonic(), 0.001)), lambda _, __: None
    )

    def _connect(self) -> Any:
        self.socket_timeout = _seconds_for_a_step()
        sock = super()._connect()  # type: ignore[misc]
        _Bounded.reconnects += self._was_connected
        self._was_connected = True
        return _BoundedSocket(sock)


class _Tcp(_Bounded, Line):
    pass


class _Tls(_Bounded, SSLConnection):
    pass


class _Unix(_Bounded, UnixDomainSocketConnection):
    pass


_BOUNDED: dict[type, type] = {Line: _Tcp, SSLConnection: _Tls, UnixDomainSocketConnection: _Unix}


class BoundedPool(ConnectionPool):
    """redis-py's pool, of bounded connections."""

    def __init__(self, connection_class: type = Line, **options: Any) -> None:
        super().__init__(_BOUNDED[connection_class], **options)


# command, key, element
Addition = tuple[str, str, str]
# what the command is called, its arguments
Command = tuple[str, ...]


class _Kept(threading.local):
    """The connection that a thread keeps."""

    connection: Any = None


class Connection:
    """One connection a thread, kept across events. Its calls raise redis.RedisError.

    Each step takes 0.5 s at most, and all of them together what `Within` says. `cluster`: the
    server is one of a Redis or Valkey Cluster. `ca`: certificates, PEM, to trust beside the
    system's: a server behind rediss:// is always verified.
    """

    def __init__(self, url: str, *, cluster: bool = False, ca: str | None = None) -> None:
        self._url = url
        self._cluster = cluster
        self._ca = ca
        self._kept = _Kept()

    @property
    def reconnects(self) -> int:
        """How often a line was made anew: who answers may then be another, with less in it."""
        return _Bounded.reconnects

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Connection":
        """The connection that GIMEL_REDIS_URL, GIMEL_REDIS_CLUSTER and GIMEL_REDIS_CA describe."""
        return cls(
            environ["GIMEL_REDIS_URL"],
            cluster=environ.get("GIMEL_REDIS_CLUSTER") == "1",
            ca=environ.get("GIMEL_REDIS_CA"),
        )

    @cached_property
    def _redis(self) -> Any:
        options: dict[str, Any] = {
            "decode_responses": True,
            # Without these, each connection starts with two commands that some hosts bill.
            "lib_name": None,
            "lib_version": None,
        }
        if self._ca:
            options["ssl_ca_data"] = self._ca
        if self._cluster:
            from gimel.cluster import Cluster

            return Cluster(self._url, BoundedPool, options)
        pool = BoundedPool.from_url(self._url, retry=Retry(NoBackoff(), 1), **options)
        return Redis.from_pool(pool)

    def add(self, additions: list[Addition]) -> None:
        """Do all the additions in one round trip (of a cluster: one a node)."""
        together: dict[tuple[str, str], list[str]] = {}
        for command, key, element in additions:
            together.setdefault((command, key), []).append(element)
        for reply in self.ask([(*what, *elements) for what, elements in together.items()]):
            if isinstance(reply, Exception):
                raise reply

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, in one round trip: numbers, bytes, and the errors that Redis answered.

        redis-py's pipeline takes three times as long to write and read tens of thousands of
        commands, its client half as long again to take a connection and give it back.
        """
        if not commands:
            return []
        if self._cluster:
            return self._ask_cluster(commands)
        if self._kept.connection is None:
            self._kept.connection = self._redis.connection_pool.get_connection()
        try:
            return _exchange(self._kept.connection, commands)
        except (ConnectionError, TimeoutError):
            # A freeze may have killed the socket.
            return _exchange(self._kept.connection, commands)

    def _ask_cluster(self, commands: Sequence[Command]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [self._redis.execute_command(*commands[0], **_RAW)]
            except ResponseError as error:
                return [error]
        pipeline: Any = self.pipeline()
        for command in commands:
            pipeline.execute_command(*command, **_RAW)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def scan(self, pattern: str, kind: str) -> Iterator[str]:
        """The keys of this type that match, in no order. Reads the whole key space."""
        keys: Iterator[str] = self._redis.scan_iter(match=pattern, count=1000, _type=kind)
        return keys

    def pipeline(self) -> Pipeline:
        """An empty pipeline. It takes the kept connection over: a process holds only one."""
        kept, self._kept.connection = self._kept.connection, None
        if kept is not None and not self._cluster:
            self._redis.connection_pool.release(kept)
        pipeline: Pipeline = self._redis.pipeline(transaction=False)
        return pipeline

    def patiently(self, work: Callable[[], T]) -> T:
        """What the work returns; it is done again once where another server has the keys now."""
        try:
            return work()
        except ReadOnlyError:
            # The host's name leads to the new primary: connect to it anew.
            self.disconnect()
        except AskError:  # MovedError is one too
            self.disconnect()
            self._cluster = True
            self.__dict__.pop("_redis", None)
        return work()

    def disconnect(self) -> None:
        """Close this thread's connection and those that no thread keeps."""
        self.pipeline()
        if not self._cluster:
            self._redis.connection_pool.disconnect(inuse_connections=False)


def _packed(commands: Sequence[Command]) -> Iterator[bytes]:
    """The commands as the protocol has them, in pieces: Redis works on one as the next is made."""
    for start in range(0, len(commands), _PIECE):
        parts: list[bytes] = []
        for command in commands[start : start + _PIECE]:
            parts.append(b"*%d\r\n" % len(command))
            for argument in command:
                raw = argument.encode()
                parts.append(b"$%d\r\n%b\r\n" % (len(raw), raw))
        yield b"".join(parts)


def _exchange(connection: Any, commands: Sequence[Command]) -> list[Any]:
    found: list[Any] = []
    try:
        connection.send_packed_command(_packed(commands))
        for _ in commands:
            try:
                found.append(connection.read_response(disable_decoding=True))
            except ResponseError as error:
                found.append(error)
    except BaseException:
        # Nobody may take what is still to come for his answer.
        connection.disconnect()
        raise
    return found


def answers(pipeline: Pipeline) -> list[Any]:
    """Run the pipeline: what `heard` says of its replies."""
    return heard(pipeline.execute(raise_on_error=False))


def heard(replies: list[Any]) -> list[Any]:
    """The replies. A key of another type answers as a missing one does: with nothing.

    A name that gimel 1.x would have put into a key as it is may spell the key of a counter. Raises
    redis.RedisError on any other error.
    """
    for place, reply in enumerate(replies):
        if isinstance(reply, Exception):
            if not str(reply).startswith("WRONGTYPE"):
                raise reply
            replies[place] = set()
    return replies
