"""The command that prints what a page needs: snippet."""

from pathlib import Path
from typing import Any

import click

from gimel import snippet as html
from gimel.alephbet import alephbet_snippet
from gimel.client import BackendClient, BackendError
from gimel.terminal.backend_options import find_backend, namespace_option, url_option
from gimel.terminal.definition_commands import variants_option
from gimel.terminal.definitions import goals_of_page
from gimel.terminal.percentages import PERCENTAGE
from gimel.terminal.text import plain


@click.command(name="snippet")
@click.argument("experiment", required=False)
@variants_option
@click.option("--traffic", type=PERCENTAGE, help="Share of visitors who take part.")
@click.option("--goal", "goals", multiple=True, help="Name of a goal. Repeat for each goal.")
@click.option("--src", "is_linked", is_flag=True, help="Load the script from the backend.")
@click.option("--module", "is_module", is_flag=True, help="Print an ES module for your project.")
@click.option("--alephbet", "is_alephbet", is_flag=True, help="Print the HTML for AlephBet.")
@namespace_option
@url_option
@click.pass_obj
def snippet(
    config_file: Path | None,
    /,
    experiment: str | None,
    variants: list[dict[str, Any]],
    traffic: float | None,
    goals: tuple[str, ...],
    is_linked: bool,
    is_module: bool,
    is_alephbet: bool,
    namespace: str,
    url: str | None,
) -> None:
    """Print the HTML to paste into a page.

    It holds the script, so that the page shows the variant at once. With --src, it loads the script
    from the backend: for pages with a strict Content-Security-Policy.

    Variants, traffic and goals of a declared EXPERIMENT need not be given. Without an EXPERIMENT,
    print an example.
    """
    if is_linked + is_module + is_alephbet > 1:
        raise click.UsageError("give one of --src, --module and --alephbet")
    backend = find_backend(config_file, url)
    place: dict[str, Any] = {"namespace": namespace, "event_path": backend.event_path}
    options: dict[str, Any] = {"variants": variants, "traffic": traffic, "goals": goals}
    fields = {name: value for name, value in options.items() if value not in (None, (), [])}
    if experiment is not None and not is_module:
        if not variants:
            client = BackendClient(backend.url, backend.key)
            fields = _declared(client, experiment, namespace, is_alephbet=is_alephbet) | fields
        fields["experiment"] = experiment
    if "variants" in fields:
        fields["variants"] = {each["name"]: each.get("weight") for each in fields["variants"]}
    try:
        if is_module:
            text = html.module(backend.events_base, **place)
        elif is_alephbet:
            fields.pop("traffic", None)
            text = alephbet_snippet(backend.events_base, **place, **fields)
        else:
            script_url = backend.page_url if is_linked else None
            text = html.snippet(backend.events_base, script_url=script_url, **place, **fields)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(text, nl=False)


def _declared(
    client: BackendClient, experiment: str, namespace: str, *, is_alephbet: bool
) -> dict[str, Any]:
    """Return what the definition of an experiment says about a page, the baseline first."""
    try:
        definition = client.experiment(experiment, namespace)["definition"]
    except BackendError as error:
        if error.status != 404:
            raise
        definition = None
    if definition is None:
        raise click.ClickException(
            f"{plain(experiment)} is not declared: name its variants, with --variant"
        )
    baseline = definition.get("baseline")
    return {
        "variants": sorted(definition["variants"], key=lambda each: each["name"] != baseline),
        "traffic": definition.get("traffic", 1),
        "goals": goals_of_page(definition, is_alephbet=is_alephbet),
    }


COMMANDS = (snippet,)
