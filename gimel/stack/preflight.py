"""What may stand in a deploy's way, found before it starts: checks, each with its cure."""

import contextlib
import ipaddress
import socket
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import (
    RedisError,
)

from gimel.backend.counting.counters import PARTICIPATE, Counters
from gimel.backend.inspection import trouble
from gimel.backend.limits import PREFLIGHT_NAMESPACE
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from gimel.config.file import ConfigError, load
from gimel.config.redis import RedisSettings, advice
from gimel.config.settings import Config
from gimel.config.stack import Concurrency
from gimel.stack.aws import Aws, AwsError, Home
from gimel.stack.deployed import REDIS_TROUBLE, connect, look_inside, redis_of
from gimel.stack.permissions import ELSEWHERE, Refusal, deployer_policy, refusals
from gimel.stack.plan.queue import REPLAYS
from gimel.stack.wanted import UNRESERVED, Names

_TIMEOUT = 5.0
_POLICY = "`gimel policy` prints the policy to ask for"

Figures = Mapping[str, Any]
Look = Callable[[], Figures | None]


@dataclass(frozen=True)
class Check:
    """One thing looked at. `found` says what was seen and, unless it is fine, what to do."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str


def run(config_file: Path | None) -> Iterator[Check]:
    """All checks, each as soon as it is made."""
    try:
        source = load(config_file)
    except ConfigError as error:
        for mistake in error.mistakes:
            yield Check("Config", "failed", mistake)
        return
    if source.path.stat().st_mode & 0o077:
        cure = f"others on this machine can read the password in it: chmod 600 {source.path}"
        yield Check("Config", "warning", cure)
    else:
        yield Check("Config", "ok", str(source.path))
    settings = source.config
    aws = yield from check_aws(settings)
    figures = yield from check_redis(settings.redis, partial(_inside, settings, aws))
    if figures and not figures.get("trouble"):
        yield check_connections(settings.reserved_concurrency, _executions(aws), figures)


def check_aws(settings: Config) -> Generator[Check, None, Aws | None]:
    """Whose account it would be, in which region, and whether one may do there what is needed."""
    try:
        aws = connect(settings)
        who = aws.call("sts", "get_caller_identity", "Arn")
    except AwsError as error:
        yield Check("AWS", "failed", str(error))
        return None
    account = who.split(":")[4]
    yield Check("AWS", "ok", f"account {account}, region {aws.region}, as {who}")
    yield from check_permissions(settings, aws, who)
    return aws


def check_permissions(settings: Config, aws: Aws, who: str) -> Iterator[Check]:
    """What IAM's simulation says of each action that is needed."""
    if who.endswith(":root"):
        yield Check("Permissions", "ok", "the account's root user may do everything")
        return
    _, partition, _, _, account, _ = who.split(":", 5)
    policy = deployer_policy(settings, Home(account, aws.region, partition))
    try:
        found = refusals(aws, who, policy)
    except AwsError as error:
        yield Check("Permissions", "warning", f"cannot be seen from here: {error}. {_POLICY}")
        return
    if not found:
        actions = sum(len(statement["Action"]) for statement in policy["Statement"])
        yield Check("Permissions", "ok", f"all {actions} actions that the commands need")
    for refusal in found:
        yield _refusal(refusal)


def _refusal(refusal: Refusal) -> Check:
    missing = f"{refusal.action} is not allowed"
    if refusal.action in ELSEWHERE:
        return Check("Permissions", "warning", f"{missing}: deploying does without. {_POLICY}")
    if refusal.unknown:
        depends = f"unless {', '.join(refusal.unknown)} is as a policy of yours asks"
        return Check("Permissions", "warning", f"{missing}, {depends}. {_POLICY}")
    return Check("Permissions", "failed", f"{missing}. {_POLICY}")


def check_redis(
    settings: RedisSettings, look: Look | None = None
) -> Generator[Check, None, Figures | None]:
    """Is it reachable, does it let us in, can it count; then what may lose counts.

    Where it is out of this machine's reach, `look` says how it is seen from where the functions
    are, or None. Returns what Redis tells of itself.
    """
    parts = urlsplit(settings.address)
    place = f"{parts.hostname}:{parts.port or 6379}"
    client: Any = Redis.from_url(
        settings.address,
        decode_responses=True,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
        **({"ssl_ca_data": settings.ca} if settings.ca else {}),
    )
    try:
        client.ping()
        _count_one(settings)
    except RedisError as error:
        seen = look() if look and trouble(error) == "network" else None
        yield (
            _seen_inside(place, seen)
            if seen
            else Check("Redis", "failed", f"{place}: {advice(error)}")
        )
        return seen
    yield Check("Redis", "ok", f"{place} answers and counts")
    yield _encryption(parts.scheme, parts.hostname or "")
    try:
        told: Figures = client.info()
    except RedisError:
        unseen = "cannot be seen: this user may not call INFO (eviction, persistence, connections)"
        yield Check("Safety", "warning", unseen)
        return None
    yield from _safety(client, told)
    return told


def _inside(settings: Config, aws: Aws | None) -> Figures | None:
    """How the deployed functions see this very Redis; None where nobody can be asked.

    Before the first deploy into a VPC there is nobody to ask, and out of reach from here is as it
    should be.
    """
    if aws is not None:
        names = Names(settings.stack)
        with contextlib.suppress(AwsError):
            if redis_of(aws, names) == settings.redis.address:
                return look_inside(aws, names)
    return {"trouble": "unseen"} if settings.vpc else None


def _seen_inside(place: str, seen: Figures) -> Check:
    seen_trouble = seen.get("trouble", "other")
    if seen_trouble is None:
        found = f"{place} answers the functions and counts; it is out of reach from here"
        return Check("Redis", "ok", found)
    if seen_trouble == "unseen":
        return Check("Redis", "warning", f"{place} is out of reach from here: the deploy will tell")
    why = REDIS_TROUBLE[seen_trouble]
    # No failure: the deploy that this check goes before may be the one that mends it.
    return Check("Redis", "warning", f"{place}, as the functions deployed last see it: {why}")


def _executions(aws: Aws | None) -> int | None:
    """How many executions at once the account may have in the region, where that can be seen."""
    query = "AccountLimit.ConcurrentExecutions"
    if aws is not None:
        with contextlib.suppress(AwsError):
            return int(aws.call("lambda", "get_account_settings", query))
    return None


def check_connections(wanted: Concurrency, executions: int | None, figures: Figures) -> Check:
    """Does Redis take a connection from each execution that there may be at once?"""
    reserved = [wanted.track, wanted.reads, wanted.delete]
    numbers = [number for number in reserved if number is not None]
    most = sum(numbers) + REPLAYS
    cause = f"reserved_concurrency is {' + '.join(map(str, numbers))}, replays are {REPLAYS}"
    cannot = executions is not None and executions - sum(numbers) < UNRESERVED
    if executions is not None and (cannot or len(numbers) < len(reserved)):
        most, cause = executions, f"the account's limit is {executions}, and not all is reserved"
    takes = figures.get("maxclients")
    if takes is None:
        return Check("Connections", "ok", f"up to {most} ({cause}); Redis tells no limit")
    if most <= takes:
        return Check("Connections", "ok", f"up to {most} ({cause}) of Redis's {takes}")
    return Check(
        "Connections",
        "warning",
        f"Redis takes {takes} (maxclients), the functions may open {most}: {cause}. Events over it "
        "wait in the queue: set reserved_concurrency in config.json lower, or maxclients higher",
    )


def _count_one(settings: RedisSettings) -> None:
    """Count, and forget, an event just as the functions will."""
    counters = Counters(Connection.of(settings.environment))
    counters.add([Event(PREFLIGHT_NAMESPACE, "preflight", PARTICIPATE, "a", "1")])
    counters.delete(PREFLIGHT_NAMESPACE, "preflight", forget=True)


def _safety(client: Any, told: Figures) -> Iterator[Check]:
    """Warnings on what may lose counts: eviction and missing persistence."""
    policy = told.get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield Check("Eviction", "ok", "noeviction: no counter is dropped when memory is full")
    else:
        yield Check(
            "Eviction",
            "warning",
            f"the policy is {policy}: a full memory may drop counters in silence. "
            "Set maxmemory-policy to noeviction",
        )
    if _persists(client, told):
        yield Check("Persistence", "ok", "on: a restart keeps the counts")
    else:
        yield Check(
            "Persistence",
            "warning",
            "off, or not to be seen: a restart may lose the counts. Switch AOF on (appendonly yes)",
        )


def _persists(client: Any, told: Figures) -> bool:
    """AOF or snapshots, as far as the server tells; hosts that hide CONFIG still say AOF."""
    if told.get("aof_enabled"):
        return True
    try:
        return bool(client.config_get("save").get("save"))
    except RedisError:
        return False


def _encryption(scheme: str, host: str) -> Check:
    if scheme == "rediss":
        return Check("Encryption", "ok", "TLS")
    if _is_private(host):
        return Check("Encryption", "ok", "no TLS, to a private address")
    return Check(
        "Encryption",
        "warning",
        f"no TLS to the public host {host}: password and names cross the net in clear. "
        "Use a rediss:// URL, or ssl: true",
    )


def _is_private(host: str) -> bool:
    """Whether every address of the host is private; it was just connected to, so it resolves."""
    found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    return all(ipaddress.ip_address(address[4][0]).is_private for address in found)
