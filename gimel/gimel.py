"""The backend's routes and the handlers that they lead to.

API Gateway, `gimel local` and any WSGI server call the same handlers. A handler takes the fields
from the request, asks the counters once, and answers with JSON.

Environment variables are the handlers' settings:

GIMEL_REDIS_URL, GIMEL_REDIS_CLUSTER, GIMEL_REDIS_CA    see `gimel.backend.redis.connection`
GIMEL_KEY_SHA256    the read keys' SHA-256 in hex, separated by commas. `none` opens the reads; only
                    `gimel local` on loopback does that. Without it, every read is refused.
GIMEL_SHARDS, GIMEL_COUNTING    how new experiments are counted: `hyperloglog` or `exact`
GIMEL_LIMITS        JSON: see `gimel.backend.limits`
GIMEL_QUEUE         the ARN of an SQS queue for events that Redis does not take
GIMEL_SPOOL         a folder for these events, where there is no queue
"""

import functools
import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from gimel.backend import wire
from gimel.backend.counting.counters import DEFAULT_SHARDS, Counters
from gimel.backend.counting.ways import HYPERLOGLOG
from gimel.backend.intake import Intake, log
from gimel.backend.limits import Limits
from gimel.backend.page import page
from gimel.backend.queue import NotQueuedError, Queue, Spill
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event, HTTPError, ProxyEvent, Response, respond

if TYPE_CHECKING:
    from gimel.backend.results.counts import ExperimentCounts

LambdaHandler = Callable[..., Response]

_COUNTED = respond({"accepted": 1, "rejected": []})
_QUEUED = respond({"accepted": 1, "rejected": [], "queued": True})


@functools.cache
def connection() -> Connection:
    """The connection that this process keeps, across invocations."""
    return Connection.of(os.environ)


@functools.cache
def counters() -> Counters:
    """The counters behind that connection."""
    shards = int(os.environ.get("GIMEL_SHARDS", DEFAULT_SHARDS))
    limits = Limits.of(os.environ.get("GIMEL_LIMITS"))
    counting = os.environ.get("GIMEL_COUNTING", HYPERLOGLOG)
    return Counters(connection(), shards, limits, counting=counting)


@functools.cache
def intake() -> Intake:
    """The way in of events."""
    return Intake(counters(), connection(), spill())


@functools.cache
def spill() -> Spill | None:
    """Where events go that Redis does not take."""
    if folder := os.environ.get("GIMEL_SPOOL"):
        from gimel.backend.spool import Spool

        return Spool(Path(folder))
    queue = os.environ.get("GIMEL_QUEUE")
    return Queue(queue) if queue else None


def forget_connection() -> None:
    """Start anew, with the environment as it is now."""
    for kept in (connection, counters, intake, spill):
        kept.cache_clear()


def reads_are_open() -> bool:
    """Whether reading asks for no key."""
    return os.environ.get("GIMEL_KEY_SHA256") == "none"


def _check_key(event: ProxyEvent) -> None:
    """Raise HTTPError 403 unless the request bears the read key."""
    if reads_are_open():
        return
    good = os.environ.get("GIMEL_KEY_SHA256", "").split(",")
    given = hashlib.sha256(wire.header(event, "x-api-key").encode("utf-8", "replace")).hexdigest()
    if not any(hmac.compare_digest(given.encode(), wanted.encode()) for wanted in good):
        raise HTTPError(403, "the read key is missing or wrong: header x-api-key", "x-api-key")


def _endpoint(*, key: bool) -> Callable[[Callable[[ProxyEvent], Response]], LambdaHandler]:
    """Make a Lambda handler: check the key if asked to, turn errors into answers."""

    def decorate(answer: Callable[[ProxyEvent], Response]) -> LambdaHandler:
        @functools.wraps(answer)
        def handler(event: ProxyEvent, context: object = None) -> Response:
            try:
                if not key:
                    return answer(event)
                _check_key(event)
                return connection().patiently(lambda: answer(event))
            except HTTPError as error:
                return error.response()
            except (RedisError, NotQueuedError) as error:
                # The message may quote a name or an address: the class says enough.
                log("error", failed=type(error).__name__)
                return HTTPError(503, "the counters are out of reach, try again").response()

        return handler

    return decorate


@_endpoint(key=False)
def track(event: ProxyEvent) -> Response:
    """GET and POST /e, /track: count one event or a batch. 200 only when it is safe."""
    if event["requestContext"]["http"]["method"] == "GET":
        return _track_one(wire.query(event))
    body = wire.json_body(event)
    return _track_batch(body) if isinstance(body, list) else _track_one(body)


def _track_one(fields: object) -> Response:
    refused, queued = intake().take([wire.event_of(fields)])
    if refused:
        raise HTTPError(429, refused[0])
    return _QUEUED if queued else _COUNTED


def _track_batch(items: list[object]) -> Response:
    if len(items) > wire.MAX_BATCH:
        raise HTTPError(413, f"a batch holds at most {wire.MAX_BATCH} events", "body")
    events: list[Event] = []
    places: list[int] = []
    errors: dict[int, HTTPError] = {}
    for index, fields in enumerate(items):
        try:
            events.append(wire.event_of(fields))
            places.append(index)
        except HTTPError as error:
            errors[index] = error
    refused, queued = intake().take(events)
    for position, reason in refused.items():
        errors[places[position]] = HTTPError(429, reason)
    return _batch_answer(len(items), dict(sorted(errors.items())), queued=queued)


def _batch_answer(sent: int, errors: dict[int, HTTPError], *, queued: bool) -> Response:
    answer: dict[str, Any] = {
        "accepted": sent - len(errors),
        "rejected": [
            {"index": index, "error": error.error, "field": error.field}
            for index, error in errors.items()
        ],
    }
    if queued:
        answer["queued"] = True
    if not errors or len(errors) < sent:
        return respond(answer)
    first = next(iter(errors.values()))
    return respond(answer | {"error": first.error, "field": first.field}, first.status)


def replay(event: ProxyEvent, context: object = None) -> dict[str, Any]:
    """Count the events of messages that SQS hands over; name those that have to come again."""
    failed = intake().replay(event["Records"], Queue(os.environ["GIMEL_QUEUE"]))
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


@_endpoint(key=True)
def all(event: ProxyEvent) -> Response:
    """GET /experiments: every experiment of a namespace, or those of the scope."""
    fields = wire.query(event)
    namespace, scope = wire.namespace(fields), fields.get("scope") or None
    wanted = None if scope is None else _names_in(scope)
    namespaces, names = counters().names(namespace)
    found = counters().read_in_turn(namespace, names if wanted is None else wanted)
    meta = {"scope": scope, "namespaces": namespaces}
    answer = respond([{"meta": meta}, *(each.describe() for each in found)])
    return wire.fitted(event, answer)


def _names_in(scope: str) -> list[str]:
    """The experiments of a comma-separated scope. Raises HTTPError 400 on what is no name."""
    return [wire.name({"scope": part}, "scope") for part in scope.split(",") if part]


@_endpoint(key=True)
def experiment(event: ProxyEvent) -> Response:
    """GET /experiment: one experiment."""
    fields = wire.query(event)
    name = wire.name(fields, "experiment")
    return respond(_one(wire.namespace(fields), name).describe())


def _one(namespace: str, name: str) -> "ExperimentCounts":
    (found,) = counters().read(namespace, [name])
    if not found.exists:
        raise HTTPError(404, "there is no such experiment in this namespace", "experiment")
    return found


@_endpoint(key=True)
def settings(event: ProxyEvent) -> Response:
    """POST /settings: tell the engine something about an experiment; answers as /experiment.

    The way of counting is told before the first event, when there is no experiment yet.
    """
    fields = wire.query(event)
    namespace, name = wire.namespace(fields), wire.name(fields, "experiment")
    body = wire.json_body(event)
    chooses = isinstance(body, dict) and "counting" in body
    (found,) = counters().read(namespace, [name]) if chooses else (_one(namespace, name),)
    # Here, for it costs a cold start a millisecond, and events need none.
    from gimel.backend.experiment.definition import parse_changes

    changed = parse_changes(body, sorted(found.trials), sorted(found.goals))
    counters().configure(namespace, name, changed)
    (found,) = counters().read(namespace, [name])
    if found.settings.counting != changed.get("counting", found.settings.counting):
        reason = "counting was chosen already: `gimel delete --forget` the experiment first"
        raise HTTPError(400, reason, "counting")
    return respond(found.describe())


@_endpoint(key=True)
def delete(event: ProxyEvent) -> Response:
    """DELETE /delete: an experiment and its counts. Deleting it twice is no error.

    Its late events are taken and not counted; `forget=1` allows the name to be used anew.
    """
    fields = wire.query(event)
    name = wire.name(fields, "experiment")
    forget = fields.get("forget") == "1"
    deleted = counters().delete(wire.namespace(fields), name, forget=forget)
    return respond({"experiment": name, "deleted": deleted})


@_endpoint(key=False)
def dashboard(event: ProxyEvent) -> Response:
    """GET /dashboard: the page. It holds no data; its script asks for the key."""
    return wire.fitted(event, page())


ROUTES: dict[str, LambdaHandler] = {
    "GET /e": track,
    "POST /e": track,
    "GET /track": track,
    "POST /track": track,
    "GET /experiments": all,
    "GET /experiment": experiment,
    "POST /settings": settings,
    "DELETE /delete": delete,
    "GET /dashboard": dashboard,
}


def handle(event: ProxyEvent, context: object = None) -> Response:
    """Any route, by its key: what one function serving several, or a local server, calls."""
    route = event["routeKey"]
    handler = ROUTES.get(route)
    if handler is not None:
        return handler(event, context)
    path = route.partition(" ")[2]
    methods = [known.partition(" ")[0] for known in ROUTES if known.endswith(f" {path}")]
    if methods:
        refused = HTTPError(405, "this path does not take that method", "method").response()
        refused["headers"]["allow"] = ", ".join(methods)
        return refused
    return HTTPError(404, "there is no such path", "path").response()
