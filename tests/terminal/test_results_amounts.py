"""Totals and amounts in the terminal, and the matrix that it computes from the answer."""

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from gimel.backend.experiment.definition import parse_definition
from gimel.backend.results.counts import ExperimentCounts
from gimel.terminal import results


def sampled() -> dict[str, Any]:
    """An experiment with a total and with amounts, whose samples of visitors differ."""
    body = {
        "variants": [{"name": "a"}, {"name": "b"}],
        "goals": [{"name": "click", "kind": "total"}, {"name": "paid", "kind": "value", "cap": 50}],
    }
    samples = {
        "participate": {label: [1_000.0 + n % 7 for n in range(64)] for label in "ab"},
        "click": {label: [100.0 + n % 23 for n in range(64)] for label in "ab"},
        "paid": {
            "a": [5_000.0 + 40 * (n % 19) for n in range(64)],
            "b": [6_500.0 + 40 * (n % 17) for n in range(64)],
        },
    }
    counts = {
        goal: {label: int(sum(each)) for label, each in of_goal.items()}
        for goal, of_goal in samples.items()
    }
    return ExperimentCounts(
        "e",
        64,
        settings=parse_definition(body),
        trials=counts.pop("participate"),
        goals=counts,
        has_events=True,
        is_salted=True,
        samples=samples,
        above_cap={"paid": {"a": 3, "b": 12_345}},
    ).describe()


def test_a_matrix_of_totals_and_amounts_says_what_the_rows_say() -> None:
    found = sampled()
    click, paid = results._compare_all(found)
    for goal, matrix in zip(found["goals"], (click, paid), strict=True):
        row = goal["results"][1]
        pair = next(each for each in matrix["pairs"] if each["label"] == "b")
        assert matrix["kind"] == goal["kind"]
        for field in ("lift", "p_value", "p_value_always_valid"):
            assert pair[field] == pytest.approx(row[field], rel=1e-2, abs=1e-4)
        assert pair["lift_interval"] == pytest.approx(row["lift_interval"], abs=1e-3)
    assert paid["pairs"][0]["p_value_always_valid"] < 0.001
    assert click["pairs"][0]["p_value_always_valid"] == 1
    file = io.StringIO()
    console = Console(file=file, width=80, highlight=False, markup=False, emoji=False)
    results.show(console, [found])
    results.show_matrix(console, [found])
    lines = file.getvalue().splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    text = "\n".join(lines)
    assert "paid (per visitor)  ▲ winner: b" in text
    assert "12,348 amounts above the cap counted as the cap" in text
