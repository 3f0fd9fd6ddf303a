"""How Redis looks from here: whether it can be used, and what it says of its memory and clients."""

import socket
import ssl
from collections.abc import Mapping
from typing import Any

from redis.client import Redis
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    RedisError,
    TimeoutError,
)

from gimel.backend.counting.counters import PARTICIPATE, Counters
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event

_PROBE = Event("gimel-probe", "inside", PARTICIPATE, "a", "1")
_FIGURES = ("used_memory", "maxmemory", "total_system_memory", "maxclients", "connected_clients")


def look_at_redis(environ: Mapping[str, str]) -> dict[str, Any]:
    """Whether Redis, as a function's environment names it, can be used from here.

    `trouble` is null, or network, tls, password or acl. Memory is in bytes, of a cluster the
    memory of the server that the URL names.
    """
    ca = environ.get("GIMEL_REDIS_CA")
    try:
        client: Any = Redis.from_url(
            environ["GIMEL_REDIS_URL"],
            decode_responses=True,
            socket_timeout=2,
            socket_connect_timeout=2,
            **({"ssl_ca_data": ca} if ca else {}),
        )
        with client:
            client.ping()
            limits = Limits.of(environ.get("GIMEL_LIMITS"))
            counters = Counters(Connection.of(environ), limits=limits)
            counters.add([_PROBE])
            counters.delete(_PROBE.namespace, _PROBE.experiment, forget=True)
            return {"trouble": None, "limits": counters.fullness(), **_figures(client)}
    except RedisError as error:
        return {"trouble": trouble(error), "error": type(error).__name__}


def _figures(client: Any) -> dict[str, Any]:
    """What Redis says of its memory and its clients; some hosts say less."""
    try:
        found = client.info()
    except RedisError:
        return {}
    return {name: found[name] for name in _FIGURES if name in found}


def trouble(error: RedisError) -> str:
    """What stands between here and Redis: network, tls, password, acl or other."""
    text = str(error)
    if isinstance(error, NoPermissionError) or "NOPERM" in text:
        return "acl"
    if isinstance(error, AuthenticationError) or "WRONGPASS" in text or "NOAUTH" in text:
        return "password"
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLError) or "SSL" in text:
        return "tls"
    if isinstance(error, ConnectionError | TimeoutError) or isinstance(cause, socket.gaierror):
        return "network"
    return "other"
