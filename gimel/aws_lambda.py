"""What Lambda calls: the handlers of gimel.py, and what else may call a deployed function.

An HTTP API always wraps a request: an event without `requestContext` came from elsewhere.

- The REST API that gimel 1.x made sends the query as the event itself, and gives the answer back as
  it is. It asks for its own key where one is due, so none is asked for here. An error is raised: an
  answer of any kind would look like success.
- `{"gimel": "redis"}`, sent to the reading function by someone whom AWS lets invoke it, asks how
  Redis looks from where the function is.
"""

import gc

# The imports below make no garbage. Looking for it would take a twelfth of a cold start's time.
gc.disable()

import os
from typing import Any

from redis.exceptions import RedisError

from gimel import gimel
from gimel.backend import wire
from gimel.backend.errors import GimelError
from gimel.backend.queue import NotQueuedError
from gimel.backend.wire import HTTPError, ProxyEvent
from gimel.gimel import replay

__all__ = ["FailedCallError", "delete", "reads", "replay", "track"]


class FailedCallError(GimelError):
    """A call of gimel 1.x's REST API failed; the message holds nothing of the event."""


def track(event: ProxyEvent, context: object = None) -> Any:
    """An event from an HTTP API or from the REST API of gimel 1.x, which wants null."""
    if "requestContext" in event:
        return gimel.track(event, context)
    try:
        refused, _ = gimel.intake().take([wire.event_of(dict(event))])
    except HTTPError as error:
        raise FailedCallError(error.error) from None
    except (RedisError, NotQueuedError) as error:
        raise FailedCallError(type(error).__name__) from None
    if refused:
        raise FailedCallError(refused[0])
    return None


def reads(event: ProxyEvent, context: object = None) -> Any:
    """All that needs the read key but deleting; the list of experiments for gimel 1.x."""
    if "requestContext" in event:
        return gimel.handle(event, context)
    if event.get("gimel") == "redis":
        # Imported here: the client costs a cold start an eighth, and events do not need it.
        from gimel.backend.inspection import look_at_redis

        return look_at_redis(os.environ)
    try:
        namespace, scope = wire.namespace(event), event.get("scope") or None
        names = scope.split(",") if scope else gimel.counters().names(namespace)[1]
        found = gimel.counters().read(namespace, names)
    except HTTPError as error:
        raise FailedCallError(error.error) from None
    except RedisError as error:
        raise FailedCallError(type(error).__name__) from None
    return [{"meta": {"scope": scope}}, *(each.describe() for each in found)]


def delete(event: ProxyEvent, context: object = None) -> Any:
    """Forget an experiment."""
    if "requestContext" in event:
        return gimel.delete(event, context)
    try:
        gimel.counters().delete(wire.namespace(event), wire.name(event, "experiment"))
    except HTTPError as error:
        raise FailedCallError(error.error) from None
    except RedisError as error:
        raise FailedCallError(type(error).__name__) from None
    return None


# What is there by now stays for good: later collections pass it by.
gc.freeze()
gc.enable()
