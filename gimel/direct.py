"""What Lambda calls: the handlers of gimel.py, and what else may call a deployed function.

An HTTP API always wraps a request: an event without `requestContext` came from elsewhere.

- The REST API that gimel 1.x made sends the query as the event itself, and gives the answer back as
  it is. It asks for its own key where one is due, so none is asked for here. An error is raised: an
  answer of any kind would look like success.
- `{"gimel": "redis"}`, sent to the reading function by someone whom AWS lets invoke it, asks how
  Redis looks from where the function is.
"""

import os
import socket
import ssl
from collections.abc import Mapping
from typing import Any

from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    RedisError,
    TimeoutError,
)

from gimel import gimel, http
from gimel.connection import Connection
from gimel.counters import PARTICIPATE, Counters
from gimel.http import Event, HTTPError, ProxyEvent
from gimel.limits import Limits
from gimel.spill import SpillError

_PROBE = Event("gimel-probe", "inside", PARTICIPATE, "a", "1")
_FIGURES = ("used_memory", "maxmemory", "total_system_memory", "maxclients", "connected_clients")


class NotDoneError(Exception):
    """A call of gimel 1.x's REST API failed; the message holds nothing of the event."""


def track(event: ProxyEvent, context: object = None) -> Any:
    """An event from an HTTP API or from the REST API of gimel 1.x, which wants null."""
    if "requestContext" in event:
        return gimel.track(event, context)
    try:
        refused, _ = gimel.intake().take([http.event_of(dict(event))])
    except HTTPError as error:
        raise NotDoneError(error.error) from None
    except (RedisError, SpillError) as error:
        raise NotDoneError(type(error).__name__) from None
    if refused:
        raise NotDoneError(refused[0])
    return None


def reads(event: ProxyEvent, context: object = None) -> Any:
    """All that needs the read key but deleting; the list of experiments for gimel 1.x."""
    if "requestContext" in event:
        return gimel.handle(event, context)
    if event.get("gimel") == "redis":
        return look_at_redis(os.environ)
    try:
        namespace, scope = http.namespace(event), event.get("scope") or None
        names = scope.split(",") if scope else gimel.counters().names(namespace)[1]
        found = gimel.counters().read(namespace, names)
    except HTTPError as error:
        raise NotDoneError(error.error) from None
    except RedisError as error:
        raise NotDoneError(type(error).__name__) from None
    return [{"meta": {"scope": scope}}, *(each.describe() for each in found)]


def delete(event: ProxyEvent, context: object = None) -> Any:
    """Forget an experiment."""
    if "requestContext" in event:
        return gimel.delete(event, context)
    try:
        gimel.counters().delete(http.namespace(event), http.name(event, "experiment"))
    except HTTPError as error:
        raise NotDoneError(error.error) from None
    except RedisError as error:
        raise NotDoneError(type(error).__name__) from None
    return None


def look_at_redis(environ: Mapping[str, str]) -> dict[str, Any]:
    """Whether Redis, as a function's environment names it, can be used from here.

    `trouble` is null, or network, tls, password or acl. Memory is in bytes, of a cluster the
    memory of the server that the URL names.
    """
    # Here, for it costs a cold start an eighth, and events have no use for it.
    from redis.client import Redis

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
