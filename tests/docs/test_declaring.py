"""docs/declaring.md: fields, words, and what is fixed after the first event."""

import json
import shlex
from pathlib import Path
from typing import Any, get_args

import pytest
import redis

from gimel.backend.experiment.checks import (
    BODY_CHECKS,
    GOAL_CHECKS,
    MAX_GOALS,
    MAX_TEXT,
    MAX_VARIANTS,
    VARIANT_CHECKS,
    Kind,
    Role,
)
from gimel.config.definition import ExperimentFile
from gimel.terminal.definition_commands import _NUMBERS, _WORDS
from tests.support.commands import run, said
from tests.support.handler_requests import call
from tests.support.pages import DOCS, blocks, names, rows, section
from tests.support.whole_life import put, send

PAGE = "declaring.md"
SHELL, FILE = blocks(DOCS / PAGE)


def first_names(title: str) -> list[str]:
    """Return the names in the first cell of each row of a section's own table."""
    own = section(PAGE, title).partition("\n###")[0]
    return [name for key, *_ in rows(own) for name in names(key)]


def test_the_fields_are_those_of_the_code() -> None:
    assert set(first_names("Fields")) == set(ExperimentFile.model_fields)
    assert set(first_names("Fields")) == BODY_CHECKS.keys() | {"namespace"}
    assert set(first_names("A variant")) == VARIANT_CHECKS.keys()
    assert set(first_names("A goal")) == GOAL_CHECKS.keys()
    assert tuple(first_names("Roles")) == get_args(Role)
    assert tuple(first_names("Kinds of goals")) == get_args(Kind)


def test_the_bounds_are_those_of_the_code() -> None:
    fields = section(PAGE, "Fields")
    assert f"2 to {MAX_VARIANTS} [variants]" in fields
    assert f"up to {MAX_GOALS} [goals]" in fields
    assert f"up to {MAX_TEXT:,} characters" in fields


def test_the_words_of_a_goal_are_those_of_the_command() -> None:
    assert first_names("From options") == [*_WORDS, *_NUMBERS]


def test_the_examples_declare(url: str, tmp_path: Path) -> None:
    file = tmp_path / "experiments.json"
    file.write_text(FILE.code, "utf-8")
    program, *words = shlex.split(SHELL.code)
    assert program == "gimel"
    said(run(*words, "--url", url))
    said(run("create", "--file", str(file), "--url", url))
    shown = json.loads(said(run("show", "checkout", "--json", "--url", url)))
    assert shown["goals"][2]["cap"] == 500


# A change of each field, and whether it is allowed after the first event
BEFORE: dict[str, Any] = {
    "variants": [{"name": name, "weight": 50, "value": name} for name in ("blue", "red")],
    "goals": [{"name": "signup", "role": "primary"}],
    "planned_visitors": 40_000,
    "traffic": 0.5,
    "hypothesis": None,
}
CHANGES: dict[str, list[tuple[Any, bool]]] = {
    "variants": [
        ([BEFORE["variants"][0] | {"weight": 60}, BEFORE["variants"][1]], False),
        ([*BEFORE["variants"], BEFORE["variants"][1] | {"name": "green"}], False),
    ],
    "baseline": [("red", False)],
    "goals": [
        ([], False),
        ([{"name": "signup", "role": "primary", "better": "lower"}], False),
        ([*BEFORE["goals"], {"name": "added"}], True),
        ([*BEFORE["goals"], {"name": "added", "role": "primary"}], False),
    ],
    "planned_visitors": [(50_000, False)],
    "equivalence": [(0.02, False)],
    "counting": [("exact", False)],
    "traffic": [(0.4, False), (0.6, True)],
    "hypothesis": [("Red draws the eye", True)],
    "owner": [("ana", True)],
    "link": [("https://example.com", True)],
    "flag": [(True, True)],
    "state": [("stopped", True)],
}


@pytest.mark.parametrize("field", CHANGES)
def test_what_is_fixed_after_the_first_event(field: str, backend: redis.Redis) -> None:
    put("e", **BEFORE)
    send("e", 2)
    for value, is_allowed in CHANGES[field]:
        body = json.dumps(BEFORE | {field: value})
        answer = call("PUT", "/experiment", {"experiment": "e"}, body=body)
        assert answer.status == (200 if is_allowed else 409), answer.body


def test_the_table_says_of_every_field_whether_it_is_fixed() -> None:
    found = first_names("What is fixed when")
    assert set(found) == set(CHANGES) == BODY_CHECKS.keys() - {"experiment"}
