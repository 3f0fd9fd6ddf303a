"""The backend's routes and the handlers that they lead to.

API Gateway, `gimel local` and any WSGI server call the same handlers. A handler takes the fields
from the request, asks the counters once, and answers with JSON.

Environment variables are the handlers' settings:

GIMEL_REDIS_URL, GIMEL_REDIS_CLUSTER, GIMEL_REDIS_CA, GIMEL_REDIS_SECRET, GIMEL_REDIS_IAM
                    the way to Redis: see `Connection.from_environment`
GIMEL_KEY_SHA256    the keys' hashes: see `gimel.backend.access`. Without it, no key is right: every
                    read, declaration and delete is refused, and so is an event with a key.
GIMEL_BOTS          `count` counts bots and headless browsers
GIMEL_ACCEPT        `declared` ignores experiments that nobody declared
GIMEL_SHARDS, GIMEL_COUNTING    how new experiments are counted: `hyperloglog` or `exact`
GIMEL_LIMITS        JSON: see `gimel.backend.limits`
GIMEL_EVENT_ROUTES  behind a function URL: further routes for events, e.g. `GET /hi,POST /hi`
GIMEL_QUEUE         the ARN of an SQS queue for events that Redis does not take
GIMEL_SPOOL         a folder for these events, where there is no queue
GIMEL_NOTIFY        the https URL of a webhook, or the ARN of an SNS topic: see `gimel.backend.news`
GIMEL_NOTIFY_FORM   `slack` sends Slack's form to the webhook
"""

import functools
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from redis.exceptions import OutOfMemoryError, RedisError

from gimel.backend import wire
from gimel.backend.access import Scope, require, scope_of
from gimel.backend.bots import comes_from_bot
from gimel.backend.log import log
from gimel.backend.process import ask_backlog, connection, counters, flags, intake
from gimel.backend.queue import NotQueuedError, Queue
from gimel.backend.tracking import track_batch, track_one
from gimel.backend.wire import FLAGS_PATH, HTTPError, ProxyEvent, Response, respond

if TYPE_CHECKING:
    from gimel.backend.experiment.definition import Definition
    from gimel.backend.results.counts import ExperimentCounts

LambdaHandler = Callable[..., Response]
_FULL = "Redis is full: raise its maxmemory or `gimel delete` an experiment, then try again"


def _endpoint(*scopes: Scope) -> Callable[[Callable[[ProxyEvent], Response]], LambdaHandler]:
    """Return a decorator that makes a handler: it checks the key and turns errors into answers.

    A key of one of the scopes opens the route. Without scopes, the route is open to anyone.
    """

    def decorate(answer: Callable[[ProxyEvent], Response]) -> LambdaHandler:
        @functools.wraps(answer)
        def handler(event: ProxyEvent, context: object = None) -> Response:
            try:
                if not scopes:
                    return answer(event)
                require(event, *scopes)
                return connection().run(lambda: answer(event))
            except HTTPError as error:
                return error.response()
            except OutOfMemoryError:
                log("error", failed="OutOfMemoryError")
                return HTTPError(503, _FULL).response()
            except (RedisError, NotQueuedError) as error:
                # The message may quote a name or an address; its class says enough.
                log("error", failed=type(error).__name__)
                return HTTPError(503, "the counters are out of reach, try again").response()

        return handler

    return decorate


@_endpoint()
def track(event: ProxyEvent) -> Response:
    """Count one event or a batch: GET and POST /e, /track.

    Answer 200 only if every accepted event is counted or queued. A request with a key of the scope
    owner or send vouches for its events. Bots are ignored, unless the request vouches for them.
    """
    is_vouched = scope_of(event) in ("owner", "send")
    take = intake().take if is_vouched or not comes_from_bot(event) else intake().ignore_bot
    if event["requestContext"]["http"]["method"] == "GET":
        return track_one(wire.query(event), is_vouched, take)
    body = wire.json_body(event)
    track_body = track_batch if isinstance(body, list) else track_one
    return track_body(body, is_vouched, take)


def replay(event: ProxyEvent, context: object = None) -> dict[str, Any]:
    """Count the events of messages from SQS. Return the messages that SQS has to deliver again."""
    failed = intake().replay(event["Records"], Queue(os.environ["GIMEL_QUEUE"]))
    return {"batchItemFailures": [{"itemIdentifier": message} for message in failed]}


@_endpoint()
def evaluate_flag(event: ProxyEvent) -> Response:
    """Evaluate the flag in the path for a visitor, as OpenFeature's providers ask. Count nothing.

    POST /ofrep/v1/evaluate/flags/{key}.
    """
    from gimel.backend.ofrep import evaluate

    # A wrong key is refused, as it is with an event.
    scope_of(event)
    return evaluate(event, flags())


@_endpoint()
def evaluate_flags(event: ProxyEvent) -> Response:
    """Evaluate all flags of a namespace for a visitor: POST /ofrep/v1/evaluate/flags."""
    from gimel.backend.ofrep import evaluate_all

    scope_of(event)
    return evaluate_all(event, flags())


@_endpoint("owner", "read")
def all(event: ProxyEvent) -> Response:
    """Return the experiments of a namespace, or those of the scope: GET /experiments.

    With `limit` or `after`, they come in pages, in the order of their names.
    """
    from gimel.backend import answers

    fields = wire.query(event)
    namespace, scope = wire.namespace(fields), fields.get("scope") or None
    wanted = None if scope is None else answers.names_in(scope)
    limit, after = wire.number(fields, "limit", wire.MAX_LIMIT), fields.get("after")
    if after == "":
        raise HTTPError(400, "after is empty", "after")
    if fields.get("view") not in (None, "summary"):
        raise HTTPError(400, "view must be summary", "view")
    namespaces, names, ignored = counters().overview(namespace)
    page, following = answers.page_of(names if wanted is None else wanted, limit, after)
    is_summary = "view" in fields
    found = counters().read_in_turn(namespace, page, is_summary=is_summary)
    meta: dict[str, Any] = {
        "scope": scope,
        "namespaces": namespaces,
        "total": len(names),
        "next": following,
        "key_scope": scope_of(event) or "owner",
    }
    meta |= {"ignored": {"reasons": ignored}} | answers.backlog_fields(backlog := ask_backlog())
    described = answers.describe(found, namespace, backlog, is_summary=is_summary)
    return wire.fitted(event, respond([{"meta": meta}, *described]))


@_endpoint("owner", "read")
def experiment(event: ProxyEvent) -> Response:
    """Return one experiment, its definition and the changes to it: GET /experiment.

    `matrix` names a goal on which to compare every variant with every other.
    """
    from gimel.backend import answers

    fields = wire.query(event)
    matrix = wire.name(fields, "matrix") if "matrix" in fields else None
    names = wire.namespace(fields), wire.name(fields, "experiment")
    return answers.answer_one(event, *names, matrix)


@_endpoint("owner", "read")
def history(event: ProxyEvent) -> Response:
    """Return the results of one goal at past times, and now: GET /history."""
    from gimel.backend import answers

    fields = wire.query(event)
    goal = wire.name(fields, "goal") if "goal" in fields else None
    names = wire.namespace(fields), wire.name(fields, "experiment")
    return answers.answer_history(event, *names, goal)


@_endpoint("owner")
def declare(event: ProxyEvent) -> Response:
    """Declare an experiment: PUT /experiment, whose body is the definition. Idempotent."""
    from gimel.backend import answers
    from gimel.backend.counting import declaring
    from gimel.backend.experiment.changes import changes_between
    from gimel.backend.experiment.checks import check_name
    from gimel.backend.experiment.definition import parse_definition

    fields = wire.query(event)
    namespace, name = experiment = wire.namespace(fields), wire.name(fields, "experiment")
    body = wire.json_body(event)
    if isinstance(body, dict) and body.get("experiment", name) != name:
        reason = "experiment in the body differs from the experiment in the query"
        raise HTTPError(400, reason, "experiment")
    if declaring.is_deleted(connection(), experiment):
        reason = "this name was deleted: `gimel delete --forget` allows it to be used again"
        raise HTTPError(409, reason, "experiment")
    if complaint := check_name(name):
        raise HTTPError(400, f"experiment {complaint}", "experiment")
    (found,) = counters().read(namespace, [name])
    definition = parse_definition(body, found.settings)
    _refuse_unvouched_counts(found, definition)
    changes = changes_between(found.settings, definition, has_events=found.has_events)
    counting = definition.counting or os.environ.get("GIMEL_COUNTING", "")
    declaring.change(connection(), experiment, changes, scope_of(event))
    declaring.begin(connection(), experiment, counters().shards, counting)
    counters().forget()
    flags().forget()
    return answers.answer_one(event, namespace, name)


def _refuse_unvouched_counts(found: "ExperimentCounts", definition: "Definition") -> None:
    """Refuse to declare a goal whose events were counted without what the goal asks of them.

    Before the declaration anybody could send them. Raises HTTPError 409.
    """
    if found.settings.is_declared:
        return
    for goal in definition.goals:
        if goal.name in found.goals and (goal.source == "server" or goal.kind != "unique"):
            reason = (
                f"events of the goal {goal.name} were counted before it was declared, from anyone: "
                "start a new experiment with another name, or `gimel delete --forget` this one"
            )
            raise HTTPError(409, reason, "goals")


@_endpoint("owner")
def settings(event: ProxyEvent) -> Response:
    """Change single fields of a definition: POST /settings. Answers as GET /experiment does.

    The counting method is chosen before the first event, when there is no experiment yet.
    """
    fields = wire.query(event)
    namespace, name = wire.namespace(fields), wire.name(fields, "experiment")
    body = wire.json_body(event)
    chooses = isinstance(body, dict) and "counting" in body
    # Imported here: it costs a cold start a millisecond, and events do not need it.
    from gimel.backend import answers
    from gimel.backend.counting import declaring
    from gimel.backend.experiment.changes import parse_changes

    (found,) = counters().read(namespace, [name])
    if not chooses and not found.exists:
        raise answers.no_experiment(namespace, name)
    seen = sorted(found.trials), sorted(found.goals)
    changed = parse_changes(body, found.settings, *seen, has_events=found.has_events)
    if decision := changed.get("decision"):
        answers.freeze(found, namespace, decision)
    declaring.change(connection(), (namespace, name), changed, scope_of(event))
    flags().forget()
    (found,) = counters().read(namespace, [name])
    if found.settings.counting != changed.get("counting", found.settings.counting):
        cure = "delete the experiment with `gimel delete --forget` first"
        raise HTTPError(400, f"the counting method is already set: {cure}", "counting")
    if not found.exists:
        return respond(found.describe())
    return answers.answer_one(event, namespace, name)


@_endpoint("owner")
def delete(event: ProxyEvent) -> Response:
    """Delete an experiment and its counts: DELETE /delete. Deleting it twice is no error.

    Its late events are accepted and not counted. `forget=1` allows the name to be used again.
    With `goal` or `variant`, delete only the counts of this one, which later events make anew.
    """
    fields = wire.query(event)
    name = wire.name(fields, "experiment")
    if "goal" in fields or "variant" in fields:
        from gimel.backend import answers

        return answers.delete_part(event, wire.namespace(fields), name)
    forget = fields.get("forget") == "1"
    deleted = counters().delete(wire.namespace(fields), name, forget=forget)
    flags().forget()
    return respond({"experiment": name, "deleted": deleted})


@_endpoint()
def dashboard(event: ProxyEvent) -> Response:
    """Return the dashboard: GET /dashboard. It holds no data; its script asks for the key."""
    from gimel.backend.page import page

    variables = event.get("stageVariables") or {}
    response = page(variables.get(wire.EVENTS_VARIABLE, "e"))
    if response["headers"]["etag"] in wire.header(event, "if-none-match"):
        return response | {"statusCode": 304, "body": ""}
    return wire.fitted(event, response)


@_endpoint()
def browser_client(event: ProxyEvent) -> Response:
    """Return the browser client: GET /gimel.js. It is code only, the same for everybody."""
    from gimel.backend.browser import script_response

    response = script_response(event.get("rawQueryString") or "")
    return wire.fitted(event, response, len(response["body"]))


ROUTES: dict[str, LambdaHandler] = {
    "GET /e": track,
    "POST /e": track,
    "GET /track": track,
    "POST /track": track,
    f"POST {FLAGS_PATH}": evaluate_flags,
    # The key of a flag may hold a slash, so it takes the whole rest of the path.
    f"POST {FLAGS_PATH}/{{proxy+}}": evaluate_flag,
    "GET /experiments": all,
    "GET /experiment": experiment,
    "GET /history": history,
    "PUT /experiment": declare,
    "POST /settings": settings,
    "DELETE /delete": delete,
    "GET /dashboard": dashboard,
    "GET /gimel.js": browser_client,
}
# What the tracking function serves
BY_TRACK = (track, evaluate_flag, evaluate_flags)


def handle(event: ProxyEvent, context: object = None) -> Response:
    """Call the handler of the request's route. A function with several routes calls this."""
    return dispatch(event, event.get("routeKey", ""), ROUTES)


def dispatch(event: ProxyEvent, route: str, routes: Mapping[str, LambdaHandler]) -> Response:
    """Call the handler of a route. Answer 404 or 405 if there is no such route."""
    method, _, key = route.partition(f"{FLAGS_PATH}/")
    if key:
        route = f"{method}{FLAGS_PATH}/{{proxy+}}"
    handler = routes.get(route)
    if handler is not None:
        return handler(event)
    path = route.partition(" ")[2]
    methods = [known.partition(" ")[0] for known in routes if known.endswith(f" {path}")]
    if methods:
        refused = HTTPError(405, "this path does not take that method", "method").response()
        refused["headers"]["allow"] = ", ".join(methods)
        return refused
    return HTTPError(404, "there is no such path", "path").response()
