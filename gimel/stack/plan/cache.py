"""The plan of the managed Redis: its settings, its creation, changes and deletion.

It is a cache of ElastiCache Serverless with a public endpoint. AWS takes minutes to create one. So
its creation starts first, and the plan waits for it just before the functions need its address.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gimel.config.redis import ManagedRedis
from gimel.stack.change import Call, Change
from gimel.stack.cost import min_text, range_text
from gimel.stack.observed import Observed, ObservedCache
from gimel.stack.plan.ownership import missing_tags, tag_list, tag_reason
from gimel.stack.wanted import CACHE_ADDRESS, DeployError, Names, Wanted

# AWS has this group by itself. Its user authenticates with IAM:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/serverless-public-endpoints-chapter.html
USER_GROUP = "default.iam-user-group"
# The first Valkey with public endpoints.
_MAJOR_VERSION = 9
# The time (UTC) of the daily snapshots.
_SNAPSHOT_TIME = "03:00"
# In jmespath.
_STATUS = "ServerlessCaches[0].Status"
_ADDRESS = "ServerlessCaches[0].Endpoint.[Address, to_string(Port)] | join(':', @)"


def cache_settings(managed: ManagedRedis) -> dict[str, Any]:
    """Return the settings of the cache that a deploy may change, in ElastiCache's terms."""
    return {
        "MajorEngineVersion": str(_MAJOR_VERSION),
        "UserGroupId": USER_GROUP,
        # A minimum would be billed, whether it is used or not.
        "CacheUsageLimits": {
            "DataStorage": {"Maximum": managed.gigabytes, "Unit": "GB"},
            "ECPUPerSecond": {"Maximum": managed.ecpu},
        },
        "SnapshotRetentionLimit": managed.snapshot_days,
    }


def creates_cache(wanted: Wanted, observed: Observed) -> bool:
    """Return whether a deploy would create the cache."""
    return wanted.managed is not None and (observed.cache is None or observed.cache.is_lost)


def plan_cache(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the start of the cache's creation, or its changes.

    Raises DeployError if the cache is of a kind that cannot be changed.
    """
    managed, found, what = wanted.managed, observed.cache, _what(wanted.names)
    if managed is None:
        return
    if found is None or found.is_lost:
        calls = (*_deletion(wanted.names, found, None), _creation(wanted, managed))
        yield Change("create", what, f"does not exist yet, {range_text(managed)}", calls)
        return
    _refuse_other_kind(wanted.names, found)
    ready = _ready(wanted.names, found)
    if missing := missing_tags(wanted.tags, found.tags):
        arguments = {"ResourceName": found.arn, "Tags": tag_list(missing)}
        tagging = Call("elasticache", "add_tags_to_resource", arguments)
        yield Change("tag", what, tag_reason(found.tags, missing), (*ready, tagging))
    if changed := _changed(managed, found):
        calls = (*ready, *_modifications(wanted.names, changed, found))
        yield Change("update", what, ", ".join(changed), calls)


def plan_cache_address(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the wait for the cache's address."""
    if wanted.managed and observed.cache_address is None:
        why = "the functions need its address"
        yield Change("wait for", _what(wanted.names), why, (_until_available(wanted.names),))


def _what(names: Names) -> str:
    return f"cache {names.cache}"


def _creation(wanted: Wanted, managed: ManagedRedis) -> Call:
    arguments = {
        "ServerlessCacheName": wanted.names.cache,
        "Description": "The counters of this Gimel",
        "Engine": "valkey",
        "ConnectionType": "public",
        **cache_settings(managed),
        **({"DailySnapshotTime": _SNAPSHOT_TIME} if managed.snapshot_days else {}),
        "Tags": tag_list(wanted.tags),
    }
    return Call("elasticache", "create_serverless_cache", arguments)


def _refuse_other_kind(names: Names, found: ObservedCache) -> None:
    """Raise DeployError if the cache is in a VPC, or not a Valkey: neither can be changed."""
    settings = found.settings
    is_private = settings["ConnectionType"] == "vpc" or settings["SubnetIds"]
    if is_private or settings["Engine"] != "valkey":
        kind = "in a VPC" if is_private else f"a {settings['Engine']}"
        raise DeployError(
            f"{_what(names)} is {kind}, and Gimel needs a Valkey with a public endpoint, which AWS "
            'cannot make of it: delete the cache, or choose another "stack" in config.json'
        )


def _changed(managed: ManagedRedis, found: ObservedCache) -> dict[str, Any]:
    """Return the settings that differ. AWS may have a later version of Valkey."""
    settings, limits = cache_settings(managed), found.settings["CacheUsageLimits"] or {}
    for part, values in settings["CacheUsageLimits"].items():
        if limits.get(part, {}).get("Minimum"):
            # 0 removes a limit:
            # https://github.com/aws-cloudformation/cloudformation-coverage-roadmap/issues/2424
            values["Minimum"] = 0
    if int(found.settings["MajorEngineVersion"]) >= _MAJOR_VERSION:
        del settings["MajorEngineVersion"]
    changed = {
        name: value
        for name, value in settings.items()
        if _without_zeros(value) != _without_zeros(found.settings[name])
    }
    if changed.get("SnapshotRetentionLimit") and not found.settings["SnapshotRetentionLimit"]:
        # A cache without snapshots has no time for them, and AWS would choose one.
        changed["DailySnapshotTime"] = _SNAPSHOT_TIME
    return changed


def _without_zeros(value: Any) -> Any:
    """Return the value without limits of 0, which are no limits."""
    if isinstance(value, Mapping):
        return {name: _without_zeros(inner) for name, inner in value.items() if inner}
    return value


def _modifications(
    names: Names, changed: Mapping[str, Any], found: ObservedCache
) -> Iterator[Call]:
    """Yield the calls that change the settings.

    AWS accepts one setting at a time, and none while it changes another:
    https://github.com/hashicorp/terraform-provider-aws/issues/37499
    """
    target = {"ServerlessCacheName": names.cache}
    for name, value in changed.items():
        before = {**target, name: found.settings.get(name)}
        arguments = {**target, name: value}
        yield Call("elasticache", "modify_serverless_cache", arguments, before=before)
        yield _until_available(names)


def _ready(names: Names, found: ObservedCache) -> tuple[Call, ...]:
    """Return the call that waits until the cache can be changed, if it cannot yet."""
    return () if found.status == "available" else (_until_available(names),)


def _until_available(names: Names) -> Call:
    events = {"SourceIdentifier": names.cache, "SourceType": "serverless-cache"}
    return Call(
        "elasticache",
        "describe_serverless_caches",
        {"ServerlessCacheName": names.cache},
        saves={CACHE_ADDRESS: _ADDRESS},
        until=f"contains(['available', 'AVAILABLE'], {_STATUS})",
        failure=f"contains(['create-failed', 'CREATE-FAILED'], {_STATUS})",
        reason=Call("elasticache", "describe_events", events, {"reason": "Events[-1].Message"}),
    )


def plan_cache_deletion(
    names: Names, observed: Observed, final_snapshot: str | None
) -> Iterator[Change]:
    """Plan the deletion of the stack's cache and its counts.

    AWS keeps the counts in the final snapshot, if that has a name.
    """
    if found := own_cache(names, observed):
        has_counts = final_snapshot and not found.is_lost
        why = f"snapshot {final_snapshot} keeps its counts" if has_counts else "with its counts"
        yield Change("delete", _what(names), why, _deletion(names, found, final_snapshot))


def _deletion(
    names: Names, found: ObservedCache | None, final_snapshot: str | None
) -> tuple[Call, ...]:
    """Return the calls that delete the cache, if it exists, and wait until it is gone."""
    if found is None:
        return ()
    target = {"ServerlessCacheName": names.cache}
    # The wait ends when ElastiCache does not find the cache any more.
    gone = Call(
        "elasticache", "describe_serverless_caches", target, until="`false`", if_exists=True
    )
    if found.status == "deleting":
        return (gone,)
    if found.status == "create-failed":
        return (Call("elasticache", "delete_serverless_cache", target, if_exists=True), gone)
    arguments = {**target, **({"FinalSnapshotName": final_snapshot} if final_snapshot else {})}
    delete = Call("elasticache", "delete_serverless_cache", arguments, if_exists=True)
    return (*_ready(names, found), delete, gone)


def own_cache(names: Names, observed: Observed) -> ObservedCache | None:
    """Return the cache, if it bears the stack's tag."""
    cache = observed.cache
    return cache if cache and names.tags.items() <= cache.tags.items() else None


def cache_notes(wanted: Wanted, observed: Observed) -> Iterator[str]:
    """Yield a note if the functions leave a Redis, and so its counts, behind."""
    if wanted.managed and _has_other_redis(observed):
        yield (
            "no counts are moved: experiments begin at zero in the managed Redis, and what was "
            "counted stays in the old one"
        )
    if not wanted.managed and own_cache(wanted.names, observed):
        name = wanted.names.cache
        yield (
            f"cache {name}, which deploy made, is not used any more: it keeps its counts and costs "
            f"{min_text()}. To delete it: `aws elasticache delete-serverless-cache "
            f"--serverless-cache-name {name}`"
        )


def _has_other_redis(observed: Observed) -> bool:
    """Return whether the functions that are live use a Redis that deploy did not make."""
    return any(
        "GIMEL_REDIS_IAM" not in function.versions[function.live]["Environment"]["Variables"]
        for function in observed.functions.values()
        if function.live
    )
