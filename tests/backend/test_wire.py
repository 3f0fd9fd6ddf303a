"""Bad input of every kind: one JSON error that names the field, and nothing written."""

import base64
import json
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import redis
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gimel.backend import wire
from gimel.backend.wire import HTTPError
from tests.support.handler_requests import Answer, call, post
from tests.support.hypothesis_settings import on_one_server

EVENT = {"experiment": "button color", "variant": "red", "event": "signup", "uuid": "u1",
         "namespace": "alephbet"}  # fmt: skip
REQUIRED = ("experiment", "variant", "event", "uuid")
# of what a batch answers, beside an error
COUNTED = ("accepted", "ignored", "reasons", "rejected")


def assert_refused(
    store: redis.Redis, answer: Answer, field: str | None, status: int = 400
) -> None:
    assert answer.status == status
    assert answer.body.keys() - {*COUNTED} == {"error", "field"}
    assert answer.body["field"] == field
    assert answer.body["error"]
    assert answer.headers["content-type"] == "application/json"
    assert store.dbsize() == 0


def ways(event: dict[str, str]) -> list[Answer]:
    """The event by query, by body, in a batch."""
    return [call("GET", "/e", event), post(event), post([event])]


@pytest.mark.parametrize("field", REQUIRED)
def test_a_missing_field(backend: redis.Redis, field: str) -> None:
    for answer in ways({name: value for name, value in EVENT.items() if name != field}):
        assert_refused(backend, answer, field)
        assert answer.body["error"] == f"{field} is missing"


# Each one a sentence's end, so that the sentence is checked with the value.
WRONG = {
    "": "is empty",
    " ": "is empty",
    "\u00a0\u2003": "is empty",
    "x" * 257: "is over 256 characters",
    "𝒳" * 257: "is over 256 characters",
    "a\x00b": "holds a control character",
    "a\nb": "holds a control character",
    "\x1b[31mred": "holds a control character",
    "a\x7f": "holds a control character",
    "a\x85": "holds a control character",
}


@pytest.mark.parametrize(("value", "reason"), WRONG.items())
@pytest.mark.parametrize("field", EVENT)
def test_a_wrong_value(backend: redis.Redis, field: str, value: str, reason: str) -> None:
    for answer in ways(EVENT | {field: value}):
        assert_refused(backend, answer, field)
        assert answer.body["error"] == f"{field} {reason}"


AMOUNTS = ["-1", "x", "1,5", "1_000", " 1", "nan", "inf", "1e999", "0x10", "٣", "9" * 401]


@pytest.mark.parametrize("value", AMOUNTS)
def test_a_wrong_amount(backend: redis.Redis, value: str) -> None:
    for answer in ways(EVENT | {"value": value}):
        assert_refused(backend, answer, "value")
        assert answer.body["error"] == "value must be a finite number, 0 or more"


@pytest.mark.parametrize("value", [-1, True, [1], {}, 10**400, float("nan"), float("inf")])
def test_a_wrong_amount_in_json(backend: redis.Redis, value: object) -> None:
    for answer in (post(EVENT | {"value": value}), post([EVENT | {"value": value}])):
        assert_refused(backend, answer, "value")


@pytest.mark.parametrize("value", ["", "0", "0.0", "12.50", "1e3", "1E-3", "5."])
def test_an_amount_just_right(backend: redis.Redis, value: str) -> None:
    assert [answer.status for answer in ways(EVENT | {"value": value})] == [200, 200, 200]
    number = float(value or 0)
    assert [post(EVENT | {"value": each}).status for each in (number, None)] == [200, 200]


@pytest.mark.parametrize("value", ["x" * 256, "𝒳" * 256, "\u202e", "a\u200db", " a "])
@pytest.mark.parametrize("field", EVENT)
def test_a_value_just_right(backend: redis.Redis, field: str, value: str) -> None:
    assert [answer.status for answer in ways(EVENT | {field: value})] == [200, 200, 200]


@pytest.mark.parametrize("field", EVENT)
@pytest.mark.parametrize("surrogate", ["\ud800", "a\udfffb"])
def test_a_lone_surrogate(backend: redis.Redis, field: str, surrogate: str) -> None:
    # json.dumps writes it as an escape, as JavaScript's JSON.stringify does.
    for answer in (post(EVENT | {field: surrogate}), post([EVENT | {field: surrogate}])):
        assert_refused(backend, answer, field)


@pytest.mark.parametrize("field", EVENT)
@pytest.mark.parametrize("value", [1, 1.5, True, False, [], ["a"], {}, {"a": "b"}])
def test_a_wrong_json_type(backend: redis.Redis, field: str, value: Any) -> None:
    for answer in (post(EVENT | {field: value}), post([EVENT | {field: value}])):
        assert_refused(backend, answer, field)
        assert answer.body["error"] == f"{field} must be a string"


@pytest.mark.parametrize("field", REQUIRED)
def test_null_is_missing(backend: redis.Redis, field: str) -> None:
    assert_refused(backend, post(EVENT | {field: None}), field)


@pytest.mark.parametrize("body", ["1", '"text"', "null", "true", "NaN", "-Infinity", "[1]", "[[]]"])
def test_json_that_is_no_event(backend: redis.Redis, body: str) -> None:
    answer = call("POST", "/e", body=body)
    assert_refused(backend, answer, None)
    assert answer.body["error"] == "an event must be a JSON object"


DEEP = "[" * 100_000 + "]" * 100_000
BROKEN = ["", "{", "nothing", "{'a': 1}", '{"a": 1,}', "9" * 5000, DEEP, '{"a":' * 50_000]


@pytest.mark.parametrize("body", BROKEN)
def test_broken_json(backend: redis.Redis, body: str) -> None:
    assert_refused(backend, call("POST", "/e", body=body), "body")


def test_no_body_at_all(backend: redis.Redis) -> None:
    assert_refused(backend, call("POST", "/e"), "body")


@pytest.mark.parametrize("raw", [b"\xff", b'{"experiment":"\xc3"}', b'{"a":"\xed\xa0\x80"}'])
def test_a_body_that_is_not_utf8(backend: redis.Redis, raw: bytes) -> None:
    body = base64.b64encode(raw).decode()
    assert_refused(backend, call("POST", "/e", body=body, base64=True), "body")


@pytest.mark.parametrize("body", ["a", "é", "====="])
def test_a_body_that_is_not_base64(backend: redis.Redis, body: str) -> None:
    assert_refused(backend, call("POST", "/e", body=body, base64=True), "body")


@pytest.mark.parametrize("broken", ["%FF", "%C3", "a%ED%A0%80", "%80"])
def test_a_query_that_is_not_utf8(backend: redis.Redis, broken: str) -> None:
    for query in (f"{urlencode(EVENT)}&experiment={broken}", f"{urlencode(EVENT)}&{broken}=1"):
        assert_refused(backend, call("GET", "/e", query), "query")


def test_a_query_without_fields(backend: redis.Redis) -> None:
    for query in ("", "&", "=", "&&==&", "experiment", "%"):
        assert call("GET", "/e", query).status == 400
    assert backend.dbsize() == 0


def test_a_body_over_the_limit(backend: redis.Redis) -> None:
    whole = json.dumps(EVENT)
    at_limit = whole + " " * (wire.MAX_BODY - len(whole))
    over = at_limit + " "
    assert_refused(backend, call("POST", "/e", body=over), "body", 413)
    in_base64 = base64.b64encode(over.encode()).decode()
    assert_refused(backend, call("POST", "/e", body=in_base64, base64=True), "body", 413)
    bytes_count = json.dumps("é" * (wire.MAX_BODY // 2), ensure_ascii=False)
    assert_refused(backend, call("POST", "/e", body=bytes_count), "body", 413)
    assert call("POST", "/e", body=at_limit).status == 200


def test_a_batch_over_the_limit(backend: redis.Redis) -> None:
    batch = [EVENT | {"uuid": str(n)} for n in range(wire.MAX_BATCH + 1)]
    assert_refused(backend, post(batch), "body", 413)
    assert post(batch[1:]).body == {"accepted": 500, "ignored": 0, "reasons": {}, "rejected": []}


def test_a_batch_of_only_bad_events(backend: redis.Redis) -> None:
    answer = post([{}, EVENT | {"uuid": ""}])
    assert_refused(backend, answer, "experiment")
    assert answer.body["accepted"] == 0
    assert answer.body["rejected"] == [
        {"index": 0, "error": "experiment is missing", "field": "experiment"},
        {"index": 1, "error": "uuid is empty", "field": "uuid"},
    ]


def test_a_batch_with_some_bad_events_counts_the_good_ones(backend: redis.Redis) -> None:
    good = [EVENT | {"event": "participate", "uuid": uuid} for uuid in "abc"]
    answer = post([{"experiment": 1}, good[0], good[1], None, good[2], good[0] | {"variant": " "}])
    assert answer.status == 200
    assert answer.body == {
        "accepted": 3,
        "ignored": 0,
        "reasons": {},
        "rejected": [
            {"index": 0, "error": "experiment must be a string", "field": "experiment"},
            {"index": 3, "error": "an event must be a JSON object", "field": None},
            {"index": 5, "error": "variant is empty", "field": "variant"},
        ],
    }
    assert call("GET", "/experiments").body[1]["variants"] == [
        {"label": "red", "trials": 3, "stray": False}
    ]


def test_an_empty_batch(backend: redis.Redis) -> None:
    assert post([]).body == {"accepted": 0, "ignored": 0, "reasons": {}, "rejected": []}
    assert backend.dbsize() == 0


@pytest.mark.parametrize(
    ("method", "path", "status", "field"),
    [
        ("GET", "/nothing", 404, "path"),
        ("GET", "/", 404, "path"),
        ("GET", "/e/", 404, "path"),
        ("DELETE", "/e", 405, "method"),
        ("PUT", "/track", 405, "method"),
        ("POST", "/experiments", 405, "method"),
        ("GET", "/delete", 405, "method"),
        ("POST", "/dashboard", 405, "method"),
    ],
)
def test_unknown_routes(
    backend: redis.Redis, method: str, path: str, status: int, field: str
) -> None:
    assert_refused(backend, call(method, path, EVENT), field, status)


READS = [("GET", "/experiment"), ("DELETE", "/delete")]


@pytest.mark.parametrize(("method", "path"), READS)
@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("field", ["experiment", "namespace"])
def test_a_read_of_a_wrong_name(
    backend: redis.Redis, method: str, path: str, field: str, value: str
) -> None:
    answer = call(method, path, {"experiment": "e"} | {field: value})
    assert_refused(backend, answer, field)


def test_reads_refuse_what_is_missing_or_wrong(backend: redis.Redis) -> None:
    for method, path in READS:
        assert_refused(backend, call(method, path), "experiment")
    assert_refused(backend, call("GET", "/experiments", {"namespace": ""}), "namespace")
    assert_refused(backend, call("GET", "/experiments", {"scope": "a,\x00"}), "scope")
    assert_refused(backend, call("GET", "/experiments", "scope=a,\ud800"), "scope")
    assert_refused(backend, call("GET", "/experiments", {"scope": "a," + "x" * 257}), "scope")


# Any input at all

FIELD = st.one_of(st.sampled_from([*EVENT, "scope"]), st.text(max_size=5))
ANY_TEXT = st.text(st.characters(), max_size=20)  # lone surrogates too
VALUE = st.one_of(ANY_TEXT, st.sampled_from(["x" * 257, " ", "%", "a:b", "\ud83d"]))
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), VALUE),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(FIELD, inner, max_size=6)
    ),
    max_leaves=20,
)  # fmt: skip
PAIR = st.tuples(FIELD, VALUE).map(
    lambda pair: "=".join(quote(part, safe=":/?", errors="surrogatepass") for part in pair)
)
QUERY = st.one_of(
    st.lists(PAIR, max_size=7).map("&".join),
    st.text(st.characters(), max_size=60),
    st.binary(max_size=40).map(lambda raw: "experiment=" + quote(raw)),
)
BODY = st.one_of(
    st.none(),
    JSON.map(json.dumps),
    st.lists(st.one_of(st.just(EVENT), JSON), max_size=5).map(json.dumps),
    st.text(st.characters(), max_size=60),
    st.binary(max_size=60).map(lambda raw: base64.b64encode(raw).decode()),
)
ROUTE = st.sampled_from([
    ("GET", "/e"), ("POST", "/e"), ("GET", "/track"), ("POST", "/track"),
    ("GET", "/experiments"), ("GET", "/experiment"), ("DELETE", "/delete"),
])  # fmt: skip


@settings(on_one_server, max_examples=250)
@given(ROUTE, QUERY, BODY, st.booleans())
@example(("GET", "/experiments"), "scope=\ud800", None, False)
@example(("POST", "/e"), "", json.dumps([EVENT, {"experiment": "\ud800"}]), False)
def test_no_input_makes_an_exception_or_a_write_when_refused(
    backend: redis.Redis,
    route: tuple[str, str],
    query: str,
    body: str | None,
    in_base64: bool,
) -> None:
    backend.flushall()
    answer = call(*route, query, body=body, base64=in_base64)
    allowed = {200, 400, 413, 429} | ({404} if route[1] == "/experiment" else set())
    assert answer.status in allowed
    if answer.status != 200:
        assert {"error", "field"} <= answer.body.keys()
        assert backend.dbsize() == 0


@settings(on_one_server, max_examples=150)
@given(st.dictionaries(FIELD, VALUE, max_size=6))
def test_query_and_body_judge_alike(fields: dict[str, str]) -> None:
    """The same fields by either way are the same event, or refused for the same field."""
    encoded = urlencode(fields, errors="surrogatepass")

    def by_query() -> object:
        return wire.event_of(wire.query({"rawQueryString": encoded}))

    def by_body() -> object:
        return wire.event_of(wire.json_body({"body": json.dumps(fields)}))

    def outcome(way: Any) -> object:
        try:
            return way()
        except HTTPError as error:
            return error.error

    if outcome(by_query) != "the query is not UTF-8":
        assert outcome(by_query) == outcome(by_body)
    else:
        assert any(
            "\ud800" <= char <= "\udfff" for pair in fields.items() for char in "".join(pair)
        )
