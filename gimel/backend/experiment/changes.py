"""Changes of a definition: which are allowed, and the fields of the hash that they write.

After the first event of a declared experiment, only texts, state and `flag` may change freely.
`traffic` may rise, secondary goals may be added, and weights that were never set may be set once.
An undeclared experiment may change everything but the counting, and may be declared.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gimel.backend.experiment.checks import (
    FIELD_CHECKS,
    MAX_WEIGHT,
    are_weights,
    check_reason,
    printable,
)
from gimel.backend.experiment.definition import TEXT_FIELDS, Decision, Definition, Goal, checked
from gimel.backend.wire import HTTPError

Names = Sequence[str]
Changes = dict[str, str | None]


def changes_between(old: Definition, new: Definition, *, has_events: bool) -> Changes:
    """Return the fields of the hash that lead from `old` to `new`; None removes a field.

    Raise HTTPError 409 if the change is not allowed because events are counted already, or because
    the experiment is decided.
    """
    _refuse_to_run(new)
    is_late = old.declared_late or (has_events and new.is_declared and not old.is_declared)
    new = replace(new, declared_late=is_late, counting=new.counting or old.counting)
    if is_late and new.planned_visitors is not None:
        reason = (
            "an experiment that is declared after its first event has no plan: leave it out, or "
            "`gimel delete --forget` the experiment and declare it before its first event"
        )
        raise HTTPError(409, reason, "planned_visitors")
    for path, complaint in _violations(old, new) if has_events else ():
        reason = f"{path} {complaint} after the first event"
        advice = "`gimel create NEW --like OLD` starts a new experiment"
        raise HTTPError(409, f"{reason}: {advice}", path)
    before, after = old.to_hash(), new.to_hash()
    changed = [field for field in before | after if before.get(field) != after.get(field)]
    return {field: after.get(field) for field in changed}


def _refuse_to_run(definition: Definition) -> None:
    """Raise HTTPError 409 if a decided experiment is to run."""
    if definition.decision and definition.state == "running":
        reason = (
            f"state cannot be running: the experiment is decided for {definition.decision.winner}. "
            "`gimel settings EXPERIMENT --reset decision` takes the decision back"
        )
        raise HTTPError(409, reason, "state")


def _violations(old: Definition, new: Definition) -> Iterator[tuple[str, str]]:
    """Yield the path of each change that is not allowed after the first event, and why."""
    if new.counting != old.counting:
        yield "counting", "cannot change"
    if not old.is_declared:
        return
    yield from _variant_violations(old, new)
    yield from _goal_violations(old, new)
    for field in ("baseline_name", "planned_visitors", "equivalence"):
        if getattr(new, field) != getattr(old, field):
            yield field.removesuffix("_name"), "cannot change"
    if new.traffic < old.traffic:
        yield "traffic", "cannot fall"


def _variant_violations(old: Definition, new: Definition) -> Iterator[tuple[str, str]]:
    """Yield forbidden changes of variants. Their order is fixed, because flags assign by it.

    Weights that were never set may be set once, to describe the split that is running. A flag
    without weights splits equally, so only equal weights describe it.
    """
    if new.variant_names != old.variant_names:
        yield "variants", "cannot change"
        return
    is_equal = len({variant.weight for variant in new.variants}) == 1
    may_set_weights = old.weights is None and (is_equal or not old.flag)
    for index, (before, after) in enumerate(zip(old.variants, new.variants, strict=True)):
        if after.weight != before.weight and not may_set_weights:
            yield f"variants[{index}].weight", "cannot change"
        # As JSON, because True equals 1 in Python
        if json.dumps(after.value, sort_keys=True) != json.dumps(before.value, sort_keys=True):
            yield f"variants[{index}].value", "cannot change"


def _goal_violations(old: Definition, new: Definition) -> Iterator[tuple[str, str]]:
    """Yield forbidden changes of goals. A goal keeps its role: it was chosen before the data."""
    for index, goal in enumerate(new.goals):
        before = old.goal(goal.name)
        if before is None and goal.role != "secondary":
            yield f"goals[{index}].role", "of an added goal must be secondary"
        for field in goal._fields:
            if before is not None and getattr(goal, field) != getattr(before, field):
                yield f"goals[{index}].{'from' if field == 'source' else field}", "cannot change"
    for name in old.goal_names:
        if name not in new.goal_names:
            yield "goals", f"cannot lose {name}"


def parse_changes(
    body: object,
    definition: Definition,
    variants_seen: Names,
    goals_seen: Names,
    *,
    has_events: bool,
) -> Changes:
    """Return the fields of the hash that the settings in a request's body change.

    None removes a field. A decision stops the experiment. If the experiment is undeclared, the
    settings may name the variants and goals that were seen. Raise HTTPError 400, with the field's
    name, if the body is not an object, a field is unknown, or a value is invalid. Raise HTTPError
    409 as `changes_between` does.
    """
    if not isinstance(body, dict):
        raise HTTPError(400, "settings must be a JSON object", "body")
    if body.get("decision") is not None and definition.state == "running":
        body = {"state": "stopped"} | body
    if not definition.is_declared:
        for field, value in body.items():
            _check_undeclared(field, value, has_events=has_events)
            _check(field, value, variants_seen, goals_seen)
        return _undeclared_changes(body, definition)
    new = definition
    for field, value in body.items():
        _check(field, value, definition.variant_names, definition.goal_names)
        new = _with_setting(new, field, value)
    try:
        return changes_between(definition, checked(new), has_events=has_events)
    except HTTPError as error:
        path = str(error.field)
        setting = _SETTINGS_OF.get(path.rpartition("].")[2], path)
        raise HTTPError(error.status, error.error.replace(path, setting, 1), setting) from None


def _undeclared_changes(body: Mapping[str, Any], definition: Definition) -> Changes:
    """Return the fields of the hash that checked settings of an undeclared experiment change."""
    new = definition
    for field in body.keys() & {"state", "decision"}:
        new = _with_setting(new, field, body[field])
    _refuse_to_run(new)
    written = new.to_hash()
    own = {field: written.get(field) for field in ("state", "decision")}
    return {field: own.get(field, _stored(field, value)) for field, value in body.items()}


def _check_undeclared(field: str, value: object, *, has_events: bool) -> None:
    """Raise HTTPError 400 for a setting that an undeclared experiment cannot have."""
    if field == "counting" and has_events:
        reason = "cannot change after the first event: delete the experiment with "
        reason += "`gimel delete --forget`, or start one with another name"
        raise HTTPError(400, f"{field} {reason}", field)
    if field in ("planned_visitors", "traffic", "flag") and value is not None:
        reason = "needs a declared experiment: declare it with `gimel create`"
        raise HTTPError(400, f"{field} {reason}", field)


def _check(field: str, value: object, variants: Names, goals: Names) -> None:
    """Raise HTTPError 400 if a setting is unknown or its value is invalid."""
    if field not in _SETTINGS:
        known = ", ".join(_SETTINGS)
        raise HTTPError(400, f"unknown setting; the settings are {known}", printable(field))
    if value is None and field in RESETTABLE_FIELDS:
        return
    if field in _CHECKS_WITH_NAMES:
        complaint = _CHECKS_WITH_NAMES[field](value, variants, goals)
    else:
        complaint = FIELD_CHECKS[field](value)
    if complaint:
        raise HTTPError(400, f"{field} {complaint}", field)


def _stored(field: str, value: Any) -> str | None:
    if value is None:
        return None
    return str(value) if field in TEXT_FIELDS else json.dumps(value)


def _with_setting(definition: Definition, field: str, value: Any) -> Definition:
    """Return a declared experiment's definition with one setting changed. None resets it."""
    if field == "weights":
        weights = value or {}
        variants = [each._replace(weight=weights.get(each.name)) for each in definition.variants]
        return replace(definition, variants=tuple(variants))
    if field == "primary_goal":
        primary = [value] if value else definition.goal_names[:1]
        return replace(definition, goals=tuple(_with_role(definition.goals, primary)))
    if field == "totals":
        return replace(definition, goals=tuple(_with_kind(definition.goals, value or ())))
    if field == "decision" and value is not None:
        return replace(definition, decision=_decision(value, definition.decision))
    default = getattr(Definition, field)
    return replace(definition, **{field: default if value is None else value})


def _decision(value: Mapping[str, str], old: Decision | None) -> Decision:
    """Return the decision that a setting makes now. The figures stay those of the first one."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    new = Decision(value["winner"], value["reason"], now, old.frozen_at if old else now)
    return old if old and new[:2] == old[:2] else new


def _with_role(goals: Sequence[Goal], primary: Names) -> Iterator[Goal]:
    for goal in goals:
        if goal.name in primary:
            yield goal._replace(role="primary", margin=None)
        else:
            yield goal._replace(role="secondary") if goal.role == "primary" else goal


def _with_kind(goals: Sequence[Goal], totals: Names) -> Iterator[Goal]:
    for goal in goals:
        if goal.kind != "value":
            yield goal._replace(kind="total" if goal.name in totals else "unique")
        elif goal.name in totals:
            raise HTTPError(400, f"totals cannot hold {goal.name}: its kind is value", "totals")
        else:
            yield goal


# Each check returns None, or the complaint that follows the field's name in the error message.


def _check_baseline(value: object, variants: Names, goals: Names) -> str | None:
    return None if value in variants else f"must be a variant: {_list_names(variants)}"


def _check_primary_goal(value: object, variants: Names, goals: Names) -> str | None:
    return None if value in goals else f"must be a goal: {_list_names(goals)}"


def _check_weights(value: object, variants: Names, goals: Names) -> str | None:
    if not are_weights(value):
        return f"must map variants to numbers from 0 to {MAX_WEIGHT:,}"
    if set(value) != set(variants):
        return f"must name every variant and no other: {_list_names(variants)}"
    return None if any(value.values()) else "must not all be 0"


def _check_totals(value: object, variants: Names, goals: Names) -> str | None:
    if isinstance(value, list) and all(goal in goals for goal in value):
        return None
    return f"must be a list of goals: {_list_names(goals)}"


def _check_decision(value: object, variants: Names, goals: Names) -> str | None:
    if not isinstance(value, dict) or value.keys() != {"winner", "reason"}:
        return "must be an object with the fields winner and reason"
    if value["winner"] not in variants:
        return f"must have a winner that is a variant: {_list_names(variants)}"
    complaint = check_reason(value["reason"])
    return complaint and f"has a reason that is invalid: it {complaint}"


def _list_names(names: Names) -> str:
    return ", ".join(sorted(names)) or "there are none yet"


_CHECKS_WITH_NAMES: Mapping[str, Callable[[object, Names, Names], str | None]] = {
    "baseline": _check_baseline,
    "weights": _check_weights,
    "primary_goal": _check_primary_goal,
    "totals": _check_totals,
    "decision": _check_decision,
}
_SETTINGS = (*dict.fromkeys(("state", "counting", *_CHECKS_WITH_NAMES, *FIELD_CHECKS)),)
# Null resets these fields to their defaults. The counting method, once chosen, stays.
RESETTABLE_FIELDS = tuple(field for field in _SETTINGS if field != "counting")
# What the attributes of declared variants and goals are called as settings
_SETTINGS_OF = {"weight": "weights", "role": "primary_goal", "kind": "totals"}
