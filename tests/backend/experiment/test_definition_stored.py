"""The definition in Redis: what is written is read again, whichever version wrote it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimel.backend.experiment.changes import changes_between
from gimel.backend.experiment.checks import HASH_CHECKS
from gimel.backend.experiment.definition import Definition, Goal, Variant, parse_definition
from gimel.backend.wire import respond
from tests.backend.experiment.bodies import BODY, JSON, patched, valid_bodies

FULL = parse_definition(BODY)
OTHER_FIELDS = {
    "shards": "64",
    "created_at": "2026-01-01T00:00:00Z",
    "salt": "00ff",
    "sets 16 alphbet:counters:e:g:a": "",
    "what a later version wrote": "{",
}


def test_the_fields_of_a_full_definition() -> None:
    stored = FULL.to_hash()
    variants, goals = json.loads(stored.pop("variants")), json.loads(stored.pop("goals"))
    assert variants == BODY["variants"]
    assert goals[2] == {
        "name": "revenue",
        "role": "secondary",
        "kind": "value",
        "better": "higher",
        "cap": 500,
        "from": "server",
    }
    assert stored == {
        "hypothesis": "Red draws the eye",
        "owner": "ana",
        "link": "https://example.org/1",
        "baseline": "red",
        "planned_visitors": "40000",
        "traffic": "0.5",
        "counting": "exact",
        "flag": "true",
        "equivalence": "0.01",
    }


def test_defaults_are_not_stored() -> None:
    assert Definition().to_hash() == {}
    assert Definition.from_hash({}) == Definition.from_hash(OTHER_FIELDS) == Definition()


def test_what_the_version_before_wrote() -> None:
    stored = OTHER_FIELDS | {
        "state": "archived",
        "counting": "hyperloglog",
        "baseline": "red:#1",
        "primary_goal": "plan: 50%",
        "weights": '{"red:#1": 1, "blue": 2.5}',
        "equivalence": "0.05",
        "totals": '["clicks", "plan: 50%"]',
    }
    found = Definition.from_hash(stored)
    assert found == Definition(
        state="archived",
        counting="hyperloglog",
        baseline="red:#1",
        primary_goal="plan: 50%",
        weights={"red:#1": 1, "blue": 2.5},
        equivalence=0.05,
        totals=("clicks", "plan: 50%"),
    )
    assert not found.is_declared
    assert (found.primary_goals, found.baseline_name) == (("plan: 50%",), "red:#1")
    assert Definition.from_hash(found.to_hash()) == found
    assert found.describe()["weights"] == {"red:#1": 1, "blue": 2.5}


def test_names_of_gimel_1_may_hold_anything() -> None:
    stored = {"baseline": "a\nb", "primary_goal": "\x7f" * 300}
    assert Definition.from_hash(stored) == Definition(**stored)
    assert Definition(**stored).to_hash() == stored


def test_what_was_set_before_a_declaration_counts_no_more() -> None:
    found = Definition.from_hash(
        FULL.to_hash() | {"weights": '{"z": 1}', "primary_goal": "z", "totals": '["z"]'}
    )
    assert found == FULL
    assert (found.weights, found.primary_goal, found.totals) == (FULL.weights, "signup", ())


READABLE = [{"name": "a", "weight": 1}, {"name": "b", "weight": 2, "colour": "later"}]
UNREADABLE: list[Any] = [
    None,
    1,
    [],
    {},
    {"name": ""},
    {"name": "c", "weight": "heavy"},
    {"name": "c", "value": [1]},
]


@pytest.mark.parametrize("odd", UNREADABLE)
def test_an_odd_variant_is_left_out(odd: Any) -> None:
    found = Definition.from_hash({"variants": json.dumps([odd, *READABLE])})
    assert found.variants == (Variant("a", 1), Variant("b", 2))


@pytest.mark.parametrize(
    "odd",
    [
        *(None, "g", {"kind": "unique"}, {"name": "participate"}),
        # A goal of an unknown kind or source must not count as something else.
        *({"name": "g", "kind": "ratio"}, {"name": "g", "from": "app"}, {"name": "g", "role": "x"}),
        *({"name": "g", "kind": "value"}, {"name": "g", "kind": "value", "cap": 0}),
    ],
)
def test_an_odd_goal_is_left_out(odd: Any) -> None:
    goals = [odd, {"name": "h", "role": "primary", "later": 1}]
    found = Definition.from_hash({"variants": json.dumps(READABLE), "goals": json.dumps(goals)})
    assert found.goals == (Goal("h", "primary"),)


@pytest.mark.parametrize("text", ["", "{", "null", "NaN", "[]", '"x"', "1" * 5000, "[" * 100_000])
@pytest.mark.parametrize(
    "field", ["variants", "planned_visitors", "traffic", "flag", "equivalence", "weights"]
)
def test_an_odd_field_has_its_default(field: str, text: str) -> None:
    found = Definition.from_hash({field: text, "owner": "ana"})
    assert found == Definition(owner="ana")


FIELDS = st.sampled_from(sorted(HASH_CHECKS))
STORED_JSON = JSON.map(json.dumps)
ODD_HASHES = st.dictionaries(FIELDS | st.text(), STORED_JSON | st.text(), max_size=6)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from("abc")},
        optional={
            field: JSON | st.sampled_from(["value", "primary", 1, 0.5])
            for field in ("weight", "value", "role", "kind", "cap", "margin", "from")
        },
    ),
    max_size=3,
).map(json.dumps)


@given(ODD_HASHES, st.fixed_dictionaries({}, optional={"variants": ITEMS, "goals": ITEMS}))
def test_any_hash_is_read(stored: dict[str, str], lists: dict[str, str]) -> None:
    found = Definition.from_hash(stored | lists)
    respond(found.describe())["body"].encode()
    again = found.to_hash()
    json.dumps(again, ensure_ascii=False).encode()
    assert Definition.from_hash(again) == found


@given(valid_bodies())
def test_what_is_written_is_read_again(body: dict[str, Any]) -> None:
    found = parse_definition(body)
    stored = json.loads(json.dumps(found.to_hash()))
    assert all(isinstance(text, str) for text in stored.values())
    assert Definition.from_hash(stored) == found
    assert Definition.from_hash(OTHER_FIELDS | stored) == found


@pytest.mark.slow
@given(valid_bodies(), valid_bodies())
def test_the_changes_lead_from_one_definition_to_another(
    before: dict[str, Any], after: dict[str, Any]
) -> None:
    old = parse_definition(before)
    new = parse_definition(after, old)
    stored = OTHER_FIELDS | old.to_hash()
    result = patched(stored, changes_between(old, new, has_events=False))
    assert Definition.from_hash(result) == new
    assert {field: result[field] for field in OTHER_FIELDS} == OTHER_FIELDS
    assert changes_between(new, new, has_events=True) == {}
