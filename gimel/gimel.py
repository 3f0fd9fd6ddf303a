"""The Lambda handlers. Each is thin: fields in, one call to the counters, JSON out.

They serve API Gateway, `gimel local` and any WSGI server alike. Their settings are environment
variables: GIMEL_REDIS_URL, GIMEL_KEY_SHA256 (the read key's SHA-256 in hex, of several keys with
commas between; `none` opens the reads, which only `gimel local` on loopback does; unset, every read
is refused), GIMEL_SHARDS, GIMEL_COUNTING (`hyperloglog` or `exact`), the way of counting of
experiments to come, GIMEL_LIMITS (JSON: see `gimel.limits`), GIMEL_REDIS_CLUSTER and GIMEL_REDIS_CA
(see `gimel.connection`); and where events go that Redis does not take: GIMEL_QUEUE (the ARN of an
SQS queue) or GIMEL_SPOOL (a folder), neither of which there need be.
"""

import base64
import functools
import hashlib
import hmac
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.exceptions import RedisError

from gimel import http
from gimel.connection import Connection
from gimel.counters import DEFAULT_SHARDS, Counters
from gimel.counting import HYPERLOGLOG
from gimel.http import Event, HTTPError, ProxyEvent, Response, respond
from gimel.intake import Intake, log
from gimel.limits import Limits
from gimel.spill import Queue, Spill, SpillError

if TYPE_CHECKING:
    from gimel.experiments import Experiment

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
        from gimel.spool import Spool

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
    given = hashlib.sha256(http.header(event, "x-api-key").encode("utf-8", "replace")).hexdigest()
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
            except (RedisError, SpillError) as error:
                # The message may quote a name or an address: the class says enough.
                log("error", failed=type(error).__name__)
                return HTTPError(503, "the counters are out of reach, try again").response()

        return handler

    return decorate


@_endpoint(key=False)
def track(event: ProxyEvent) -> Response:
    """GET and POST /e, /track: count one event or a batch. 200 only when it is safe."""
    if event["requestContext"]["http"]["method"] == "GET":
        return _track_one(http.query(event))
    body = http.json_body(event)
    return _track_batch(body) if isinstance(body, list) else _track_one(body)


def _track_one(fields: object) -> Response:
    refused, queued = intake().take([http.event_of(fields)])
    if refused:
        raise HTTPError(429, refused[0])
    return _QUEUED if queued else _COUNTED


def _track_batch(items: list[object]) -> Response:
    if len(items) > http.MAX_BATCH:
        raise HTTPError(413, f"a batch holds at most {http.MAX_BATCH} events", "body")
    events: list[Event] = []
    places: list[int] = []
    errors: dict[int, HTTPError] = {}
    for index, fields in enumerate(items):
        try:
            events.append(http.event_of(fields))
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
    fields = http.query(event)
    namespace, scope = http.namespace(fields), fields.get("scope") or None
    wanted = None if scope is None else _names_in(scope)
    namespaces, names = counters().names(namespace)
    found = counters().read_in_turn(namespace, names if wanted is None else wanted)
    meta = {"scope": scope, "namespaces": namespaces}
    answer = respond([{"meta": meta}, *(each.describe() for each in found)])
    return http.fitted(event, answer)


def _names_in(scope: str) -> list[str]:
    """The experiments of a comma-separated scope. Raises HTTPError 400 on what is no name."""
    return [http.name({"scope": part}, "scope") for part in scope.split(",") if part]


@_endpoint(key=True)
def experiment(event: ProxyEvent) -> Response:
    """GET /experiment: one experiment."""
    fields = http.query(event)
    name = http.name(fields, "experiment")
    return respond(_one(http.namespace(fields), name).describe())


def _one(namespace: str, name: str) -> "Experiment":
    (found,) = counters().read(namespace, [name])
    if not found.exists:
        raise HTTPError(404, "there is no such experiment in this namespace", "experiment")
    return found


@_endpoint(key=True)
def settings(event: ProxyEvent) -> Response:
    """POST /settings: tell the engine something about an experiment; answers as /experiment.

    The way of counting is told before the first event, when there is no experiment yet.
    """
    fields = http.query(event)
    namespace, name = http.namespace(fields), http.name(fields, "experiment")
    body = http.json_body(event)
    chooses = isinstance(body, dict) and "counting" in body
    (found,) = counters().read(namespace, [name]) if chooses else (_one(namespace, name),)
    # Here, for it costs a cold start a millisecond, and events need none.
    from gimel.settings import changes

    changed = changes(body, sorted(found.trials), sorted(found.goals))
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
    fields = http.query(event)
    name = http.name(fields, "experiment")
    forget = fields.get("forget") == "1"
    deleted = counters().delete(http.namespace(fields), name, forget=forget)
    return respond({"experiment": name, "deleted": deleted})


@_endpoint(key=False)
def dashboard(event: ProxyEvent) -> Response:
    """GET /dashboard: the page. It holds no data; its script asks for the key."""
    return http.fitted(event, _page())


# Concatenated in this order.
_SCRIPTS = (
    "dom.js",
    "format.js",
    "plot.js",
    "api.js",
    "snippet.js",
    "download.js",
    "settings.js",
    "overview.js",
    "experiment.js",
    "main.js",
)


@functools.cache
def _page() -> Response:
    """The dashboard in one response, its style and script named by hash in the policy."""
    folder = Path(__file__).parent / "dashboard"
    html, style, *scripts = (
        (folder / name).read_text("utf-8") for name in ("index.html", "style.css", *_SCRIPTS)
    )
    script = "\n".join(['"use strict";', *scripts])
    policy = (
        f"default-src 'none'; style-src {_hash_source(style)}; script-src {_hash_source(script)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return {
        "statusCode": 200,
        "headers": {
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-cache",
            "content-security-policy": policy,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        },
        "body": html.replace("/*style.css*/", style).replace("/*script*/", script),
    }


def _hash_source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"


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
