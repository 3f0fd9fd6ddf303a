"""The observation of the managed Redis, a cache of ElastiCache Serverless."""

from typing import Any

from gimel.config.settings import is_cache_name
from gimel.stack.aws import Aws, AwsError
from gimel.stack.observe.tags import tags_of
from gimel.stack.observed import ObservedCache
from gimel.stack.wanted import Names

_SETTINGS = (
    *("Engine", "MajorEngineVersion", "UserGroupId", "CacheUsageLimits", "SnapshotRetentionLimit"),
    *("ConnectionType", "SubnetIds"),
)


def observe_cache(aws: Aws, names: Names) -> ObservedCache | None:
    """Return the cache with the stack's name, if it exists.

    A caller without the permission sees no cache: a policy that Gimel printed before it could make
    caches does not have it.
    """
    if not is_cache_name(names.cache):
        return None
    try:
        return _observe_cache(aws, names.cache)
    except AwsError as error:
        if error.code != "AccessDenied":
            raise
        return None


def _observe_cache(aws: Aws, name: str) -> ObservedCache | None:
    query = "ServerlessCaches[0]"
    found: dict[str, Any] | None = aws.find(
        "elasticache", "describe_serverless_caches", query, ServerlessCacheName=name
    )
    if found is None:
        return None
    endpoint, arn = found.get("Endpoint"), found["ARN"]
    answer = aws.call_until_accepted("elasticache", "list_tags_for_resource", ResourceName=arn)
    return ObservedCache(
        # AWS documents capitals, and answers in small letters.
        status=found["Status"].lower(),
        address=f"{endpoint['Address']}:{endpoint['Port']}" if endpoint else None,
        settings={setting: found.get(setting) for setting in _SETTINGS},
        arn=arn,
        tags=tags_of(answer["TagList"]),
        created=found["CreateTime"],
    )
