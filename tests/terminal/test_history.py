"""`gimel results EXPERIMENT --history`: the lift over time, at several widths."""

import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from gimel.terminal.history import show_history
from tests.support.commands import complaint, count, run, said

NOW = datetime(2026, 11, 29, 14, 20, tzinfo=UTC)


def point(age: timedelta, visitors: int, width: float) -> dict[str, Any]:
    row = {"trials": visitors, "successes": visitors // 10, "rate": 0.1}
    blue = row | {"label": "blue", "lift": None, "lift_interval_always_valid": None}
    interval = [0.1 - width, 0.1 + width]
    red = row | {"label": "red\x1b[2J", "lift": 0.1, "lift_interval_always_valid": interval}
    return {"time": f"{NOW - age:%Y-%m-%dT%H:%M:%SZ}", "variants": [blue, red]}


def history(points: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    answer = {"experiment": "button color", "goal": "signup", "kind": "unique", "better": "higher"}
    answer |= {"baseline": "blue", "plan": None, "recorded": None, "snapshots": points}
    return answer | fields


def hours(number: int) -> list[dict[str, Any]]:
    return [
        point(timedelta(hours=number - hour), 100 * hour, 5 / hour) for hour in range(1, number + 1)
    ]


def shown(answer: dict[str, Any], width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    show_history(console, answer)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def rows(lines: list[str]) -> list[str]:
    return [line for line in lines if line.startswith("2026-")]


@pytest.mark.parametrize("width", [40, 50, 60, 80, 100, 120, 200])
def test_every_line_fits_and_no_name_controls_the_terminal(width: int) -> None:
    answer = history(hours(400), recorded={"state": "winner", "at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"})
    lines = shown(answer, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "\x1b" not in "".join(lines)
    heads = next(line for line in lines if "Visitors" in line)
    assert "Lift" in heads
    assert ("Rate" in heads) is (width >= 50)
    assert ("95 %, any time" in heads) is (width >= 60)
    assert ("Interval" in heads) is (width >= 80)
    # A time is one line, and a lift is never cut.
    assert all(re.match(r"2026-\d\d-\d\d \d\d:\d\d .*\+10\.0%", row) for row in rows(lines))
    assert len(rows(lines)) > 15


def test_a_short_history_has_each_hour_and_a_long_one_each_day() -> None:
    assert len(rows(shown(history(hours(20))))) == 20
    days = rows(shown(history(hours(240))))
    assert len(days) == 11
    assert days[-1].startswith("2026-11-29 14:20")
    assert days[-2].startswith("2026-11-28 23:20")
    assert len(rows(shown(history(hours(24 * 100))))) <= 30


def test_bars_narrow_and_the_first_ones_do_not_set_the_scale() -> None:
    drawn = [line.count("─") + line.count("●") for line in rows(shown(history(hours(40))))]
    assert drawn[0] > drawn[-1] > 4


def test_the_recorded_verdict_is_marked_once() -> None:
    at = f"{NOW - timedelta(hours=5, minutes=10):%Y-%m-%dT%H:%M:%SZ}"
    lines = shown(history(hours(20), recorded={"state": "no_difference", "at": at}))
    assert "no difference on 2026-11-29" in lines[1]
    marked = [line for line in rows(lines) if "◆" in line]
    assert [line[:16] for line in marked] == ["2026-11-29 09:20"]


def test_a_verdict_is_marked_at_the_snapshot_that_recorded_it() -> None:
    at = f"{NOW - timedelta(hours=5) + timedelta(seconds=20):%Y-%m-%dT%H:%M:%SZ}"
    lines = shown(history(hours(20), recorded={"state": "no_difference", "at": at}))
    assert [line[:16] for line in rows(lines) if "◆" in line] == ["2026-11-29 09:20"]


def test_a_goal_without_intervals_still_has_lifts() -> None:
    points = hours(3)
    for each in points:
        each["variants"][1]["lift_interval_always_valid"] = None
    last = rows(shown(history(points, kind="value", better="lower")))[-1]
    assert "+10.0%" in last
    assert "–" in last


def test_the_command_shows_what_the_route_answers(url: str) -> None:
    count("button color", {"blue": 400, "red": 400}, {"signup": {"blue": 40, "red": 70}})
    printed = said(run("results", "button color", "--history", "--url", url))
    assert "No snapshots yet" in printed
    assert "red compared with blue" in printed
    found = json.loads(said(run("results", "button color", "--history", "--json", "--url", url)))
    assert len(found["snapshots"]) == 1
    goal = ("--goal", "none")
    assert "no such goal" in complaint(
        run("results", "button color", "--history", *goal, "--url", url)
    )


def test_it_needs_one_experiment_and_has_no_csv(url: str) -> None:
    assert "--history needs an EXPERIMENT" in run("results", "--history", "--url", url).stderr
    csv = run("results", "e", "--history", "--csv", "--url", url)
    assert "or JSON with --json" in csv.stderr
