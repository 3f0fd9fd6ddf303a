"""The definition of an experiment: its data, read from a request's body and from Redis.

A hash in Redis holds text only. Texts are stored as they are, everything else as JSON. The fields
stand beside others that belong to the counting, e.g. `shards`.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from gimel.backend.experiment.checks import (
    BODY_CHECKS,
    GOAL_CHECKS,
    HASH_CHECKS,
    VARIANT_CHECKS,
    Better,
    Check,
    Kind,
    Mistakes,
    Role,
    Source,
    is_number,
    read_object,
)
from gimel.backend.wire import HTTPError

TEXT_FIELDS = ("state", "counting", "baseline", "primary_goal", "hypothesis", "owner", "link")
_MAX_MISTAKES = 5


class Variant(NamedTuple):
    """A declared variant.

    `weight`: its share of visitors, in any unit.
    `value`: what the flag evaluates to, in an experiment that is a flag.
    """

    name: str
    weight: float | None = None
    value: Any = None


class Goal(NamedTuple):
    """A declared goal.

    `margin`: the largest harm to a guardrail that is acceptable; 0.02 is a lift of 2 %.
    `cap`: the largest amount that one event can add to a goal of the kind value.
    `source`: "server" counts only events that bear a key. JSON calls this field "from".
    """

    name: str
    role: Role = "secondary"
    kind: Kind = "unique"
    better: Better = "higher"
    margin: float | None = None
    cap: float | None = None
    source: Source = "anyone"


class Decision(NamedTuple):
    """An owner's decision: the variant to ship, and the reason.

    `at`: the time of the decision. `frozen_at`: that of the first one, when the figures were
    frozen; later ones may change winner and reason.
    """

    winner: str
    reason: str
    at: str
    frozen_at: str


@dataclass(frozen=True)
class Definition:
    """The definition of one experiment. A field that was never set has the default below.

    `counting`: the method, chosen before the first event; None leaves it to the stack.
    `equivalence`: the largest lift, in either direction, that is too small to matter; 0.01 is 1 %.
    `state`: a stopped experiment accepts events and counts none. Neither does an archived one, and
    the dashboard does not list it among the current experiments.
    `decision`: a decided experiment does not run.
    `declared_late`: the experiment was declared after its first event.
    `weights`, `primary_goal`, `totals`: set one by one for an undeclared experiment. For a declared
    one they follow from `variants` and `goals`. `totals` are the goals that a visitor may reach
    many times.
    """

    variants: tuple[Variant, ...] = ()
    goals: tuple[Goal, ...] = ()
    baseline: str | None = None
    hypothesis: str | None = None
    owner: str | None = None
    link: str | None = None
    planned_visitors: int | None = None
    traffic: float = 1.0
    counting: str | None = None
    flag: bool = False
    equivalence: float | None = None
    state: str = "running"
    declared_late: bool = False
    decision: Decision | None = None
    weights: Mapping[str, float] | None = None
    primary_goal: str | None = None
    totals: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.is_declared:
            weights = {each.name: each.weight for each in self.variants if each.weight is not None}
            totals = tuple(goal.name for goal in self.goals if goal.kind == "total")
            object.__setattr__(self, "weights", weights or None)
            object.__setattr__(self, "primary_goal", next(iter(self.primary_goals), None))
            object.__setattr__(self, "totals", totals)

    @property
    def is_declared(self) -> bool:
        """Whether variants are declared. If so, only declared variants and goals count."""
        return bool(self.variants)

    @property
    def variant_names(self) -> tuple[str, ...]:
        """The declared variants, in order."""
        return tuple(variant.name for variant in self.variants)

    @property
    def goal_names(self) -> tuple[str, ...]:
        """The declared goals, in order."""
        return tuple(goal.name for goal in self.goals)

    @property
    def baseline_name(self) -> str | None:
        """The baseline that was set, else the first declared variant."""
        return self.baseline or next(iter(self.variant_names), None)

    @property
    def primary_goals(self) -> tuple[str, ...]:
        """The primary goals, in order."""
        if self.is_declared:
            return tuple(goal.name for goal in self.goals if goal.role == "primary")
        return () if self.primary_goal is None else (self.primary_goal,)

    def goal(self, name: str) -> Goal | None:
        """Return the declared goal of this name."""
        return next((goal for goal in self.goals if goal.name == name), None)

    def describe(self) -> dict[str, Any]:
        """Return the definition as the body of `PUT /experiment` has it.

        It has neither state nor decision: a copy of a stopped experiment runs. If the experiment is
        undeclared, the settings' names take the place of variants and goals.
        """
        left_out = ("state", "declared_late", "decision")
        return {field: value for field, value in self._json().items() if field not in left_out}

    def to_hash(self) -> dict[str, str]:
        """Return the fields of the hash. A field that has its default is left out."""
        return {
            field: value if field in TEXT_FIELDS else json.dumps(value)
            for field, value in self._json().items()
            if getattr(self, field) != getattr(Definition, field)
        }

    def _json(self) -> dict[str, Any]:
        """Return the fields that are set, as JSON has them."""
        derived = ("weights", "primary_goal", "totals") if self.is_declared else ()
        names = [field.name for field in fields(self) if field.name not in derived]
        values = _without_none({name: getattr(self, name) for name in names})
        if self.decision:
            values["decision"] = self.decision._asdict()
        return values | {
            "variants": [_without_none(variant._asdict()) for variant in self.variants],
            "goals": [_goal_json(goal) for goal in self.goals],
        }

    @classmethod
    def from_hash(cls, hash_fields: Mapping[str, str]) -> "Definition":
        """Return the definition that an experiment's hash holds. Ignore the hash's other fields.

        A later version may have written something that this one cannot read. Such a field, variant
        or goal is left out, so that its events do not count.
        """
        stored: dict[str, object] = {}
        for field in HASH_CHECKS.keys() & hash_fields.keys():
            text = hash_fields[field]
            try:
                stored[field] = text if field in TEXT_FIELDS else json.loads(text)
            except (ValueError, RecursionError):
                continue
        values = read_object(stored, HASH_CHECKS, "", {})
        variants = _readable(values.pop("variants", []), VARIANT_CHECKS)
        goals = map(_goal, _readable(values.pop("goals", []), GOAL_CHECKS))
        if decision := values.pop("decision", None):
            values["decision"] = Decision(*(decision[field] for field in Decision._fields))
        return cls(
            variants=tuple(Variant(**each) for each in variants),
            goals=tuple(goal for goal in goals if goal.kind != "value" or goal.cap is not None),
            **values | {"totals": tuple(values.get("totals", ()))},
        )


_UNDECLARED = Definition()


def parse_definition(body: object, old: Definition = _UNDECLARED) -> Definition:
    """Return the definition in the body of a request. Raise HTTPError 400 if anything is wrong.

    The message lists the first mistakes, and the error's field is the path of the first. What the
    body leaves out gets its default, but state, decision and counting stay as they are in `old`,
    the experiment's present definition. The caller compares the body's field `experiment`.

    A goal without a role is secondary. If no goal has the role primary, the first goal without a
    role is primary.
    """
    return checked(_parse(body, old))


def _parse(body: object, old: Definition) -> Definition:
    """Return the definition in a body in which each value by itself is valid."""
    mistakes: Mistakes = {}
    values = read_object(body, BODY_CHECKS, "", mistakes, "variants")
    variants = _read_list(values.pop("variants", []), VARIANT_CHECKS, "variants", mistakes)
    goals = _read_list(values.pop("goals", []), GOAL_CHECKS, "goals", mistakes)
    _refuse(mistakes.items())
    values.pop("experiment", None)
    return Definition(
        variants=tuple(Variant(**each) for each in variants),
        goals=tuple(map(_goal, _with_primary(goals))),
        **{"state": old.state, "decision": old.decision, "counting": old.counting} | values,
    )


def checked(definition: Definition) -> Definition:
    """Return a declared experiment's definition. Raise HTTPError 400 if it contradicts itself."""
    _refuse(_conflicts(definition))
    return definition


def conflicts_in(body: object) -> Mistakes:
    """Return the complaint at each path where a body, valid value by value, contradicts itself."""
    return dict(_conflicts(_parse(body, _UNDECLARED)))


def _conflicts(definition: Definition) -> Iterator[tuple[str, str]]:
    yield from _variant_conflicts(definition)
    yield from _goal_conflicts(definition.goals)


def _refuse(mistakes: Iterable[tuple[str, str]]) -> None:
    found = list(mistakes)[:_MAX_MISTAKES]
    if found:
        lines = [f"{path} {complaint}" for path, complaint in found]
        raise HTTPError(400, "; ".join(lines), found[0][0])


def _read_list(
    items: list[object], checks: Mapping[str, Check], name: str, mistakes: Mistakes
) -> list[dict[str, Any]]:
    return [
        read_object(item, checks, f"{name}[{index}]", mistakes, "name")
        for index, item in enumerate(items)
    ]


def _readable(items: list[object], checks: Mapping[str, Check]) -> Iterator[dict[str, Any]]:
    """Yield the known fields of each object in which all of them are valid."""
    for item in items:
        mistakes: Mistakes = {}
        fields_in = item if isinstance(item, dict) else {}
        known = {field: fields_in[field] for field in checks if field in fields_in}
        values = read_object(known, checks, "", mistakes, "name")
        if not mistakes:
            yield values


def _goal(values: Mapping[str, Any]) -> Goal:
    return Goal(**{"source" if field == "from" else field: values[field] for field in values})


def _goal_json(goal: Goal) -> dict[str, Any]:
    values = _without_none(goal._asdict())
    return values | {"from": values.pop("source")}


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    return {field: value for field, value in values.items() if value is not None}


def _with_primary(goals: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make the first goal without a role primary, unless there is a primary goal."""
    without_role = [goal for goal in goals if "role" not in goal]
    if without_role and all(goal.get("role") != "primary" for goal in goals):
        without_role[0]["role"] = "primary"
    return goals


def _variant_conflicts(definition: Definition) -> Iterator[tuple[str, str]]:
    """Yield each path at which variants contradict each other or the definition."""
    variants, names = definition.variants, definition.variant_names
    yield from _repeated("variants", names)
    if definition.weights is not None and not any(definition.weights.values()):
        yield "variants", "must not all have the weight 0"
    first_type = _type_of(variants[0].value)
    has_values = any(variant.value is not None for variant in variants)
    for index, variant in enumerate(variants):
        if definition.weights is not None and variant.weight is None:
            yield f"variants[{index}].weight", "is missing, but other variants have a weight"
        if variant.value is None and (has_values or definition.flag):
            reason = "other variants have a value" if has_values else "flag is true"
            yield f"variants[{index}].value", f"is missing, but {reason}"
        elif _type_of(variant.value) != first_type != "null":
            yield f"variants[{index}].value", f"must be of the first value's type: {first_type}"
    if definition.baseline is not None and definition.baseline not in names:
        yield "baseline", f"must be a variant: {', '.join(names)}"


def _goal_conflicts(goals: Sequence[Goal]) -> Iterator[tuple[str, str]]:
    """Yield each path at which a goal contradicts itself or another goal."""
    yield from _repeated("goals", [goal.name for goal in goals])
    for index, goal in enumerate(goals):
        if goal.cap is None and goal.kind == "value":
            yield f"goals[{index}].cap", "is missing: a goal of the kind value needs it"
        if goal.cap is not None and goal.kind != "value":
            yield f"goals[{index}].cap", "is for goals of the kind value only"
        if goal.margin is not None and goal.role != "guardrail":
            yield f"goals[{index}].margin", "is for guardrails only"
    if goals and all(goal.role != "primary" for goal in goals):
        yield "goals", "must have a primary goal"


def _repeated(path: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    for index, name in enumerate(names):
        if name in names[:index]:
            yield f"{path}[{index}].name", f"repeats {name}"


def _type_of(value: object) -> str:
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    if is_number(value):
        return "number"
    return "string" if isinstance(value, str) else "object"
