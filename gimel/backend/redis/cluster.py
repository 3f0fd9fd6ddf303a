"""A cluster: each server is asked for its own keys, all servers at the same time.

redis-py's cluster client knows which server has a key. It also retries failed commands: it follows
keys that are moving to another server, and finds the replacements of failed servers. Sending
everything through that client takes a third longer for an event and four times as long for a read.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE
from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError, RedisClusterException, RedisError, ResponseError
from redis.retry import Retry

from gimel.backend.redis.errors import AWAY, ELSEWHERE
from gimel.backend.redis.protocol import Command, Single, grouped, receive, send, singles
from gimel.backend.redis.transport import count_reconnect

# Replies stay bytes, whatever the URL says about decoding.
_RAW = {NEVER_DECODE: True}


class _Kept(threading.local):
    """The connections that a thread keeps, by the server's name."""

    def __init__(self) -> None:
        self.connections: dict[str, Any] = {}


class _Share(NamedTuple):
    """The commands for one server, and their indices among all commands."""

    node: Any
    indices: list[int]
    commands: list[Single]


class Cluster:
    """A Redis or Valkey Cluster, found through one of its servers.

    Its methods raise redis.RedisError and nothing else; some of redis-py's cluster errors are not
    derived from it.
    """

    def __init__(self, url: str, pool_class: type, options: dict[str, Any]) -> None:
        self._kept = _Kept()
        try:
            self._client: Any = RedisCluster(
                url=url,
                connection_pool_class=pool_class,
                retry=Retry(NoBackoff(), 1),
                # If one slot moved, others did too: ask for all of them at once.
                reinitialize_steps=1,
                # The given name outlives the addresses of the cluster's servers.
                dynamic_startup_nodes=False,
                **options,
            )
        except RedisClusterException as error:
            # The cause says more: a refused password, or a secret that cannot be read.
            cause = error.__cause__
            raise cause if isinstance(cause, RedisError) else ConnectionError(str(error)) from None

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        """Return the replies to commands of one key each, in one round trip to each server."""
        wanted = list(singles(commands))
        try:
            replies = self._ask_directly(wanted)
            left = [index for index in range(len(wanted)) if index not in replies]
            if left:
                # The client connects again: the server that replies may be new and empty.
                count_reconnect()
                others = self._ask_by_client([wanted[index] for index in left])
                replies |= zip(left, others, strict=True)
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from None
        return grouped(commands, map(replies.__getitem__, range(len(wanted))))

    def _ask_directly(self, commands: list[Single]) -> dict[int, Any]:
        """Return the replies by index. Commands without a reply are left out."""
        replies: dict[int, Any] = {}
        shares = self._shares(commands)
        try:
            for share in [share for share in shares if self._send(share)]:
                replies |= self._receive(share)
        except BaseException:
            # Replies of the other servers may be pending.
            for connection in self._kept.connections.values():
                connection.disconnect()
            raise
        return replies

    def _shares(self, commands: list[Single]) -> list[_Share]:
        shares: dict[str, _Share] = {}
        for index, command in enumerate(commands):
            node = self._client.get_node_from_key(command[1])
            share = shares.setdefault(node.name, _Share(node, [], []))
            share.indices.append(index)
            share.commands.append(command)
        return list(shares.values())

    def _send(self, share: _Share) -> bool:
        """Send a server its commands. Return whether that worked."""
        try:
            if share.node.name not in self._kept.connections:
                pool = self._client.get_redis_connection(share.node).connection_pool
                self._kept.connections[share.node.name] = pool.connect()
            send(self._kept.connections[share.node.name], share.commands)
        except AWAY:
            return False
        return True

    def _receive(self, share: _Share) -> dict[int, Any]:
        connection = self._kept.connections[share.node.name]
        try:
            replies = receive(connection, share.commands)
        except AWAY:
            connection.disconnect()
            return {}
        found = zip(share.indices, replies, strict=True)
        return {index: reply for index, reply in found if not isinstance(reply, ELSEWHERE)}

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
        """Yield the keys of this type that match, on all servers."""
        try:
            yield from self._client.scan_iter(match=pattern, count=1000, _type=kind, **_RAW)
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from None
