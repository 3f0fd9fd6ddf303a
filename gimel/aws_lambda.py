"""The functions that Lambda calls. They wrap the handlers of `gimel.gimel` for each kind of caller.

An HTTP API and a function URL always wrap a request, in the same format. An HTTP API calls a
function for its own routes only. A function URL calls it for every method and path.

An event without `requestContext` comes from another caller:

- The REST API that gimel 1.x made sends the query as the event itself. That API checks its own key,
  so these handlers check none. They raise on failure, because the API passes on any returned answer
  as a success.
- `{"gimel": "redis"}` asks the reading function for the state of Redis as seen from AWS, and
  `{"gimel": "snapshot"}` for the snapshots of this hour. Sending these needs IAM's permission to
  invoke the function, which the stack's EventBridge rule has.

Any other event gets the answer 400: an API Gateway REST API (payload format 1.0) and a load
balancer send `requestContext` in a form of their own.
"""

import gc

# The imports below make no garbage. Looking for it would take a twelfth of a cold start's time.
gc.disable()

import os
import time
from functools import cache
from typing import Any

from redis.exceptions import RedisError

from gimel import gimel
from gimel.backend import wire
from gimel.backend.errors import GimelError
from gimel.backend.log import log
from gimel.backend.process import connection, counters, intake, write_snapshots
from gimel.backend.queue import NotQueuedError
from gimel.backend.wire import HTTPError, ProxyEvent

__all__ = ["FailedCallError", "delete", "reads", "replay", "track"]

# Seconds for the snapshots of an hour if Lambda does not say, and seconds that they leave unused
_SNAPSHOT_SECONDS, _SPARE_SECONDS = 29.0, 3.0
# The `routeKey` of a request to a function URL:
# https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
_NO_ROUTE = "$default"

# The routes that the tracking function serves
_OF_TRACK = {route: served for route, served in gimel.ROUTES.items() if served in gimel.BY_TRACK}


class FailedCallError(GimelError):
    """A failed call by gimel 1.x's REST API. The message holds nothing of the event."""


_UNKNOWN_FORM = HTTPError(
    400,
    "this function takes requests of an HTTP API or a function URL, in payload format 2.0: a REST "
    "API or a load balancer cannot call it",
)


def _is_foreign(event: object) -> bool:
    """Return whether an event that is not a request comes from an unknown kind of caller."""
    return not isinstance(event, dict) or "requestContext" in event


def track(event: ProxyEvent, context: object = None) -> Any:
    """Count events from an HTTP API, a function URL, or the REST API of gimel 1.x. Evaluate flags.

    The REST API expects null.
    """
    if wire.is_request(event):
        if event.get("routeKey") == _NO_ROUTE:
            route = f"{event['requestContext']['http']['method']} {event.get('rawPath')}"
            return gimel.dispatch(event, route, _url_routes())
        # The configuration may add routes for events.
        return _OF_TRACK.get(event.get("routeKey", ""), gimel.track)(event, context)
    if _is_foreign(event):
        return _UNKNOWN_FORM.response()
    try:
        refused, _ = intake().take([wire.event_of(dict(event))])
    except HTTPError as error:
        raise FailedCallError(error.error) from None
    except (RedisError, NotQueuedError) as error:
        raise FailedCallError(type(error).__name__) from None
    if refused:
        raise FailedCallError(refused[0])
    return None


@cache
def _url_routes() -> dict[str, gimel.LambdaHandler]:
    """Return the routes that the tracking function serves behind its function URL."""
    further = os.environ.get("GIMEL_EVENT_ROUTES")
    return {
        **_OF_TRACK,
        **dict.fromkeys(further.split(",") if further else [], gimel.track),
    }


def reads(event: ProxyEvent, context: object = None) -> Any:
    """Answer every route except those for events and deletes.

    Return a list of experiments to gimel 1.x's REST API.
    """
    if wire.is_request(event):
        return gimel.handle(event, context)
    if _is_foreign(event):
        return _UNKNOWN_FORM.response()
    if event.get("gimel") == "redis":
        # Importing redis-py's client makes a cold start an eighth longer. Events do not need it.
        from gimel.backend.inspection import look_at_redis

        return look_at_redis(os.environ)
    if event.get("gimel") == "snapshot":
        return _snapshot(context)
    try:
        namespace, scope = wire.namespace(event), event.get("scope") or None
        if not isinstance(scope, str | None):
            raise HTTPError(400, "scope must be a string", "scope")
        names = scope.split(",") if scope else counters().names(namespace)[1]
        found = counters().read(namespace, names)
    except HTTPError as error:
        raise FailedCallError(error.error) from None
    except RedisError as error:
        raise FailedCallError(type(error).__name__) from None
    return [{"meta": {"scope": scope}}, *(each.describe() for each in found)]


def _snapshot(context: Any) -> dict[str, Any]:
    """Write the snapshots of this hour, in the time that the function has left, and log them.

    After a failure Lambda calls again, twice:
    https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
    """
    left = context.get_remaining_time_in_millis() / 1000 if context else _SNAPSHOT_SECONDS
    started = time.monotonic()
    try:
        done = write_snapshots(max(1.0, left - _SPARE_SECONDS))
    except RedisError as error:
        raise FailedCallError(type(error).__name__) from None
    if done is None:
        return {"snapshots": None}
    ms = round(1000 * (time.monotonic() - started))
    log("info", snapshots=done.written, complete=done.is_complete, ms=ms)
    return {"snapshots": done.written, "complete": done.is_complete}


def delete(event: ProxyEvent, context: object = None) -> Any:
    """Delete an experiment."""
    if wire.is_request(event):
        return gimel.delete(event, context)
    if _is_foreign(event):
        return _UNKNOWN_FORM.response()
    try:
        counters().delete(wire.namespace(event), wire.name(event, "experiment"))
    except HTTPError as error:
        raise FailedCallError(error.error) from None
    except RedisError as error:
        raise FailedCallError(type(error).__name__) from None
    return None


def replay(event: Any, context: object = None) -> dict[str, Any]:
    """Count the events of messages from SQS."""
    if not isinstance(event, dict) or "Records" not in event:
        return HTTPError(400, "this function takes messages from the stack's SQS queue").response()
    return gimel.replay(event, context)


# Lambda starts a process with more CPU than it serves requests with:
# https://awslabs.github.io/aws-lambda-web-adapter/configuration/async-init.html
if "GIMEL_REDIS_URL" in os.environ:
    connection().prepare()

# Everything imported stays for good: later collections skip it.
gc.freeze()
gc.enable()
