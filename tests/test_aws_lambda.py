"""The tracking function behind a function URL, and the reading function that writes snapshots."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from gimel import aws_lambda
from gimel.backend.counting.keys import WRITER
from gimel.backend.experiment.history import Snapshot, history
from gimel.backend.redis.connection import Connection
from tests.support.flags import FLAGS, declare
from tests.support.handler_requests import KEY, KEY_SHA256, call, request
from tests.support.servers import url_of

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}
ACCEPTED = {"accepted": 1, "ignored": 0, "reasons": {}, "rejected": []}


@pytest.fixture(autouse=True)
def _own_routes() -> Iterator[None]:
    """Routes are read from the environment once a process."""
    aws_lambda._url_routes.cache_clear()
    yield
    aws_lambda._url_routes.cache_clear()


def url_request(method: str, path: str, *rest: Any, **more: Any) -> dict[str, Any]:
    """A request as a function URL passes it on: it has no route and no stage.

    https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html#urls-payloads
    """
    event = request(method, path, *rest, **more)
    http = {"method": method, "path": path, "sourceIp": "192.0.2.1"}
    context = {"accountId": "anonymous", "http": http, "stage": "$default"}
    return event | {"routeKey": "$default", "rawPath": path, "requestContext": context}


def ask(*arguments: Any, **more: Any) -> tuple[int, Any]:
    response = aws_lambda.track(url_request(*arguments, **more))
    return response["statusCode"], json.loads(response["body"])


def visitors() -> int:
    (_, *found) = call("GET", "/experiments").body
    return sum(variant["trials"] for each in found for variant in each["variants"])


def test_flags_are_evaluated(backend: redis.Redis) -> None:
    declare("a/b c")
    body = json.dumps({"context": {"targetingKey": "u"}})
    for key in ("a%2Fb%20c", "a/b%20c"):
        status, answer = ask("POST", f"{FLAGS}/{key}", body=body)
        assert (status, answer["key"]) == (200, "a/b c")
    assert len(ask("POST", FLAGS, body=body)[1]["flags"]) == 1
    assert ask("GET", FLAGS)[0] == 405
    # Through the HTTP API, which names the route
    for route, path in [("", ""), ("/{proxy+}", "/a/b c")]:
        event = request("POST", f"{FLAGS}{path}", body=body)
        response = aws_lambda.track(event | {"routeKey": f"POST {FLAGS}{route}"})
        assert (response["statusCode"], "a/b c" in response["body"]) == (200, True)


@pytest.mark.parametrize("path", ["/e", "/track"])
def test_events_count(backend: redis.Redis, path: str) -> None:
    assert ask("GET", path, EVENT) == (200, ACCEPTED)
    body = json.dumps([EVENT | {"uuid": "2"}, EVENT | {"uuid": "3"}])
    assert ask("POST", path, body=body)[1]["accepted"] == 2
    packed = base64.b64encode(json.dumps(EVENT | {"uuid": "4"}).encode()).decode()
    assert ask("POST", path, body=packed, base64=True) == (200, ACCEPTED)
    assert visitors() == 4


def test_answers_are_those_behind_the_api(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMEL_KEY_SHA256", KEY_SHA256)
    body = json.dumps(EVENT)
    for headers in (
        {},
        {"x-api-key": KEY},
        {"x-api-key": "wrong"},
        {"user-agent": "Googlebot/2.1"},
    ):
        for method, query, body in [
            ("GET", EVENT, None),
            ("GET", {}, None),
            ("GET", "experiment=%ff", None),
            ("POST", "", json.dumps(EVENT)),
            ("POST", "", "no JSON"),
            ("POST", "", " " * (1 << 20) + "1"),
        ]:
            behind_api = aws_lambda.track(request(method, "/e", query, body, headers))
            assert aws_lambda.track(url_request(method, "/e", query, body, headers)) == behind_api
    assert ask("GET", "/e", EVENT, headers={"x-api-key": "wrong"})[0] == 403


# No other route is served, whatever the key.
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/prod/e", 404),
        ("GET", "/e/", 404),
        ("GET", "//e", 404),
        ("GET", "/E", 404),
        ("GET", "/%65", 404),
        ("GET", "/favicon.ico", 404),
        ("GET", "/experiments", 404),
        ("PUT", "/experiment", 404),
        ("DELETE", "/delete", 404),
        ("GET", "/dashboard", 404),
        ("GET", "/e POST /e", 404),
        ("HEAD", "/e", 405),
        ("DELETE", "/e", 405),
        # Lambda answers a preflight itself. Other requests with OPTIONS may come through.
        ("OPTIONS", "/e", 405),
    ],
)
def test_nothing_else_is_served(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch, method: str, path: str, status: int
) -> None:
    monkeypatch.setenv("GIMEL_KEY_SHA256", KEY_SHA256)
    for key in ({}, {"x-api-key": KEY}):
        found, content = ask(method, path, EVENT, json.dumps(EVENT), key)
        assert (found, set(content)) == (status, {"error", "field"})
    assert backend.keys() == []


def test_further_routes_come_from_the_configuration(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMEL_EVENT_ROUTES", "GET /hi,POST /hi,GET /old")
    assert ask("GET", "/hi", EVENT) == ask("POST", "/hi", body=json.dumps(EVENT)) == (200, ACCEPTED)
    assert ask("GET", "/old", EVENT) == ask("GET", "/e", EVENT) == (200, ACCEPTED)
    assert ask("POST", "/old", body=json.dumps(EVENT))[0] == 405
    assert ask("GET", "/hi,POST", EVENT)[0] == 404


def test_a_stranger_cannot_pose_as_the_old_rest_api(backend: redis.Redis) -> None:
    """That API's events have no envelope. What comes through an URL is inside of one."""
    body = json.dumps({"requestContext": None, **EVENT})
    assert ask("POST", "/", body=body)[0] == 404
    assert ask("POST", "/e", {"routeKey": "GET /experiments"}, body=body)[0] == 200


# Other callers

# https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html
REST_API = {
    "resource": "/e",
    "path": "/e",
    "httpMethod": "GET",
    "headers": None,
    "queryStringParameters": EVENT,
    "multiValueQueryStringParameters": {name: [value] for name, value in EVENT.items()},
    "requestContext": {"httpMethod": "GET", "path": "/prod/e", "stage": "prod"},
    "body": None,
    "isBase64Encoded": False,
}
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/lambda-functions.html
LOAD_BALANCER = {
    "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:…"}},
    "httpMethod": "GET",
    "path": "/e",
    "queryStringParameters": EVENT,
    "headers": {"host": "lb.example.org"},
    "body": "",
    "isBase64Encoded": False,
}
HTTP_API = request("GET", "/e", EVENT)
FOREIGN: list[Any] = [
    REST_API,
    LOAD_BALANCER,
    *(None, [], [1], "", "text", 0, 1.5, True),
    *({"requestContext": each} for each in (None, {}, [], "http", {"http": None}, {"http": "GET"})),
    *({"requestContext": {"http": {"method": each}}, "routeKey": "GET /e"} for each in (None, 1)),
    HTTP_API | {"routeKey": None},
]


@pytest.mark.parametrize("function", ["track", "reads", "delete", "replay"])
@pytest.mark.parametrize("event", FOREIGN)
def test_an_event_of_another_caller_is_refused(
    backend: redis.Redis, function: str, event: Any
) -> None:
    answer = getattr(aws_lambda, function)(event)
    assert answer["statusCode"] == 400
    assert "this function takes" in json.loads(answer["body"])["error"]
    assert backend.dbsize() == 0


def test_the_rest_api_of_gimel_1_goes_on(backend: redis.Redis) -> None:
    assert aws_lambda.track(EVENT) is None
    meta, found = aws_lambda.reads({})
    assert (meta, found["experiment"]) == ({"meta": {"scope": None}}, "e")
    long_scope = ",".join(["e", *map(str, range(200))])
    assert aws_lambda.reads({"scope": long_scope})[1]["experiment"] == "e"
    with pytest.raises(aws_lambda.FailedCallError, match="scope must be a string"):
        aws_lambda.reads({"scope": ["e"]})
    assert aws_lambda.delete({"experiment": "e"}) is None
    assert aws_lambda.reads({}) == [{"meta": {"scope": None}}]


SNAPSHOT = {"gimel": "snapshot"}


class Context:
    """Lambda's context of an invocation."""

    def __init__(self, seconds: float) -> None:
        self.get_remaining_time_in_millis = lambda: round(1000 * seconds)


def snapshots(store: redis.Redis) -> list[Snapshot]:
    return history(Connection(url_of(store)), ("alephbet", "e"))


def test_the_rules_event_writes_snapshots(
    backend: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    call("GET", "/e", EVENT)
    assert aws_lambda.reads(SNAPSHOT, Context(29)) == {"snapshots": 1, "complete": True}
    assert [each.visitors for each in snapshots(backend)] == [1]
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {name: line[name] for name in ("snapshots", "complete")} == {
        "snapshots": 1,
        "complete": True,
    }
    # EventBridge may deliver an event twice.
    assert aws_lambda.reads(SNAPSHOT) == {"snapshots": 0, "complete": True}
    backend.set(WRITER, "another", ex=30)
    assert aws_lambda.reads(SNAPSHOT) == {"snapshots": None}


def test_no_request_is_taken_for_the_rules_event(backend: redis.Redis) -> None:
    """Whatever strangers send through the API or the function URL has a `requestContext`."""
    call("GET", "/e", EVENT)
    body = json.dumps(SNAPSHOT)
    for sent in (
        request("GET", "/experiments", SNAPSHOT),
        request("POST", "/settings", body=body),
        request("GET", "/experiments") | SNAPSHOT,
        url_request("POST", "/e", body=body) | SNAPSHOT,
        {"requestContext": {}} | SNAPSHOT,
    ):
        aws_lambda.reads(sent, Context(29))
    assert ask("GET", "/e", EVENT | SNAPSHOT)[0] == 200
    with pytest.raises(aws_lambda.FailedCallError):
        aws_lambda.track(SNAPSHOT)
    with pytest.raises(aws_lambda.FailedCallError):
        aws_lambda.delete(SNAPSHOT)
    assert aws_lambda.replay(SNAPSHOT)["statusCode"] == 400
    assert snapshots(backend) == []


def test_snapshots_that_redis_does_not_take_fail_so_that_lambda_calls_again(
    backend: redis.Redis,
) -> None:
    call("GET", "/e", EVENT)
    backend.config_set("maxmemory", "1mb")
    with pytest.raises(aws_lambda.FailedCallError, match=r"^OutOfMemoryError$"):
        aws_lambda.reads(SNAPSHOT, Context(29))
    backend.config_set("maxmemory", "0")
    assert aws_lambda.reads(SNAPSHOT, Context(29)) == {"snapshots": 1, "complete": True}
