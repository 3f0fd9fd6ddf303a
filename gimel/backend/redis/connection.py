"""The kept connection to Redis or Valkey: it owns the deadline and the retries.

A broken connection, a failover (READONLY) and a server that turns out to be one of a cluster
(MOVED) each cost one more try. Any other error ends in redis.RedisError. After a reconnect, the
server may hold less data: so the counters forget what they know, and add the events again
(`_add_surely` in `gimel.backend.counting.counters`).
"""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from redis.backoff import NoBackoff
from redis.exceptions import AskError, RedisError
from redis.retry import Retry

from gimel.backend.redis.errors import AWAY, MOVED, is_wrong_type
from gimel.backend.redis.protocol import Command, Series, exchange_in_turn, receive, send
from gimel.backend.redis.transport import BoundedPool, Deadline, reconnects
from gimel.backend.tls import tls_context

if TYPE_CHECKING:
    from gimel.backend.redis.login import Login

__all__ = ["Addition", "Command", "Connection", "Series"]

T = TypeVar("T")

# command, key, elements: at most 100 of them
Addition = tuple[str, ...]

# ElastiCache Serverless accepts at most 3,999 arguments:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/SupportedCommands.html
_IN_ONE_COMMAND = 1000

# Seconds by which a function's start may be delayed.
_PREPARE_SECONDS = 2.0


class _Kept(threading.local):
    """The redis-py connection that a thread keeps."""

    connection: Any = None


class Connection:
    """One connection a thread, kept across events. Its methods raise redis.RedisError.

    Each step on the socket takes at most 0.5 s; `run` bounds all steps together. `cluster`: the
    server belongs to a Redis or Valkey Cluster. `ca`: certificates (PEM) to trust besides the
    system's. A server behind rediss:// is always verified. `login`: user and password, where the
    URL has none.
    """

    def __init__(
        self,
        url: str,
        *,
        cluster: bool = False,
        ca: str | None = None,
        login: "Login | None" = None,
    ) -> None:
        self._url = url
        self._is_cluster = cluster
        self._ca = ca
        self._login = login
        self._kept = _Kept()

    @property
    def reconnects(self) -> int:
        """How often a connection was made again.

        After a reconnect, the server may hold less data.
        """
        return reconnects()

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "Connection":
        """Return the connection that the variables of the environment describe.

        GIMEL_REDIS_URL    the address, with the password unless one of the last two is set
        GIMEL_REDIS_CLUSTER, GIMEL_REDIS_CA    `cluster` (if it is 1) and `ca`
        GIMEL_REDIS_SECRET    the ARN of a Secrets Manager secret or SSM parameter: the password
        GIMEL_REDIS_IAM    the name of an ElastiCache Serverless cache, which checks a signed token
        """
        url, its_login = environ["GIMEL_REDIS_URL"], None
        if "GIMEL_REDIS_SECRET" in environ or "GIMEL_REDIS_IAM" in environ:
            # Imported here: a password in the URL needs none of it.
            from gimel.backend.redis.login import login

            url, its_login = login(environ)
        return cls(
            url,
            cluster=environ.get("GIMEL_REDIS_CLUSTER") == "1",
            ca=environ.get("GIMEL_REDIS_CA"),
            login=its_login,
        )

    def prepare(self) -> None:
        """Load the certificates and read the secret that the first event would wait for.

        A failure counts as none: the first event tries again.
        """
        with suppress(RedisError, OSError), Deadline(_PREPARE_SECONDS):
            if self._url.startswith("rediss:"):
                tls_context(self._ca, self._options.get("ssl_min_version"))
            if self._login:
                self._login.get_credentials()

    def client(self, seconds: float) -> Any:
        """Return redis-py's client of this server, each step of which takes at most `seconds`."""
        # Imported here: events do without it.
        from redis.client import Redis

        return Redis.from_url(
            self._url,
            decode_responses=True,
            socket_timeout=seconds,
            socket_connect_timeout=seconds,
            **self._options,
        )

    @property
    def _options(self) -> dict[str, Any]:
        # Without these, each connection starts with two commands that some hosts bill, and from
        # redis-py 8 on with a third, HELLO.
        options: dict[str, Any] = {"lib_name": None, "lib_version": None, "protocol": 2}
        if self._ca:
            options["ssl_ca_data"] = self._ca
        if self._login:
            options |= {"credential_provider": self._login, **self._login.options}
        return options

    @cached_property
    def _pool(self) -> Any:
        return BoundedPool.from_url(self._url, retry=Retry(NoBackoff(), 1), **self._options)

    @cached_property
    def _cluster(self) -> Any:
        # Importing redis-py's cluster client makes a cold start an eighth longer, and a single
        # server does not need it.
        from gimel.backend.redis.cluster import Cluster

        return Cluster(self._url, BoundedPool, self._options)

    def run(self, work: Callable[[], T], seconds: float | None = None) -> T:
        """Return what `work` returns. Run it once more if another server has the keys now.

        All of it ends within `seconds`, if given: then redis.TimeoutError is raised.
        """
        if seconds is None:
            return self._with_failover(work)
        with Deadline(seconds):
            return self._with_failover(work)

    def _with_failover(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except MOVED as error:
            # After a failover, the host's name leads to the new primary: connect again.
            self.disconnect()
            if isinstance(error, AskError):
                self._is_cluster = True
                self.__dict__.pop("_cluster", None)
        return work()

    def execute(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies, in one round trip (a cluster: one to each server).

        Redis runs all commands; then the first error among the replies is raised. A set arrives as
        a set of texts, a hash as a dict of texts, anything else as a number or bytes.
        """
        return checked(self.ask(commands))

    def query(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies as `execute` does. A key of another type counts as a missing key."""
        return tolerated(self.ask(commands))

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies as `execute` does, with the errors among them."""
        if not commands:
            return []
        exchange = self._cluster.ask if self._is_cluster else self._exchange
        replies: list[Any] = exchange(commands)
        for index, reply in enumerate(replies):
            if type(reply) is not int:
                replies[index] = _decoded(commands[index], reply)
        return replies

    def stream(self, parts: Sequence[Sequence[Command]]) -> Iterator[list[Any]]:
        """Yield the replies to each part, while Redis works on the next. See `query`."""
        if self._is_cluster:
            replies = iter(self.query(list(chain.from_iterable(parts))))
            yield from (list(islice(replies, len(part))) for part in parts)
            return
        # Take the connection from the thread: replies are pending until the generator ends.
        connection, self._kept.connection = self._kept.connection or self._pool.connect(), None
        try:
            for replies_to_part in self._exchange_in_turn(connection, parts):
                yield tolerated(replies_to_part)
        except BaseException:
            connection.disconnect()
            raise
        finally:
            self._kept.connection = connection

    @staticmethod
    def _exchange_in_turn(
        connection: Any, parts: Sequence[Sequence[Command]]
    ) -> Iterator[list[Any]]:
        done = 0
        try:
            for replies in exchange_in_turn(connection, parts):
                done += 1
                yield replies
        except AWAY:
            connection.disconnect()
            yield from exchange_in_turn(connection, parts[done:])

    def add(self, additions: list[Addition]) -> None:
        """Add all elements in one round trip (a cluster: one to each server)."""
        if len(additions) == 1:
            # One event, as most requests have. An addition is the command that makes it.
            self.execute(additions)
            return
        grouped: dict[Addition, list[str]] = {}
        for addition in additions:
            grouped.setdefault(addition[:2], []).extend(addition[2:])
        self.execute(
            [
                (*target, *elements[start : start + _IN_ONE_COMMAND])
                for target, elements in grouped.items()
                for start in range(0, len(elements), _IN_ONE_COMMAND)
            ]
        )

    def _exchange(self, commands: Sequence[Command]) -> list[Any]:
        if self._kept.connection is None:
            # Kept, because taking it from the pool and giving it back costs half as much as an
            # event.
            self._kept.connection = self._pool.connect()
        try:
            return self._try(commands)
        except AWAY:
            # Lambda may have frozen the process until the server closed the connection.
            return self._try(commands)

    def _try(self, commands: Sequence[Command]) -> list[Any]:
        try:
            send(self._kept.connection, commands)
            return receive(self._kept.connection, commands)
        except BaseException:
            self.disconnect()
            raise

    def scan(self, pattern: str, kind: str) -> Iterator[str]:
        """Yield the keys of this type that match, in no order. Reads the whole key space."""
        found = self._cluster.scan(pattern, kind) if self._is_cluster else self._scan(pattern, kind)
        return (key.decode() for key in found)

    def _scan(self, pattern: str, kind: str) -> Iterator[bytes]:
        options = ("MATCH", pattern, "COUNT", "1000", "TYPE", kind)
        cursor = b"0"
        while True:
            ((cursor, keys),) = self.execute([("SCAN", cursor.decode(), *options)])
            yield from keys
            if cursor == b"0":
                return

    def disconnect(self) -> None:
        """Close this thread's connection."""
        if self._kept.connection is not None:
            self._kept.connection.disconnect()


def _decoded(command: Command, reply: Any) -> Any:
    """Return the reply as `Connection.execute` promises it."""
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


def checked(replies: list[Any]) -> list[Any]:
    """Return the replies. Raises the first error among them."""
    for reply in replies:
        if isinstance(reply, Exception):
            raise reply
    return replies


def tolerated(replies: list[Any]) -> list[Any]:
    """Return the replies, an empty set in place of each WRONGTYPE. Raises any other error.

    Gimel 1.x puts names into keys as they are: such a name may spell the key of a counter.
    """
    for index, reply in enumerate(replies):
        if isinstance(reply, list):
            # Nearly always numbers alone
            if set(map(type, reply)) != {int}:
                tolerated(reply)
        elif isinstance(reply, Exception):
            if not is_wrong_type(reply):
                raise reply
            replies[index] = set()
    return replies
