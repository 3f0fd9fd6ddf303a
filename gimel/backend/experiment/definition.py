"""What the engine has to be told about an experiment: from the wire, into Redis's hash, and back.

The hash holds text; what is not text by itself is JSON there.
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


@dataclass(frozen=True)
class Settings:
    """None, or empty, is what was never told.

    `state`: a stopped experiment takes events and counts none; an archived one is out of sight too.
    `counting`: the way of counting, chosen before the first event.
    `weights`: the share of visitors that each variant is meant to get, in any unit. `equivalence`:
    a lift no larger than this, either way, is not worth finding (0.01 is 1 %). `totals`: goals that
    a visitor may reach many times.
    """

    state: str = "running"
    counting: str = HYPERLOGLOG
    baseline: str | None = None
    weights: dict[str, float] | None = None
    primary_goal: str | None = None
    equivalence: float | None = None
    totals: tuple[str, ...] = ()

    @classmethod
    def of(cls, hash_fields: Mapping[str, str]) -> "Settings":
        """The settings in an experiment's hash."""
        values: dict[str, Any] = {
            field: json.loads(hash_fields[field]) if field in _AS_JSON else hash_fields[field]
            for field in _CHECKS
            if field in hash_fields
        }
        return cls(**values | {"totals": tuple(values.get("totals", ()))})


def changes(body: object, variants: Names, goals: Names) -> dict[str, str | None]:
    """What a body changes, as fields of the hash; null takes a setting back.

    Raises HTTPError 400, naming the field: an unknown one, a wrong type, a variant or goal that
    the experiment does not have.
    """
    if not isinstance(body, dict):
        raise HTTPError(400, "settings must be a JSON object", "body")
    changed: dict[str, str | None] = {}
    for field, value in body.items():
        if field not in _CHECKS:
            known = ", ".join(_CHECKS)
            raise HTTPError(400, f"there is no such setting; there are {known}", field)
        if value is None and field in FIELDS:
            changed[field] = None
            continue
        complaint = _CHECKS[field](value, variants, goals)
        if complaint:
            raise HTTPError(400, f"{field} {complaint}", field)
        changed[field] = json.dumps(value) if field in _AS_JSON else value
    return changed


def _check_state(value: object, variants: Names, goals: Names) -> str | None:
    return None if value in STATES else f"must be one of {', '.join(STATES)}"


def _check_counting(value: object, variants: Names, goals: Names) -> str | None:
    if variants:
        return (
            "cannot be changed any more, for events are counted already: "
            "`gimel delete --forget` the experiment, or give the next one another name"
        )
    return None if value in METHODS else f"must be one of {', '.join(METHODS)}"


def _check_baseline(value: object, variants: Names, goals: Names) -> str | None:
    return None if value in variants else f"must be a variant: {_listed(variants)}"


def _check_primary_goal(value: object, variants: Names, goals: Names) -> str | None:
    return None if value in goals else f"must be a goal: {_listed(goals)}"


def _check_weights(value: object, variants: Names, goals: Names) -> str | None:
    if not isinstance(value, dict) or not all(_is_share(share) for share in value.values()):
        return "must map variants to numbers, none below 0"
    if set(value) != set(variants):
        return f"must name each variant: {_listed(variants)}"
    return None if any(value.values()) else "must not all be 0"


def _is_share(value: object) -> bool:
    return _is_number(value) and 0 <= value <= 1e9


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_equivalence(value: object, variants: Names, goals: Names) -> str | None:
    if _is_number(value) and 0 < value < 1:
        return None
    return "must be a lift between 0 and 1, e.g. 0.01 for 1 %"


def _check_totals(value: object, variants: Names, goals: Names) -> str | None:
    if isinstance(value, list) and all(goal in goals for goal in value):
        return None
    return f"must be a list of goals: {_listed(goals)}"


def _listed(names: Names) -> str:
    return ", ".join(sorted(names)) or "there is none yet"


_CHECKS: dict[str, Callable[[object, Names, Names], str | None]] = {
    "state": _check_state,
    "counting": _check_counting,
    "baseline": _check_baseline,
    "weights": _check_weights,
    "primary_goal": _check_primary_goal,
    "equivalence": _check_equivalence,
    "totals": _check_totals,
}
_AS_JSON = ("weights", "equivalence", "totals")
# What can be taken back
FIELDS = tuple(field for field in _CHECKS if field != "counting")
