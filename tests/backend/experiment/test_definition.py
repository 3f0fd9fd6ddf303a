"""What an experiment is told: what is refused, what comes back, what the engine makes of it."""

import json
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gimel.backend.counting.counters import Counters
from gimel.backend.experiment.changes import RESETTABLE_FIELDS, parse_changes
from gimel.backend.experiment.definition import Definition
from gimel.backend.process import reset
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.commands import count
from tests.support.handler_requests import Answer, call, post
from tests.support.hypothesis_settings import on_one_server
from tests.support.servers import url_of

KEY = "alephbet:e:settings"
QUERY = {"experiment": "e"}
VARIANTS = {"a": 300, "b": 310, "c": 290}
GOALS = {"g": {"a": 30, "b": 60, "c": 31}, "h": {"a": 10, "b": 10, "c": 11}}


@pytest.fixture(autouse=True)
def _experiment(backend: redis.Redis, fixed_salt: None) -> None:
    count("e", VARIANTS, GOALS)


def tell(body: Any, **query: str) -> Answer:
    return call("POST", "/settings", QUERY | query, body=json.dumps(body))


def read() -> dict[str, Any]:
    found: dict[str, Any] = call("GET", "/experiment", QUERY).body
    return found


def verdicts() -> dict[str, str]:
    return {goal["goal"]: goal["verdict"]["state"] for goal in read()["goals"]}


WRONG = [
    ("state", ["", "paused", "Running", 1, True, [], {}, ["running"]]),
    ("baseline", ["", "d", "A", 0, False, ["a"], {"a": 1}]),
    ("primary_goal", ["", "participate", "a", 0, ["g"], {}]),
    ("equivalence", [0, 1, -0.01, 2, "0.01", True, [0.1], {}, 10**400]),
    ("totals", ["g", ["g", "x"], [1], [["g"]], [None], {"g": 1}, 1, True]),
    (
        "weights",
        [
            [],
            "a=1",
            1,
            {},
            {"a": 1},
            {"a": 1, "b": 1, "d": 1},
            {"a": 1, "b": 1, "c": 1, "d": 1},
            {"a": 0, "b": 0, "c": 0},
            {"a": -1, "b": 1, "c": 1},
            {"a": "1", "b": 1, "c": 1},
            {"a": True, "b": 1, "c": 1},
            {"a": None, "b": 1, "c": 1},
            {"a": 10**400, "b": 1, "c": 1},
        ],
    ),
    ("hypothesis", [1, True, [], "x" * 2001, "a\x00b", "\ud800"]),
    ("owner", [{}, "\x1b[2J"]),
    ("link", ["", "javascript:alert(1)", "https://a b", "ftp://a", 1, "https://" + "x" * 2000]),
    (
        "decision",
        [
            "a",
            [],
            {},
            {"winner": "a"},
            {"reason": "It won"},
            {"winner": "d", "reason": "It won"},
            {"winner": ["a"], "reason": "It won"},
            {"winner": None, "reason": "It won"},
            {"winner": "a", "reason": ""},
            {"winner": "a", "reason": " \n"},
            {"winner": "a", "reason": None},
            {"winner": "a", "reason": "x" * 1001},
            {"winner": "a", "reason": "\x1b[2J"},
            {"winner": "a", "reason": "It won", "at": "2026-01-01T00:00:00Z"},
        ],
    ),
    # An undeclared experiment has none of these.
    ("planned_visitors", [1000]),
    ("traffic", [0.5]),
    ("flag", [True, False]),
    ("shards", [1, "64"]),
    ("variants", [[{"name": "a"}, {"name": "b"}]]),
    ("created_at", ["now"]),
    ("", [1]),
]


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in WRONG for value in values]
)
def test_a_wrong_value_is_refused_by_name_and_nothing_is_written(
    store: redis.Redis, field: str, value: Any
) -> None:
    before = store.hgetall(KEY)
    # What is right beside it is not written either.
    answer = tell({"state": "stopped", field: value} if field != "state" else {field: value})
    assert (answer.status, answer.body["field"]) == (400, field)
    assert store.hgetall(KEY) == before


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("body", ['{"equivalence":%s}', '{"weights":{"a":%s,"b":1,"c":1}}'])
def test_what_is_no_number(store: redis.Redis, body: str, number: str) -> None:
    before = store.hgetall(KEY)
    assert call("POST", "/settings", QUERY, body=body % number).status == 400
    assert store.hgetall(KEY) == before


@pytest.mark.parametrize("body", ["[]", '"a"', "1", "null", "true", '[{"state":"stopped"}]'])
def test_a_body_that_is_no_object(body: str) -> None:
    answer = call("POST", "/settings", QUERY, body=body)
    assert (answer.status, answer.body["field"]) == (400, "body")


def test_an_unknown_experiment_gets_no_settings(store: redis.Redis) -> None:
    keys = set(store.keys())
    assert tell({"state": "stopped"}, experiment="none").status == 404
    assert tell({"state": "stopped"}, namespace="none").status == 404
    assert set(store.keys()) == keys


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from("abcgh") | st.text()
)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "c", "x"]), inner, max_size=4)
    ),
    max_leaves=6,
)
NUMBERS = st.dictionaries(
    st.sampled_from("abc"), st.floats() | st.integers(), min_size=3, max_size=3
)
BODIES = st.dictionaries(
    st.sampled_from(RESETTABLE_FIELDS) | st.text(max_size=3), ANYTHING | NUMBERS, max_size=3
)


@pytest.mark.slow
@settings(on_one_server, max_examples=250)
@given(BODIES | ANYTHING)
def test_any_json_is_taken_or_refused_and_reading_goes_on(store: redis.Redis, body: Any) -> None:
    before = store.hgetall(KEY)
    answer = tell(body)
    assert answer.status in (200, 400)
    if answer.status == 400:
        assert store.hgetall(KEY) == before
    else:
        assert answer.body == read()
    assert call("GET", "/experiments").status == 200


TOLD = {
    "state": "archived",
    "baseline": "b",
    "weights": {"a": 2, "b": 1, "c": 1},
    "primary_goal": "h",
    "equivalence": 0.05,
    "totals": ["g"],
    "hypothesis": "Red draws the eye.\nSo we think: 50 %.",
    "owner": "ana ✓",
    "link": "https://example.org/é?a=b#c",
}
# These need declared variants.
DECLARED_ONLY = {"planned_visitors", "traffic", "flag"}


def definition(**settings: Any) -> Definition:
    return Definition(**settings | {"totals": ("g",), "counting": "hyperloglog"})


def test_what_is_told_is_kept_and_can_be_taken_back(store: redis.Redis) -> None:
    fresh, stored = read(), store.hgetall(KEY)
    assert tell(TOLD).body == read()
    assert Definition.from_hash(store.hgetall(KEY)) == definition(**TOLD)
    assert tell({}).body == read()
    taken_back = tell(dict.fromkeys(TOLD)).body
    assert len(taken_back.pop("changes")) == 2 + len(fresh.pop("changes"))
    assert taken_back == fresh
    assert store.hgetall(KEY) == stored


def test_one_change_leaves_the_rest(store: redis.Redis) -> None:
    tell(TOLD)
    tell({"equivalence": None})
    assert Definition.from_hash(store.hgetall(KEY)) == definition(**TOLD | {"equivalence": None})


def test_every_setting_is_told_above() -> None:
    # The counting method is set before the first event only: see test_definition_counting.py. A
    # decision has figures: see tests/backend/results/test_record_decision.py.
    assert set(TOLD) == set(RESETTABLE_FIELDS) - DECLARED_ONLY - {"decision"}
    assert set(RESETTABLE_FIELDS) | {"counting", "variants", "goals", "declared_late"} == set(
        Definition.__dataclass_fields__
    )
    changed = parse_changes(TOLD, Definition(), list(VARIANTS), list(GOALS), has_events=True)
    assert set(changed) == set(TOLD)


def test_the_answer_follows_the_baseline() -> None:
    assert read()["baseline"] == "a"
    found = tell({"baseline": "c"}).body
    assert found["baseline"] == "c"
    rows = {row["label"]: row for row in found["goals"][0]["results"]}
    assert rows["c"]["lift"] is None
    assert rows["a"]["lift"] == pytest.approx((30 / 300) / (31 / 290) - 1, abs=1e-4)
    assert tell({"baseline": None}).body["baseline"] == "a"


def test_the_answer_follows_the_weights() -> None:
    fair = read()["srm"]
    assert fair["alarm"] is False
    assert fair["weights"] == pytest.approx(dict.fromkeys("abc", 1 / 3), abs=1e-4)
    found = tell({"weights": {"a": 80, "b": 10, "c": 10}}).body
    assert found["srm"]["weights"] == {"a": 0.8, "b": 0.1, "c": 0.1}
    assert found["srm"]["alarm"] is True
    assert set(verdicts().values()) == {"do_not_trust"}
    assert tell({"weights": None}).body["srm"] == fair


def test_a_variant_of_weight_0_stays_out_of_the_sample_ratio() -> None:
    found = tell({"weights": {"a": 1, "b": 1, "c": 0}}).body
    assert found["srm"]["weights"] == {"a": 0.5, "b": 0.5}
    assert found["srm"]["alarm"] is False


def test_the_answer_follows_the_equivalence() -> None:
    assert read()["equivalence"] is None
    assert verdicts()["h"] == "keep_collecting"
    # Intervals this wide lie within it only because it is nearly the whole of what may be.
    count("wide", {"a": 40_000, "b": 40_000}, {"g": {"a": 20_000, "b": 20_000}})
    query = {"experiment": "wide"}
    (goal,) = call("GET", "/experiment", query).body["goals"]
    assert goal["verdict"]["state"] == "keep_collecting"
    answer = call("POST", "/settings", query, body='{"equivalence": 0.1}')
    assert answer.body["equivalence"] == 0.1
    assert answer.body["goals"][0]["verdict"]["state"] == "no_difference"


def test_the_answer_follows_the_primary_goal_and_the_totals() -> None:
    assert read()["primary_goal"] == "g"
    assert {goal["goal"]: goal["kind"] for goal in read()["goals"]} == {
        "g": "unique",
        "h": "unique",
    }
    found = tell({"primary_goal": "h", "totals": ["h"]}).body
    assert found["primary_goal"] == "h"
    assert {goal["goal"]: goal["kind"] for goal in found["goals"]} == {"g": "unique", "h": "total"}


def test_a_stopped_experiment_takes_events_and_counts_none(store: redis.Redis) -> None:
    event = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "new"}
    for state in ("stopped", "archived"):
        assert tell({"state": state}).body["state"] == state
        reset()  # as a new process, which remembers nothing
        assert post(event) == post([event]) == call("GET", "/e", event)
        assert post(event).status == 200
        assert post(event | {"variant": "new"}).status == 200
        assert read()["variants"][0]["trials"] == VARIANTS["a"]
        assert len(read()["variants"]) == 3
    assert tell({"state": "running"}).body["state"] == "running"
    reset()
    post(event)
    assert read()["variants"][0]["trials"] == VARIANTS["a"] + 1


def test_a_process_that_remembers_notices_within_a_minute(store: redis.Redis) -> None:
    now = [0.0]
    kept = Counters(Connection(url_of(store)), clock=lambda: now[0])
    kept.add([Event("alephbet", "e", "participate", "a", "new")])
    assert read()["variants"][0]["trials"] == VARIANTS["a"] + 1
    tell({"state": "stopped"})
    now[0] = 60
    kept.add([Event("alephbet", "e", "participate", "a", "newer")])
    assert read()["variants"][0]["trials"] == VARIANTS["a"] + 1


def legacy(store: redis.Redis) -> None:
    """An experiment as gimel 1.x left it, names that hold what is escaped today."""
    for goal in ("participate", "plan: 50%"):
        for variant in ("red:#1", "blue"):
            key = f"alephbet:counters:old 100%:{goal}:{variant}"
            store.pfadd(key, *(f"{variant}{number}" for number in range(100)))
            store.sadd("alephbet:old 100%:counter_keys", key)
    store.sadd("alephbet:experiments", "old 100%")


def test_an_experiment_of_gimel_1_stays_one_after_it_was_told_something(store: redis.Redis) -> None:
    legacy(store)
    query = {"experiment": "old 100%"}
    before = call("GET", "/experiment", query).body
    told = {"baseline": "red:#1", "primary_goal": "plan: 50%", "weights": {"red:#1": 1, "blue": 1}}
    answer = call("POST", "/settings", query, body=json.dumps(told))
    assert answer.status == 200
    assert answer.body["baseline"] == "red:#1"
    assert answer.body["primary_goal"] == "plan: 50%"
    for same in ("experiment", "variants", "counting", "created_at"):
        assert answer.body[same] == before[same]
    assert before["counting"]["shards"] == 1
    reset()
    keys = set(store.keys())
    event = query | {"variant": "red:#1", "event": "participate", "uuid": "new"}
    assert post(event).status == 200
    assert set(store.keys()) - keys <= {"gimel:namespaces"}
    assert store.pfcount("alephbet:counters:old 100%:participate:red:#1") == 101
    assert call("GET", "/experiment", query).body["counting"]["shards"] == 1


def test_an_experiment_of_gimel_1_can_be_stopped(store: redis.Redis) -> None:
    legacy(store)
    query = {"experiment": "old 100%"}
    assert call("POST", "/settings", query, body='{"state":"stopped"}').status == 200
    reset()
    event = query | {"variant": "blue", "event": "participate", "uuid": "new"}
    assert post(event).status == 200
    assert store.pfcount("alephbet:counters:old 100%:participate:blue") == 100
