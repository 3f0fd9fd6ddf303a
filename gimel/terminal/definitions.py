"""The definition of an experiment in the terminal, printed from the answer of the backend."""

import json
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from gimel.terminal.figures import fields
from gimel.terminal.text import plain, plural

_MAX_VALUE = 40  # characters
_MAX_NAMES = 5
_BOT_NOTE = (
    "Bots are not counted, nor is a headless browser of your own tests. Events with a key are."
)


def show(console: Console, experiment: dict[str, Any]) -> None:
    """Print what is declared about an experiment, its state, what it ignored and its changes."""
    definition = experiment["definition"] or _seen(experiment)
    console.print(Text(plain(experiment["experiment"]), "bold underline"))
    if not experiment["declared"]:
        note = "Undeclared: any variant and goal counts. `gimel create` declares it."
        console.print(Text(note, "dim"))
    counting = experiment["counting"]
    shards = f", {counting['shards']} shards" if counting["shards"] else ""
    hashing = "secret hash" if experiment["salted"] else "hash of earlier versions"
    rows = {
        "State": f"{experiment['state']}, {_origin(experiment['created_at'])}",
        **_decision(experiment.get("decision")),
        **_rows(definition),
        "Counting": f"{counting['method']}{shards}, {hashing}",
        "Ignored": "\n".join(_ignored(experiment["ignored"])) or "–",
        "Changes": "\n".join(map(_change, experiment["changes"])) or "–",
    }
    console.print(fields(rows))


def show_created(console: Console, experiment: dict[str, Any], outcome: str) -> None:
    """Print what `gimel create` did, and the definition that it led to."""
    console.print(Text(f"{plain(experiment['experiment'])}: {outcome}", "bold"))
    console.print(fields(_rows(experiment["definition"])))
    goals, of_page = experiment["definition"]["goals"], goals_of_page(experiment["definition"])
    if others := [plain(goal["name"]) for goal in goals if goal["name"] not in of_page]:
        console.print(f"Not for the page, as they need a key: {', '.join(others)}")


def goals_of_page(definition: dict[str, Any], *, is_alephbet: bool = False) -> list[str]:
    """Return the goals that a page reaches: it has no key, and AlephBet names no visitor."""
    return [
        goal["name"]
        for goal in definition["goals"]
        if goal["from"] == "anyone" and (goal["kind"] == "unique" or not is_alephbet)
    ]


def _decision(decision: dict[str, Any] | None) -> dict[str, str]:
    if decision is None:
        return {}
    reason = _text(decision["reason"])
    return {"Decision": f"{plain(decision['winner'])}, {_time(decision['at'])}\n{reason}"}


def _origin(created_at: str | None) -> str:
    return f"created {_time(created_at)}" if created_at else "from gimel 1.x"


def _time(moment: str) -> str:
    return f"{moment[:10]} {moment[11:16]} UTC"


def _seen(experiment: dict[str, Any]) -> dict[str, Any]:
    """Return what an undeclared experiment counts, in the form of a definition."""
    primary = experiment["primary_goal"]
    return {
        "variants": [{"name": each["label"]} for each in experiment["variants"]],
        "goals": [
            {"name": each["goal"], "role": "primary" if each["goal"] == primary else "secondary"}
            for each in experiment["goals"]
        ],
        "baseline": experiment["baseline"],
        "equivalence": experiment["equivalence"],
    }


def _rows(definition: dict[str, Any]) -> dict[str, str]:
    """Return the lines about a definition by their names. A field that was never set has none."""
    variants = definition["variants"]
    baseline = definition.get("baseline") or variants[0]["name"]
    total = sum(each.get("weight") or 0 for each in variants)
    plan, lift = definition.get("planned_visitors"), definition.get("equivalence")
    traffic = definition.get("traffic", 1)
    rows = {
        "Hypothesis": _text(definition.get("hypothesis")),
        "Owner": _text(definition.get("owner")),
        "Link": _text(definition.get("link")),
        "Variants": "\n".join(_variant(each, total, baseline) for each in variants),
        "Goals": "\n".join(map(_goal, definition["goals"])) or "none",
        "Plan": plan and f"{plan:,} visitors",
        "Traffic": traffic != 1 and f"{traffic:.4g} of all visitors",
        "Equivalence": lift and f"lifts within ±{lift:.2%}",
        "Flag": definition.get("flag") and "yes, for OpenFeature",
    }
    return {name: line for name, line in rows.items() if line}


def _text(text: str | None) -> str:
    return "\n".join(map(plain, (text or "").splitlines()))


def _variant(variant: dict[str, Any], total: float, baseline: str) -> str:
    share = f" {variant['weight'] / total:.1%}" if total else ""
    value = f", value {_short(json.dumps(variant['value']))}" if "value" in variant else ""
    mark = ", baseline" if variant["name"] == baseline else ""
    return f"{plain(variant['name'])}{share}{mark}{value}"


def _goal(goal: dict[str, Any]) -> str:
    facts = [goal["role"]]
    if goal.get("better") == "lower":
        facts.append("lower is better")
    if "margin" in goal:
        facts.append(f"margin {goal['margin']:.2%}")
    if goal.get("kind") == "total":
        facts.append("counts every time")
    if goal.get("kind") == "value":
        facts.append(f"an amount up to {goal['cap']:,}")
    if goal.get("from") == "server":
        facts.append("needs a key")
    return f"{plain(goal['name'])}: {', '.join(facts)}"


def _ignored(ignored: dict[str, Any]) -> Iterator[str]:
    """Yield a line on each reason for which events were ignored, with the last names."""
    names: dict[str, dict[str, None]] = {}
    for each in ignored["last"]:
        names.setdefault(each["reason"], {})[_culprit(each)] = None
    for reason, number in ignored["reasons"].items():
        last = ", ".join(f"'{name}'" for name in list(names.get(reason, {}))[:_MAX_NAMES])
        yield f"at least {plural(number, 'event')}, {plain(reason)} {last}".rstrip()
    if "bot" in names or "bot" in ignored["reasons"]:
        yield _BOT_NOTE


def _culprit(event: dict[str, str]) -> str:
    """Return the name for which an event was ignored."""
    return _short(event["goal" if "goal" in event["reason"] else "variant"])


def _change(change: dict[str, Any]) -> str:
    fields = (
        # Variants, goals and the decision are long, and shown above.
        field
        if field in ("variants", "goals", "decision") or value is None
        else f"{field} {_short(' '.join(value.split()))}"
        for field, value in change["fields"].items()
    )
    scope = change["scope"] or "no"
    return f"{_time(change['at'])}, {scope} key: {', '.join(fields)}"


def _short(text: str) -> str:
    cut = text if len(text) <= _MAX_VALUE else f"{text[: _MAX_VALUE - 1]}…"
    return plain(cut)
