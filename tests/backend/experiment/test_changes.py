"""What may change of a definition, before its first event and after it."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimel.backend.experiment.changes import RESETTABLE_FIELDS, changes_between, parse_changes
from gimel.backend.experiment.definition import Definition, checked, parse_definition
from gimel.backend.wire import HTTPError
from tests.backend.experiment.bodies import (
    BARE,
    BODY,
    JSON,
    changed,
    patched,
    tampered,
    valid_bodies,
)

OLD = parse_definition(BODY)
UNWEIGHTED = changed(changed(BODY, "variants[0].weight", None), "variants[1].weight", None)
NEW_ONE = " after the first event: `gimel create NEW --like OLD` starts a new experiment"


def edited(*edits: tuple[str, Any], body: dict[str, Any] = BODY) -> dict[str, Any]:
    for path, value in edits:
        body = changed(body, path, value)
    return body


def with_goal(body: dict[str, Any] = BODY, **goal: Any) -> dict[str, Any]:
    return body | {"goals": [*body.get("goals", []), {"name": "added"} | goal]}


def weights(*numbers: float | None, body: dict[str, Any] = BODY) -> dict[str, Any]:
    return edited(
        *[(f"variants[{index}].weight", number) for index, number in enumerate(numbers)], body=body
    )


# The definition before, the one after, and the fields of the hash that are written
ALLOWED: list[tuple[dict[str, Any], dict[str, Any], set[str]]] = [
    (BODY, BODY, set()),
    (BODY, changed(BODY, "hypothesis", "x"), {"hypothesis"}),
    (BODY, edited(("owner", ...), ("link", "http://b")), {"owner", "link"}),
    (BODY, BODY | {"state": "archived"}, {"state"}),
    (BODY, changed(BODY, "flag", False), {"flag"}),
    (changed(BODY, "flag", False), BODY, {"flag"}),
    (BODY, changed(BODY, "traffic", 0.6), {"traffic"}),
    (BODY, changed(BODY, "traffic", ...), {"traffic"}),
    (BODY, changed(BODY, "counting", ...), set()),
    (BODY, with_goal(), {"goals"}),
    (BODY, with_goal(kind="value", cap=1), {"goals"}),
    (BODY, edited(("goals", BODY["goals"][::-1])), {"goals"}),
    # Unwritten defaults are written now.
    (BODY, edited(("goals[0].kind", "unique"), ("goals[2].role", "secondary")), set()),
    (BARE, BARE | {"baseline": "a"}, {"baseline"}),
    (BARE, weights(80, 20, body=BARE), {"variants"}),
    (UNWEIGHTED | {"flag": False}, weights(80, 20) | {"flag": False}, {"variants"}),
    # A flag without weights splits equally, and these weights say so.
    (UNWEIGHTED, BODY, {"variants"}),
]
# The definition before, the one after, the path that is refused, and why
REFUSED: list[tuple[dict[str, Any], dict[str, Any], str, str]] = [
    (BODY, changed(BODY, "variants", BODY["variants"][::-1]), "variants", "cannot change"),
    (BODY, changed(BODY, "variants[1].name", "green") | {"baseline": None}, "variants", "cannot"),
    (BARE, {"variants": [*BARE["variants"], {"name": "c"}]}, "variants", "cannot change"),
    (BODY, changed(BODY, "variants[1].value", "x"), "variants[1].value", "cannot change"),
    (BODY, changed(BODY, "variants[1].weight", 51), "variants[1].weight", "cannot change"),
    (BODY, UNWEIGHTED, "variants[0].weight", "cannot change"),
    (weights(1, 1, body=BARE), weights(1, 2, body=BARE), "variants[1].weight", "cannot change"),
    (UNWEIGHTED, weights(80, 20), "variants[0].weight", "cannot change"),
    (BODY, changed(BODY, "baseline", "blue"), "baseline", "cannot change"),
    (BODY, changed(BODY, "baseline", ...), "baseline", "cannot change"),
    (BODY, changed(BODY, "goals[0].kind", "total"), "goals[0].kind", "cannot change"),
    (BODY, changed(BODY, "goals[0].better", "lower"), "goals[0].better", "cannot change"),
    (BODY, changed(BODY, "goals[1].margin", 0.03), "goals[1].margin", "cannot change"),
    (BODY, changed(BODY, "goals[1].margin", ...), "goals[1].margin", "cannot change"),
    (BODY, changed(BODY, "goals[2].cap", 501), "goals[2].cap", "cannot change"),
    (BODY, changed(BODY, "goals[2].from", "anyone"), "goals[2].from", "cannot change"),
    (BODY, changed(BODY, "goals[2].role", "primary"), "goals[2].role", "cannot change"),
    (BODY, changed(BODY, "goals[2].role", "guardrail"), "goals[2].role", "cannot change"),
    (BODY, with_goal(role="primary"), "goals[3].role", "of an added goal must be secondary"),
    (BODY, with_goal(role="guardrail"), "goals[3].role", "of an added goal must be secondary"),
    (BARE, with_goal(BARE), "goals[0].role", "of an added goal must be secondary"),
    (BODY, changed(BODY, "goals[1]", ...), "goals", "cannot lose refund"),
    (BODY, changed(BODY, "goals", ...), "goals", "cannot lose signup"),
    (BODY, changed(BODY, "planned_visitors", 40001), "planned_visitors", "cannot change"),
    (BODY, changed(BODY, "planned_visitors", ...), "planned_visitors", "cannot change"),
    (BARE, BARE | {"planned_visitors": 5}, "planned_visitors", "cannot change"),
    (BODY, changed(BODY, "equivalence", 0.02), "equivalence", "cannot change"),
    (BARE, BARE | {"equivalence": 0.02}, "equivalence", "cannot change"),
    (BODY, changed(BODY, "counting", "hyperloglog"), "counting", "cannot change"),
    (BODY, changed(BODY, "traffic", 0.4), "traffic", "cannot fall"),
]


@pytest.mark.parametrize(("before", "after", "fields"), ALLOWED)
def test_a_change_that_is_always_allowed(
    before: dict[str, Any], after: dict[str, Any], fields: set[str]
) -> None:
    old = parse_definition(before)
    new = parse_definition(after, old)
    for has_events in (False, True):
        changes = changes_between(old, new, has_events=has_events)
        assert set(changes) == fields
        assert Definition.from_hash(patched(old.to_hash(), changes)) == new


@pytest.mark.parametrize(("before", "after", "path", "complaint"), REFUSED)
def test_a_change_that_is_refused_after_the_first_event(
    before: dict[str, Any], after: dict[str, Any], path: str, complaint: str
) -> None:
    old = parse_definition(before)
    new = parse_definition(after, old)
    changes = changes_between(old, new, has_events=False)
    assert Definition.from_hash(patched(old.to_hash(), changes)) == new
    with pytest.raises(HTTPError) as caught:
        changes_between(old, new, has_events=True)
    assert (caught.value.status, caught.value.field) == (409, path)
    assert caught.value.error.startswith(f"{path} {complaint}")
    assert caught.value.error.endswith(NEW_ONE)


@pytest.mark.parametrize(("before", "after"), [(True, 1), (0, False), ({"a": True}, {"a": 1})])
def test_values_that_python_takes_for_equal_differ(before: Any, after: Any) -> None:
    old, new = (
        parse_definition({"variants": [{"name": name, "value": value} for name in "ab"]})
        for value in (before, after)
    )
    assert set(changes_between(old, new, has_events=False)) == {"variants"}
    with pytest.raises(HTTPError):
        changes_between(old, new, has_events=True)


def test_the_order_within_a_value_does_not_matter() -> None:
    old, new = (
        parse_definition({"variants": [{"name": name, "value": value} for name in "ab"]})
        for value in ({"x": 1, "y": 2}, {"y": 2, "x": 1})
    )
    changes_between(old, new, has_events=True)


def test_a_change_of_a_removed_field_removes_it() -> None:
    new = parse_definition(edited(("owner", ...), ("traffic", ...)), OLD)
    assert changes_between(OLD, new, has_events=True) == {"owner": None, "traffic": None}


UNDECLARED = Definition(
    weights={"a": 1, "b": 1},
    primary_goal="g",
    totals=("g",),
    equivalence=0.1,
    state="stopped",
    counting="hyperloglog",
    hypothesis="x",
)


@pytest.mark.parametrize("has_events", [False, True])
def test_an_undeclared_experiment_that_is_declared(has_events: bool) -> None:
    body = BARE | {"goals": [{"name": "h"}], "equivalence": 0.2}
    new = parse_definition(body, UNDECLARED)
    changes = changes_between(UNDECLARED, new, has_events=has_events)
    result = patched(UNDECLARED.to_hash(), changes)
    assert set(result) - {"declared_late"} == {
        *("variants", "goals", "equivalence", "state", "counting")
    }
    found = Definition.from_hash(result)
    assert found.declared_late is has_events
    assert (found.state, found.primary_goals, found.weights) == ("stopped", ("h",), None)
    assert changes_between(found, parse_definition(body, found), has_events=has_events) == {}


def test_an_experiment_that_is_declared_late_has_no_plan() -> None:
    planned = parse_definition(BARE | {"planned_visitors": 1000}, UNDECLARED)
    late = parse_definition(BARE, UNDECLARED)
    changes = changes_between(UNDECLARED, late, has_events=True)
    found = Definition.from_hash(patched(UNDECLARED.to_hash(), changes))
    for old in (UNDECLARED, found):
        with pytest.raises(HTTPError) as caught:
            changes_between(old, planned, has_events=True)
        assert (caught.value.status, caught.value.field) == (409, "planned_visitors")
        assert caught.value.error.startswith(
            "an experiment that is declared after its first event has no plan: "
        )
    assert "declared_late" not in found.describe()
    # From now on, it is as fixed as any other.
    with pytest.raises(HTTPError) as caught:
        changes_between(found, parse_definition(BARE | {"baseline": "b"}, found), has_events=True)
    assert caught.value.field == "baseline"


@pytest.mark.parametrize("has_events", [False, True])
def test_a_counting_that_is_not_stated_stays(has_events: bool) -> None:
    new = parse_definition(changed(BODY, "counting", ...))
    assert new.counting is None
    assert changes_between(OLD, new, has_events=has_events) == {}


def test_a_late_declaration_keeps_the_counting() -> None:
    new = parse_definition(BARE | {"counting": "exact"}, UNDECLARED)
    with pytest.raises(HTTPError) as caught:
        changes_between(UNDECLARED, new, has_events=True)
    assert (caught.value.status, caught.value.field) == (409, "counting")


def settle(body: Any, old: Definition = OLD, *, has_events: bool = True) -> Definition:
    """Return the definition after settings, which may name what was never declared."""
    changes = parse_changes(body, old, ["z"], ["z"], has_events=has_events)
    return Definition.from_hash(patched(old.to_hash(), changes))


BEFORE_EVENTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"weights": {"blue": 1, "red": 3}}, weights(1, 3)),
    ({"weights": None}, UNWEIGHTED),
    (
        {"primary_goal": "revenue"},
        edited(("goals[0].role", "secondary"), ("goals[2].role", "primary")),
    ),
    (
        {"primary_goal": "refund"},
        edited(
            ("goals[0].role", "secondary"), ("goals[1].role", "primary"), ("goals[1].margin", ...)
        ),
    ),
    ({"primary_goal": None}, BODY),
    ({"totals": ["refund"]}, changed(BODY, "goals[1].kind", "total")),
    ({"totals": None}, BODY),
    ({"baseline": "blue"}, changed(BODY, "baseline", "blue")),
    ({"baseline": None, "flag": None}, edited(("baseline", ...), ("flag", ...))),
    ({"equivalence": None, "traffic": None}, edited(("equivalence", ...), ("traffic", ...))),
    ({"planned_visitors": 5, "traffic": 0.1}, BODY | {"planned_visitors": 5, "traffic": 0.1}),
    (
        {"counting": "hyperloglog", "owner": "eva"},
        BODY | {"counting": "hyperloglog", "owner": "eva"},
    ),
    ({"state": "stopped", "link": None}, changed(BODY, "link", ...) | {"state": "stopped"}),
    ({}, BODY),
]


@pytest.mark.parametrize(("body", "expected"), BEFORE_EVENTS)
def test_settings_of_a_declared_experiment(body: dict[str, Any], expected: dict[str, Any]) -> None:
    assert settle(body, has_events=False) == parse_definition(expected, OLD)


def test_the_first_goal_is_primary_again_after_a_reset() -> None:
    chosen = settle({"primary_goal": "revenue"}, has_events=False)
    assert chosen.primary_goals == ("revenue",)
    assert settle({"primary_goal": None}, chosen, has_events=False) == OLD


def test_settings_that_may_change_after_the_first_event() -> None:
    assert settle({"state": "stopped"}).state == "stopped"
    assert settle({"traffic": 1}).traffic == 1
    assert settle({"flag": False, "hypothesis": "y"}).hypothesis == "y"
    unweighted = parse_definition(BARE)
    found = settle({"weights": {"a": 80, "b": 20}}, unweighted)
    assert found.weights == {"a": 80, "b": 20}
    same = {"weights": {"a": 80.0, "b": 20.0}, "totals": [], "primary_goal": None}
    assert settle(same, found) == found


NOT_ALLOWED = [
    (400, None, "body", "settings must be a JSON object"),
    (400, {"variants": []}, "variants", "unknown setting; the settings are state, counting"),
    (400, {"\ud800": 1}, "\\ud800", "unknown setting"),
    (400, {"baseline": "z"}, "baseline", "baseline must be a variant: blue, red"),
    (400, {"primary_goal": "z"}, "primary_goal", "primary_goal must be a goal: refund, rev"),
    (400, {"weights": {"blue": 1, "z": 1}}, "weights", "weights must name every variant and no"),
    (400, {"weights": {"blue": 0, "red": 0}}, "weights", "weights must not all be 0"),
    (400, {"totals": ["z"]}, "totals", "totals must be a list of goals: refund, revenue, signup"),
    (400, {"totals": ["revenue"]}, "totals", "totals cannot hold revenue: its kind is value"),
    (400, {"counting": None}, "counting", "counting must be one of hyperloglog, exact"),
    (400, {"traffic": 2}, "traffic", "traffic must be a number above 0, at most 1"),
    (409, {"counting": "hyperloglog"}, "counting", "counting cannot change" + NEW_ONE),
    (409, {"weights": {"blue": 1, "red": 3}}, "weights", "weights cannot change" + NEW_ONE),
    (409, {"weights": None}, "weights", "weights cannot change" + NEW_ONE),
    (409, {"primary_goal": "refund"}, "primary_goal", "primary_goal cannot change" + NEW_ONE),
    (409, {"totals": ["signup"]}, "totals", "totals cannot change" + NEW_ONE),
    (409, {"baseline": "blue"}, "baseline", "baseline cannot change" + NEW_ONE),
    (409, {"baseline": None}, "baseline", "baseline cannot change" + NEW_ONE),
    (409, {"planned_visitors": None}, "planned_visitors", "planned_visitors cannot"),
    (409, {"traffic": 0.1}, "traffic", "traffic cannot fall" + NEW_ONE),
    (409, {"state": "stopped", "equivalence": 0.5}, "equivalence", "equivalence cannot"),
]


@pytest.mark.parametrize(("status", "body", "field", "message"), NOT_ALLOWED)
def test_settings_that_are_refused(status: int, body: Any, field: str, message: str) -> None:
    with pytest.raises(HTTPError) as caught:
        settle(body)
    assert (caught.value.status, caught.value.field) == (status, field)
    assert caught.value.error.startswith(message)


def test_a_flag_needs_values() -> None:
    with pytest.raises(HTTPError) as caught:
        settle({"flag": True}, parse_definition(BARE))
    assert (caught.value.status, caught.value.field) == (400, "variants[0].value")


def test_an_undeclared_experiment_keeps_its_freedom() -> None:
    body = {"weights": {"z": 1}, "primary_goal": "z", "totals": ["z"], "baseline": "z"}
    found = settle(body, UNDECLARED)
    assert (found.weights, found.primary_goals, found.totals) == ({"z": 1}, ("z",), ("z",))
    assert found.baseline_name == "z"
    nulls = dict.fromkeys(RESETTABLE_FIELDS)
    assert settle(nulls, found) == Definition(counting="hyperloglog")
    assert settle({"counting": "exact"}, UNDECLARED, has_events=False).counting == "exact"


SETTINGS = st.dictionaries(st.sampled_from(RESETTABLE_FIELDS) | st.just("counting"), JSON)


@given(
    st.sampled_from([OLD, UNDECLARED, parse_definition(BARE), Definition()]),
    SETTINGS | JSON,
    st.booleans(),
)
def test_any_settings_are_accepted_or_refused(old: Definition, body: Any, has_events: bool) -> None:
    status = 200
    found = old
    try:
        found = settle(body, old, has_events=has_events)
    except HTTPError as error:
        status = error.status
        error.response()["body"].encode()
    assert status in (200, 400, 409)
    if found.is_declared:
        assert checked(found) is found
        assert parse_definition(found.describe(), found) == found


PAIRS = (st.just(BODY) | valid_bodies()).flatmap(
    lambda body: st.tuples(st.just(body), tampered(body) | valid_bodies())
)


@given(PAIRS)
def test_what_is_fixed_stays_whatever_is_sent(bodies: tuple[dict[str, Any], Any]) -> None:
    before, after = bodies
    old = parse_definition(before)
    try:
        new = parse_definition(after, old)
        changes = changes_between(old, new, has_events=True)
    except HTTPError:
        return
    found = Definition.from_hash(patched(old.to_hash(), changes))
    assert found == new
    assert found.variant_names == old.variant_names
    assert old.weights in (None, found.weights)
    assert found.baseline_name == old.baseline_name
    assert found.primary_goals == old.primary_goals
    assert all(found.goal(goal.name) == goal for goal in old.goals)
    assert found.planned_visitors == old.planned_visitors
    assert found.equivalence == old.equivalence
    assert found.counting == old.counting
    assert found.traffic >= old.traffic
    assert not found.declared_late
