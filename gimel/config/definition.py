"""Definitions of experiments, typed and checked before anything is sent to a backend.

`gimel create` makes one from its options. `gimel create --file` reads a file with one definition or
a list of them, so that a repository can hold them. Each value is checked by the backend's own
check, so that both say the same about a mistake.
"""

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, BeforeValidator, Field, ValidationError
from pydantic_core import ErrorDetails

from gimel.backend.experiment.checks import (
    BODY_CHECKS,
    GOAL_CHECKS,
    VARIANT_CHECKS,
    Better,
    Check,
    Kind,
    Role,
    Source,
    check_name,
)
from gimel.backend.experiment.definition import conflicts_in
from gimel.config.file import ConfigError, parse_json, read_text
from gimel.config.stack import Section


def _by(check: Check, *, is_required: bool = False) -> BeforeValidator:
    """Return a validator that applies a check of the backend. Null is like a missing value."""

    def validate(value: object) -> object:
        if value is None and is_required:
            raise ValueError("is missing")
        if value is not None and (complaint := check(value)):
            raise ValueError(complaint)
        return value

    return BeforeValidator(validate)


class VariantDefinition(Section):
    """A declared variant: see `gimel.backend.experiment.definition.Variant`."""

    name: Annotated[str, _by(VARIANT_CHECKS["name"], is_required=True)]
    weight: Annotated[float | None, _by(VARIANT_CHECKS["weight"])] = None
    value: Annotated[Any, _by(VARIANT_CHECKS["value"])] = None


class GoalDefinition(Section):
    """A declared goal: see `gimel.backend.experiment.definition.Goal`."""

    name: Annotated[str, _by(GOAL_CHECKS["name"], is_required=True)]
    role: Annotated[Role | None, _by(GOAL_CHECKS["role"])] = None
    kind: Annotated[Kind | None, _by(GOAL_CHECKS["kind"])] = None
    better: Annotated[Better | None, _by(GOAL_CHECKS["better"])] = None
    margin: Annotated[float | None, _by(GOAL_CHECKS["margin"])] = None
    cap: Annotated[float | None, _by(GOAL_CHECKS["cap"])] = None
    # A field cannot be named `from` in Python, but a key in JSON can.
    from_: Annotated[Source | None, _by(GOAL_CHECKS["from"]), Field(alias="from")] = None


class ExperimentFile(Section):
    """An experiment as a file declares it: its names, and the fields of its definition."""

    experiment: Annotated[str, _by(check_name, is_required=True)]
    namespace: Annotated[str | None, _by(check_name)] = None
    variants: Annotated[list[VariantDefinition], _by(BODY_CHECKS["variants"], is_required=True)]
    goals: Annotated[list[GoalDefinition] | None, _by(BODY_CHECKS["goals"])] = None
    baseline: Annotated[str | None, _by(BODY_CHECKS["baseline"])] = None
    hypothesis: Annotated[str | None, _by(BODY_CHECKS["hypothesis"])] = None
    owner: Annotated[str | None, _by(BODY_CHECKS["owner"])] = None
    link: Annotated[str | None, _by(BODY_CHECKS["link"])] = None
    planned_visitors: Annotated[int | None, _by(BODY_CHECKS["planned_visitors"])] = None
    traffic: Annotated[float | None, _by(BODY_CHECKS["traffic"])] = None
    counting: Annotated[str | None, _by(BODY_CHECKS["counting"])] = None
    flag: Annotated[bool | None, _by(BODY_CHECKS["flag"])] = None
    equivalence: Annotated[float | None, _by(BODY_CHECKS["equivalence"])] = None
    state: Annotated[str | None, _by(BODY_CHECKS["state"])] = None


class Declaration(NamedTuple):
    """A checked definition. `source` says where it stands, e.g. `experiments.json[2]`, or "".

    `namespace` is None if the definition names none. `body` is the body of `PUT /experiment`.
    """

    source: str
    namespace: str | None
    experiment: str
    body: dict[str, Any]


def read_declarations(path: Path) -> list[Declaration]:
    """Return the definitions in a file. Raises ConfigError with one line for each mistake."""
    content = parse_json(read_text(path), str(path))
    if isinstance(content, list):
        sources = {f"{path}[{index}]": item for index, item in enumerate(content)}
    else:
        sources = {str(path): content}
    mistakes = [
        f"{source}: {line}" for source, item in sources.items() for line in mistakes_in(item)
    ]
    if mistakes or not sources:
        raise ConfigError(*mistakes or [f"{path}: holds no definition"])
    declarations = [_declaration(item, source) for source, item in sources.items()]
    first: dict[tuple[str | None, str], str] = {}
    for each in declarations:
        if first.setdefault((each.namespace, each.experiment), each.source) != each.source:
            raise ConfigError(f"{each.source}: experiment repeats {each.experiment}")
    return declarations


def check_declaration(item: dict[str, Any]) -> Declaration:
    """Return the definition that options make. Raises ConfigError with a line for each mistake."""
    if mistakes := mistakes_in(item):
        raise ConfigError(*mistakes)
    return _declaration(item, "")


def _declaration(item: Any, source: str) -> Declaration:
    return Declaration(source, item.get("namespace"), item["experiment"], _body(item))


def _body(item: Any) -> dict[str, Any]:
    return {field: value for field, value in item.items() if field != "namespace"}


def mistakes_in(item: object) -> list[str]:
    """Return one line on each mistake in an experiment of a file: the path, and the complaint."""
    try:
        ExperimentFile.model_validate(item)
    except ValidationError as error:
        return [_explain(details) for details in error.errors(include_url=False)]
    return [f"{path} {complaint}" for path, complaint in conflicts_in(_body(item)).items()]


_MODELS: Mapping[str, type[BaseModel]] = {"variants": VariantDefinition, "goals": GoalDefinition}
# Our words for the errors that do not come from a check
_MESSAGES = {
    "missing": "is missing",
    "model_type": "must be a JSON object",
    "extra_forbidden": "is unknown",
    "string_unicode": "holds a key with an incomplete character",
    "value_error": "{error}",
}


def _explain(details: ErrorDetails) -> str:
    location = details["loc"]
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    path = "".join(steps).removeprefix(".")
    message = _MESSAGES.get(details["type"], "is not a valid value").format(
        **details.get("ctx", {})
    )
    if details["type"] == "extra_forbidden":
        known = _fields(_MODELS[str(location[0])] if len(location) > 1 else ExperimentFile)
        nearest = difflib.get_close_matches(str(location[-1]), known, n=1)
        fields = f": the fields are {', '.join(known)}"
        message += f'; did you mean "{nearest[0]}"?' if nearest else fields
    return f"{path} {message}".lstrip()


def _fields(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]
