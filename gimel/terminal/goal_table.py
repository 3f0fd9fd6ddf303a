"""The figures of one goal in the terminal: a table of its variants, with what fits into the width.

A terminal that is too narrow for a table gets a block for each variant.
"""

from collections.abc import Collection, Iterator
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gimel.terminal.figures import (
    BAR_HEAD,
    bar,
    bar_scale,
    fields,
    fitting,
    interval_text,
    lift_text,
    new_table,
    rate_text,
    shown_name,
)

# Widths from which on there is a table, always a bar, and always an interval in numbers
_WIDTH_FOR_TABLE, _WIDTH_FOR_BARS, _WIDTH_FOR_BOUNDS = 60, 80, 100
_BOUNDS_HEAD = "Any time, 95 %"


def show_goal(console: Console, goal: dict[str, Any], baseline: str | None) -> None:
    """Print the rate, the lift and the chance of each variant."""
    if console.width < _WIDTH_FOR_TABLE:
        _show_blocks(console, goal, baseline)
        return
    layouts = _layouts(console.width)
    console.print(fitting(console, (_table(goal, baseline, parts) for parts in layouts)))


def _layouts(width: int) -> Iterator[Collection[str]]:
    """Yield what a table of this width may show of the intervals, most first."""
    if width >= _WIDTH_FOR_BOUNDS:
        yield "bar", "bounds", "margin"
        yield "bar", "bounds"
        yield ("bounds",)
        return
    yield "bar", "margin"
    yield ("bar",)
    if width < _WIDTH_FOR_BARS:
        yield ()


def _table(goal: dict[str, Any], baseline: str | None, parts: Collection[str]) -> Table:
    rows = [(row, _cells(row, goal, baseline, parts)) for row in goal["results"]]
    table = new_table("Variant", *(rows[0][1] if rows else ()))
    for row, cells in rows:
        style = "dim" if row["label"] == baseline else ""
        table.add_row(shown_name(row["label"]), *cells.values(), style=style)
    return table


def _show_blocks(console: Console, goal: dict[str, Any], baseline: str | None) -> None:
    for row in goal["results"]:
        console.print(shown_name(row["label"]), style="dim" if row["label"] == baseline else "bold")
        cells = _cells(row, goal, baseline, ("bounds", "margin"))
        rows = {head: cell for head, cell in cells.items() if cell}
        block = fields(rows, width=len(_BOUNDS_HEAD))
        console.print(Padding(block, (0, 0, 0, 2), expand=False))


def _cells(
    row: dict[str, Any], goal: dict[str, Any], baseline: str | None, parts: Collection[str]
) -> dict[str, Text | str]:
    """Return the cells of a variant by their heads."""
    kind, is_baseline = goal["kind"], row["label"] == baseline
    cells: dict[str, Text | str] = {
        "Visitors": f"{row['trials']:,}",
        "≈ Sum" if kind == "value" else "Conv.": f"{row['successes']:,}",
        "Mean" if kind == "value" else "Rate": rate_text(row, kind, with_margin="margin" in parts),
        "Lift": "baseline" if is_baseline else lift_text(row["lift"]),
    }
    interval = None if is_baseline else row["lift_interval_always_valid"]
    if "bar" in parts:
        scale, is_lower_better = bar_scale(goal["results"]), goal.get("better") == "lower"
        drawn = bar(interval, row["lift"], scale, is_lower_better)
        cells[BAR_HEAD] = Text() if is_baseline else drawn
    if "bounds" in parts:
        head = "Interval" if "bar" in parts else _BOUNDS_HEAD
        cells[head] = "" if is_baseline else interval_text(interval)
    return cells | {"Best": _chance(row["chance_to_be_best"])}


def _chance(value: float | None) -> str:
    """Return a chance. None is 0 % or 100 %."""
    if value is None:
        return "–"
    return ">99%" if value > 0.995 else "<1%" if value < 0.005 else f"{value:.0%}"
