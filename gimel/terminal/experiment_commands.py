"""The commands of one experiment, or of all: results, settings, stop, resume, delete, track."""

import json
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from gimel.backend.experiment.changes import RESETTABLE_FIELDS
from gimel.backend.experiment.checks import METHODS
from gimel.backend.queue import Backlog
from gimel.client import BackendClient, backlog_in
from gimel.terminal import results
from gimel.terminal.backend_options import connect_client, namespace_option, url_option
from gimel.terminal.conditions import (
    CONDITIONS,
    EXIT_CONDITION,
    conditions_met,
    parse_conditions,
)
from gimel.terminal.group import CommandError
from gimel.terminal.history import show_history
from gimel.terminal.percentages import LIFT
from gimel.terminal.text import console, plain, plural, print_json

# Names that the question before deleting many experiments shows
_NAMES_SHOWN = 5


@click.command(name="results")
@click.argument("experiment", required=False)
@namespace_option
@url_option
@click.option("--goal", help="Show only this goal.")
@click.option("--matrix", is_flag=True, help="Also compare every variant with every other one.")
@click.option("--history", is_flag=True, help="Show how one EXPERIMENT came here, over time.")
@click.option("--json", "as_json", is_flag=True, help="Print the backend's answer as JSON.")
@click.option(
    "--csv", "as_csv", is_flag=True, help="Print CSV: one row for each variant of each goal."
)
@click.option(
    "--fail-on",
    "conditions",
    metavar="CONDITION,…",
    callback=parse_conditions,
    help=f"End with exit code {EXIT_CONDITION} if an experiment that is neither decided nor "
    f"archived meets a condition: {', '.join(CONDITIONS)}.",
)
@click.pass_obj
def results_command(
    config_file: Path | None,
    experiment: str | None,
    namespace: str,
    url: str | None,
    goal: str | None,
    matrix: bool,
    history: bool,
    as_json: bool,
    as_csv: bool,
    conditions: Sequence[str],
) -> None:
    """Show which variant wins, and how certain that is.

    Shows one EXPERIMENT, or all experiments of the namespace.
    """
    output_format = _output_format(as_json=as_json, as_csv=as_csv)
    client = connect_client(config_file, url)
    if history:
        _show_history(client, experiment, namespace, goal, output_format, conditions)
        return
    experiments = client.read(experiment, namespace)
    goals = {each["goal"] for one in experiments for each in one["goals"]}
    if goal is not None and goal not in goals:
        raise click.ClickException(
            f"there is no goal {plain(goal)} in these results: omit --goal to see every goal"
        )
    if output_format == "json":
        print_json(experiments)
    elif output_format == "csv":
        results.write_csv(sys.stdout, experiments, goal)
    elif experiments:
        backlog = backlog_in(experiments[0]) if experiment else client.backlog()
        _show_results(experiments, backlog, goal, with_matrix=matrix)
    else:
        _show_no_experiment(client, namespace)
    if found := conditions_met(experiments, conditions, goal):
        raise CommandError("; ".join(found), EXIT_CONDITION)


def _output_format(*, as_json: bool, as_csv: bool) -> str | None:
    """Return the format that is asked for, or None. Raises click.UsageError."""
    if as_json and as_csv:
        raise click.UsageError("--json and --csv exclude each other")
    return "json" if as_json else "csv" if as_csv else None


def _show_results(
    experiments: list[dict[str, Any]],
    backlog: Backlog | None,
    goal: str | None,
    *,
    with_matrix: bool,
) -> None:
    if backlog:
        results.show_backlog(console, backlog)
    results.show(console, experiments, goal)
    if with_matrix:
        results.show_matrix(console, experiments, goal)


def _show_no_experiment(client: BackendClient, namespace: str) -> None:
    click.echo(f"There is no experiment in namespace {plain(namespace)} yet.")
    in_use = ", ".join(map(plain, client.namespaces()))
    click.echo(f"Namespaces in use: {in_use or 'none'}")


def _show_history(
    client: BackendClient,
    experiment: str | None,
    namespace: str,
    goal: str | None,
    output_format: str | None,
    conditions: Sequence[str],
) -> None:
    if conditions:
        raise click.UsageError("--fail-on looks at the results of now: leave out --history")
    if experiment is None:
        raise click.UsageError("--history needs an EXPERIMENT")
    if output_format == "csv":
        raise click.UsageError("--history prints a table, or JSON with --json")
    found = client.history(experiment, namespace, goal)
    if output_format == "json":
        print_json(found)
    else:
        show_history(console, found)


def _parse_weights(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, float] | None:
    """Return the weights in A=80,B=20, or in a JSON object. Raises click.BadParameter."""
    if value is None:
        return None
    try:
        if value.lstrip().startswith("{"):
            return dict(json.loads(value))
        pairs = [pair.rpartition("=") for pair in value.split(",")]
        return {name.strip(): float(share) for name, _, share in pairs}
    except ValueError:
        raise click.BadParameter("must look like A=80,B=20") from None


@click.command(name="settings")
@click.argument("experiment")
@click.option("--baseline", metavar="VARIANT", help="Variant that the others are compared with.")
@click.option(
    "--weights",
    metavar="A=80,B=20",
    callback=_parse_weights,
    help="Intended share of each variant. Use a JSON object if a name contains , or =.",
)
@click.option("--primary-goal", metavar="GOAL", help="Goal that decides the experiment.")
@click.option("--equivalence", type=LIFT, help="Lift that is too small to matter: 0.01 or 1%.")
@click.option(
    "--total",
    "totals",
    metavar="GOAL",
    multiple=True,
    help="Goal that a visitor may reach many times. Repeat for each goal.",
)
@click.option(
    "--counting",
    type=click.Choice(METHODS),
    help="Counting method. Can be set only before the first event.",
)
@click.option(
    "--reset",
    multiple=True,
    type=click.Choice(RESETTABLE_FIELDS),
    help="Setting to return to its default. Repeat for each setting.",
)
@namespace_option
@url_option
@click.pass_obj
def settings_command(
    config_file: Path | None,
    /,
    experiment: str,
    namespace: str,
    url: str | None,
    reset: tuple[str, ...],
    **settings: Any,
) -> None:
    """Show or change single settings of an EXPERIMENT.

    `gimel create` declares a whole experiment, and `gimel show` shows what is declared. Of a
    declared experiment, most settings are fixed after the first event.
    """
    client = connect_client(config_file, url)
    changes = {name: value for name, value in settings.items() if value is not None and value != ()}
    changes |= dict.fromkeys(reset)
    if changes:
        answer = client.configure(experiment, changes, namespace)
    else:
        answer = client.experiment(experiment, namespace)
    results.show_settings(console, answer)


@click.command()
@click.argument("experiment")
@namespace_option
@url_option
@click.option("--archive", is_flag=True, help="Also take it off the dashboard's list.")
@click.pass_obj
def stop(
    config_file: Path | None, experiment: str, namespace: str, url: str | None, archive: bool
) -> None:
    """Stop counting the events of an EXPERIMENT. Pages may keep sending them.

    `gimel stop` without --archive takes it out of the archive, and so does `gimel resume`.
    """
    state = "archived" if archive else "stopped"
    connect_client(config_file, url).configure(experiment, {"state": state}, namespace)
    click.echo(f"{state.capitalize()}. Events may still be counted for up to a minute.")


@click.command()
@click.argument("experiment")
@namespace_option
@url_option
@click.pass_obj
def resume(config_file: Path | None, experiment: str, namespace: str, url: str | None) -> None:
    """Resume counting the events of an EXPERIMENT."""
    connect_client(config_file, url).configure(experiment, {"state": "running"}, namespace)
    click.echo("Running. Events may stay uncounted for up to a minute.")


@click.command()
@click.argument("experiment", required=False)
@click.option(
    "--match",
    "pattern",
    metavar="PATTERN",
    help="Delete every experiment whose name matches a pattern, e.g. 'junk*'.",
)
@click.option("--undeclared", is_flag=True, help="Delete every experiment without a definition.")
@namespace_option
@url_option
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--forget", is_flag=True, help="Free the name. Late events then count again.")
@click.option("--goal", help="Delete only the counts of this goal, which is not declared.")
@click.option("--variant", help="Delete only the counts of this variant, which is not declared.")
@click.pass_obj
def delete(
    config_file: Path | None,
    experiment: str | None,
    pattern: str | None,
    undeclared: bool,
    namespace: str,
    url: str | None,
    yes: bool,
    forget: bool,
    goal: str | None,
    variant: str | None,
) -> None:
    """Delete an EXPERIMENT and its counts. Its late events are not counted.

    --goal or --variant deletes one goal or variant of it instead. Later events make it anew.

    --match and --undeclared delete many experiments of the namespace instead. Together, they delete
    the undeclared experiments that match.
    """
    selects_many = pattern is not None or undeclared
    if selects_many == (experiment is not None):
        raise click.UsageError("name one EXPERIMENT, or use --match or --undeclared")
    part = {"goal": goal, "variant": variant}
    if any(each is not None for each in part.values()):
        if experiment is None or forget or None not in part.values():
            raise click.UsageError("--goal or --variant, one of them, goes with one EXPERIMENT")
        _delete_part(connect_client(config_file, url), experiment, namespace, part, yes=yes)
        return
    client = connect_client(config_file, url)
    if experiment is None:
        names = _matching_names(client, namespace, pattern, only_undeclared=undeclared)
        _delete_all(client, names, namespace, yes=yes, forget=forget)
        return
    if not yes:
        click.confirm(f"Delete {plain(experiment)} and all its counts?", abort=True)
    if not client.delete(experiment, namespace, forget=forget):
        raise click.ClickException(
            f"there is no experiment {plain(experiment)} in namespace {plain(namespace)}"
        )
    click.echo("Deleted.")


def _delete_part(
    client: BackendClient,
    experiment: str,
    namespace: str,
    part: Mapping[str, str | None],
    *,
    yes: bool,
) -> None:
    """Delete one goal or variant of an experiment. Raise ClickException if there is none."""
    ((kind, name),) = [(kind, plain(name)) for kind, name in part.items() if name is not None]
    if not yes:
        question = f"Delete all counts of the {kind} {name} of {plain(experiment)}?"
        click.confirm(question, abort=True)
    answer = client.delete_part(experiment, namespace, **part)
    if not answer["deleted"]:
        raise click.ClickException(f"there is no {kind} {name} in {plain(experiment)}")
    click.echo(f"Deleted. {answer['note']}")


def _matching_names(
    client: BackendClient, namespace: str, pattern: str | None, *, only_undeclared: bool
) -> list[str]:
    """Return the names of the experiments that match. Raise ClickException if there is none."""
    names = [
        each["experiment"]
        for each in client.experiments(namespace, view="summary")
        # An earlier version of the backend does not say which experiments are declared.
        if (not only_undeclared or each.get("declared") is False)
        and (pattern is None or fnmatchcase(each["experiment"], pattern))
    ]
    if names:
        return names
    kind = "undeclared experiment" if only_undeclared else "experiment"
    matching = "" if pattern is None else f" that matches {plain(pattern)}"
    raise click.ClickException(f"there is no {kind}{matching} in namespace {plain(namespace)}")


def _delete_all(
    client: BackendClient, names: list[str], namespace: str, *, yes: bool, forget: bool
) -> None:
    """Delete these experiments, after a question that shows the first names."""
    more = f" and {len(names) - _NAMES_SHOWN:,} more" if len(names) > _NAMES_SHOWN else ""
    click.echo(f"{', '.join(map(plain, names[:_NAMES_SHOWN]))}{more}")
    number = plural(len(names), "experiment")
    if not yes:
        click.confirm(f"Delete {number} of {plain(namespace)} and all counts?", abort=True)
    for name in names:
        client.delete(name, namespace, forget=forget)
    click.echo(f"Deleted {number}.")


@click.command()
@click.argument("experiment")
@click.option("--variant", required=True, help="Variant that the visitor was shown.")
@click.option("--event", required=True, help="Goal that the visitor reached, or participate.")
@click.option("--uuid", help="Id of the event. An id counts once. Default: a random id.")
@click.option("--visitor", help="Id of the visitor. Default: the uuid.")
@click.option("--value", type=float, help="Amount, for a goal that measures one.")
@namespace_option
@url_option
@click.pass_obj
def track(
    config_file: Path | None,
    experiment: str,
    variant: str,
    event: str,
    uuid: str | None,
    visitor: str | None,
    value: float | None,
    namespace: str,
    url: str | None,
) -> None:
    """Send one event of EXPERIMENT, as a page does."""
    client = connect_client(config_file, url)
    uuid = uuid or str(uuid4())
    answer = client.track(experiment, variant, event, uuid, namespace, visitor, value)
    if answer.get("ignored"):
        click.echo(f"Ignored: {plain(', '.join(answer['reasons']))}.")
    else:
        click.echo("Queued until Redis answers again." if "queued" in answer else "Counted.")


COMMANDS = (results_command, settings_command, stop, resume, delete, track)
