"""The checks of Redis: it counts, is encrypted, keeps the counts, and accepts all connections."""

import ipaddress
import socket
from collections.abc import Callable, Generator, Mapping
from typing import Any
from urllib.parse import urlsplit

from redis.exceptions import RedisError

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.limits import PREFLIGHT_NAMESPACE
from gimel.backend.redis.connection import Connection
from gimel.backend.redis.errors import trouble
from gimel.backend.wire import Event
from gimel.config.redis import advice
from gimel.config.stack import Concurrency
from gimel.stack.deployed import REDIS_TROUBLE
from gimel.stack.plan.queue import REPLAY_CONCURRENCY
from gimel.stack.preflight.check import Check
from gimel.stack.wanted import MIN_UNRESERVED

_TIMEOUT = 5.0
# What Redis reports about itself, as INFO does; or, in "trouble", why it cannot be used.
RedisReport = Mapping[str, Any]
# What holds for a managed Redis, even if it does not report it:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/RedisConfiguration.html
_MANAGED: RedisReport = {"maxmemory_policy": "volatile-lru"}
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/Durability.Limitations.html
_MANAGED_PERSISTENCE = Check(
    "Persistence",
    "ok",
    "AWS copies the counts to other zones, but promises no durability: a failover may lose what "
    "was counted in the last moments",
)


def check_redis(
    environment: Mapping[str, str], ask_functions: Callable[[], RedisReport | None] | None = None
) -> Generator[Check, None, RedisReport | None]:
    """Check that Redis is reachable and counts, then what may lose counts. Return Redis's report.

    `environment` describes the connection, as that of the functions does. If Redis is unreachable
    from this machine, `ask_functions` returns the deployed functions' report, or None.
    """
    parts = urlsplit(environment["GIMEL_REDIS_URL"])
    address = f"{parts.hostname}:{parts.port or 6379}"
    connection = Connection.from_environment(environment)
    client = connection.client(_TIMEOUT)
    try:
        client.ping()
        _count_probe_event(connection)
    except RedisError as error:
        # A user who deploys may have no permission to read the secret, or to connect.
        is_denied = {
            "secret": "AccessDenied" in str(error),
            "password": "GIMEL_REDIS_IAM" in environment,
        }.get(trouble(error), False)
        is_ours = is_denied or trouble(error) == "network"
        report = ask_functions() if ask_functions and is_ours else None
        if is_denied:
            report = report or {"trouble": "denied"}
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
    is_managed = "GIMEL_REDIS_IAM" in environment
    yield _check_eviction({**_MANAGED, **info} if is_managed else info)
    yield _MANAGED_PERSISTENCE if is_managed else _check_persistence(client, info)
    return info


def _as_functions_report(address: str, report: RedisReport) -> Check:
    kind = report.get("trouble", "other")
    if kind is None:
        found = f"{address} answers the functions and counts; this machine cannot reach it"
        return Check("Redis", "ok", found)
    if kind == "denied":
        found = (
            f"{address}: you may not read redis.secret, or not connect to a managed Redis "
            "(elasticache:Connect); the deploy will show whether the functions may"
        )
        return Check("Redis", "warning", found)
    if kind == "unseen":
        found = (
            f"this machine cannot reach {address}: the deploy will show whether the functions do"
        )
        return Check("Redis", "warning", found)
    # Not a failure: the deploy that follows this check may be the one that mends it.
    found = f"{address}, as the deployed functions see it: {REDIS_TROUBLE[kind]}"
    return Check("Redis", "warning", found)


def _count_probe_event(connection: Connection) -> None:
    """Count an event as the functions will, and delete it."""
    counters = Counters(connection)
    counters.add([Event(PREFLIGHT_NAMESPACE, "preflight", PARTICIPATE, "a", "1")])
    counters.delete(PREFLIGHT_NAMESPACE, "preflight", forget=True)


def _check_eviction(info: RedisReport) -> Check:
    """Check that Redis drops no counter when its memory is full. Counters never expire."""
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy == "noeviction" or policy.startswith("volatile-"):
        found = f"{policy}: Redis drops no counter when its memory is full"
        return Check("Eviction", "ok", found)
    return Check(
        "Eviction",
        "warning",
        f"the policy is {policy}: Redis may drop counters silently when its memory is full. "
        "Set maxmemory-policy to noeviction",
    )


def _check_persistence(client: Any, info: RedisReport) -> Check:
    if _is_persistent(client, info):
        return Check("Persistence", "ok", "on: a restart keeps the counts")
    return Check(
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
