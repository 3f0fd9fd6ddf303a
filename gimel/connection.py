"""The kept connection to Redis or Valkey: bounded in time, patient with one dead socket.

What each fault costs: a dead socket, a failover (READONLY) and a server that turns out to be one of
a cluster (MOVED) cost one more try; all else that Redis may answer ends as redis.RedisError.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from math import inf
from types import TracebackType
from typing import Any, TypeVar

from redis.backoff import NoBackoff
from redis.client import Pipeline, Redis
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

# Seconds for one step on the socket: a connect, or an answer.
_STEP = 0.5


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


class _Bounded:
    """Makes every step of a redis-py connection end in time, whoever retries how often above."""

    _sock: Any
    socket_connect_timeout: float | None
    socket_timeout: float | None

    def _connect(self) -> Any:
        self.socket_connect_timeout = self.socket_timeout = _seconds_for_a_step()
        return super()._connect()  # type: ignore[misc]

    def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        if self._sock:
            self._sock.settimeout(_seconds_for_a_step())
        super().send_packed_command(command, check_health)  # type: ignore[misc]

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        # Without a socket the parser itself complains, in words that are retried.
        if self._sock:
            try:
                self._sock.settimeout(_seconds_for_a_step())
            except TimeoutError:
                # The answer is still to come: nobody else may take it for his.
                self.disconnect()  # type: ignore[attr-defined]
                raise
        return super().read_response(*arguments, **options)  # type: ignore[misc]


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


class _Kept(threading.local):
    """The connection that a thread keeps for single events."""

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
        if len(additions) == 1:
            self._add_one(additions[0])
        elif additions:
            pipeline: Any = self.pipeline()
            for addition in additions:
                pipeline.execute_command(*addition)
            pipeline.execute()

    def _add_one(self, addition: Addition) -> None:
        """One command on the kept connection, with one retry for the socket that a freeze killed.

        Taking a connection from the client's pool and giving it back costs half as much again.
        """
        if self._cluster:
            self._redis.execute_command(*addition)
            return
        if self._kept.connection is None:
            self._kept.connection = self._redis.connection_pool.get_connection()
        connection = self._kept.connection
        try:
            connection.send_command(*addition)
            connection.read_response()
        except (ConnectionError, TimeoutError):
            connection.disconnect()
            connection.send_command(*addition)
            connection.read_response()

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


def answers(pipeline: Pipeline) -> list[Any]:
    """Run the pipeline. A key of another type answers as a missing one does: with nothing.

    A name that gimel 1.x would have put into a key as it is may spell the key of a counter.
    """
    replies = pipeline.execute(raise_on_error=False)
    for place, reply in enumerate(replies):
        if isinstance(reply, ResponseError) and str(reply).startswith("WRONGTYPE"):
            replies[place] = set()
        elif isinstance(reply, Exception):
            raise reply
    return replies
