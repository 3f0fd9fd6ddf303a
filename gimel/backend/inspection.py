"""The inspection of Redis: whether it can be used, how full it is, how many clients it has."""

from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.limits import PROBE_NAMESPACE, Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.redis.errors import trouble
from gimel.backend.wire import Event

_PROBE = Event(PROBE_NAMESPACE, "inside", PARTICIPATE, "a", "1")
_FIGURES = ("used_memory", "maxmemory", "total_system_memory", "maxclients", "connected_clients")


def look_at_redis(environ: Mapping[str, str]) -> dict[str, Any]:
    """Try the Redis of a function's environment. Return the trouble, or memory, clients and limits.

    `trouble` is what `gimel.backend.redis.errors.trouble` returns, or None if a probe event was
    counted. `limits` is what `Counters.fullness` returns. Memory is in bytes; of a cluster, it is
    the memory of the server that the URL names.
    """
    connection = Connection.from_environment(environ)
    try:
        with connection.client(seconds=2) as client:
            client.ping()
            limits = Limits.of(environ.get("GIMEL_LIMITS"))
            counters = Counters(connection, limits=limits)
            counters.add([_PROBE])
            counters.delete(_PROBE.namespace, _PROBE.experiment, forget=True)
            known = {"limits": counters.fullness(), "ignored": counters.ignored()}
            return {"trouble": None, **known, **_figures(client)}
    except RedisError as error:
        return {"trouble": trouble(error), "error": type(error).__name__}


def _figures(client: Any) -> dict[str, Any]:
    """Return what Redis says about its memory and clients. Some hosts say less."""
    try:
        found = client.info()
    except RedisError:
        return {}
    return {name: found[name] for name in _FIGURES if name in found}
