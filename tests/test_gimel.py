"""The routes: what goes in, the exact shape of what comes out, and who may read."""

import base64
import gzip
import json
import re
from typing import Any
from urllib.parse import quote

import pytest
import redis

import gimel
from gimel import gimel as handlers
from gimel.backend import process, wire
from tests.support.handler_requests import KEY, KEY_SHA256, call, point_handlers_at, post, request
from tests.support.servers import url_of

EVENT = {"experiment": "button color", "variant": "red", "event": "participate", "uuid": "u1"}
ACCEPTED = {"accepted": 1, "ignored": 0, "reasons": {}, "rejected": []}
NO_QUEUE = {"waiting": None, "set_aside": None}
JSON_HEADERS = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


def trials(**query: str) -> dict[str, int]:
    """Every variant's visitors, of the only experiment there is."""
    (_, found) = call("GET", "/experiments", query).body
    return {each["label"]: each["trials"] for each in found["variants"]}


@pytest.mark.parametrize("path", ["/e", "/track"])
def test_an_event_by_get(backend: redis.Redis, path: str) -> None:
    assert call("GET", path, EVENT) == (200, ACCEPTED, JSON_HEADERS)
    assert call("GET", path, EVENT) == (200, ACCEPTED, JSON_HEADERS)
    assert call("GET", path, EVENT | {"uuid": "u2"}) == (200, ACCEPTED, JSON_HEADERS)
    assert trials() == {"red": 2}


def test_the_query_as_alephbet_writes_it(backend: redis.Redis) -> None:
    query = "experiment=my+a%2Fb+test&uuid=u1&variant=red+%26+blue&event=participate&namespace=n"
    assert call("GET", "/e", query).body == ACCEPTED
    (_, found) = call("GET", "/experiments", {"namespace": "n"}).body
    assert found["experiment"] == "my a/b test"
    assert found["variants"] == [{"label": "red & blue", "trials": 1, "stray": False}]


@pytest.mark.parametrize(
    ("raw", "name"),
    [("a+b", "a b"), ("a%2Bb", "a+b"), ("a%20b", "a b"), ("a=b", "a=b"), ("a,b", "a,b"),
     ("a;b", "a;b"), ("100%", "100%"), ("%D7%A9", "ש"), ("ש", "ש")],
)  # fmt: skip
def test_the_raw_query_is_what_counts(backend: redis.Redis, raw: str, name: str) -> None:
    call("GET", "/e", f"experiment=e&variant={raw}&event=participate&uuid=1")
    assert trials() == {name: 1}


def test_of_a_repeated_field_the_last_counts(backend: redis.Redis) -> None:
    call("GET", "/e", "experiment=e&variant=a&event=participate&uuid=1&variant=b,c")
    assert trials() == {"b,c": 1}


@pytest.mark.parametrize("path", ["/e", "/track"])
@pytest.mark.parametrize("content_type", ["application/json", "text/plain;charset=UTF-8"])
@pytest.mark.parametrize("in_base64", [False, True])
def test_an_event_by_post(
    backend: redis.Redis, path: str, content_type: str, in_base64: bool
) -> None:
    body = json.dumps(EVENT | {"variant": "אדום 👩‍👧"}, ensure_ascii=False)
    if in_base64:
        body = base64.b64encode(body.encode()).decode()
    headers = {"content-type": content_type}
    answer = call("POST", path, body=body, headers=headers, base64=in_base64)
    assert answer == (200, ACCEPTED, JSON_HEADERS)
    assert trials() == {"אדום 👩‍👧": 1}


def test_a_batch_counts_each_visitor_once(backend: redis.Redis) -> None:
    batch = [EVENT | {"uuid": f"u{n % 3}", "variant": "ab"[n % 2]} for n in range(12)]
    assert post(batch) == (
        200,
        {"accepted": 12, "ignored": 0, "reasons": {}, "rejected": []},
        JSON_HEADERS,
    )
    assert trials() == {"a": 3, "b": 3}


def test_unknown_fields_are_ignored(backend: redis.Redis) -> None:
    assert post(EVENT | {"time": 12, "page": None}).body == ACCEPTED
    assert call("GET", "/e", EVENT | {"_": "cache buster"}).body == ACCEPTED


def test_namespaces_are_apart(backend: redis.Redis) -> None:
    call("GET", "/e", EVENT)
    call("GET", "/e", EVENT | {"namespace": "prod", "variant": "blue"})
    assert trials() == trials(namespace="alephbet") == {"red": 1}
    assert trials(namespace="prod") == {"blue": 1}


def fill() -> None:
    post([EVENT | {"variant": variant, "uuid": str(n)}
          for variant, size in (("red", 3), ("blue", 2)) for n in range(size)])  # fmt: skip
    post([EVENT | {"event": "signup"}, EVENT | {"event": "buy", "variant": "blue"}])


EXPERIMENT = {
    "experiment": "button color",
    "declared": False,
    "state": "running",
    "baseline": "blue",
    "variants": [{"label": "blue", "trials": 2}, {"label": "red", "trials": 3}],
    "counting": {"method": "hyperloglog", "shards": 64, "relative_error": 0.001012},
    "goals": [
        {
            "goal": "buy",
            "results": [
                {"label": "blue", "successes": 1, "trials": 2},
                {"label": "red", "successes": 0, "trials": 3},
            ],
        },
        {
            "goal": "signup",
            "results": [
                {"label": "blue", "successes": 0, "trials": 2},
                {"label": "red", "successes": 1, "trials": 3},
            ],
        },
    ],
}


def includes(whole: object, part: object) -> bool:
    """Whether `whole` says all that `part` says: fields are added to the wire, never renamed."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(
            name in whole and includes(whole[name], value) for name, value in part.items()
        )
    if isinstance(part, list):
        return (
            isinstance(whole, list) and len(whole) == len(part) and all(map(includes, whole, part))
        )
    return whole == part


def test_all_experiments(backend: redis.Redis) -> None:
    fill()
    answer = call("GET", "/experiments")
    assert (answer.status, answer.headers) == (200, JSON_HEADERS)
    meta = {
        "scope": None,
        "key_scope": "owner",
        "namespaces": ["alephbet"],
        "total": 1,
        "next": None,
        "ignored": {"reasons": {}},
        **NO_QUEUE,
    }
    assert answer.body[0] == {"meta": meta}
    (found,) = answer.body[1:]
    assert includes(found, EXPERIMENT)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", found["created_at"])


def test_one_experiment(backend: redis.Redis) -> None:
    fill()
    answer = call("GET", "/experiment", {"experiment": "button color"})
    assert (answer.status, answer.headers) == (200, JSON_HEADERS)
    more = {"ignored": {"reasons": {}, "last": []}, "changes": [], "traffic_stopped_since": None}
    more["key_scope"] = "owner"
    assert answer.body.pop("health")
    more |= NO_QUEUE
    assert answer.body == call("GET", "/experiments").body[1] | more


def test_the_shape_that_gimel_1_answered(backend: redis.Redis) -> None:
    fill()
    first, *others = call("GET", "/experiments").body
    assert first["meta"]["scope"] is None
    as_before = [
        {
            "experiment": each["experiment"],
            "goals": [
                {"goal": goal["goal"], "results": [
                    {name: result[name] for name in ("label", "successes", "trials")}
                    for result in goal["results"]
                ]}
                for goal in each["goals"]
            ],
        }
        for each in others
    ]  # fmt: skip
    assert as_before == [{name: EXPERIMENT[name] for name in ("experiment", "goals")}]


def test_a_scope(backend: redis.Redis) -> None:
    post([EVENT | {"experiment": name} for name in ("one", "two", "three")])
    answer = call("GET", "/experiments", {"scope": "three,one,"})
    assert answer.body[0]["meta"]["scope"] == "three,one,"
    assert [each["experiment"] for each in answer.body[1:]] == ["three", "one"]
    assert len(call("GET", "/experiments", {"scope": ""}).body) == 4


def test_a_scope_that_names_nothing_known_answers_as_gimel_1_did(backend: redis.Redis) -> None:
    (_, found) = call("GET", "/experiments", {"scope": "unknown"}).body
    assert (found["experiment"], found["goals"], found["variants"]) == ("unknown", [], [])


def test_no_experiments(backend: redis.Redis) -> None:
    meta = {"scope": None, "key_scope": "owner", "namespaces": [], "total": 0, "next": None}
    meta |= {"ignored": {"reasons": {}}, **NO_QUEUE}
    assert call("GET", "/experiments").body == [{"meta": meta}]


def test_an_unknown_experiment(backend: redis.Redis) -> None:
    answer = call("GET", "/experiment", {"experiment": "unknown"})
    error = "there is no experiment unknown in namespace alephbet"
    assert answer == (404, {"error": error, "field": "experiment"}, JSON_HEADERS)


def test_an_experiment_with_participations_only(backend: redis.Redis) -> None:
    call("GET", "/e", EVENT)
    found = call("GET", "/experiment", {"experiment": "button color"}).body
    assert found["goals"] == []
    assert found["variants"] == [{"label": "red", "trials": 1, "stray": False}]


def test_delete(backend: redis.Redis) -> None:
    fill()
    name = {"experiment": "button color"}
    assert call("DELETE", "/delete", name) == (200, name | {"deleted": True}, JSON_HEADERS)
    assert "alephbet:deleted" in backend.scan_iter()
    assert call("DELETE", "/delete", name) == (200, name | {"deleted": False}, JSON_HEADERS)
    fill()
    assert call("GET", "/experiment", name).status == 404, "late events count nothing"
    forget = name | {"forget": "1"}
    assert call("DELETE", "/delete", forget) == (200, name | {"deleted": True}, JSON_HEADERS)
    assert backend.dbsize() == 0
    assert call("GET", "/experiment", name).status == 404


@pytest.mark.parametrize("baseline", ["control", "original"])
def test_the_baseline_has_a_conventional_name_or_the_first(
    backend: redis.Redis, baseline: str
) -> None:
    post([EVENT | {"variant": variant} for variant in ("a", baseline, "z")])
    assert call("GET", "/experiments").body[1]["baseline"] == baseline


def test_the_dashboard_is_a_page_that_holds_no_data(backend: redis.Redis) -> None:
    response = handlers.handle(request("GET", "/dashboard"))
    headers = response["headers"]
    assert (response["statusCode"], headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe-inline" not in headers["content-security-policy"]
    assert "<style>" in response["body"]
    assert "/*script*/" not in response["body"]


def unpacked(response: dict[str, Any]) -> str:
    assert response["headers"]["content-encoding"] == "gzip"
    assert response["isBase64Encoded"]
    return gzip.decompress(base64.b64decode(response["body"])).decode()


@pytest.mark.parametrize("path", ["/experiments", "/dashboard"])
def test_a_large_answer_is_gzipped_for_whoever_takes_that(backend: redis.Redis, path: str) -> None:
    post([EVENT | {"experiment": f"צבע {n}", "event": g} for n in range(20) for g in "abc"])
    plain = handlers.handle(request("GET", path))
    takes = {"accept-encoding": "br, gzip"}
    packed = handlers.handle(request("GET", path, headers=takes))
    assert unpacked(packed) == plain["body"]
    assert len(packed["body"]) < len(plain["body"]) / 2
    assert "content-encoding" not in plain["headers"]
    for refuses in ("gzip;q=0", "gzip; q=0.0, br"):
        assert handlers.handle(request("GET", path, headers={"accept-encoding": refuses})) == plain
    small = handlers.handle(request("GET", "/experiments", {"scope": "צבע 1"}, headers=takes))
    assert len(json.loads(small["body"])) == 2


def test_an_answer_too_large_for_lambda_says_what_to_do(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    post([EVENT | {"experiment": f"e{n}"} for n in range(100)])
    length = len(json.dumps(handlers.handle(request("GET", "/experiments"))["body"]))
    monkeypatch.setattr(wire, "MAX_ANSWER", length)
    assert call("GET", "/experiments").status == 200
    monkeypatch.setattr(wire, "MAX_ANSWER", length - 1)
    answer = call("GET", "/experiments")
    assert (answer.status, answer.body["field"]) == (413, "scope")
    assert call("GET", "/experiments", {"scope": "e1,e2"}).status == 200
    packed = handlers.handle(request("GET", "/experiments", headers={"accept-encoding": "gzip"}))
    assert len(json.loads(unpacked(packed))) == 101


def test_the_handlers_have_the_names_that_gimel_1_gave_them() -> None:
    for name in ("track", "all", "experiment", "delete"):
        assert getattr(gimel, name) is getattr(handlers, name)
    with pytest.raises(AttributeError, match="nothing"):
        _ = gimel.nothing


def test_a_handler_called_alone_answers_as_by_its_route(backend: redis.Redis) -> None:
    assert handlers.track(request("GET", "/e", EVENT))["statusCode"] == 200
    event = request("GET", "/experiments")
    assert handlers.all(event) == handlers.handle(event)


# The read key

NAME = {"experiment": "button color"}
READS = [("GET", "/experiments", NAME), ("GET", "/experiment", NAME), ("DELETE", "/delete", NAME)]


@pytest.mark.parametrize(("method", "path", "query"), READS)
@pytest.mark.parametrize(
    "headers",
    [None, {}, {"x-api-key": ""}, {"x-api-key": "wrong"}, {"x-api-key": KEY_SHA256},
     {"x-api-key": "none"}, {"x-api-key": "מפתח \U0001f511"}, {"x-api-key": "\udcff\ud800"},
     {"authorization": KEY}],
)  # fmt: skip
def test_reads_are_refused_without_the_key(
    backend: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    query: dict[str, str],
    headers: dict[str, str] | None,
) -> None:
    call("GET", "/e", EVENT)
    keys = backend.dbsize()
    point_handlers_at(monkeypatch, url_of(backend), KEY_SHA256)
    answer = call(method, path, query, headers=headers)
    assert answer.status == 403
    assert answer.body["field"] == "x-api-key"
    assert answer.headers == JSON_HEADERS
    assert backend.dbsize() == keys


@pytest.mark.parametrize(("method", "path", "query"), READS)
def test_reads_answer_with_the_key(
    backend: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    query: dict[str, str],
) -> None:
    point_handlers_at(monkeypatch, url_of(backend), KEY_SHA256)
    assert call("GET", "/e", EVENT).status == 200  # counting asks for none
    assert call(method, path, query, headers={"x-api-key": KEY}).status == 200


@pytest.mark.parametrize(("method", "path", "query"), READS)
@pytest.mark.parametrize("unset", ["", None, "not a hash", "NONE", "מפתח"])
@pytest.mark.parametrize("given", ["", KEY, "none", "NONE"])
def test_without_a_known_key_every_read_is_refused(
    backend: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    query: dict[str, str],
    unset: str | None,
    given: str,
) -> None:
    point_handlers_at(monkeypatch, url_of(backend), unset or "")
    if unset is None:
        monkeypatch.delenv("GIMEL_KEY_SHA256")
    assert call(method, path, query, headers={"x-api-key": given}).status == 403


def test_names_that_need_quoting_can_be_read_and_deleted(backend: redis.Redis) -> None:
    name = "a:b#c%d/é ש👩‍👧&=+"
    call("GET", "/e", EVENT | {"experiment": name, "namespace": name})
    query = f"experiment={quote(name, safe='')}&namespace={quote(name, safe='')}&forget=1"
    assert call("GET", "/experiment", query).body["experiment"] == name
    assert call("DELETE", "/delete", query).body == {"experiment": name, "deleted": True}
    assert backend.dbsize() == 0


def test_the_limits_are_set_by_the_environment(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMEL_LIMITS", '{"variants": 1}')
    process.reset()
    assert call("GET", "/e", EVENT).status == 200
    assert call("GET", "/e", EVENT | {"variant": "another"}).status == 429
    assert call("GET", "/e", EVENT | {"event": "buy"}).status == 200


def test_the_number_of_shards_is_set_by_the_environment(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMEL_SHARDS", "4")
    process.reset()
    call("GET", "/e", EVENT)
    counting = call("GET", "/experiments").body[1]["counting"]
    assert counting == {"method": "hyperloglog", "shards": 4, "relative_error": 0.00405}
