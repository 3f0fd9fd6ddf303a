"""Conditions of results that fail a pipeline: `gimel results --fail-on srm,loser,guardrail`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from gimel.terminal.text import plain

# The exit code of `gimel results` if a condition is met
EXIT_CONDITION = 3
CONDITIONS = ("srm", "loser", "guardrail")


def parse_conditions(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> Sequence[str]:
    """Return the conditions in srm,loser. Raises click.BadParameter."""
    words = [] if value is None else [word.strip() for word in value.split(",")]
    for word in words:
        if word not in CONDITIONS:
            known = ", ".join(CONDITIONS)
            raise click.BadParameter(f"{plain(word)!r} is not a condition: use {known}")
    return words


def conditions_met(
    experiments: Iterable[Mapping[str, Any]], conditions: Sequence[str], goal: str | None
) -> list[str]:
    """Return a few words on each condition that an experiment meets.

    What is decided or archived meets none: its owner has drawn the conclusion. `goal` leaves out
    the other goals.
    """
    return [
        f"{plain(each['experiment'])}: {words}"
        for each in experiments
        if not each.get("decision") and each["state"] != "archived"
        for condition, words in _alarms(each, goal)
        if condition in conditions
    ]


def _alarms(experiment: Mapping[str, Any], goal: str | None) -> Iterator[tuple[str, str]]:
    if experiment["srm"]["alarm"]:
        yield "srm", "the split is wrong"
    for each in experiment["goals"]:
        if goal not in (None, each["goal"]):
            continue
        name = plain(each["goal"])
        # An earlier version of the backend has no roles.
        if each.get("role", "primary") == "primary" and each["verdict"]["state"] == "loser":
            yield "loser", f"{name} has a loser"
        for label, state in (each.get("guardrail") or {}).items():
            if state == "broken":
                yield "guardrail", f"{plain(label)} breaks the guardrail {name}"
