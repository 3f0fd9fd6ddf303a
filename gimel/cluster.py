"""redis-py's cluster client, made to look like its plain client where Gimel uses it."""

from typing import Any

from redis.backoff import NoBackoff
from redis.cluster import ClusterPipeline, RedisCluster
from redis.exceptions import ConnectionError, RedisClusterException
from redis.retry import Retry


class Cluster(RedisCluster):
    """A Redis or Valkey Cluster, found through one of its servers.

    Its calls raise redis.RedisError alone: redis-py has errors of clusters that are none.
    """

    def __init__(self, url: str, pool_class: type, options: dict[str, Any]) -> None:
        try:
            super().__init__(
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

    def execute_command(self, *arguments: Any, **options: Any) -> Any:
        """Send a command to the server that has its key."""
        try:
            return super().execute_command(*arguments, **options)  # type: ignore[no-untyped-call]
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from None

    def pipeline(self, transaction: Any = None, shard_hint: Any = None) -> "Pipeline":
        """An empty pipeline: one round trip to each server that has keys of it."""
        return Pipeline(
            nodes_manager=self.nodes_manager,
            commands_parser=self.commands_parser,
            startup_nodes=list(self.nodes_manager.startup_nodes.values()),
            result_callbacks=self.result_callbacks,
            cluster_response_callbacks=self.cluster_response_callbacks,
            reinitialize_steps=self.reinitialize_steps,
            retry=self.retry,
            lock=self._lock,
        )


class Pipeline(ClusterPipeline):
    """A pipeline whose commands have one key each."""

    def pfcount(self, *sources: bytes | str | memoryview) -> Any:
        """Count one HyperLogLog. redis-py blocks this because several may be on several servers."""
        return self.execute_command("PFCOUNT", *sources)  # type: ignore[no-untyped-call]

    def execute(self, raise_on_error: bool = True) -> list[Any]:
        """Send what was queued."""
        try:
            replies: list[Any] = super().execute(raise_on_error)
        except RedisClusterException as error:
            raise ConnectionError(str(error)) from None
        return replies
