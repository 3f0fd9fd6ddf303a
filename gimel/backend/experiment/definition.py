"""Settings of an experiment: checks of a request's body, and the fields of the hash in Redis.

A hash in Redis holds text only. Fields with values of any other type are stored as JSON.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from gimel.backend.counting.exact import EXACT
from gimel.backend.counting.hyperloglog import HYPERLOGLOG
from gimel.backend.wire import HTTPError

Names = Sequence[str]

METHODS = (HYPERLOGLOG, EXACT)
STATES = ("running", "stopped", "archived")

_MAX_WEIGHT = 1e9


@dataclass(frozen=True)
class ExperimentSettings:
    """The settings of one experiment. A field that was never set has the default below.

    `state`: a stopped experiment accepts events and counts none. Neither does an archived one, and
    the dashboard does not list it among the current experiments.
    `counting`: the counting method, chosen before the first event.
    `weights`: the intended share of visitors for each variant, in any unit.
    `equivalence`: the largest lift, in either direction, that is too small to matter; 0.01 is 1 %.
    `totals`: the goals that a visitor may reach many times.
    """

    state: str = "running"
    counting: str = HYPERLOGLOG
    baseline: str | None = None
    weights: dict[str, float] | None = None
    primary_goal: str | None = None
    equivalence: float | None = None
    totals: tuple[str, ...] = ()

    @classmethod
    def from_hash(cls, hash_fields: Mapping[str, str]) -> "ExperimentSettings":
        """Return the settings that an experiment's hash holds. Ignore the hash's other fields."""
        values: dict[str, Any] = {
            field: json.loads(hash_fields[field]) if field in _JSON_FIELDS else hash_fields[field]
            for field in _CHECKS
            if field in hash_fields
        }
        return cls(**values | {"totals": tuple(values.get("totals", ()))})


def parse_changes(body: object, variants: Names, goals: Names) -> dict[str, str | None]:
    """Return the fields of the hash that a request's body changes; None removes a field.

    `variants` and `goals` are the names that the experiment has so far. Raise HTTPError 400, with
    the field's name, if the body is not an object, a field is unknown, or a value is invalid.
    """
    if not isinstance(body, dict):
        raise HTTPError(400, "settings must be a JSON object", "body")
    changed: dict[str, str | None] = {}
    for field, value in body.items():
        if field not in _CHECKS:
            known = ", ".join(_CHECKS)
            raise HTTPError(400, f"unknown setting; the settings are {known}", field)
        if value is None and field in RESETTABLE_FIELDS:
            changed[field] = None
            continue
        complaint = _CHECKS[field](value, variants, goals)
        if complaint:
            raise HTTPError(400, f"{field} {complaint}", field)
        changed[field] = json.dumps(value) if field in _JSON_FIELDS else value
    return changed


# Each check returns None for a valid value. Otherwise it returns the complaint that follows the
# field's name in the error message.


def _check_state(value: object, variants: Names, goals: Names) -> str | None:
    return None if value in STATES else f"must be one of {', '.join(STATES)}"


def _check_counting(value: object, variants: Names, goals: Names) -> str | None:
    if variants:
        return (
            "cannot change after the first event: delete the experiment with "
            "`gimel delete --forget`, or start one with another name"
        )
    return None if value in METHODS else f"must be one of {', '.join(METHODS)}"


def _check_baseline(value: object, variants: Names, goals: Names) -> str | None:
    return None if value in variants else f"must be a variant: {_list_names(variants)}"


def _check_primary_goal(value: object, variants: Names, goals: Names) -> str | None:
    return None if value in goals else f"must be a goal: {_list_names(goals)}"


def _check_weights(value: object, variants: Names, goals: Names) -> str | None:
    if not isinstance(value, dict) or not all(_is_weight(weight) for weight in value.values()):
        return f"must map variants to numbers from 0 to {_MAX_WEIGHT:,.0f}"
    if set(value) != set(variants):
        return f"must name every variant and no other: {_list_names(variants)}"
    return None if any(value.values()) else "must not all be 0"


def _is_weight(value: object) -> bool:
    return _is_number(value) and 0 <= value <= _MAX_WEIGHT


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_equivalence(value: object, variants: Names, goals: Names) -> str | None:
    if _is_number(value) and 0 < value < 1:
        return None
    return "must be a lift between 0 and 1, e.g. 0.01 for 1 %"


def _check_totals(value: object, variants: Names, goals: Names) -> str | None:
    if isinstance(value, list) and all(goal in goals for goal in value):
        return None
    return f"must be a list of goals: {_list_names(goals)}"


def _list_names(names: Names) -> str:
    return ", ".join(sorted(names)) or "there are none yet"


_CHECKS: dict[str, Callable[[object, Names, Names], str | None]] = {
    "state": _check_state,
    "counting": _check_counting,
    "baseline": _check_baseline,
    "weights": _check_weights,
    "primary_goal": _check_primary_goal,
    "equivalence": _check_equivalence,
    "totals": _check_totals,
}
_JSON_FIELDS = ("weights", "equivalence", "totals")
# Null resets these fields to their defaults. The counting method, once chosen, stays.
RESETTABLE_FIELDS = tuple(field for field in _CHECKS if field != "counting")
