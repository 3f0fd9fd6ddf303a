"""docs/glossary.md: it has the words of the wire, in the order of the alphabet."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "glossary.md").read_text("utf-8")
TERMS = re.findall(r"^- \*\*(.+?)\*\*", TEXT, re.M)
SCHEMAS = json.loads((DOCS / "openapi.json").read_text("utf-8"))["components"]["schemas"]
# The schemas and fields whose words a reader meets. Others name fields or are OpenFeature's own.
FIELDS = [
    ("Settings", "state"),
    ("Settings", "counting"),
    ("Verdict", "state"),
    ("Goal", "role"),
    ("Goal", "kind"),
    ("Goal", "guardrail"),
    ("Experiment", "key_scope"),
]


def enums(schema: Any) -> Iterator[str]:
    """Yield the words that a field may have."""
    if isinstance(schema, dict):
        yield from filter(None, schema.get("enum", []))
        for below in schema.values():
            yield from enums(below)


def test_each_word_of_the_wire_has_an_entry() -> None:
    words = {
        word for schema, field in FIELDS for word in enums(SCHEMAS[schema]["properties"][field])
    }
    assert len(words) > 18
    assert {word.replace("_", " ") for word in words} - {term.lower() for term in TERMS} == set()


def test_the_order_is_that_of_the_alphabet() -> None:
    assert sorted(TERMS, key=lambda term: re.sub(r"\W", "", term).lower()) == TERMS
    assert len(set(TERMS)) == len(TERMS)


def test_an_entry_is_short() -> None:
    entries = re.split(r"^- ", TEXT, flags=re.M)[1:]
    assert max(len(entry.split()) for entry in entries) < 60
