"""Definitions on the tooling side: they pass here exactly when the backend accepts them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given

from gimel.backend.experiment.checks import BODY_CHECKS, GOAL_CHECKS, VARIANT_CHECKS
from gimel.backend.experiment.definition import parse_definition
from gimel.backend.wire import HTTPError
from gimel.config.definition import (
    ExperimentFile,
    GoalDefinition,
    VariantDefinition,
    mistakes_in,
    read_declarations,
)
from gimel.config.file import ConfigError
from tests.backend.experiment.bodies import (
    BARE,
    BODY,
    JSON,
    changed,
    nearly_valid_bodies,
    valid_bodies,
)


def path_refused(body: Any) -> str | None:
    """Return the path of the first mistake that the backend finds, or None."""
    try:
        parse_definition(body)
    except HTTPError as error:
        return str(error.field)
    return None


# A file names its experiment, and the backend compares that with the query.
ANY_BODY = JSON | valid_bodies() | nearly_valid_bodies


@given(ANY_BODY)
def test_it_accepts_what_the_backend_accepts(body: Any) -> None:
    if isinstance(body, dict):
        body = body | {"experiment": "e"}
        body.pop("namespace", None)
    lines = mistakes_in(body)
    path = path_refused(body)
    assert bool(lines) == (path is not None), lines
    assert not any("pydantic" in line or "Input" in line for line in lines)
    if path is not None and path in [*BODY_CHECKS, "variants[0].name", "goals[0].cap"]:
        assert path in [line.split(" ")[0] for line in lines]


def test_the_fields_are_the_backends() -> None:
    def names(model: Any) -> list[str]:
        return [field.alias or name for name, field in model.model_fields.items()]

    assert set(names(ExperimentFile)) == {"namespace", *BODY_CHECKS}
    assert names(VariantDefinition) == [*VARIANT_CHECKS]
    assert set(names(GoalDefinition)) == set(GOAL_CHECKS)


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        ("goals[1].better", "less", "goals[1].better must be one of higher, lower"),
        ("goals[2].cap", ..., "goals[2].cap is missing: a goal of the kind value needs it"),
        ("goals[0].rôle", "primary", 'goals[0].rôle is unknown; did you mean "role"?'),
        ("variants[1].x", 1, "variants[1].x is unknown: the fields are name, weight, value"),
        ("variants[1]", "red", "variants[1] must be a JSON object"),
        ("variants[0].name", None, "variants[0].name is missing"),
        ("variants", ..., "variants is missing"),
        ("variants", None, "variants is missing"),
        ("baseline", "green", "baseline must be a variant: blue, red"),
        ("experiment", ..., "experiment is missing"),
        ("experiment", " ", "experiment is empty"),
        ("namespace", "a\nb", "namespace holds a control character"),
        ("\ud800", 1, "holds a key with an incomplete character"),
    ],
)
def test_each_mistake_is_one_line_with_its_path(path: str, value: Any, line: str) -> None:
    assert mistakes_in(changed(BODY, path, value)) == [line]


def written(folder: Path, content: Any) -> Path:
    path = folder / "experiments.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return path


def test_a_file_holds_one_definition_or_a_list(tmp_path: Path) -> None:
    (one,) = read_declarations(written(tmp_path, BODY))
    assert one == (str(tmp_path / "experiments.json"), None, "button color", BODY)
    other = BARE | {"experiment": "button color", "namespace": "n"}
    first, second = read_declarations(written(tmp_path, [BODY, other]))
    assert first[1:] == one[1:]
    assert second == (
        f"{one.source}[1]",
        "n",
        "button color",
        BARE | {"experiment": other["experiment"]},
    )


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ([], [": holds no definition"]),
        ([BODY, BODY], ["[1]: experiment repeats button color"]),
        ([BODY, 1, BARE], ["[1]: must be a JSON object", "[2]: experiment is missing"]),
        ("{", [":1:2: not valid JSON: Expecting property name enclosed in double quotes"]),
        ('"text"', [": must be a JSON object"]),
        ("[" * 100_000, [": is nested too deeply or contains too long a number"]),
    ],
)
def test_a_mistake_names_the_file_and_the_index(
    tmp_path: Path, content: Any, lines: list[str]
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(ConfigError) as error:
        read_declarations(path)
    assert error.value.mistakes == tuple(f"{path}{line}" for line in lines)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json does not exist$"):
        read_declarations(tmp_path / "none.json")
