"""The history of one goal in the terminal: how the lift of each variant came to what it is."""

from math import ceil
from typing import Any

from rich.console import Console
from rich.text import Text

from gimel.terminal.figures import bar, bar_scale, interval_text, lift_text, new_table, rate_text
from gimel.terminal.text import plain, plural

# Rows of a table. A longer history is thinned out.
_ROWS = 30
# Days from which on there is one row a day
_DAYS_FOR_DAILY = 2
# What a narrower terminal leaves out: the bar, or the interval in numbers
_WIDTH_FOR_BARS, _WIDTH_FOR_INTERVALS = 60, 80


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
    labels = [row["label"] for row in points[-1]["variants"]]
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
    heads = ["Rate", "Lift"] if history["kind"] != "value" else ["Mean", "Lift"]
    heads += ["95 %, any time"] if console.width >= _WIDTH_FOR_BARS else []
    heads += ["Interval"] if console.width >= _WIDTH_FOR_INTERVALS else []
    table = new_table("Time (UTC)", "Visitors", *heads)
    found = [(point, row) for point in points for row in point["variants"] if row["label"] == label]
    # The first intervals are many times as wide. They reach beyond the ends of the bars.
    scale = bar_scale(row for _, row in found[len(found) // 2 :])
    # A snapshot's time is that of its minute. The verdict that came with it is some seconds later.
    decided = history["recorded"] and history["recorded"]["at"][:16] + ":00Z"
    for number, (point, row) in enumerate(found):
        interval = row["lift_interval_always_valid"]
        drawn = bar(interval, row["lift"], scale, history["better"] == "lower")
        visitors = sum(each["trials"] for each in point["variants"])
        rate = rate_text(row | {"rate_interval": None}, history["kind"] or "", with_margin=False)
        cells: list[str | Text] = [f"{visitors:,}", rate, lift_text(row["lift"])]
        cells += [drawn, interval_text(interval)]
        earlier = found[number - 1][0]["time"] if number else ""
        is_decision = decided is not None and earlier < decided <= point["time"]
        time = point["time"][:16].replace("T", " ")
        mark = " ◆" if is_decision else ""
        table.add_row(time + mark, *cells[: 1 + len(heads)], style="bold" if is_decision else "")
    console.print(table)
    if decided:
        console.print(Text("◆ the verdict was recorded", "dim"))
    console.print(Text(plural(len(history["snapshots"]) - 1, "snapshot") + " in all", "dim"))
