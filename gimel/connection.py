"""The kept connection to Redis or Valkey: bounded in time, patient with one dead socket."""

import threading
from collections.abc import Iterator
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.exceptions import ConnectionError, ResponseError, TimeoutError
from redis.retry import Retry

# Seconds for one step on the socket. A half-open connection costs a wait for its answer, then a
# connect and another answer: three steps, within the 2 s that an event may take.
_SOCKET_TIMEOUT = 0.6

# command, key, element
Addition = tuple[str, str, str]


class _Kept(threading.local):
    """The connection that a thread keeps for single events."""

    connection: Any = None


class Connection:
    """One connection a thread, kept across events. Its calls raise redis.RedisError within 2 s."""

    def __init__(self, url: str) -> None:
        self._kept = _Kept()
        self._redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_connect_timeout=_SOCKET_TIMEOUT,
            socket_timeout=_SOCKET_TIMEOUT,
            retry=Retry(NoBackoff(), 1),
            # Without these, each connection starts with two commands that some hosts bill.
            lib_name=None,
            lib_version=None,
        )

    def add(self, additions: list[Addition]) -> None:
        """Do all the additions in one round trip."""
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
        return self._redis.scan_iter(match=pattern, count=1000, _type=kind)

    def pipeline(self) -> Pipeline:
        """An empty pipeline. It takes the kept connection over: a process holds only one."""
        if self._kept.connection is not None:
            self._redis.connection_pool.release(self._kept.connection)
            self._kept.connection = None
        return self._redis.pipeline(transaction=False)


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
