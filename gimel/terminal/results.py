"""An experiment's results in the terminal, and as CSV. Works on what the wire says of it."""

import csv
from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gimel.backend.results.analysis import GoalMatrix, PairComparison, compare_all_pairs
from gimel.backend.results.comparison import ALPHA
from gimel.terminal.sample_size import SampleSize, VisitorsNeeded
from gimel.terminal.text import plain

_BAR = 17
_PAIRS_ABREAST = 6
_STATES = {
    "winner": ("▲", "winner", "bold green"),
    "loser": ("▼", "loser", "bold red"),
    "no_difference": ("=", "no difference worth finding", "bold"),
    "keep_collecting": ("…", "keep collecting", "bold yellow"),
    "do_not_trust": ("✗", "do not trust these numbers", "bold red"),
}
_TOTALS = "A total does not tell how visitors differ: decide by a goal that counts once."
_CSV_FIELDS = (
    "trials",
    "successes",
    "rate",
    "rate_interval",
    "lift",
    "lift_interval",
    "p_value",
    "p_value_adjusted",
    "lift_interval_always_valid",
    "p_value_always_valid",
    "p_value_always_valid_adjusted",
    "chance_to_beat_baseline",
    "chance_to_be_best",
    "expected_loss",
)
# What a spreadsheet takes for the start of a formula, or skips to find one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")


def show(console: Console, experiments: Iterable[dict[str, Any]], goal: str | None = None) -> None:
    """Print each experiment: its health, then a table for each goal."""
    for number, found in enumerate(experiments):
        if number:
            console.print()
        _show_experiment(console, found, goal)


def _show_experiment(console: Console, found: dict[str, Any], goal: str | None) -> None:
    visitors = sum(variant["trials"] for variant in found["variants"])
    made = f"made on {found['created_at'][:10]}" if found["created_at"] else "made by gimel 1.x"
    facts = f"  {found['state']}, {made}, {visitors:,} visitors"
    console.print(Text.assemble((plain(found["experiment"]), "bold underline"), (facts, "dim")))
    _show_health(console, found)
    goals = [each for each in found["goals"] if goal in (None, each["goal"])]
    for each in goals:
        console.print()
        _show_verdict(console, each)
        console.print(_table(each, found["baseline"]))
    if not goals:
        console.print(_visitors(found))


def _show_health(console: Console, found: dict[str, Any]) -> None:
    """A line on the sample ratio and the counting error."""
    srm = found["srm"]
    error = found["counting"]["relative_error"]
    counts = f"counts within ±{2 * error:.2%}" if error else "counts exact"
    if srm["alarm"]:
        shares = ", ".join(f"{plain(name)} {share:.0%}" for name, share in srm["weights"].items())
        warning = f"✗ the visitors are not split as meant ({shares}): {_chance(srm['p_value'])}"
        console.print(Text(warning, "bold red"))
        console.print(Text(f"  {counts}", "dim"))
    elif srm["p_value"] is None:
        console.print(Text(f"· too few visitors to check their split; {counts}", "dim"))
    else:
        console.print(Text(f"✓ split as meant ({_chance(srm['p_value'])}); {counts}", "dim"))


def _chance(p_value: float) -> str:
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def _show_verdict(console: Console, goal: dict[str, Any]) -> None:
    verdict = goal["verdict"]
    mark, words, style = _STATES[verdict["state"]]
    if verdict["winner"] is not None:
        words = f"{words}: {plain(verdict['winner'])}"
    name = plain(goal["goal"]) + (" (per visitor)" if goal["kind"] == "total" else "")
    console.print(Text.assemble((name, "bold"), "  ", (f"{mark} {words}", style)))
    console.print(Text(plain(verdict["reason"])))
    if goal["kind"] == "total":
        console.print(Text(_TOTALS, "dim"))


def _table(goal: dict[str, Any], baseline: str | None) -> Table:
    table = _bare_table("Variant", "Visitors", "Conv.", "Rate", "Lift", "95 %, any time", "Best")
    reach = _reach(goal["results"])
    for row in goal["results"]:
        is_baseline = row["label"] == baseline
        table.add_row(
            _name(row["label"]),
            f"{row['trials']:,}",
            f"{row['successes']:,}",
            _rate(row, goal["kind"]),
            "baseline" if is_baseline else _percent(row["lift"], sign="+"),
            Text() if is_baseline else _bar(row["lift_interval_always_valid"], row["lift"], reach),
            _percent(row["chance_to_be_best"], digits=0),
            style="dim" if is_baseline else "",
        )
    return table


def _visitors(found: dict[str, Any]) -> Table:
    table = _bare_table("Variant", "Visitors")
    for variant in found["variants"]:
        table.add_row(_name(variant["label"]), f"{variant['trials']:,}")
    return table


def _bare_table(first: str, *others: str) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), header_style="dim", show_edge=False)
    # The one column that may be narrowed: a number that is cut would be another number.
    table.add_column(first, max_width=18)
    for name in others:
        table.add_column(name, justify="center" if "%" in name else "right", no_wrap=True)
    return table


def _name(label: str) -> Text:
    return Text(plain(label), no_wrap=True, overflow="ellipsis")


def _rate(row: dict[str, Any], kind: str) -> str:
    """The rate and how far its interval reaches from it, the farther end."""
    if row["rate"] is None:
        return "–"
    rate = f"{row['rate']:.3f}" if kind == "total" else f"{row['rate']:.2%}"
    if row["rate_interval"] is None:
        return rate
    low, high = row["rate_interval"]
    reach = max(row["rate"] - low, high - row["rate"])
    return f"{rate} ±{reach:.3f}" if kind == "total" else f"{rate} ±{100 * reach:.2f}"


def _percent(value: float | None, *, sign: str = "", digits: int = 1) -> str:
    return "–" if value is None else f"{value:{sign}.{digits}%}"


def _reach(rows: Iterable[dict[str, Any]]) -> float:
    """The largest distance from zero of any interval's end: one scale for all bars of a goal."""
    intervals = [row["lift_interval_always_valid"] for row in rows]
    return max((abs(end) for interval in intervals if interval for end in interval), default=0.0)


def _bar(interval: list[float] | None, lift: float | None, reach: float) -> Text:
    """The interval drawn around zero: ─ where it runs, ● the lift, │ zero."""
    if interval is None or not reach:
        return Text("–")
    place = [round((value / reach + 1) / 2 * (_BAR - 1)) for value in interval]
    cells = ["─" if place[0] <= cell <= place[1] else " " for cell in range(_BAR)]
    cells[_BAR // 2] = "│"
    if lift is not None and abs(lift) <= reach:
        cells[round((lift / reach + 1) / 2 * (_BAR - 1))] = "●"
    style = "green" if interval[0] > 0 else "red" if interval[1] < 0 else ""
    return Text("".join(cells), style)


def show_matrix(
    console: Console, experiments: Iterable[dict[str, Any]], goal: str | None = None
) -> None:
    """Print every variant's lift over every other, goal by goal."""
    for found in experiments:
        for each in _matrix(found):
            if goal in (None, each["goal"]):
                _show_pairs(console, found["experiment"], each)


def _matrix(found: dict[str, Any]) -> list[GoalMatrix]:
    return compare_all_pairs(
        {variant["label"]: variant["trials"] for variant in found["variants"]},
        {
            goal["goal"]: {row["label"]: row["successes"] for row in goal["results"]}
            for goal in found["goals"]
        },
        relative_error=found["counting"]["relative_error"],
        totals=[goal["goal"] for goal in found["goals"] if goal["kind"] == "total"],
    )


def _show_pairs(console: Console, experiment: str, goal: GoalMatrix) -> None:
    labels = list(dict.fromkeys(pair["label"] for pair in goal["pairs"]))
    if not labels:
        return
    heading = f"{plain(experiment)}, {plain(goal['goal'])}: lift of each row over each column"
    console.print(Text.assemble("\n", (heading, "bold")))
    cells = {(pair["label"], pair["against"]): pair for pair in goal["pairs"]}
    # Columns bear numbers, and no more of them stand side by side than 80 characters hold.
    numbers = list(enumerate(labels, 1))
    for start in range(0, len(labels), _PAIRS_ABREAST):
        columns = numbers[start : start + _PAIRS_ABREAST]
        table = _bare_table("", *(str(number) for number, _ in columns))
        for number, label in numbers:
            row = [_pair(cells.get((label, against))) for _, against in columns]
            table.add_row(_name(f"{number} {label}"), *row)
        console.print(table)
    note = "* other than chance at 5 %, corrected for all pairs, however often one looks"
    console.print(Text(note, "dim"))


def _pair(pair: PairComparison | None) -> Text:
    if pair is None:
        return Text("·", "dim")
    p_value = pair["p_value_always_valid_adjusted"]
    certain = p_value is not None and p_value < ALPHA
    return Text(_percent(pair["lift"], sign="+") + ("*" if certain else " "), "bold" * certain)


def show_settings(console: Console, found: dict[str, Any]) -> None:
    """Print what the engine goes by."""
    shares = found["srm"]["weights"].items()
    equivalence = found["equivalence"]
    totals = [plain(goal["goal"]) for goal in found["goals"] if goal["kind"] == "total"]
    rows = {
        "State": found["state"],
        "Baseline": plain(found["baseline"] or "–"),
        "Weights": ", ".join(f"{plain(label)} {share:.1%}" for label, share in shares),
        "Primary goal": plain(found["primary_goal"] or "–"),
        "Equivalence": "–" if equivalence is None else f"lifts within ±{equivalence:.2%}",
        "Goals reached often": ", ".join(totals) or "–",
        "Counting": _counting(found["counting"]),
    }
    console.print(Text(plain(found["experiment"]), "bold underline"))
    for name, value in rows.items():
        console.print(Text.assemble((f"{name:<21}", "dim"), value))


def _counting(counting: dict[str, Any]) -> str:
    shards = f", {counting['shards']} shards" if counting["shards"] else ""
    return f"{counting['method']}{shards}"


def show_sample_size(console: Console, needed: SampleSize, per_day: int | None) -> None:
    """Print the visitors needed, and the days that they take."""
    plans = {
        "One look, at the end": needed.fixed_horizon,
        "A look whenever you like": needed.always_valid,
    }
    for name, need in plans.items():
        console.print(Text.assemble((f"{name:<26}", "dim"), _needed(need, per_day)))


def _needed(need: VisitorsNeeded | None, per_day: int | None) -> str:
    if need is None:
        return "no number of visitors will do: the counters' own error hides this lift"
    days = f", {ceil(need.total / per_day):,} days" if per_day else ""
    return f"{need.per_variant:,} visitors a variant, {need.total:,} in all{days}"


def write_csv(file: TextIO, experiments: Iterable[dict[str, Any]], goal: str | None = None) -> None:
    """Write a row for each variant of each goal; an interval takes two columns."""
    writer = csv.writer(file)
    # A terminal may obey what a file only holds.
    shown = plain if file.isatty() else str
    writer.writerow(["experiment", "goal", "kind", "verdict", "variant", *_csv_columns()])
    for found in experiments:
        for each in found["goals"]:
            if goal in (None, each["goal"]):
                names = (found["experiment"], each["goal"], each["kind"], each["verdict"]["state"])
                for row in each["results"]:
                    cells = [_cell(shown(text)) for text in (*names, row["label"])]
                    writer.writerow([*cells, *_csv_values(row)])


def _csv_columns() -> Iterator[str]:
    for field in _CSV_FIELDS:
        if "interval" in field:
            yield from (f"{field}_low", f"{field}_high")
        else:
            yield field


def _csv_values(row: dict[str, Any]) -> Iterator[float | None]:
    for field in _CSV_FIELDS:
        if "interval" in field:
            yield from row[field] or (None, None)
        else:
            yield row[field]


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
