"""What AWS's own model of its calls refuses: botocore checks types, but no pattern and no enum."""

import math
from collections.abc import Iterator
from typing import Any

import regex
from botocore.model import Shape

_WITH_LENGTH = ("string", "list", "map", "blob")
_NUMBERS = ("integer", "long", "float", "double")


def violations(shape: Shape, value: Any, path: str = "") -> Iterator[str]:
    """Yield each place where a call's argument breaks the model, with the rule that it breaks."""
    yield from _broken_rules(shape, value, path)
    for name, inner_shape, inner in _parts(shape, value):
        yield from violations(inner_shape, inner, path + name)


def _parts(shape: Shape, value: Any) -> Iterator[tuple[str, Shape, Any]]:
    if shape.type_name == "structure":
        yield from ((f".{name}", shape.members[name], value[name]) for name in value)
    elif shape.type_name == "list":
        yield from ((f"[{index}]", shape.member, item) for index, item in enumerate(value))
    elif shape.type_name == "map":
        for key, item in value.items():
            yield f".{key}", shape.key, key
            yield f".{key}", shape.value, item


def _broken_rules(shape: Shape, value: Any, path: str) -> Iterator[str]:
    rules, kind = shape.metadata, shape.type_name
    if kind == "structure" and (missing := set(rules.get("required", ())) - set(value)):
        yield f"{path}: {missing} missing"
    if "enum" in rules and value not in rules["enum"]:
        yield f"{path}: {value!r} is not one of {rules['enum']}"
    # The patterns are written for Java: Python's own module does not know classes such as \p{L}.
    if kind == "string" and "pattern" in rules and not regex.fullmatch(rules["pattern"], value):
        yield f"{path}: {value!r} does not match {rules['pattern']}"
    if kind in (*_WITH_LENGTH, *_NUMBERS):
        size = len(value) if kind in _WITH_LENGTH else value
        if not rules.get("min", -math.inf) <= size <= rules.get("max", math.inf):
            yield f"{path}: {size} is not from {rules.get('min')} to {rules.get('max')}"
