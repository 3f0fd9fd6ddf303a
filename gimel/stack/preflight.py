"""The checks of `gimel preflight`. Each one finds an obstacle to a deploy and names the cure."""

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import RedisError

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.limits import PREFLIGHT_NAMESPACE
from gimel.backend.redis.connection import Connection
from gimel.backend.redis.errors import trouble
from gimel.backend.wire import Event
from gimel.config.file import ConfigError, ConfigFile
from gimel.config.redis import RedisSettings, advice
from gimel.config.settings import Config
from gimel.config.stack import Concurrency
from gimel.stack.aws import Aws, AwsError, Home
from gimel.stack.deployed import REDIS_TROUBLE, connect, deployed_redis_url, inspect_redis
from gimel.stack.permissions import (
    OPTIONAL_FOR_DEPLOY,
    Refusal,
    deployer_policy,
    find_refusals,
)
from gimel.stack.plan.queue import REPLAY_CONCURRENCY
from gimel.stack.wanted import MIN_UNRESERVED, Names

_TIMEOUT = 5.0
_POLICY = "`gimel policy` prints the policy to ask for"

# What Redis reports about itself, as INFO does; or, in "trouble", why it cannot be used.
RedisReport = Mapping[str, Any]


@dataclass(frozen=True)
class Check:
    """The result of one check. `found` says what was found and, unless it is fine, what to do."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str


def run(source: ConfigFile) -> Iterator[Check]:
    """Make all checks. Yield each result as soon as it is known."""
    settings = source.config
    yield _check_file(source)
    aws = yield from check_aws(settings)
    report = yield from check_redis(settings.redis, partial(_ask_functions, settings, aws))
    if report and not report.get("trouble"):
        yield check_connections(settings.reserved_concurrency, _concurrency_limit(aws), report)


def config_mistakes(error: ConfigError) -> Iterator[Check]:
    """Yield a failed check for each mistake of a configuration that cannot be loaded."""
    for mistake in error.mistakes:
        yield Check("Config", "failed", mistake)


def _check_file(source: ConfigFile) -> Check:
    """Check that only its owner can read the config file, which may hold a password."""
    if source.path.stat().st_mode & 0o077:
        found = f"other users of this machine can read the password in it: chmod 600 {source.path}"
        return Check("Config", "warning", found)
    return Check("Config", "ok", str(source.path))


def check_aws(settings: Config) -> Generator[Check, None, Aws | None]:
    """Check the credentials and the caller's permissions. Return the connection to AWS, if any."""
    try:
        aws = connect(settings)
        caller = aws.call("sts", "get_caller_identity", "Arn")
    except AwsError as error:
        yield Check("AWS", "failed", str(error))
        return None
    account = caller.split(":")[4]
    yield Check("AWS", "ok", f"account {account}, region {aws.region}, as {caller}")
    yield from check_permissions(settings, aws, caller)
    return aws


def check_permissions(settings: Config, aws: Aws, caller: str) -> Iterator[Check]:
    """Check with IAM's simulation that the caller may do everything that the commands need."""
    if caller.endswith(":root"):
        yield Check("Permissions", "ok", "the account's root user may do everything")
        return
    _, partition, _, _, account, _ = caller.split(":", 5)
    policy = deployer_policy(settings, Home(account, aws.region, partition))
    try:
        refusals = find_refusals(aws, caller, policy)
    except AwsError as error:
        yield Check("Permissions", "warning", f"cannot be checked: {error}. {_POLICY}")
        return
    if not refusals:
        actions = sum(len(statement["Action"]) for statement in policy["Statement"])
        yield Check("Permissions", "ok", f"all {actions} actions that the commands need")
    for refusal in refusals:
        yield _refused(refusal)


def _refused(refusal: Refusal) -> Check:
    missing = f"{refusal.action} is not allowed"
    if refusal.action in OPTIONAL_FOR_DEPLOY:
        return Check("Permissions", "warning", f"{missing}: deploying does not need it. {_POLICY}")
    if refusal.unknown:
        condition = f"unless a policy's condition on {', '.join(refusal.unknown)} is met"
        return Check("Permissions", "warning", f"{missing}, {condition}. {_POLICY}")
    return Check("Permissions", "failed", f"{missing}. {_POLICY}")


def check_redis(
    settings: RedisSettings, ask_functions: Callable[[], RedisReport | None] | None = None
) -> Generator[Check, None, RedisReport | None]:
    """Check that Redis is reachable and counts, then what may lose counts. Return Redis's report.

    If Redis is unreachable from this machine, `ask_functions` returns the deployed functions'
    report, or None.
    """
    parts = urlsplit(settings.address)
    address = f"{parts.hostname}:{parts.port or 6379}"
    client: Any = Redis.from_url(
        settings.address,
        decode_responses=True,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        **({"ssl_ca_data": settings.ca} if settings.ca else {}),
    )
    try:
        client.ping()
        _count_probe_event(settings)
    except RedisError as error:
        report = ask_functions() if ask_functions and trouble(error) == "network" else None
        if report:
            yield _as_functions_report(address, report)
        else:
            yield Check("Redis", "failed", f"{address}: {advice(error)}")
        return report
    yield Check("Redis", "ok", f"{address} answers and counts")
    yield _check_encryption(parts.scheme, parts.hostname or "")
    try:
        info: RedisReport = client.info()
    except RedisError:
        unknown = "unknown: this user may not call INFO (eviction, persistence, connections)"
        yield Check("Safety", "warning", unknown)
        return None
    yield from _check_safety(client, info)
    return info


def _ask_functions(settings: Config, aws: Aws | None) -> RedisReport | None:
    """Return how the deployed functions see this Redis, or None if they cannot tell.

    In a VPC, Redis is expected to be unreachable from this machine. Before the first deploy into
    the VPC there are no functions to ask, so the trouble is "unseen".
    """
    if aws is not None:
        names = Names(settings.stack)
        with contextlib.suppress(AwsError):
            if deployed_redis_url(aws, names) == settings.redis.address:
                return inspect_redis(aws, names)
    return {"trouble": "unseen"} if settings.vpc else None


def _as_functions_report(address: str, report: RedisReport) -> Check:
    kind = report.get("trouble", "other")
    if kind is None:
        found = f"{address} answers the functions and counts; this machine cannot reach it"
        return Check("Redis", "ok", found)
    if kind == "unseen":
        found = (
            f"this machine cannot reach {address}: the deploy will show whether the functions do"
        )
        return Check("Redis", "warning", found)
    # Not a failure: the deploy that follows this check may be the one that mends it.
    found = f"{address}, as the deployed functions see it: {REDIS_TROUBLE[kind]}"
    return Check("Redis", "warning", found)


def _concurrency_limit(aws: Aws | None) -> int | None:
    """Return how many functions may run at once in the account and region, or None if unknown."""
    query = "AccountLimit.ConcurrentExecutions"
    if aws is not None:
        with contextlib.suppress(AwsError):
            return int(aws.call("lambda", "get_account_settings", query))
    return None


def check_connections(
    concurrency: Concurrency, account_limit: int | None, report: RedisReport
) -> Check:
    """Check that Redis accepts a connection from every function that may run at once."""
    settings = [concurrency.track, concurrency.reads, concurrency.delete]
    reserved = [number for number in settings if number is not None]
    connections = sum(reserved) + REPLAY_CONCURRENCY
    cause = (
        f"reserved_concurrency is {' + '.join(map(str, reserved))}, "
        f"replays are {REPLAY_CONCURRENCY}"
    )
    if account_limit is not None:
        is_reserved = account_limit - sum(reserved) >= MIN_UNRESERVED
        if not is_reserved or len(reserved) < len(settings):
            connections = account_limit
            cause = f"the account's limit is {account_limit}, and not all of it is reserved"
    maximum = report.get("maxclients")
    if maximum is None:
        found = f"up to {connections} ({cause}); Redis reports no limit"
        return Check("Connections", "ok", found)
    if connections <= maximum:
        return Check("Connections", "ok", f"up to {connections} ({cause}) of Redis's {maximum}")
    return Check(
        "Connections",
        "warning",
        f"Redis accepts {maximum} (maxclients), the functions may open {connections}: {cause}. "
        "Events beyond that wait in the queue: lower reserved_concurrency in config.json, or raise "
        "maxclients",
    )


def _count_probe_event(settings: RedisSettings) -> None:
    """Count an event as the functions will, and delete it."""
    counters = Counters(Connection.from_environment(settings.environment))
    counters.add([Event(PREFLIGHT_NAMESPACE, "preflight", PARTICIPATE, "a", "1")])
    counters.delete(PREFLIGHT_NAMESPACE, "preflight", forget=True)


def _check_safety(client: Any, info: RedisReport) -> Iterator[Check]:
    """Check for what may lose counts: eviction, and no persistence."""
    policy = info.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield Check("Eviction", "ok", "noeviction: Redis drops no counter when its memory is full")
    else:
        yield Check(
            "Eviction",
            "warning",
            f"the policy is {policy}: Redis may drop counters silently when its memory is full. "
            "Set maxmemory-policy to noeviction",
        )
    if _is_persistent(client, info):
        yield Check("Persistence", "ok", "on: a restart keeps the counts")
    else:
        yield Check(
            "Persistence",
            "warning",
            "off or unknown: a restart may lose the counts. Switch AOF on (appendonly yes)",
        )


def _is_persistent(client: Any, info: RedisReport) -> bool:
    """Return whether Redis reports AOF or snapshots. Hosts that forbid CONFIG still report AOF."""
    if info.get("aof_enabled"):
        return True
    try:
        return bool(client.config_get("save").get("save"))
    except RedisError:
        return False


def _check_encryption(scheme: str, host: str) -> Check:
    if scheme == "rediss":
        return Check("Encryption", "ok", "TLS")
    if _is_private(host):
        return Check("Encryption", "ok", "no TLS, to a private address")
    return Check(
        "Encryption",
        "warning",
        f"no TLS to the public host {host}: password and names cross the network unencrypted. "
        "Use a rediss:// URL, or ssl: true",
    )


def _is_private(host: str) -> bool:
    """Return whether every address of the host is private. The host is known to resolve."""
    found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    return all(ipaddress.ip_address(address[4][0]).is_private for address in found)
