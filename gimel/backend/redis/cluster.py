"""A cluster: each server is asked for its own keys, on a kept line, all of them at once.

redis-py's cluster client says which server that is, and does again what went wrong: it knows how to
ask on for keys that are on their way to another server, or have moved there, and what to do about
servers that are gone. Asked for all, it takes a third longer for an event and four times as long
for a read.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.cluster import RedisCluster
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ConnectionError,
    RedisClusterException,
    ResponseError,
    TimeoutError,
    TryAgainError,
)
from redis.retry import Retry

from gimel.backend.redis.line import (
    Command,
    Single,
    count_reconnect,
    receive,
    send,
    singles,
    together,
)

# Replies that say: ask elsewhere, or later. MOVED is an AskError too.
_ELSEWHERE = (AskError, ClusterDownError, TryAgainError)
# Whatever the URL says of decoding.
_RAW = {NEVER_DECODE: True}


class _Kept(threading.local):
    """The lines that a thread keeps, by the server's name."""

    def __init__(self) -> None:
        self.lines: dict[str, Any] = {}


class _Share(NamedTuple):
    """What one server is asked: its places among all commands, and the commands."""

    node: Any
    places: list[int]
    commands: list[Single]


class Cluster:
    """A Redis or Valkey Cluster, found through one of its servers.

    Its calls raise redis.RedisError alone: redis-py has errors of clusters that are none.
    """

    def __init__(self, url: str, pool_class: type, options: dict[str, Any]) -> None:
        self._kept = _Kept()
        try:
            self._client: Any = RedisCluster(
                url=url,
                connection_pool_class=pool_class,
                retry=Retry(NoBackoff(), 1),
                # One slot that moved means that others did: ask for all of them at once.
                reinitialize_steps=1,
                # A name that leads into the cluster outlives the addresses of its servers.
                dynamic_startup_nodes=False,
                **options,
            )
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from None

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """The replies to commands of one key each, in one round trip to each server asked."""
        wanted = list(singles(commands))
        try:
            replies = self._ask_directly(wanted)
            left = [place for place in range(len(wanted)) if place not in replies]
            if left:
                # On a line of the client's: who answers may have been started empty.
                count_reconnect()
                others = self._ask_by_client([wanted[place] for place in left])
                replies |= zip(left, others, strict=True)
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from None
        return together(commands, map(replies.__getitem__, range(len(wanted))))

    def _ask_directly(self, commands: list[Single]) -> dict[int, Any]:
        """The replies by place, as far as the servers had them."""
        replies: dict[int, Any] = {}
        shares = self._shares(commands)
        try:
            for share in [share for share in shares if self._is_sent(share)]:
                replies |= self._heard(share)
        except BaseException:
            # Others' answers may be on their way.
            for line in self._kept.lines.values():
                line.disconnect()
            raise
        return replies

    def _shares(self, commands: list[Single]) -> list[_Share]:
        shares: dict[str, _Share] = {}
        for place, command in enumerate(commands):
            node = self._client.get_node_from_key(command[1])
            share = shares.setdefault(node.name, _Share(node, [], []))
            share.places.append(place)
            share.commands.append(command)
        return list(shares.values())

    def _is_sent(self, share: _Share) -> bool:
        try:
            if share.node.name not in self._kept.lines:
                pool = self._client.get_redis_connection(share.node).connection_pool
                self._kept.lines[share.node.name] = pool.line()
            send(self._kept.lines[share.node.name], share.commands)
        except (ConnectionError, TimeoutError):
            return False
        return True

    def _heard(self, share: _Share) -> dict[int, Any]:
        line = self._kept.lines[share.node.name]
        try:
            replies = receive(line, share.commands)
        except (ConnectionError, TimeoutError):
            line.disconnect()
            return {}
        found = zip(share.places, replies, strict=True)
        return {place: reply for place, reply in found if not isinstance(reply, _ELSEWHERE)}

    def _ask_by_client(self, commands: list[Single]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [self._client.execute_command(*commands[0], **_RAW)]
            except ResponseError as error:
                return [error]
        pipeline = self._client.pipeline()
        for command in commands:
            pipeline.execute_command(*command, **_RAW)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def scan(self, pattern: str, kind: str) -> Iterator[bytes]:
        """The keys of this type that match, of all servers."""
        try:
            yield from self._client.scan_iter(match=pattern, count=1000, _type=kind, **_RAW)
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from None
