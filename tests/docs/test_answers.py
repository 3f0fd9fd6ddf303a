"""docs/answers.md and docs/answers-figures.md: each field of real answers, and no other."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import redis

from gimel.backend.access import Scope
from gimel.backend.experiment.checks import METHODS, STATES, Better, Kind, Role
from gimel.backend.experiment.flags import Reason
from gimel.backend.ofrep import ErrorCode
from gimel.backend.results import health
from gimel.backend.results.roles import GuardrailState
from gimel.backend.results.verdict import DECISIVE, Look, State
from tests.support.answers import ANSWERS, SCHEMAS, described, real_fields, words_of
from tests.support.written_tables import compare, table, with_tables

DOCS = Path(__file__).parents[2] / "docs"
PAGES = {
    "answers.md": {
        "An event": "Accepted",
        "An error": "Error",
        "All experiments": "Meta",
        "One experiment": "Experiment",
        "Waiting events": "Pile",
        "A delete": "Deleted",
        "A flag": "Evaluation",
        "A flag's error": "EvaluationFailure",
    },
    "answers-figures.md": {
        "A goal": "Goal",
        "A verdict": "Verdict",
        "A recorded verdict": "Recorded",
        "A decision": "Decision",
        "A matrix": "Matrix",
        "The history": "History",
    },
}
HEADINGS = {name: (page, head) for page, of in PAGES.items() for head, name in of.items()}
# The scopes that read
READERS = tuple(scope for scope in get_args(Scope) if scope != "send")
# The words of each field that has a list of them, as the code has them
WORDS = {
    "Meta.meta.key_scope": READERS,
    "Experiment.state": STATES,
    "Experiment.counting.method": METHODS,
    "Experiment.health[].kind": get_args(health.Kind),
    "Experiment.health[].level": get_args(health.Level),
    "Experiment.key_scope": READERS,
    "Goal.kind": get_args(Kind),
    "Goal.role": get_args(Role),
    "Goal.better": get_args(Better),
    "Goal.guardrail": get_args(GuardrailState),
    "Verdict.state": get_args(State),
    "Verdict.look": get_args(Look),
    "Recorded.state": DECISIVE,
    "Recorded.look": get_args(Look),
    "Matrix.kind": get_args(Kind),
    "History.kind": get_args(Kind),
    "History.better": get_args(Better),
    "Evaluation.reason": get_args(Reason),
    "EvaluationFailure.errorCode": get_args(ErrorCode),
}
# Fields that need what this test has not: Redis that is away, a limit, and an SQS queue
ELSEWHERE = {
    "Accepted": {"queued", "rejected[].retry"},
    "Pile": {"messages", "seconds", "seconds_left"},
}


def ref_of(schema: dict[str, Any]) -> str:
    """Return the name of the schema that another one refers to."""
    return schema.get("$ref", "").rpartition("/")[2]


def type_of(schema: dict[str, Any]) -> str:
    """Return the type of a field in a word or two."""
    if "const" in schema:
        return json.dumps(schema["const"])
    if "oneOf" in schema:
        return " or ".join(type_of(SCHEMAS.get(ref_of(each), each)) for each in schema["oneOf"])
    found = schema.get("type", [])
    types = [found] if isinstance(found, str) else list(found)
    if "enum" in schema:
        types = ["string", *(["null"] if None in schema["enum"] else [])]
    return " or ".join({"array": "list"}.get(each, each) for each in types)


def cell(page: str, schema: dict[str, Any]) -> tuple[str, str]:
    """Return the type of a field, and what it says."""
    words = schema.get("description", "")
    named = ref_of(schema) or ref_of(schema.get("items", {}))
    if named in HEADINGS:
        at, heading = HEADINGS[named]
        link = f"{'' if at == page else at}#{heading.lower().replace(' ', '-')}"
        kind = "list" if "items" in schema else type_of(SCHEMAS[named])
        return kind, f"{words or SCHEMAS[named]['description']}: [{heading.lower()}]({link})"
    if named:
        return type_of(SCHEMAS[named]), words or SCHEMAS[named].get("description", "")
    values = [each for each in schema.get("enum", []) if each is not None]
    if not all(each in words for each in values):
        words = f"{words}: {', '.join(f'`{each}`' for each in values)}"
    return type_of(schema), words


@pytest.mark.parametrize("page", PAGES)
def test_the_tables_are_those_of_the_openapi_document(page: str) -> None:
    tables = {
        heading: table(
            ("field", "type", "meaning"),
            ((f"`{path}`", *cell(page, field)) for path, field in described(SCHEMAS[name])),
        )
        for heading, name in PAGES[page].items()
    }
    compare(DOCS / page, with_tables((DOCS / page).read_text("utf-8"), tables))


def test_every_answer_has_a_table_and_every_field_a_description() -> None:
    assert set(HEADINGS) == set(ANSWERS)
    for name in ANSWERS:
        for path, field in described(SCHEMAS[name]):
            assert field.get("description") or "$ref" in field, f"{name}: {path}"


def test_real_answers_have_the_fields_that_are_described(backend: redis.Redis) -> None:
    found = real_fields(backend)
    for name in ANSWERS:
        real = found.get(name, set()) | ELSEWHERE.get(name, set())
        assert real == {path for path, _ in described(SCHEMAS[name])}, name


def test_the_words_of_a_field_are_those_of_the_code() -> None:
    written = {
        f"{name}.{path}": words
        for name in ANSWERS
        for path, field in described(SCHEMAS[name])
        if (words := words_of(field))
    }
    assert written == {field: list(words) for field, words in WORDS.items()}


def test_the_verdicts_are_those_that_are_explained() -> None:
    explained = (DOCS / "reading-results.md").read_text("utf-8")
    words = re.findall(r"^\| \*\*([a-z ]+)\*\* \|", explained, re.M)
    states = {each.replace("_", " ") for each in SCHEMAS["Verdict"]["properties"]["state"]["enum"]}
    assert states <= set(words)
