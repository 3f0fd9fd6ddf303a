"""Experiments in the terminal and as CSV, printed from the answers of the backend."""

import csv
from collections.abc import Iterable, Iterator
from math import ceil
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gimel.backend.counting.hyperloglog import relative_error
from gimel.backend.queue import Backlog
from gimel.backend.results.analysis import GoalMatrix, PairComparison, compare_all_pairs
from gimel.backend.results.between import Measure, Spread
from gimel.backend.results.comparison import ALPHA
from gimel.terminal.backlog import describe_backlog
from gimel.terminal.decisions import show_decision
from gimel.terminal.figures import fields, lift_text, new_table, shown_name
from gimel.terminal.goal_table import show_goal
from gimel.terminal.percentages import percent
from gimel.terminal.sample_size import SampleSize, VisitorsNeeded
from gimel.terminal.text import natural, plain, plural, print_line
from gimel.terminal.verdicts import (
    rank,
    show_footnotes,
    show_guardrails,
    show_plan,
    show_verdict,
)

# Widths in the matrix. Names get at least a third of the line; longer ones wrap.
_WIDTH_OF_PAIR, _SHARE_OF_NAMES = 10, 1 / 3
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
# A spreadsheet reads a cell that starts with one of these as a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")


def show(console: Console, experiments: Iterable[dict[str, Any]], goal: str | None = None) -> None:
    """Print each experiment: its health, then a table for each goal. Footnotes end it."""
    has_chances = has_plan = False
    for number, experiment in enumerate(map(_in_order, experiments)):
        if number:
            console.print()
        _show_experiment(console, experiment, goal)
        shown = [each for each in experiment["goals"] if goal in (None, each["goal"])]
        rows = [row for each in shown for row in each["results"]]
        has_chances |= any(row["chance_to_be_best"] is not None for row in rows)
        has_plan |= bool(shown and experiment.get("plan"))
    show_footnotes(console, has_chances=has_chances, has_plan=has_plan)


def _in_order(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return the experiment as the dashboard orders it: goals by role, the baseline first."""

    def place(row: dict[str, Any]) -> tuple[bool, list[Any]]:
        return row["label"] != experiment.get("baseline"), natural(row["label"])

    def place_of_goal(goal: dict[str, Any]) -> tuple[int, bool, list[Any]]:
        return rank(goal), goal["goal"] != experiment.get("primary_goal"), natural(goal["goal"])

    goals = [
        goal | {"results": sorted(goal["results"], key=place)}
        for goal in sorted(experiment["goals"], key=place_of_goal)
    ]
    return experiment | {"variants": sorted(experiment["variants"], key=place), "goals": goals}


def show_backlog(console: Console, backlog: Backlog) -> None:
    """Print what is not counted yet, if anything."""
    for sentence, is_urgent in describe_backlog(backlog):
        console.print(Text(f"! {sentence}", "bold red" if is_urgent else "yellow"))
        console.print()


def _show_experiment(console: Console, experiment: dict[str, Any], goal: str | None) -> None:
    visitors = sum(variant["trials"] for variant in experiment["variants"])
    created_at = experiment["created_at"]
    origin = f"started {created_at[:10]}" if created_at else "from gimel 1.x"
    facts = f"  {experiment['state']}, {origin}, {plural(visitors, 'visitor')}"
    title = (plain(experiment["experiment"]), "bold underline")
    console.print(Text.assemble(title, (facts, "dim")))
    show_decision(console, experiment)
    _show_health(console, experiment)
    show_plan(console, experiment)
    show_guardrails(console, experiment["goals"])
    goals = [each for each in experiment["goals"] if goal in (None, each["goal"])]
    for each in goals:
        console.print()
        show_verdict(console, each, experiment["srm"].get("reason"))
        show_goal(console, each, experiment["baseline"])
    if not goals:
        console.print(_visitor_table(experiment))


def _show_health(console: Console, experiment: dict[str, Any]) -> None:
    """Print the result of the sample ratio test, and the counting error."""
    srm = experiment["srm"]
    error = experiment["counting"]["relative_error"]
    precision = f"counts within ±{2 * error:.2%}" if error else "counts exact"
    if srm["alarm"]:
        warning = f"✗ the split is wrong ({_p_value(srm['p_value'])}): do not trust these numbers"
        console.print(Text(warning, "bold red"))
        for line in _describe_split(experiment):
            console.print(Text(f"  {line}", "red"))
        # An earlier version of the backend has no reason.
        console.print(Text(srm.get("reason") or "", "red"))
        console.print(Text(f"  {precision}", "dim"))
    elif srm["p_value"] is None:
        console.print(Text(f"· too few visitors to check the split; {precision}", "dim"))
    else:
        result = f"✓ visitors are split as intended ({_p_value(srm['p_value'])}); {precision}"
        console.print(Text(result, "dim"))
    if waiting := experiment.get("waiting_events"):
        verb = "waits" if waiting == 1 else "wait"
        console.print(Text(f"! {plural(waiting, 'event')} of it {verb} to be counted", "yellow"))
    # An earlier version of the backend, or the list of all experiments, has no checks.
    for check in experiment.get("health", ()):
        if check["level"] != "ok" and check["kind"] not in ("split", "waiting"):
            colour = "bold red" if check["level"] == "alarm" else "yellow"
            line = f"! {plain(check['sentence'])} {plain(check['next_step'] or '')}"
            console.print(Text(line, colour))


def _describe_split(experiment: dict[str, Any]) -> Iterator[str]:
    """Yield each variant's share of the visitors, and the share that was intended."""
    visitors = sum(variant["trials"] for variant in experiment["variants"]) or 1
    for variant in experiment["variants"]:
        share = variant["trials"] / visitors
        intended = experiment["srm"]["weights"].get(variant["label"], 0)
        yield f"{plain(variant['label'])} {share:.1%} of visitors, {intended:.1%} intended"


def _p_value(p_value: float) -> str:
    return "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"


def _visitor_table(experiment: dict[str, Any]) -> Table:
    table = new_table("Variant", "Visitors")
    for variant in experiment["variants"]:
        table.add_row(shown_name(variant["label"]), f"{variant['trials']:,}")
    return table


def show_matrix(
    console: Console, experiments: Iterable[dict[str, Any]], goal: str | None = None
) -> None:
    """Print the lift of every variant over every other variant, goal by goal."""
    for experiment in map(_in_order, experiments):
        for each in _compare_all(experiment):
            if goal in (None, each["goal"]):
                _show_pairs(console, experiment, each)


def _compare_all(experiment: dict[str, Any]) -> list[GoalMatrix]:
    return compare_all_pairs(
        {variant["label"]: variant["trials"] for variant in experiment["variants"]},
        {
            goal["goal"]: {row["label"]: _reached(row) for row in goal["results"]}
            for goal in experiment["goals"]
        },
        relative_error=experiment["counting"]["relative_error"],
        measures={goal["goal"]: _measure(goal) for goal in experiment["goals"]},
    )


def _reached(row: dict[str, Any]) -> float:
    return float(row["successes"] if row["sum"] is None else row["sum"])


def _measure(goal: dict[str, Any]) -> Measure:
    spreads = {
        row["label"]: Spread(row["relative_variance"], goal["samples"], is_reached=True)
        for row in goal["results"]
        if row["relative_variance"] is not None
    }
    error = relative_error(goal["samples"]) if spreads and goal["kind"] == "value" else 0.0
    return Measure(goal["kind"], relative_error=error, spreads=spreads)


def _show_pairs(console: Console, experiment: dict[str, Any], goal: GoalMatrix) -> None:
    compared = {pair["label"] for pair in goal["pairs"]}
    labels = [each["label"] for each in experiment["variants"] if each["label"] in compared]
    if not labels:
        return
    title = plain(experiment["experiment"])
    heading = f"{title}, {plain(goal['goal'])}: lift of each row over each column"
    console.print(Text.assemble("\n", (heading, "bold")))
    cells = {(pair["label"], pair["against"]): pair for pair in goal["pairs"]}
    # Names would be too wide for column heads, so rows and columns are numbered.
    numbers = list(enumerate(labels, 1))
    names = [Text(f"{number} ").append(shown_name(label)) for number, label in numbers]
    longest = max(name.cell_len for name in names)
    of_names = min(longest, int(console.width * _SHARE_OF_NAMES))
    pairs = max(1, (console.width - of_names - 1) // _WIDTH_OF_PAIR)
    for start in range(0, len(labels), pairs):
        columns = numbers[start : start + pairs]
        table = new_table("", *(str(number) for number, _ in columns))
        for name, label in zip(names, labels, strict=True):
            row = [_pair(cells.get((label, against))) for _, against in columns]
            table.add_row(name, *row)
        console.print(table)
    note = "* significant at 5 %, corrected for all pairs, however often you look"
    console.print(Text(note, "dim"))


def _pair(pair: PairComparison | None) -> Text:
    if pair is None:
        return Text("·", "dim")
    p_value = pair["p_value_always_valid_adjusted"]
    is_significant = p_value is not None and p_value < ALPHA
    mark, style = ("*", "bold") if is_significant else (" ", "")
    return Text(lift_text(pair["lift"]) + mark, style)


def show_settings(console: Console, experiment: dict[str, Any]) -> None:
    """Print the settings of an experiment."""
    shares = experiment["srm"]["weights"].items()
    equivalence = experiment["equivalence"]
    totals = [plain(goal["goal"]) for goal in experiment["goals"] if goal["kind"] == "total"]
    rows = {
        "State": experiment["state"],
        "Baseline": plain(experiment["baseline"] or "–"),
        "Weights": ", ".join(f"{plain(label)} {share:.1%}" for label, share in shares),
        "Primary goal": plain(experiment["primary_goal"] or "–"),
        "Equivalence": "–" if equivalence is None else f"lifts within ±{equivalence:.2%}",
        "Repeatable goals": ", ".join(totals) or "–",
        "Counting": _describe_counting(experiment["counting"]),
    }
    console.print(Text(plain(experiment["experiment"]), "bold underline"))
    console.print(fields(rows, width=19))


def _describe_counting(counting: dict[str, Any]) -> str:
    shards = f", {counting['shards']} shards" if counting["shards"] else ""
    return f"{counting['method']}{shards}"


def show_sample_size(
    console: Console, design: dict[str, Any], needed: SampleSize, per_day: int | None
) -> None:
    """Print what is assumed, the visitors that an experiment needs, and the days that this takes.

    `design` holds the arguments of `sample_size`.
    """
    rate, lift, goals = design["rate"], design["lift"], design.get("primary_goals", 1)
    several = f", {plural(goals, 'primary goal')}" if goals > 1 else ""
    assumed = (
        f"From {percent(rate)} to {percent(rate * (1 + lift))}, a lift of {percent(lift, '+')}: "
        f"power {percent(design['power'])}, alpha {percent(design['alpha'])}, "
        f"{plural(design['variants'], 'variant')}{several}"
    )
    print_line(console, assumed, indent=len("From "))
    plans = {
        "With this as the plan": needed.planned,
        "One look, at the end": needed.fixed_horizon,
        "Without a plan": needed.always_valid,
    }
    for name, need in plans.items():
        line = Text.assemble((f"{name:<23}", "dim"), _describe_need(need, per_day))
        print_line(console, line, indent=23)


def _describe_need(need: VisitorsNeeded | None, per_day: int | None) -> str:
    if need is None:
        return "no number is enough: the lift is too small, or hidden by the counting error"
    days = f", {plural(ceil(need.total / per_day), 'day')}" if per_day else ""
    return f"{need.per_variant:,} visitors per variant, {need.total:,} in total{days}"


def write_csv(file: TextIO, experiments: Iterable[dict[str, Any]], goal: str | None = None) -> None:
    """Write a row for each variant of each goal. An interval takes two columns."""
    writer = csv.writer(file)
    # Some characters control a terminal; in a file they do no harm.
    escape = plain if file.isatty() else str
    writer.writerow(["experiment", "goal", "kind", "verdict", "variant", *_csv_columns()])
    for experiment in experiments:
        for each in experiment["goals"]:
            if goal in (None, each["goal"]):
                state = each["verdict"]["state"]
                names = (experiment["experiment"], each["goal"], each["kind"], state)
                for row in each["results"]:
                    cells = [_guard_cell(escape(text)) for text in (*names, row["label"])]
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


def _guard_cell(text: str) -> str:
    """Return the text, with an apostrophe in front if a spreadsheet could read it as a formula."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA_STARTS) else text
