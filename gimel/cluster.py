"""redis-py's cluster client, made to look like one line where Gimel uses it."""

from collections.abc import Iterator, Sequence
from typing import Any

from redis.backoff import NoBackoff
from redis.cluster import RedisCluster
from redis.exceptions import ConnectionError, RedisClusterException, ResponseError
from redis.retry import Retry

from gimel.line import Command, Single, singles, together


class Cluster:
    """A Redis or Valkey Cluster, found through one of its servers.

    Its calls raise redis.RedisError alone: redis-py has errors of clusters that are none.
    """

    def __init__(self, url: str, pool_class: type, options: dict[str, Any]) -> None:
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
        try:
            return together(commands, self._replies(list(singles(commands))))
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from None

    def _replies(self, commands: list[Single]) -> list[Any]:
        if len(commands) == 1:
            try:
                return [self._client.execute_command(*commands[0])]
            except ResponseError as error:
                return [error]
        pipeline = self._client.pipeline()
        for command in commands:
            pipeline.execute_command(*command)
        replies: list[Any] = pipeline.execute(raise_on_error=False)
        return replies

    def scan(self, pattern: str, kind: str) -> Iterator[bytes]:
        """The keys of this type that match, of all servers."""
        keys: Iterator[bytes] = self._client.scan_iter(match=pattern, count=1000, _type=kind)
        return keys
