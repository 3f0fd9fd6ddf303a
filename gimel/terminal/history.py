"""The history of one goal in the terminal: how the lift of each variant developed."""

from collections.abc import Collection
from math import ceil
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gimel.terminal.figures import (
    BAR_HEAD,
    bar,
    bar_scale,
    fitting,
    interval_text,
    lift_text,
    new_table,
    rate_text,
)
from gimel.terminal.text import natural, plain, plural

# Rows of a table. A longer history is thinned out.
_ROWS = 30
# Days from which on there is one row a day
_DAYS_FOR_DAILY = 2
# What a narrower terminal leaves out
_OMITTED = ((), ("Interval",), ("Interval", BAR_HEAD), ("Interval", BAR_HEAD, "Rate", "Mean"))


def show_history(console: Console, history: dict[str, Any]) -> None:
    """Print a table for each variant that is compared with the baseline: a row for each time.

    `history` is the answer of `GET /history`.
    """
    title = plain(history["experiment"])
    goal = history["goal"]
    heading = f"{title}, {plain(goal)}" if goal else title
    console.print(Text(heading, "bold underline"))
    if recorded := history["recorded"]:
        verdict = recorded["state"].replace("_", " ")
        console.print(Text(f"{verdict} on {recorded['at'][:10]}"))
    points = _thinned_out(history["snapshots"])
    if len(points) == 1:
        note = "No snapshots yet: an experiment that is counted gets one every hour."
        console.print(Text(note, "dim"))
    labels = sorted((row["label"] for row in points[-1]["variants"]), key=natural)
    compared = [label for label in labels if label != history["baseline"]] or labels
    for label in compared:
        console.print()
        if len(labels) > 1:
            against = plain(history["baseline"] or "–")
            console.print(Text(f"{plain(label)} compared with {against}", "bold"))
        _show_variant(console, history, points, label)


def _thinned_out(points: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the last point of each day, or of each hour if the days are few. Keep the last one."""
    days = {point["time"][:10]: point for point in points}
    kept = list(days.values()) if len(days) > _DAYS_FOR_DAILY else points
    step = ceil(len(kept) / _ROWS)
    return kept[::-1][::step][::-1]


def _show_variant(
    console: Console, history: dict[str, Any], points: list[dict[str, Any]], label: str
) -> None:
    found = [(point, row) for point in points for row in point["variants"] if row["label"] == label]
    # A snapshot's time is that of its minute. The verdict that came with it is some seconds later.
    decided = history["recorded"] and history["recorded"]["at"][:16] + ":00Z"
    tables = (_table(history, found, decided, omitted) for omitted in _OMITTED)
    console.print(fitting(console, tables))
    if decided:
        console.print(Text("◆ the verdict was recorded", "dim"))
    console.print(Text(plural(len(history["snapshots"]) - 1, "snapshot") + " in all", "dim"))


def _table(
    history: dict[str, Any],
    found: list[tuple[dict[str, Any], dict[str, Any]]],
    decided: str | None,
    omitted: Collection[str],
) -> Table:
    mean = "Mean" if history["kind"] == "value" else "Rate"
    heads = [
        head for head in ("Visitors", mean, "Lift", BAR_HEAD, "Interval") if head not in omitted
    ]
    table = new_table("Time (UTC)", *heads)
    table.columns[0].no_wrap = True
    # The first intervals are many times as wide. They reach beyond the ends of the bars.
    scale = bar_scale(row for _, row in found[len(found) // 2 :])
    for number, (point, row) in enumerate(found):
        interval = row["lift_interval_always_valid"]
        cells: dict[str, Text | str] = {
            "Visitors": f"{sum(each['trials'] for each in point['variants']):,}",
            mean: rate_text(
                row | {"rate_interval": None}, history["kind"] or "", with_margin=False
            ),
            "Lift": lift_text(row["lift"]),
            BAR_HEAD: bar(interval, row["lift"], scale, history["better"] == "lower"),
            "Interval": interval_text(interval),
        }
        earlier = found[number - 1][0]["time"] if number else ""
        is_decision = decided is not None and earlier < decided <= point["time"]
        time = point["time"][:16].replace("T", " ")
        mark = " ◆" if is_decision else ""
        style = "bold" if is_decision else ""
        table.add_row(time + mark, *(cells[head] for head in heads), style=style)
    return table
