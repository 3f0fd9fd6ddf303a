"""Verdicts in the terminal: plan, guardrails, directions, and what explains the figures."""

import io
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from gimel.backend.experiment.definition import parse_definition
from gimel.backend.results.counts import ExperimentCounts
from gimel.terminal import results

GOALS = [
    {"name": "signup", "role": "primary"},
    {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.1},
    {"name": "bounce", "role": "secondary", "better": "lower"},
]
COUNTS = {
    "signup": {"a": 200, "b": 205, "c": 190},
    "refund": {"a": 60, "b": 160, "c": 20},
    "bounce": {"a": 400, "b": 300, "c": 400},
}


def described(planned_visitors: int | None = None, **goals: dict[str, int]) -> dict[str, Any]:
    """Return an experiment with a plan and guardrails, five days after it began."""
    body: dict[str, Any] = {"variants": [{"name": name} for name in "abc"], "goals": GOALS}
    if planned_visitors:
        body["planned_visitors"] = planned_visitors
    counts = ExperimentCounts(
        "e",
        64,
        "2026-01-01T00:00:00Z",
        parse_definition(body),
        dict.fromkeys("abc", 2000),
        COUNTS | goals,
        has_events=True,
    )
    return counts.describe(counts.analyse(datetime(2026, 1, 6, tzinfo=UTC)))


def shown(experiment: dict[str, Any], width: int = 80, **console: Any) -> str:
    file = io.StringIO()
    fixed = {"highlight": False, "markup": False, "emoji": False}
    results.show(Console(file=file, width=width, **fixed, **console), [experiment])
    return file.getvalue()


def test_the_plan_with_progress_and_days() -> None:
    text = shown(described(planned_visitors=12_000))
    line = "· plan: 6,000 of 12,000 visitors (50%), 4 to 7 days left at the present pace"
    assert line in text.splitlines()
    assert "keeps most of the error" in " ".join(text.split())
    without = shown(described())
    assert "plan" not in without


def test_guardrails_come_first_and_name_each_variant() -> None:
    lines = shown(described()).splitlines()
    assert lines[2] == "✗ guardrail refund: b broken, c held"
    assert [line for line in lines if re.match("(signup|refund|bounce)  ", line)] == [
        "signup  … keep collecting",
        "refund  ▲ winner: c  guardrail, lower is better",
        "bounce  ▲ winner: b  secondary, lower is better",
    ]


def test_fewer_is_green_where_lower_is_better() -> None:
    text = shown(described(), color_system="standard", force_terminal=True)
    *_, after = text.partition("bounce\x1b")
    row = next(line for line in after.splitlines() if re.match(r"b +2,000", line))
    assert "-25.0%" in row
    assert "\x1b[32m" in row
    assert "\x1b[31m" not in row


def test_the_footnote_explains_best_where_it_is_shown() -> None:
    assert shown(described()).count("Best: the chance to be the best variant") == 1
    nobody = dict.fromkeys("abc", 0)
    empty = ExperimentCounts("e", 64, trials=nobody, goals={"g": nobody}).describe()
    assert "Best:" not in shown(empty)


@pytest.mark.parametrize("width", [60, 80, 100, 120])
def test_every_width_holds_every_line(width: int) -> None:
    experiment = described(12_000, signup={"a": 1, "b": 200, "c": 90})
    lines = shown(experiment, width).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    text = "\n".join(lines)
    assert ("│" in text) is (width >= 80)
    # An interval is never wider than can be read.
    assert ("to >+1,000%" in text) is (width >= 100)
    assert ">+1,000%" in text


def test_a_repeated_goal_without_samples_has_no_verdict() -> None:
    trials, goals = {"a": 300, "b": 300}, {"click": {"a": 900, "b": 1000}}
    counts = ExperimentCounts("e", 64, trials=trials, goals=goals)
    text = shown(counts.describe())
    assert "click (per visitor)  – no verdict" in text
    assert "→ Decide by another goal" in text
