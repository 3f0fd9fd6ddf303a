"""Checks of a definition's values, one value at a time.

A check returns None for a valid value. Otherwise it returns the complaint that follows the value's
path in an error message, as in "goals[0].better must be one of higher, lower".
"""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeGuard, get_args

from gimel.backend.counting.exact import EXACT
from gimel.backend.counting.hyperloglog import HYPERLOGLOG
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.wire import HTTPError
from gimel.backend.wire import name as wire_name

Check = Callable[[object], str | None]
# An amount is counted in hundredths of its goal's cap.
_MIN_CAP = 0.01
# The complaint about the value at each path
Mistakes = dict[str, str]

Role = Literal["primary", "guardrail", "secondary"]
Kind = Literal["unique", "total", "value"]
Better = Literal["higher", "lower"]
Source = Literal["anyone", "server"]
METHODS = (HYPERLOGLOG, EXACT)
STATES = ("running", "stopped", "archived")
DECISION_FIELDS = ("winner", "reason", "at", "frozen_at")

MAX_VARIANTS = 100
MAX_GOALS = 100
MAX_WEIGHT = 10**9
MAX_AMOUNT = 10**12
MAX_TEXT = 2000  # characters
MAX_REASON = 1000  # characters
MAX_VALUE = 4096  # bytes of JSON
# Deeper JSON comes near Python's limit of recursion when it is written as part of an answer.
MAX_NESTING = 20

# A text may have several lines. Other control characters break terminals; lone surrogates have no
# UTF-8.
_FORBIDDEN_IN_TEXT = "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]"


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a JSON value is a number. True and False are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def are_weights(value: object) -> TypeGuard[dict[str, float]]:
    """Return whether a JSON value maps names to weights."""
    return isinstance(value, dict) and not any(map(_check_weight, value.values()))


def _must_be(description: str, is_valid: Callable[[Any], bool]) -> Check:
    return lambda value: None if is_valid(value) else f"must be {description}"


def _must_be_one_of(choices: tuple[str, ...]) -> Check:
    return _must_be(f"one of {', '.join(choices)}", choices.__contains__)


def _must_be_list(low: int, high: int) -> Check:
    return _must_be(
        f"a list of {low} to {high} objects",
        lambda value: isinstance(value, list) and low <= len(value) <= high,
    )


_check_weight = _must_be(
    f"a number from 0 to {MAX_WEIGHT:,}",
    lambda value: is_number(value) and 0 <= value <= MAX_WEIGHT,
)
_check_lift = _must_be(
    "a lift between 0 and 1, e.g. 0.01 for 1 %", lambda value: is_number(value) and 0 < value < 1
)
_check_string = _must_be("a string", lambda value: isinstance(value, str))
_check_bool = _must_be("true or false", lambda value: isinstance(value, bool))


def check_name(value: object) -> str | None:
    """Check a name by the rules for the names in events. It must also be visible."""
    try:
        name = wire_name({"it": value}, "it")
    except HTTPError as error:
        return error.error.removeprefix("it ")
    return None if any(map(_is_visible, name)) else "has no visible character"


def _is_visible(character: str) -> bool:
    # Only a declaration needs it, and events must not wait for it.
    import unicodedata

    # Spaces, formats and unassigned characters, marks without a letter, and blank letters
    is_blank = unicodedata.category(character) in ("Cc", "Cf", "Cn", "Mn", "Me", "Zs", "Zl", "Zp")
    return not is_blank and character not in "\u115f\u1160\u2800\u3164\uffa0"


def _check_variant_name(value: object) -> str | None:
    # An object in JavaScript cannot have it as a key of its own, and a page lists variants by key.
    return "cannot be __proto__" if value == "__proto__" else check_name(value)


def _check_goal_name(value: object) -> str | None:
    # Participations count the visitors.
    return f"cannot be {PARTICIPATE}" if value == PARTICIPATE else check_name(value)


def _check_text(value: object, longest: int = MAX_TEXT) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if len(value) > longest:
        return f"is over {longest:,} characters"
    is_forbidden = not value.isprintable() and re.search(_FORBIDDEN_IN_TEXT, value)
    return "holds a control character" if is_forbidden else None


def check_reason(value: object) -> str | None:
    """Check the reason of a decision."""
    is_blank = isinstance(value, str) and not any(map(_is_visible, value))
    return "must say why" if is_blank else _check_text(value, MAX_REASON)


def _check_link(value: object) -> str | None:
    link = value if isinstance(value, str) else ""
    is_link = link.startswith(("https://", "http://")) and link.isprintable() and " " not in link
    return _check_text(value) if is_link else "must start with https:// or http://"


def _check_value(value: object) -> str | None:
    if not isinstance(value, bool | str | int | float | dict):
        return "must be a boolean, a string, a number or an object"
    if not _is_within(value, MAX_NESTING):
        return f"is nested over {MAX_NESTING} levels deep"
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False).encode())
    except ValueError:
        return "holds a number or a character that JSON cannot hold"
    return f"is over {MAX_VALUE:,} bytes of JSON" if size > MAX_VALUE else None


def _is_within(value: object, levels: int) -> bool:
    """Return whether a JSON value has at most this many levels of lists and objects."""
    if not isinstance(value, dict | list):
        return True
    inner = value.values() if isinstance(value, dict) else value
    return levels > 0 and all(_is_within(each, levels - 1) for each in inner)


VARIANT_CHECKS: dict[str, Check] = {
    "name": _check_variant_name,
    "weight": _check_weight,
    "value": _check_value,
}
GOAL_CHECKS: dict[str, Check] = {
    "name": _check_goal_name,
    "role": _must_be_one_of(get_args(Role)),
    "kind": _must_be_one_of(get_args(Kind)),
    "better": _must_be_one_of(get_args(Better)),
    "margin": _check_lift,
    "cap": _must_be(
        f"a number from {_MIN_CAP} to {MAX_AMOUNT:,}",
        lambda value: is_number(value) and _MIN_CAP <= value <= MAX_AMOUNT,
    ),
    "from": _must_be_one_of(get_args(Source)),
}
# The fields that bodies of requests and the hash in Redis share
FIELD_CHECKS: dict[str, Check] = {
    "state": _must_be_one_of(STATES),
    "counting": _must_be_one_of(METHODS),
    "baseline": check_name,
    "equivalence": _check_lift,
    "hypothesis": _check_text,
    "owner": _check_text,
    "link": _check_link,
    "planned_visitors": _must_be(
        f"a whole number from 1 to {MAX_AMOUNT:,}",
        lambda value: type(value) is int and 1 <= value <= MAX_AMOUNT,
    ),
    "traffic": _must_be(
        "a number above 0, at most 1", lambda value: is_number(value) and 0 < value <= 1
    ),
    "flag": _check_bool,
}
BODY_CHECKS: dict[str, Check] = FIELD_CHECKS | {
    "experiment": _check_string,
    "variants": _must_be_list(2, MAX_VARIANTS),
    "goals": _must_be_list(0, MAX_GOALS),
}
HASH_CHECKS: dict[str, Check] = FIELD_CHECKS | {
    "variants": _must_be("a list", lambda value: isinstance(value, list)),
    "goals": _must_be("a list", lambda value: isinstance(value, list)),
    "declared_late": _check_bool,
    "decision": _must_be(
        "a decision",
        lambda value: (
            isinstance(value, dict)
            and all(isinstance(value.get(field), str) for field in DECISION_FIELDS)
        ),
    ),
    # The names of an undeclared experiment of gimel 1.x may hold anything.
    "baseline": _check_string,
    "primary_goal": _check_string,
    "weights": _must_be("weights by variant", are_weights),
    "totals": _must_be(
        "a list of names",
        lambda value: isinstance(value, list) and all(isinstance(name, str) for name in value),
    ),
}


def read_object(
    item: object, checks: Mapping[str, Check], path: str, mistakes: Mistakes, required: str = ""
) -> dict[str, Any]:
    """Return the valid fields of a JSON object. Add a complaint about each other one to `mistakes`.

    A field that is null is left out, like one that is missing.
    """
    if not isinstance(item, dict):
        mistakes[path or "body"] = "must be a JSON object"
        return {}
    prefix = f"{path}." if path else ""
    valid: dict[str, Any] = {}
    for field, value in item.items():
        check = checks.get(field)
        if check is None:
            known = ", ".join(checks)
            mistakes[prefix + (printable(field) or '""')] = f"is unknown: the fields are {known}"
        elif value is not None and (complaint := check(value)):
            mistakes[prefix + field] = complaint
        elif value is not None:
            valid[field] = value
    if required and item.get(required) is None:
        mistakes[prefix + required] = "is missing"
    return valid


def printable(field: str) -> str:
    """Return the name of a request's unknown field, short and in one line, for a message."""
    return (field if field.isprintable() else ascii(field)[1:-1])[:64]
