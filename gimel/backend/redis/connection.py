"""The kept connection to Redis or Valkey: bounded in time, patient with one dead socket.

What each fault costs: a dead socket, a failover (READONLY) and a server that turns out to be one of
a cluster (MOVED) cost one more try; all else that Redis may answer ends as redis.RedisError.
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain, islice
from typing import Any, TypeVar

from redis.backoff import NoBackoff
from redis.exceptions import AskError, ConnectionError, ReadOnlyError, TimeoutError
from redis.retry import Retry

from gimel.backend.redis.line import (
    BoundedPool,
    Command,
    Series,
    Within,
    exchange_in_turn,
    receive,
    reconnects,
    send,
)

__all__ = ["Addition", "Command", "Connection", "Series", "Within", "heard"]

T = TypeVar("T")

# command, key, element
Addition = tuple[str, str, str]


class _Kept(threading.local):
    """The connection that a thread keeps."""

    line: Any = None


class Connection:
    """One connection a thread, kept across events. Its calls raise redis.RedisError.

    Each step takes 0.5 s at most, and all of them together what `Within` says. `cluster`: the
    server is one of a Redis or Valkey Cluster. `ca`: certificates, PEM, to trust beside the
    system's: a server behind rediss:// is always verified.
    """

    def __init__(self, url: str, *, cluster: bool = False, ca: str | None = None) -> None:
        self._url = url
        self._is_cluster = cluster
        self._ca = ca
        self._kept = _Kept()

    @property
    def reconnects(self) -> int:
        """How often a line was made anew: who answers may then be another, with less in it."""
        return reconnects()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Connection":
        """The connection that GIMEL_REDIS_URL, GIMEL_REDIS_CLUSTER and GIMEL_REDIS_CA describe."""
        return cls(
            environ["GIMEL_REDIS_URL"],
            cluster=environ.get("GIMEL_REDIS_CLUSTER") == "1",
            ca=environ.get("GIMEL_REDIS_CA"),
        )

    @property
    def _options(self) -> dict[str, Any]:
        # Without these, each connection starts with two commands that some hosts bill.
        options: dict[str, Any] = {"lib_name": None, "lib_version": None}
        if self._ca:
            options["ssl_ca_data"] = self._ca
        return options

    @cached_property
    def _pool(self) -> Any:
        return BoundedPool.from_url(self._url, retry=Retry(NoBackoff(), 1), **self._options)

    @cached_property
    def _cluster(self) -> Any:
        # Here, for redis-py's client costs a cold start an eighth, and one server needs none.
        from gimel.backend.redis.cluster import Cluster

        return Cluster(self._url, BoundedPool, self._options)

    def add(self, additions: list[Addition]) -> None:
        """Do all the additions in one round trip (of a cluster: one a node)."""
        together: dict[tuple[str, str], list[str]] = {}
        for command, key, element in additions:
            together.setdefault((command, key), []).append(element)
        self.tell([(*what, *elements) for what, elements in together.items()])

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies, in one round trip (of a cluster: one a node), and errors among them.

        A set is one of texts, a hash a dict of them; other than that there are numbers and bytes.
        """
        if not commands:
            return []
        ask = self._cluster.ask if self._is_cluster else self._exchange
        replies: list[Any] = ask(commands)
        for place, reply in enumerate(replies):
            if type(reply) is not int:
                replies[place] = _shaped(commands[place], reply)
        return replies

    def count_in_turn(self, parts: Sequence[Sequence[Command]]) -> Iterator[list[Any]]:
        """The replies to each part, numbers and bytes, while Redis works on the next."""
        if self._is_cluster:
            replies = iter(self.ask(list(chain.from_iterable(parts))))
            yield from (list(islice(replies, len(part))) for part in parts)
            return
        # Out of others' reach: until the end there are answers on their way.
        line, self._kept.line = self._kept.line or self._pool.line(), None
        try:
            yield from self._count_in_turn(line, parts)
        except BaseException:
            line.disconnect()
            raise
        finally:
            self._kept.line = line

    def _count_in_turn(self, line: Any, parts: Sequence[Sequence[Command]]) -> Iterator[list[Any]]:
        done = 0
        try:
            for replies in exchange_in_turn(line, parts):
                done += 1
                yield replies
        except (ConnectionError, TimeoutError):
            line.disconnect()
            yield from exchange_in_turn(line, parts[done:])

    def tell(self, commands: Sequence[Command]) -> list[Any]:
        """The replies; the first error among them is raised when all are done."""
        replies = self.ask(commands)
        for reply in replies:
            if isinstance(reply, Exception):
                raise reply
        return replies

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        if self._kept.line is None:
            # To take it from the pool and give it back costs half as much as an event.
            self._kept.line = self._pool.line()
        try:
            return self._try(commands)
        except (ConnectionError, TimeoutError):
            # A freeze may have killed the socket.
            return self._try(commands)

    def _try(self, commands: Sequence[Command]) -> list[Any]:
        try:
            send(self._kept.line, commands)
            return receive(self._kept.line, commands)
        except BaseException:
            self.disconnect()
            raise

    def scan(self, pattern: str, kind: str) -> Iterator[str]:
        """The keys of this type that match, in no order. Reads the whole key space."""
        found = self._cluster.scan(pattern, kind) if self._is_cluster else self._scan(pattern, kind)
        return (key.decode() for key in found)

    def _scan(self, pattern: str, kind: str) -> Iterator[bytes]:
        options = ("MATCH", pattern, "COUNT", "1000", "TYPE", kind)
        cursor = b"0"
        while True:
            ((cursor, keys),) = self.tell([("SCAN", cursor.decode(), *options)])
            yield from keys
            if cursor == b"0":
                return

    def patiently(self, work: Callable[[], T]) -> T:
        """What the work returns; it is done again once where another server has the keys now."""
        try:
            return work()
        except ReadOnlyError:
            # The host's name leads to the new primary: connect to it anew.
            self.disconnect()
        except AskError:  # MovedError is one too
            self.disconnect()
            self._is_cluster = True
            self.__dict__.pop("_cluster", None)
        return work()

    def disconnect(self) -> None:
        """Close this thread's connection."""
        if self._kept.line is not None:
            self._kept.line.disconnect()


def _shaped(command: Command, reply: Any) -> Any:
    if command[0] == "SMEMBERS" and isinstance(reply, list | set):
        return {member.decode() for member in reply}
    if command[0] == "HGETALL" and isinstance(reply, list):
        return {
            field.decode(): value.decode()
            for field, value in zip(reply[::2], reply[1::2], strict=True)
        }
    if command[0] == "HGETALL" and isinstance(reply, dict):
        # redis-py's cluster client has made a dict of it.
        return {field.decode(): value.decode() for field, value in reply.items()}
    return reply


def heard(replies: list[Any]) -> list[Any]:
    """The replies. A key of another type answers as a missing one does: with nothing.

    A name that gimel 1.x would have put into a key as it is may spell the key of a counter. Raises
    redis.RedisError on any other error.
    """
    for place, reply in enumerate(replies):
        if isinstance(reply, list):
            # Numbers alone, nearly always.
            if set(map(type, reply)) != {int}:
                heard(reply)
        elif isinstance(reply, Exception):
            if not str(reply).startswith("WRONGTYPE"):
                raise reply
            replies[place] = set()
    return replies
