"""The OpenFeature Remote Evaluation Protocol: answers and errors, as the standard has them."""

import base64
import gzip
import json
from typing import Any
from urllib.parse import quote

import pytest
import redis

from gimel.backend import process
from gimel.backend.wire import FLAGS_PATH
from gimel.gimel import handle
from tests.support.flags import FLAGS, declare, evaluate
from tests.support.handler_requests import (
    KEY,
    KEY_SHA256,
    call,
    point_handlers_at,
    request,
)
from tests.support.proxy import black_hole
from tests.support.servers import url_of
from tests.support.traffic import traffic


@pytest.mark.parametrize(
    "values", [[True, False], ["#00f", "#f00"], [1, 2.5], [{"a": [1]}, {"a": []}]]
)
def test_one_flag_for_a_visitor(backend: redis.Redis, values: list[Any]) -> None:
    variants = [{"name": f"v{index}", "value": value} for index, value in enumerate(values)]
    declare("button color", variants=variants)
    seen = {}
    for number in range(50):
        answer = evaluate("button%20color", f"user {number}")
        assert answer.status == 200
        assert answer.body.pop("key") == "button color"
        assert answer.body.pop("reason") == "SPLIT"
        seen[answer.body["variant"]] = answer.body.pop("value")
        assert answer.body.pop("metadata") == {"takes_part": True}
        assert answer.body.keys() == {"variant"}
    assert seen == {f"v{index}": value for index, value in enumerate(values)}


NAMES = ["a", "button color", "a/b", "/", "ü 你好", "100 %", "%41", "a?b#c&d=e", "flags/x"]


@pytest.mark.parametrize("name", NAMES)
def test_a_key_is_read_from_each_form_of_the_path(backend: redis.Redis, name: str) -> None:
    declare(name)
    body = json.dumps({"context": {"targetingKey": "u"}})
    # A function URL passes the path on as it was sent, an HTTP API decodes all but one escape.
    for sent in (quote(name, safe=""), quote(name), name.replace("%", "%25")):
        event = request("POST", f"{FLAGS}/{sent}", body=body)
        on_aws = event | {"routeKey": f"POST {FLAGS_PATH}/{{proxy+}}"}
        for each in (event, on_aws):
            assert json.loads(handle(each)["body"])["key"] == name


@pytest.mark.parametrize("state", ["stopped", "archived"])
def test_a_stopped_flag_is_its_baseline(backend: redis.Redis, state: str) -> None:
    declare("a", baseline="red")
    assert {evaluate("a", f"{number}").body["variant"] for number in range(50)} == {"blue", "red"}
    call("POST", "/settings", {"experiment": "a"}, body=json.dumps({"state": state}))
    for number in range(50):
        answer = evaluate("a", f"{number}").body
        assert answer == {
            "key": "a",
            "value": "#f00",
            "variant": "red",
            "reason": "DISABLED",
            "metadata": {"takes_part": False},
        }
    call("POST", "/settings", {"experiment": "a"}, body=json.dumps({"state": "running"}))
    assert evaluate("a").body["reason"] == "SPLIT"


@pytest.mark.parametrize("state", ["stopped", "archived"])
def test_a_decided_flag_is_its_winner(backend: redis.Redis, state: str) -> None:
    declare("a", traffic=0.5)
    decision = {"winner": "red", "reason": "It won"}
    settings = {"decision": decision, "state": state}
    call("POST", "/settings", {"experiment": "a"}, body=json.dumps(settings))
    for number in range(50):
        answer = evaluate("a", f"{number}").body
        assert (answer["variant"], answer["value"], answer["reason"]) == ("red", "#f00", "STATIC")
        assert answer["metadata"] == {"takes_part": False}
    call("POST", "/settings", {"experiment": "a"}, body=json.dumps({"decision": None}))
    assert evaluate("a").body["reason"] == "DISABLED"


def test_outside_of_the_traffic_it_is_the_baseline(backend: redis.Redis) -> None:
    declare("a", traffic=0.2)
    found = [evaluate("a", f"{number}").body for number in range(200)]
    outside = [each["variant"] for each in found if each["reason"] == "DEFAULT"]
    assert all(each["metadata"]["takes_part"] is (each["reason"] == "SPLIT") for each in found)
    assert set(outside) == {"blue"}
    assert 130 < len(outside) < 190


def test_a_deleted_flag_is_unknown(backend: redis.Redis) -> None:
    declare("a")
    assert evaluate("a").status == 200
    call("DELETE", "/delete", {"experiment": "a"})
    assert evaluate("a").status == 404


def test_evaluating_counts_nothing(backend: redis.Redis) -> None:
    declare("a")
    evaluate("a")
    with traffic(backend) as seen:
        for number in range(50):
            evaluate("a", f"user {number}")
            evaluate(None, f"user {number}")
            assert evaluate("none").status == 404
    assert seen.commands == {}
    assert all(each["trials"] == 0 for each in call("GET", "/experiments").body[1]["variants"])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ("{", "PARSE_ERROR"),
        ("", "PARSE_ERROR"),
        ("[]", "PARSE_ERROR"),
        ('"x"', "PARSE_ERROR"),
        ("{}", "TARGETING_KEY_MISSING"),
        ('{"context": null}', "TARGETING_KEY_MISSING"),
        ('{"context": {"plan": "pro"}}', "TARGETING_KEY_MISSING"),
        ('{"context": {"targetingKey": ""}}', "TARGETING_KEY_MISSING"),
        ('{"context": [1]}', "INVALID_CONTEXT"),
        ('{"context": {"targetingKey": 7}}', "INVALID_CONTEXT"),
        ('{"context": {"targetingKey": "a\\nb"}}', "INVALID_CONTEXT"),
        (json.dumps({"context": {"targetingKey": "x" * 257}}), "INVALID_CONTEXT"),
    ],
)
def test_a_wrong_request_gets_the_error_of_the_standard(
    backend: redis.Redis, body: str, code: str
) -> None:
    declare("a")
    one, all_flags = call("POST", f"{FLAGS}/a", body=body), call("POST", FLAGS, body=body)
    assert (one.status, all_flags.status) == (400, 400)
    details = all_flags.body.pop("errorDetails")
    assert all_flags.body == {"errorCode": code}
    assert one.body == {"key": "a", "errorCode": code, "errorDetails": details}


def test_a_long_body_is_refused(backend: redis.Redis) -> None:
    answer = call("POST", FLAGS, body=json.dumps({"context": {"x": "x" * (1 << 20)}}))
    assert (answer.status, answer.body["errorCode"]) == (413, "PARSE_ERROR")


def test_an_unknown_flag_is_not_found(backend: redis.Redis) -> None:
    declare("a")
    answer = evaluate("b")
    assert answer.status == 404
    assert answer.body == {
        "key": "b",
        "errorCode": "FLAG_NOT_FOUND",
        "errorDetails": "there is no flag b in namespace alephbet",
    }


def test_without_redis_and_flags_the_caller_uses_its_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with black_hole() as port:
        point_handlers_at(monkeypatch, f"redis://127.0.0.1:{port}")
        for key in ("a", None):
            answer = evaluate(key)
            assert (answer.status, answer.body["errorCode"]) == (503, "GENERAL")
            assert answer.headers["retry-after"] == "5"
        process.reset()


@pytest.mark.parametrize("name", ["staging", "my staging", "ü/%"])
def test_the_namespace_is_in_a_header(backend: redis.Redis, name: str) -> None:
    declare("a", name)
    assert evaluate("a").status == 404
    assert evaluate("a", x_gimel_namespace=quote(name)).status == 200
    assert evaluate("a", x_gimel_namespace="\x00").status == 404


def test_all_flags_and_their_tag(backend: redis.Redis) -> None:
    assert evaluate(None).body == {"flags": []}
    for name in ("b", "a"):
        declare(name)
    first = evaluate(None)
    assert [each["key"] for each in first.body["flags"]] == ["a", "b"]
    assert first.body["flags"] == [evaluate(name).body for name in ("a", "b")]
    tag = first.headers["etag"]
    assert evaluate(None).headers["etag"] == tag
    for sent in (tag, f"W/{tag}", f'"x", {tag}'):
        event = request("POST", FLAGS, body='{"context": {"targetingKey": "user 7"}}')
        answer = handle(event | {"headers": {"if-none-match": sent}})
        assert (answer["statusCode"], answer["body"]) == (304, "")
        assert answer["headers"]["etag"] == tag
    call("POST", "/settings", {"experiment": "a"}, body='{"state": "stopped"}')
    changed = evaluate(None, if_none_match=tag)
    assert (changed.status, changed.headers["etag"] == tag) == (200, False)


def test_many_flags_are_compressed(backend: redis.Redis) -> None:
    values = [{"name": name, "value": name * 4000} for name in "ab"]
    for number in range(10):
        declare(f"flag {number}", variants=values)
    plain = evaluate(None).body
    event = request("POST", FLAGS, body='{"context": {"targetingKey": "user 7"}}')
    packed = handle(event | {"headers": {"accept-encoding": "gzip"}})
    assert packed["headers"]["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(base64.b64decode(packed["body"]))) == plain
    assert len(packed["body"]) < 1000


def test_a_wrong_key_is_refused(backend: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    declare("a")
    point_handlers_at(monkeypatch, url_of(backend), KEY_SHA256)
    for key in ("a", None):
        assert evaluate(key).status == 200
        assert evaluate(key, x_api_key=KEY).status == 200
        assert evaluate(key, x_api_key="wrong").status == 403
