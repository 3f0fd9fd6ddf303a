"""What may stand in a deploy's way, found before it starts: checks, each with its cure."""

import ipaddress
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from redis import Redis
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    RedisError,
    TimeoutError,
)

from gimel import config
from gimel.aws import Aws, AwsError
from gimel.config import AwsSettings, RedisSettings
from gimel.connection import Connection
from gimel.counters import PARTICIPATE, Counters
from gimel.http import Event
from gimel.limits import PREFLIGHT_NAMESPACE

_TIMEOUT = 5.0


@dataclass(frozen=True)
class Check:
    """One thing looked at. `found` says what was seen and, unless it is fine, what to do."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str


def run(config_file: Path | None) -> Iterator[Check]:
    """All checks, each as soon as it is made."""
    try:
        source = config.load(config_file)
    except config.ConfigError as error:
        for mistake in error.mistakes:
            yield Check("Config", "failed", mistake)
        return
    if source.path.stat().st_mode & 0o077:
        cure = f"others on this machine can read the password in it: chmod 600 {source.path}"
        yield Check("Config", "warning", cure)
    else:
        yield Check("Config", "ok", str(source.path))
    yield check_aws(source.config.aws)
    yield from check_redis(source.config.redis)


def check_aws(settings: AwsSettings) -> Check:
    """Whose account it would be, and in which region."""
    try:
        aws = Aws(settings.region, settings.profile)
        who = aws.call("sts", "get_caller_identity", "Arn")
    except AwsError as error:
        return Check("AWS", "failed", str(error))
    account = who.split(":")[4]
    return Check("AWS", "ok", f"account {account}, region {aws.region}, as {who}")


def check_redis(settings: RedisSettings) -> Iterator[Check]:
    """Is it reachable, does it let us in, can it count; then what may lose counts."""
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
        yield Check("Redis", "failed", f"{place}: {cure(error)}")
        return
    yield Check("Redis", "ok", f"{place} answers and counts")
    yield from _safety(client)
    yield _encryption(parts.scheme, parts.hostname or "")


def _count_one(settings: RedisSettings) -> None:
    """Count, and forget, an event just as the functions will."""
    counters = Counters(Connection.of(settings.environment))
    counters.add([Event(PREFLIGHT_NAMESPACE, "preflight", PARTICIPATE, "a", "1")])
    counters.delete(PREFLIGHT_NAMESPACE, "preflight", forget=True)


def cure(error: RedisError) -> str:
    """What a Redis that does not answer as it should asks of its owner, in a line."""
    text = str(error)
    if "without any password configured" in text:
        return "it has no password, but the configuration gives one: leave it out, or set it there"
    if isinstance(error, AuthenticationError) or "WRONGPASS" in text or "NOAUTH" in text:
        return "it refuses the password: correct redis.password (or the one in redis.url)"
    if isinstance(error, NoPermissionError):
        return f"this user may not do what counting needs: {text}"
    if isinstance(error, TimeoutError):
        return (
            "no answer: is the port open to this machine? A TLS port needs rediss://, any other "
            "redis:// (or ssl: true, ssl: false)"
        )
    if "SSL" in text:
        return f"TLS fails: without TLS the URL starts with redis:// ({text})"
    if isinstance(error, ConnectionError):
        return f"cannot connect: check host and port; a TLS port needs rediss:// ({text})"
    return f"it answers with an error: {text}"


def _safety(client: Any) -> Iterator[Check]:
    """Warnings on what may lose counts: eviction and missing persistence."""
    policy = client.info("memory").get("maxmemory_policy", "unknown")
    if policy == "noeviction":
        yield Check("Eviction", "ok", "noeviction: no counter is dropped when memory is full")
    else:
        yield Check(
            "Eviction",
            "warning",
            f"the policy is {policy}: a full memory may drop counters in silence. "
            "Set maxmemory-policy to noeviction",
        )
    if _persists(client):
        yield Check("Persistence", "ok", "on: a restart keeps the counts")
    else:
        yield Check(
            "Persistence",
            "warning",
            "off, or not to be seen: a restart may lose the counts. Switch AOF on (appendonly yes)",
        )


def _persists(client: Any) -> bool:
    """AOF or snapshots, as far as the server tells; hosts that hide CONFIG still say AOF."""
    if client.info("persistence").get("aof_enabled"):
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
