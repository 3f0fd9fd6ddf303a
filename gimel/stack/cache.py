"""The managed Redis, as the commands find it: the way to it, its figures, its price."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gimel.config.redis import ManagedRedis, managed_environment
from gimel.config.settings import Config
from gimel.stack.aws import Aws
from gimel.stack.cost import cost, range_text
from gimel.stack.deployed import own_redis_environment
from gimel.stack.observe.cache import observe_cache
from gimel.stack.observed import ObservedCache
from gimel.stack.wanted import DeployError, Names


def redis_environment(config: Config, aws: Aws) -> dict[str, str]:
    """Return the environment of a connection from this machine to the configured Redis.

    The managed Redis accepts the user's own AWS credentials, which the environment then holds.
    Raises AwsError, and DeployError if there is no managed Redis yet.
    """
    if not config.redis.managed:
        return own_redis_environment(config, aws)
    names = Names(config.stack)
    cache = observe_cache(aws, names)
    if cache is None or cache.address is None:
        raise DeployError(f"cache {names.cache} does not exist: create it with `gimel deploy`")
    return {**managed_environment(names.cache, cache.address), **aws.environment()}


def creation_offer(config: Config, aws: Aws) -> str | None:
    """Return what a deploy would create for the counts, and its price. None if nothing."""
    names, managed = Names(config.stack), config.redis.managed
    if managed is None:
        return None
    cache = observe_cache(aws, names)
    return offer(names, managed) if cache is None or cache.is_lost else None


def offer(names: Names, managed: ManagedRedis) -> str:
    """Return one line on the cache that a deploy would create, and on its price."""
    return f"deploy creates a Redis, cache {names.cache} of ElastiCache: {range_text(managed)}"


@dataclass(frozen=True)
class CacheFigures:
    """The size of the cache in bytes, None if unknown, and the dollars of this month so far."""

    size: float | None
    dollars: float


def cache_figures(aws: Aws, names: Names, cache: ObservedCache) -> CacheFigures:
    """Return the cache's size and price, from CloudWatch's metrics of this month. Raises AwsError.

    https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/serverless-metrics-events-redis.html
    lists the metrics.
    """
    now = datetime.now(UTC)
    start = max(now.replace(day=1, hour=0, minute=0, second=0, microsecond=0), cache.created)
    found = dict(
        aws.call(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults[].[Id, Values]",
            MetricDataQueries=[
                _query("bytes", "BytesUsedForCache", "Average", names),
                _query("ecpus", "ElastiCacheProcessingUnits", "Sum", names),
            ],
            StartTime=start,
            EndTime=now,
            ScanBy="TimestampDescending",
        )
    )
    hours = (now - start).total_seconds() / 3600
    sizes = found.get("bytes") or [0]
    dollars = cost(hours, sum(sizes) / len(sizes) / 1e9, sum(found.get("ecpus", ())))
    return CacheFigures(sizes[0] or None, dollars)


def _query(id: str, metric: str, statistic: str, names: Names) -> dict[str, Any]:
    # The dimension of serverless caches: https://github.com/grafana/grafana-aws-sdk/pull/151
    dimensions = [{"Name": "clusterId", "Value": names.cache}]
    source = {"Namespace": "AWS/ElastiCache", "MetricName": metric, "Dimensions": dimensions}
    return {"Id": id, "MetricStat": {"Metric": source, "Period": 3600, "Stat": statistic}}
