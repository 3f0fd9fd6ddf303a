"""Checks of an experiment's record: a field that anything else has written is not shown."""

import json
import re
from collections.abc import Callable
from typing import Any

from gimel.backend.results.verdict import DECISIVE

# An interval on the log scale reaches as far as e^100.
_MOST = 1e100
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


def is_valid(field: str, text: str) -> bool:
    """Return whether a field of the record, and its value, are as `record` writes them."""
    kind, _, _ = field.partition(" ")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    checks = _CHECKS.get(kind)
    if checks is None or not isinstance(value, dict):
        return False
    is_about_one = kind != "verdict" or not value.get("winner") or value.get("variant")
    return bool(is_about_one) and all(
        name in value and check(value[name]) for name, check in checks.items()
    )


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _is_counts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_count, value.values()))


def _are_samples(value: object) -> bool:
    return isinstance(value, dict) and all(
        isinstance(each, list)
        and all(type(one) in (int, float) and (one == 0 or 0.5 < one < 2**63) for one in each)
        for each in value.values()
    )


def _is_text(value: object) -> bool:
    """Return whether a value is a text that JSON can carry: no half of a surrogate pair."""
    return isinstance(value, str) and not re.search("[\ud800-\udfff]", value)


def _is_text_or_none(value: object) -> bool:
    return value is None or _is_text(value)


def _is_time(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(_TIME, value) is not None


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and abs(value) < _MOST  # type: ignore[arg-type]


def _is_lift(value: object) -> bool:
    return value is None or _is_number(value)


def _is_interval(value: object) -> bool:
    return value is None or (
        isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))
    )


# The figures of a variant that a decision freezes
FIGURES: dict[str, Callable[[Any], bool]] = {
    "label": _is_text,
    "trials": _is_count,
    "successes": _is_count,
    "sum": _is_lift,
    "rate": _is_lift,
    "lift": _is_lift,
    "lift_interval_always_valid": _is_interval,
}


def _is_goal(value: object) -> bool:
    """Return whether a value has the figures of a goal, frozen at a decision."""
    return (
        isinstance(value, dict)
        and all(_is_text(value.get(name)) for name in ("goal", "role", "kind", "state"))
        and _is_text_or_none(value.get("winner"))
        and isinstance(value.get("variants"), list)
        and all(map(_is_row, value["variants"]))
    )


def _is_row(value: object) -> bool:
    return isinstance(value, dict) and all(
        name in value and check(value[name]) for name, check in FIGURES.items()
    )


_CHECKS: dict[str, dict[str, Callable[[Any], bool]]] = {
    "final": {
        "at": _is_time,
        "trials": _is_counts,
        "goals": lambda value: isinstance(value, dict) and all(map(_is_counts, value.values())),
        "samples": lambda value: isinstance(value, dict) and all(map(_are_samples, value.values())),
    },
    "fulfilled": {"at": _is_time},
    "decision": {
        "at": _is_time,
        "goals": lambda value: isinstance(value, list) and all(map(_is_goal, value)),
        "goals_left_out": lambda value: type(value) is int,
    },
    "verdict": {
        "at": _is_time,
        "visitors": _is_count,
        "state": lambda value: value in DECISIVE,
        "reason": _is_text,
        "winner": _is_text_or_none,
        "variant": _is_text_or_none,
        "interval": _is_interval,
        "lift": _is_lift,
        "lift_expected": _is_lift,
        "look": lambda value: value in ("any", "final"),
    },
}
