"""The commands that decide experiments, and list what was decided: decide, decisions."""

from pathlib import Path

import click

from gimel.terminal import decisions
from gimel.terminal.backend_options import connect_client, namespace_option, url_option
from gimel.terminal.text import console, plain, print_json


@click.command()
@click.argument("experiment")
@click.option("--winner", metavar="VARIANT", required=True, help="Variant that stays.")
@click.option("--reason", required=True, help="Why: for those who ask in a year.")
@namespace_option
@url_option
@click.pass_obj
def decide(
    config_file: Path | None,
    experiment: str,
    winner: str,
    reason: str,
    namespace: str,
    url: str | None,
) -> None:
    """Decide an EXPERIMENT: stop it, keep its figures and the reason.

    Decide again to change the winner or the reason; the figures stay. `gimel settings EXPERIMENT
    --reset decision` takes the decision back.
    """
    client = connect_client(config_file, url)
    decision = {"winner": winner, "reason": reason}
    answer = client.configure(experiment, {"decision": decision}, namespace)
    decisions.show_next_steps(console, answer)


@click.command(name="decisions")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@namespace_option
@url_option
@click.pass_obj
def decisions_command(
    config_file: Path | None, as_json: bool, namespace: str, url: str | None
) -> None:
    """List what was decided, with the reasons, the newest first. Archived experiments too."""
    client = connect_client(config_file, url)
    decided = decisions.decisions_in(client.experiments(namespace, view="summary"))
    if as_json:
        print_json(decided)
    elif decided:
        decisions.show_decisions(console, decided)
    else:
        click.echo(
            f"Nothing is decided in namespace {plain(namespace)} yet: `gimel decide` does that."
        )


COMMANDS = (decide, decisions_command)
