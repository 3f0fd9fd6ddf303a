"""The checks of the managed Redis: the region has it, the account may create it, and the price."""

from collections.abc import Generator, Iterator

from gimel.config.redis import ManagedRedis
from gimel.config.settings import Config
from gimel.stack.aws import Aws, AwsError
from gimel.stack.cache import redis_environment
from gimel.stack.cost import range_text
from gimel.stack.observe.cache import observe_cache
from gimel.stack.preflight.check import Check
from gimel.stack.wanted import Names

_LINKED_ROLE = "AWSServiceRoleForElastiCache"


def check_cache(
    settings: Config, managed: ManagedRedis, aws: Aws
) -> Generator[Check, None, dict[str, str] | None]:
    """Check the managed Redis. Return the environment of a connection to it, if it exists."""
    names = Names(settings.stack)
    try:
        cache = observe_cache(aws, names)
        if cache and cache.address and not cache.is_lost:
            return redis_environment(settings, aws)
        found = f"cache {names.cache} does not exist yet, {range_text(managed)}"
        yield Check("Redis", "ok", f"{found}. `gimel deploy` asks before it creates it")
        yield from _check_region(aws)
        yield from _check_linked_role(aws)
    except AwsError as error:
        yield Check("Redis", "warning", f"the managed Redis cannot be checked: {error}")
    return None


def _check_region(aws: Aws) -> Iterator[Check]:
    versions = aws.pages(
        "elasticache",
        "describe_cache_engine_versions",
        "CacheEngineVersions[].EngineVersion",
        Engine="valkey",
    )
    if not any(version.startswith("9") for version in versions):
        found = f"ElastiCache lists no Valkey 9 in region {aws.region}: the deploy may fail there"
        yield Check("Redis", "warning", found)


def _check_linked_role(aws: Aws) -> Iterator[Check]:
    if aws.find("iam", "get_role", "Role.Arn", RoleName=_LINKED_ROLE) is None:
        found = (
            "the account has not used ElastiCache yet: AWS creates its service-linked role with "
            "the cache, if you may call iam:CreateServiceLinkedRole"
        )
        yield Check("Redis", "ok", found)
