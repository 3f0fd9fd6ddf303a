"""The fields of the backend's answers: those that docs/openapi.json describes, and real ones."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import redis

from gimel.backend import process
from gimel.gimel import FLAGS_PATH
from tests.support.handler_requests import call, post
from tests.support.whole_life import live, put, send

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs" / "openapi.json").read_text("utf-8"))
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
# What a backend answers with, by the names of the schemas
ANSWERS = (
    *("Accepted", "Deleted", "Error", "Meta", "Experiment", "Pile", "Decision"),
    *("Goal", "Verdict", "Recorded", "Matrix", "History", "Evaluation", "EvaluationFailure"),
)


def described(schema: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path and the schema of each field, down to other named schemas."""
    for name, field in schema.get("properties", {}).items():
        path = f"{above}.{name}" if above else name
        yield path, field
        yield from described(field, path)
        if "items" in field:
            yield from described(field["items"], f"{path}[]")


def words_of(field: dict[str, Any]) -> list[str]:
    """Return the words that a field may have; of an object with any names, its values' words."""
    values = field.get("additionalProperties")
    schema = values if isinstance(values, dict) else field
    return [word for word in schema.get("enum", []) if word is not None]


def _fields(value: object, schema: dict[str, Any], found: dict[str, set[str]], at: str) -> None:
    """Add the paths of a real answer's fields, each to the named schema that describes it."""
    if "$ref" in schema and (name := schema["$ref"].rpartition("/")[2]) in ANSWERS:
        schema, at = SCHEMAS[name], f"{name}:"
        found.setdefault(name, set())
    if isinstance(value, list):
        for item in value:
            _fields(item, schema.get("items", {}), found, f"{at}[]")
    elif isinstance(value, dict) and not {"additionalProperties", "oneOf"} & schema.keys():
        name, _, above = at.partition(":")
        for field, inner in value.items():
            path = f"{above}.{field}" if above else field
            found[name].add(path)
            _fields(inner, schema.get("properties", {}).get(field, {}), found, f"{name}:{path}")


def _declare() -> None:
    """Declare an experiment with goals of every kind, send its events, and some that are wrong."""
    goals = [
        {"name": "signup", "role": "primary"},
        {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.1},
        {"name": "revenue", "kind": "value", "cap": 10},
    ]
    variants = [
        {"name": "blue", "weight": 50, "value": 1},
        {"name": "red", "weight": 50, "value": 2},
    ]
    put("every kind", variants=variants, goals=goals, flag=True)
    send("every kind", 300)
    revenue = {"experiment": "every kind", "event": "revenue", "variant": "blue", "value": 3}
    paid = [revenue | {"uuid": f"r{n}", "visitor": f"id{n}"} for n in range(0, 200, 2)]
    assert post(paid).status == 200
    send("every kind", 3, event="not declared")
    process.counters()._tally.flush()


def real_answers(store: redis.Redis) -> Iterator[tuple[str, Any]]:
    """Yield answers with every field, each with the name of its schema. Keys are open."""
    live(store)
    _declare()
    event = {"experiment": "declared", "variant": "blue", "event": "signup", "uuid": "1"}
    yield "Accepted", post([event, {}]).body
    yield "Error", call("GET", "/e").body
    for name in ("every kind", "declared", "decided", "archived", "undeclared: #1"):
        one = {"experiment": name}
        yield "Experiment", call("GET", "/experiment", one).body
        yield "History", call("GET", "/history", one).body
    yield (
        "Experiment",
        call("GET", "/experiment", {"experiment": "decided", "matrix": "signup"}).body,
    )
    for query in ({}, {"view": "summary"}):
        meta, *experiments = call("GET", "/experiments", query).body
        yield "Meta", meta
        yield from (("Experiment", each) for each in experiments)
    visitor = json.dumps({"context": {"targetingKey": "ana"}})
    yield "Evaluation", call("POST", f"{FLAGS_PATH}/every kind", body=visitor).body
    yield "EvaluationFailure", call("POST", f"{FLAGS_PATH}/none", body=visitor).body
    send("undeclared: #1", 2, event="typo")
    part = {"experiment": "undeclared: #1", "goal": "typo"}
    yield "Deleted", call("DELETE", "/delete", part).body
    part = {"experiment": "undeclared: #1", "variant": "red"}
    yield "Deleted", call("DELETE", "/delete", part).body


def real_fields(store: redis.Redis) -> dict[str, set[str]]:
    """Return the fields of real answers, by the names of the schemas."""
    found: dict[str, set[str]] = {}
    for name, answer in real_answers(store):
        _fields(answer, {"$ref": f"#/components/schemas/{name}"}, found, "")
    return found
