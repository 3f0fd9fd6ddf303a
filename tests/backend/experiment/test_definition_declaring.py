"""The body of PUT /experiment: what is accepted, and one clear line for each mistake."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimel.backend.experiment.definition import Definition, Goal, Variant, parse_definition
from gimel.backend.wire import HTTPError, respond
from tests.backend.experiment.bodies import (
    BARE,
    BODY,
    JSON,
    changed,
    nearly_valid_bodies,
    valid_bodies,
)


def refused(body: Any) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        parse_definition(body)
    assert caught.value.status == 400
    return caught.value


def test_a_full_body() -> None:
    assert parse_definition(BODY) == Definition(
        variants=(Variant("blue", 50, "#00f"), Variant("red", 50, "#f00")),
        goals=(
            Goal("signup", "primary"),
            Goal("refund", "guardrail", better="lower", margin=0.02),
            Goal("revenue", "secondary", "value", cap=500, source="server"),
        ),
        baseline="red",
        hypothesis="Red draws the eye",
        owner="ana",
        link="https://example.org/1",
        planned_visitors=40000,
        traffic=0.5,
        counting="exact",
        flag=True,
        equivalence=0.01,
    )


def test_only_variants_are_required() -> None:
    found = parse_definition(BARE)
    assert found == Definition(variants=(Variant("a"), Variant("b")))
    assert (found.is_declared, found.flag, found.traffic, found.state) == (
        True,
        False,
        1,
        "running",
    )
    assert (found.weights, found.primary_goal, found.totals) == (None, None, ())
    assert (found.variant_names, found.goal_names, found.primary_goals) == (("a", "b"), (), ())
    assert (found.baseline, found.baseline_name, found.counting) == (None, "a", None)
    assert not Definition().is_declared
    assert Definition().baseline_name is None


def test_null_is_like_nothing() -> None:
    nulls = dict.fromkeys(
        ["hypothesis", "baseline", "planned_visitors", "goals", "flag", "traffic"]
    )
    variant = {"name": "a", "weight": None, "value": None}
    assert parse_definition({"variants": [variant, {"name": "b"}]} | nulls) == parse_definition(
        BARE
    )
    goal = dict.fromkeys(["role", "kind", "better", "from", "margin", "cap"]) | {"name": "g"}
    found = parse_definition(BARE | {"goals": [goal]})
    assert found.goals == (Goal("g", "primary"),)


def test_what_follows_from_variants_and_goals() -> None:
    found = parse_definition(changed(BODY, "goals[1].kind", "total"))
    assert found.weights == {"blue": 50, "red": 50}
    assert (found.primary_goal, found.primary_goals) == ("signup", ("signup",))
    assert found.totals == ("refund",)
    assert found.goal("revenue") == found.goals[2]
    assert found.goal("Revenue") is None
    assert found.baseline_name == "red"


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        ([None], ["primary"]),
        ([None, None], ["primary", "secondary"]),
        (["secondary", None, None], ["secondary", "primary", "secondary"]),
        (["guardrail", None], ["guardrail", "primary"]),
        ([None, "primary"], ["secondary", "primary"]),
        (["primary", "primary", None], ["primary", "primary", "secondary"]),
    ],
)
def test_the_role_of_a_goal_without_one(roles: list[str | None], expected: list[str]) -> None:
    goals = [{"name": f"g{index}", "role": role} for index, role in enumerate(roles)]
    assert [goal.role for goal in parse_definition(BARE | {"goals": goals}).goals] == expected


def test_a_copy_of_a_stopped_experiment_runs() -> None:
    stopped = parse_definition(BODY | {"state": "stopped"})
    assert stopped.state == "stopped"
    assert parse_definition(stopped.describe()) == parse_definition(BODY)


def test_state_and_counting_stay_unless_the_body_has_them() -> None:
    old = Definition(state="stopped", counting="exact", owner="ana")
    found = parse_definition(BARE, old)
    assert (found.state, found.counting, found.owner) == ("stopped", "exact", None)
    found = parse_definition(BARE | {"state": "archived", "counting": "hyperloglog"}, old)
    assert (found.state, found.counting) == ("archived", "hyperloglog")


VALUES_OF_EACH_TYPE = [[True, False], ["", "x"], [1, 2.5], [{}, {"a": [None]}]]


@pytest.mark.parametrize("values", VALUES_OF_EACH_TYPE)
def test_values_of_each_type(values: list[Any]) -> None:
    variants = [{"name": name, "value": value} for name, value in zip("ab", values, strict=True)]
    for flag in (True, False):
        found = parse_definition({"variants": variants, "flag": flag})
        assert [variant.value for variant in found.variants] == values


LIFT = "must be a lift between 0 and 1, e.g. 0.01 for 1 %"
WEIGHT = "must be a number from 0 to 1,000,000,000"
AMOUNT = "must be a number from 0.01 to 1,000,000,000,000"
VARIANTS = "must be a list of 2 to 100 objects"
ADDRESS = "must start with https:// or http://"
NAN = float("nan")
NO_NAMES = [
    (None, "is missing"),
    (..., "is missing"),
    (1, "must be a string"),
    ("", "is empty"),
    (" ", "is empty"),
    *[
        (blank, "has no visible character")
        for blank in ("\u200b", "\ufeff\xad", "\u3164", "\u2800")
    ],
    ("\u0301\ufe0f", "has no visible character"),
    ("x" * 257, "is over 256 characters"),
    ("a\nb", "holds a control character"),
    ("\ud800", "holds a control character"),
]
NO_TEXTS = [
    (1, "must be a string"),
    ([], "must be a string"),
    ("x" * 2001, "is over 2,000 characters"),
    ("a\x1bb", "holds a control character"),
    ("\udfff", "holds a control character"),
]
MISTAKES: list[tuple[str, Any, str]] = [
    *[("variants[0].name", value, complaint) for value, complaint in NO_NAMES],
    *[("goals[2].name", value, complaint) for value, complaint in NO_NAMES],
    *[("hypothesis", value, complaint) for value, complaint in NO_TEXTS],
    *[("owner", value, complaint) for value, complaint in NO_TEXTS],
    *[
        ("link", value, ADDRESS)
        for value in (1, "", "ftp://a", "javascript:x", "https://a b", "https://a\tb")
    ],
    ("link", "https://" + "x" * 2000, "is over 2,000 characters"),
    ("experiment", 1, "must be a string"),
    *[("variants", value, VARIANTS) for value in ({}, "ab", [], [{"name": "a"}], [{}] * 101)],
    ("variants", None, "is missing"),
    ("variants", ..., "is missing"),
    ("variants[1]", "red", "must be a JSON object"),
    ("variants[1].name", "__proto__", "cannot be __proto__"),
    ("variants[1].name", "blue", "repeats blue"),
    *[("variants[1].weight", value, WEIGHT) for value in (-1, "1", True, [], 10**10, NAN, 10**400)],
    ("variants[1].weight", ..., "is missing, but other variants have a weight"),
    ("variants[1].colour", 1, "is unknown: the fields are name, weight, value"),
    ("variants[1].value", [], "must be a boolean, a string, a number or an object"),
    ("variants[1].value", ..., "is missing, but other variants have a value"),
    *[
        ("variants[1].value", value, "must be of the first value's type: string")
        for value in (1, True, {})
    ],
    ("variants[1].value", "x" * 4095, "is over 4,096 bytes of JSON"),
    ("variants[1].value", "é" * 2048, "is over 4,096 bytes of JSON"),
    *[
        ("variants[1].value", value, "holds a number or a character that JSON cannot hold")
        for value in (NAN, {"a": float("inf")}, "\ud800", {"\ud800": 1}, {"a": [10**5000]})
    ],
    ("goals", {}, "must be a list of 0 to 100 objects"),
    ("goals", [{"name": "g"}] * 101, "must be a list of 0 to 100 objects"),
    ("goals[0]", None, "must be a JSON object"),
    ("goals[0].name", "participate", "cannot be participate"),
    ("goals[1].name", "signup", "repeats signup"),
    ("goals[0].role", "main", "must be one of primary, guardrail, secondary"),
    ("goals[0].role", ["primary"], "must be one of primary, guardrail, secondary"),
    ("goals[0].kind", "count", "must be one of unique, total, value"),
    ("goals[0].better", "more", "must be one of higher, lower"),
    ("goals[0].from", "page", "must be one of anyone, server"),
    *[("goals[1].margin", value, LIFT) for value in (0, 1, -0.1, "0.1", True, NAN)],
    ("goals[0].margin", 0.1, "is for guardrails only"),
    *[("goals[2].cap", value, AMOUNT) for value in (0, -1, "1", True, 10**13, float("inf"))],
    ("goals[2].cap", ..., "is missing: a goal of the kind value needs it"),
    ("goals[0].cap", 5, "is for goals of the kind value only"),
    ("goals[0].source", "server", "is unknown: the fields are name, role, kind, better, margin"),
    ("baseline", "green", "must be a variant: blue, red"),
    ("baseline", [], "must be a string"),
    *[
        ("planned_visitors", value, "must be a whole number from 1 to 1,000,000,000,000")
        for value in (0, -5, 1.5, 40000.0, True, "9", 10**13, NAN)
    ],
    *[
        ("traffic", value, "must be a number above 0, at most 1")
        for value in (0, 1.01, -1, True, "1", NAN)
    ],
    ("counting", "exactly", "must be one of hyperloglog, exact"),
    *[("flag", value, "must be true or false") for value in (1, 0, "true", [])],
    *[("equivalence", value, LIFT) for value in (0, 1, "1", True)],
    ("state", "paused", "must be one of running, stopped, archived"),
    ("weights", {"blue": 1}, "is unknown: the fields are"),
    ("declared_late", True, "is unknown: the fields are"),
    ("primary_goal", "signup", "is unknown: the fields are"),
]


@pytest.mark.parametrize(("path", "value", "complaint"), MISTAKES)
def test_a_mistake_gives_one_line_with_its_path(path: str, value: Any, complaint: str) -> None:
    error = refused(changed(BODY, path, value))
    assert error.field == path
    assert error.error.startswith(f"{path} {complaint}")
    assert error.error.isprintable()
    assert "; goals" not in error.error
    assert "; variants" not in error.error


@pytest.mark.parametrize("body", [None, [], "x", 1, True, [BODY]])
def test_a_body_that_is_no_object(body: Any) -> None:
    error = refused(body)
    assert (error.error, error.field) == ("body must be a JSON object", "body")


def test_all_weights_0() -> None:
    body = changed(changed(BODY, "variants[0].weight", 0), "variants[1].weight", 0.0)
    error = refused(body)
    assert (error.error, error.field) == ("variants must not all have the weight 0", "variants")


def test_no_primary_goal() -> None:
    error = refused(BARE | {"goals": [{"name": "g", "role": "secondary"}]})
    assert (error.error, error.field) == ("goals must have a primary goal", "goals")


def test_a_flag_without_values() -> None:
    error = refused(BARE | {"flag": True})
    assert error.field == "variants[0].value"
    assert error.error == (
        "variants[0].value is missing, but flag is true; "
        "variants[1].value is missing, but flag is true"
    )


@pytest.mark.parametrize("index", [0, 1])
def test_values_of_some_variants_only(index: int) -> None:
    path = f"variants[{index}].value"
    error = refused(changed(BODY, path, ...) | {"flag": False})
    assert error.error == f"{path} is missing, but other variants have a value"


def test_a_value_that_is_nested_too_deeply() -> None:
    value: Any = {}
    for _ in range(19):
        value = {"a": value}
    body = {"variants": [{"name": name, "value": value} for name in "ab"]}
    parse_definition(body)
    error = refused(changed(body, "variants[1].value", {"a": value}))
    assert error.error == "variants[1].value is nested over 20 levels deep"
    for _ in range(20_000):
        value = [value]
    assert refused(changed(body, "variants[1]", {"name": "b", "value": {"a": value}})).field


def test_the_first_five_mistakes_are_listed_and_the_first_is_named() -> None:
    wrong = [{"name": "", "weight": -1, "x": 1}, {"name": "b", "value": []}]
    error = refused({"flag": 1, "variants": wrong, "goals": [1], "traffic": 2})
    assert error.field == "flag"
    assert [line.split()[0] for line in error.error.split("; ")] == [
        *("flag", "traffic", "variants[0].name", "variants[0].weight", "variants[0].x")
    ]


@pytest.mark.parametrize(
    ("field", "path"),
    [("a\nb", "a\\nb"), ("\ud800", "\\ud800"), ("é", "é"), ("", '""'), ("x" * 1000, "x" * 64)],
)
def test_an_unknown_field_is_named_in_one_line(field: str, path: str) -> None:
    error = refused(BARE | {field: 1})
    assert error.field == path
    assert error.error.isprintable()


@given(JSON | nearly_valid_bodies | st.fixed_dictionaries({}, optional=dict.fromkeys(BODY, JSON)))
def test_any_json_is_accepted_or_refused_in_one_line(body: Any) -> None:
    error = None
    try:
        found = parse_definition(body)
    except HTTPError as refusal:
        error = refusal
    if error is None:
        respond(found.describe())["body"].encode()
        assert len(found.variants) >= 2
    else:
        assert (error.status, bool(error.field)) == (400, True)
        assert error.error.startswith(str(error.field))
        assert not re.search(r"[\x00-\x1f\x7f-\x9f]", error.error)
        error.response()["body"].encode()


@given(valid_bodies())
def test_a_valid_body_is_accepted_and_described_as_it_was(body: dict[str, Any]) -> None:
    found = parse_definition(body)
    described = found.describe()
    for field in body.keys() - {"variants", "goals", "state"}:
        assert described[field] == body[field]
    assert described["variants"] == body["variants"]
    for goal, given_goal in zip(described["goals"], body["goals"], strict=True):
        assert goal == {"better": "higher", "from": "anyone"} | given_goal
    assert parse_definition(json.loads(json.dumps(described)), found) == found
    assert len(found.primary_goals) >= bool(found.goals)
