"""Figures for the terminal: tables, rates, lifts and intervals, each as a short text or a bar."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from gimel.backend.results.lift import MAX_SHOWN
from gimel.terminal.text import plain

# Characters
_BAR_WIDTH = 17
BAR_HEAD = "95 %, any time".center(_BAR_WIDTH)
# Names up to this width stay in one line, if columns can be left out for them.
_ONE_LINE = 32
# Each invisible character of a name takes several characters on the screen.
_MAX_NAME = 256


def new_table(first: str, *others: str) -> Table:
    """Return an empty table with these heads. The first column holds names."""
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", show_edge=False)
    # Only names may wrap: a number without its last digits is another number.
    table.add_column(first, overflow="fold")
    for name in others:
        # To centre a bar, Rich would strip it, and zero would stand elsewhere in each row.
        table.add_column(name, justify="left" if name == BAR_HEAD else "right", no_wrap=True)
    return table


def fitting(console: Console, tables: Iterable[Table]) -> Table:
    """Return the first table that fits into the width, or the last one. Its long names wrap."""
    unbounded = console.options.update(width=10_000)
    for table in tables:
        names = table.columns[0]
        names.max_width = _ONE_LINE
        width = Measurement.get(console, unbounded, table).maximum
        names.max_width = None
        if width <= console.width:
            break
    return table


def fields(rows: Mapping[str, Text | str], width: int = 0) -> Table:
    """Return a line for each text, beside its heading. Headings take at least this width."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True, min_width=width)
    grid.add_column(overflow="fold")
    for heading, text in rows.items():
        grid.add_row(heading, text if isinstance(text, Text) else Text(text))
    return grid


def shown_name(label: str) -> Text:
    """Return a name for a cell."""
    name = plain(label)
    return Text(name if len(name) <= _MAX_NAME else f"{name[:_MAX_NAME]}…")


def rate_text(row: dict[str, Any], kind: str, *, with_margin: bool) -> str:
    """Return the rate. Its margin is the distance to the farther end of its interval."""
    if row["rate"] is None:
        return "–"
    rate = f"{row['rate']:.2%}" if kind == "unique" else f"{row['rate']:.3f}"
    if row["rate_interval"] is None or not with_margin:
        return rate
    low, high = row["rate_interval"]
    margin = max(row["rate"] - low, high - row["rate"])
    return f"{rate} ±{100 * margin:.2f}" if kind == "unique" else f"{rate} ±{margin:.3f}"


def lift_text(value: float | None) -> str:
    """Return a lift in percent."""
    if value is None:
        return "–"
    return f">{MAX_SHOWN:+,.0%}" if value > MAX_SHOWN else f"{value:+.1%}"


def interval_text(interval: list[float] | None) -> str:
    """Return an interval of lifts in percent."""
    if interval is None:
        return "–"
    low, high = interval
    return lift_text(low) if low > MAX_SHOWN else f"{lift_text(low)} to {lift_text(high)}"


def bar_scale(rows: Iterable[dict[str, Any]]) -> float:
    """Return the lift at the ends of the bars: all bars of a goal share this scale."""
    intervals = [row["lift_interval_always_valid"] for row in rows]
    ends = (abs(end) for interval in intervals if interval for end in interval)
    return min(MAX_SHOWN, max(ends, default=0.0))


def bar(
    interval: list[float] | None, lift: float | None, scale: float, is_lower_better: bool
) -> Text:
    """Draw the interval around zero: ─ is the interval, ● the lift, │ zero."""
    if interval is None or not scale:
        return Text("–".center(_BAR_WIDTH))

    def column(value: float) -> int:
        return round((min(value / scale, 1) + 1) / 2 * (_BAR_WIDTH - 1))

    first, last = map(column, interval)
    cells = ["─" if first <= cell <= last else " " for cell in range(_BAR_WIDTH)]
    cells[_BAR_WIDTH // 2] = "│"
    if lift is not None and abs(lift) <= scale:
        cells[column(lift)] = "●"
    above, below = ("red", "green") if is_lower_better else ("green", "red")
    style = above if interval[0] > 0 else below if interval[1] < 0 else ""
    return Text("".join(cells), style)
