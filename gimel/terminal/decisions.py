"""Decisions in the terminal: what was decided, when, on which figures, and why."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from gimel.snippet import attribute_name
from gimel.terminal.figures import interval_text, lift_text
from gimel.terminal.text import plain, plural


def show_decision(console: Console, experiment: Mapping[str, Any]) -> None:
    """Print the decision on an experiment, below its title. `gimel results` prints the rest."""
    # An earlier version of the backend knows no decisions.
    if not (decision := experiment.get("decision")):
        return
    line = f"✓ decided on {decision['at'][:10]}: {plain(decision['winner'])}"
    console.print(Text(line, "bold green"))
    console.print(Text(_lines(decision["reason"])))
    if figures := decision["figures"]:
        console.print(Text(f"figures frozen on {_when(figures['at'])}", "dim"))


def show_next_steps(console: Console, experiment: Mapping[str, Any]) -> None:
    """Print what `gimel decide` has done, and the code that can be deleted now."""
    show_decision(console, experiment)
    console.print("Counting stops. Late events are ignored, after a minute at the latest.")
    if waiting := experiment.get("waiting_events"):
        console.print(Text(f"! {plural(waiting, 'event')} waited and will not count", "yellow"))
    console.print(Text("Now delete from your code:", "bold"))
    for step in _steps(experiment):
        console.print(_indented(f"- {step}", 2))


def _steps(experiment: Mapping[str, Any]) -> Iterator[str]:
    name, winner = experiment["experiment"], experiment["decision"]["winner"]
    labels = [plain(each["label"]) for each in experiment["variants"] if not each["stray"]]
    yield f"what only {_any_of([each for each in labels if each != plain(winner)])} needs"
    definition = experiment["definition"] or {}
    if definition.get("flag"):
        yield f"the flag {plain(name)}. Until then, OpenFeature gives {plain(winner)} to everybody"
    else:
        attribute = plain(attribute_name(name))
        yield f"the snippet, and the attribute {attribute} in styles and scripts"


def _any_of(labels: Sequence[str]) -> str:
    *others, last = labels or ["a losing variant"]
    return f"{', '.join(others)} or {last}" if others else last


def show_decisions(console: Console, decided: Sequence[Mapping[str, Any]]) -> None:
    """Print a paragraph on each decision."""
    for number, each in enumerate(decided):
        if number:
            console.print()
        name, winner = plain(each["experiment"]), plain(each["winner"])
        parts = f"{each['at'][:10]}  ", (name, "bold"), f": {winner}"
        console.print(Text.assemble(*parts, overflow="fold"))
        for line in (*map(_lift_line, each["lifts"]), _lines(each["reason"])):
            console.print(_indented(line, 12))


def decisions_in(experiments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the decisions on experiments, the newest first, as `gimel decisions --json` has them.

    `lifts`: of each primary goal when it was decided, that of the winner. If this is the baseline,
    those of the others.
    """
    decided = [
        {
            "at": decision["at"],
            "experiment": each["experiment"],
            "state": each["state"],
            "winner": decision["winner"],
            "reason": decision["reason"],
            "lifts": list(_lifts(decision)),
        }
        for each in experiments
        if (decision := each.get("decision"))
    ]
    return sorted(decided, key=lambda each: each["at"], reverse=True)


def _lifts(decision: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    goals = (decision["figures"] or {"goals": []})["goals"]
    for goal in (each for each in goals if each["role"] == "primary"):
        rows = [row for row in goal["variants"] if row["lift"] is not None]
        for row in [row for row in rows if row["label"] == decision["winner"]] or rows:
            figures = {each: row[each] for each in ("lift", "lift_interval_always_valid")}
            yield {"goal": goal["goal"], "variant": row["label"], **figures}


def _lift_line(lift: Mapping[str, Any]) -> str:
    interval = lift["lift_interval_always_valid"]
    between = f" ({interval_text(interval)})" if interval else ""
    name, variant = plain(lift["goal"]), plain(lift["variant"])
    return f"{name}: {variant} {lift_text(lift['lift'])}{between}"


def _indented(text: str, by: int) -> Padding:
    return Padding(Text(text, overflow="fold"), (0, 0, 0, by), expand=False)


def _lines(text: str) -> str:
    return "\n".join(map(plain, text.splitlines()))


def _when(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]} UTC"
