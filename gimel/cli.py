"""The commands. Each one reads as: load the configuration, call one function, print."""

import json
import os
import sys
import webbrowser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import click
from redis.exceptions import RedisError

from gimel import __version__
from gimel import snippet as html
from gimel.backend.counting.hyperloglog import relative_error
from gimel.backend.counting.migration import migrate
from gimel.backend.experiment.definition import METHODS, RESETTABLE_FIELDS
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.client import Backend, Client
from gimel.config import file
from gimel.terminal import report, results
from gimel.terminal.group import Commands
from gimel.terminal.sample_size import sample_size
from gimel.terminal.stack_commands import COMMANDS
from gimel.terminal.text import console, plain, say

_namespace = click.option(
    "--namespace",
    default=DEFAULT_NAMESPACE,
    show_default=True,
    help="The environment that the experiment belongs to.",
)
_url = click.option(
    "--url",
    help="A backend other than the deployed one, e.g. http://127.0.0.1:8000. "
    "Its key, if it asks for one, is taken from the environment: GIMEL_KEY.",
)


_WEIGHTS_HELP = "How visitors are meant to be divided; JSON for names that hold , or =."


def _weights(
    ctx: click.Context, parameter: click.Parameter, value: str | None
) -> dict[str, float] | None:
    """The weights that A=80,B=20, or a JSON object, gives."""
    if value is None:
        return None
    try:
        if value.lstrip().startswith("{"):
            return dict(json.loads(value))
        pairs = [pair.rpartition("=") for pair in value.split(",")]
        return {name.strip(): float(share) for name, _, share in pairs}
    except ValueError:
        raise click.BadParameter("must look like A=80,B=20") from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gimel")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The config file. Default: $GIMEL_CONFIG, ./config.json, ~/.gimel/config.json.",
)
@click.option("--debug", "chatty", is_flag=True, help="Tell on stderr of each call to AWS.")
@click.pass_context
def main(ctx: click.Context, config_file: Path | None, chatty: bool) -> None:
    """A/B testing on your own AWS account: deploy, track, read."""
    ctx.obj = config_file
    if chatty:
        from gimel.stack import trace

        trace.switch_on()


for _command in COMMANDS:
    main.add_command(_command)


@main.command()
@click.option("--redis-url", help="Write this URL into the new file.")
@click.option("--edit/--no-edit", default=True, help="Open the file in your $EDITOR.")
@click.pass_obj
def configure(config_file: Path | None, redis_url: str | None, edit: bool) -> None:
    """Make the config file, edit it, check it."""
    path = file.locate(config_file)
    if file.write_template(path, redis_url):
        click.echo(f"Wrote {path}, readable by you alone.")
    elif redis_url is not None:
        raise click.ClickException(f"{path} exists: edit it there, --redis-url is for a new file")
    if edit:
        click.edit(filename=str(path))
    file.load(path)
    click.echo(f"{path} is valid.")


@main.command(name="preflight")
@click.pass_obj
def preflight_command(config_file: Path | None) -> None:
    """Check all that a deploy needs."""

    from gimel.stack import preflight

    try:
        found = preflight.run(file.load(config_file))
    except file.ConfigError as error:
        found = preflight.config_mistakes(error)
    if not report.checks(console, found):
        sys.exit(1)


@main.command()
@click.option("--experiment", default="my experiment", show_default=True)
@click.option("--variant", "variants", multiple=True, default=["A", "B"], help="Once for each.")
@click.option("--goal", "goals", multiple=True, default=["signup"], help="Once for each.")
@_namespace
@_url
@click.pass_obj
def snippet(
    config_file: Path | None,
    experiment: str,
    variants: tuple[str, ...],
    goals: tuple[str, ...],
    namespace: str,
    url: str | None,
) -> None:
    """Print the HTML to paste into a page."""
    backend = _backend(config_file, url)
    try:
        text = html.snippet(
            backend.url,
            event_path=backend.event_path,
            namespace=namespace,
            experiment=experiment,
            variants=variants,
            goals=goals,
        )
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    click.echo(text, nl=False)


@main.command()
@_namespace
@_url
@click.option("--print-url", is_flag=True, help="Print the URL, key included, and nothing else.")
@click.pass_obj
def dashboard(config_file: Path | None, namespace: str, url: str | None, print_url: bool) -> None:
    """Open the dashboard in a browser. The key travels in the URL's fragment only."""
    backend = _backend(config_file, url)
    key = {"key": backend.key} if backend.key else {}
    address = f"{backend.url}/dashboard#{urlencode(key | {'namespace': namespace})}"
    if print_url:
        click.echo(address)
    elif not webbrowser.open(address):
        raise click.ClickException("no browser here: `gimel dashboard --print-url` shows the URL")


@main.command(name="results")
@click.argument("experiment", required=False)
@_namespace
@_url
@click.option("--goal", help="This goal only.")
@click.option("--matrix", is_flag=True, help="Every variant against every other, too.")
@click.option("--json", "form", flag_value="json", help="What the backend answers, as it is.")
@click.option("--csv", "form", flag_value="csv", help="A row for each variant of each goal.")
@click.pass_obj
def results_command(
    config_file: Path | None,
    experiment: str | None,
    namespace: str,
    url: str | None,
    goal: str | None,
    matrix: bool,
    form: str | None,
) -> None:
    """Show which variant wins, and how sure that is; of one EXPERIMENT, or of all."""
    client = _client(config_file, url)
    found = client.read(experiment, namespace)
    if goal is not None and goal not in (each["goal"] for one in found for each in one["goals"]):
        raise click.ClickException(f"no experiment here has the goal {plain(goal)}")
    if form == "json":
        # A terminal may obey what a file only holds.
        click.echo(json.dumps(found, indent=2, ensure_ascii=sys.stdout.isatty()))
    elif form == "csv":
        results.write_csv(sys.stdout, found, goal)
    elif not found:
        click.echo(f"There is no experiment in namespace {plain(namespace)} yet.")
        in_use = ", ".join(map(plain, client.namespaces()))
        click.echo(f"Namespaces in use: {in_use or 'none'}")
    else:
        results.show(console, found, goal)
        if matrix:
            results.show_matrix(console, found, goal)


@main.command(name="settings")
@click.argument("experiment")
@click.option("--baseline", metavar="VARIANT", help="What the others are compared with.")
@click.option("--weights", metavar="A=80,B=20", callback=_weights, help=_WEIGHTS_HELP)
@click.option("--primary-goal", metavar="GOAL", help="The goal that decides.")
@click.option("--equivalence", type=float, help="A lift not worth finding: 0.01 is 1 %.")
@click.option(
    "--total",
    "totals",
    metavar="GOAL",
    multiple=True,
    help="A goal that a visitor may reach many times.",
)
@click.option(
    "--counting",
    type=click.Choice(METHODS),
    help="Before the first event: how an experiment to come is counted.",
)
@click.option("--reset", multiple=True, type=click.Choice(RESETTABLE_FIELDS), help="Take one back.")
@_namespace
@_url
@click.pass_obj
def settings_command(
    config_file: Path | None,
    /,
    experiment: str,
    namespace: str,
    url: str | None,
    reset: tuple[str, ...],
    **given: Any,
) -> None:
    """Show, and set, what the engine needs to know about an EXPERIMENT."""
    client = _client(config_file, url)
    changes = {name: value for name, value in given.items() if value is not None and value != ()}
    changes |= dict.fromkeys(reset)
    if changes:
        found = client.configure(experiment, changes, namespace)
    else:
        found = client.experiment(experiment, namespace)
    results.show_settings(console, found)


@main.command()
@click.argument("experiment")
@_namespace
@_url
@click.pass_obj
def stop(config_file: Path | None, experiment: str, namespace: str, url: str | None) -> None:
    """Count no more events of an EXPERIMENT: pages may go on sending them."""
    _client(config_file, url).configure(experiment, {"state": "stopped"}, namespace)
    click.echo("Stopped. Within a minute, nothing more is counted.")


@main.command()
@click.argument("experiment")
@_namespace
@_url
@click.pass_obj
def resume(config_file: Path | None, experiment: str, namespace: str, url: str | None) -> None:
    """Count the events of an EXPERIMENT again."""
    _client(config_file, url).configure(experiment, {"state": "running"}, namespace)
    click.echo("Running. Within a minute, everything is counted again.")


@main.command(name="sample-size")
@click.option("--rate", type=float, required=True, help="The baseline's rate: 0.1 is 10 %.")
@click.option("--lift", type=float, required=True, help="The least to be found: 0.05 is +5 %.")
@click.option("--power", type=float, default=0.8, show_default=True, help="Chance to find it.")
@click.option("--alpha", type=float, default=0.05, show_default=True, help="False-positive rate.")
@click.option("--variants", type=int, default=2, show_default=True, help="Baseline included.")
@click.option("--shards", type=click.IntRange(1, 1024), default=64, show_default=True)
@click.option("--visitors-per-day", type=click.IntRange(1), help="In all variants together.")
def sample_size_command(shards: int, visitors_per_day: int | None, **design: Any) -> None:
    """Tell how many visitors an experiment needs, and how many days."""
    try:
        needed = sample_size(**design, relative_error=relative_error(shards))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    results.show_sample_size(console, needed, visitors_per_day)


@main.command()
@click.option("--experiment", required=True, help="Its name.")
@click.option("--variant", required=True, help="What the visitor was shown.")
@click.option("--event", required=True, help="A goal, or participate.")
@click.option("--uuid", help="Whose event it is; the same one counts once. Default: a new visitor.")
@_namespace
@_url
@click.pass_obj
def track(
    config_file: Path | None,
    experiment: str,
    variant: str,
    event: str,
    uuid: str | None,
    namespace: str,
    url: str | None,
) -> None:
    """Send one event, as a page does."""
    client = _client(config_file, url)
    queued = client.track(experiment, variant, event, uuid or str(uuid4()), namespace)
    click.echo("Queued: counted once Redis is back." if queued else "Counted.")


@main.command(name="migrate")
@click.option("--namespace", help="This one only. Default: all.")
@click.option("--dry-run", is_flag=True, help="Say what there is, and change nothing.")
@click.option("--redis-url", help="A Redis other than the configuration's.")
@click.pass_obj
def migrate_command(
    config_file: Path | None, namespace: str | None, dry_run: bool, redis_url: str | None
) -> None:
    """Move experiments of gimel 1.x and lamed to today's layout. Safe to run again."""
    if redis_url:
        connection = Connection(redis_url)
    else:
        of = file.load(config_file).config.redis
        connection = Connection.from_environment(of.environment)
    try:
        findings = list(migrate(connection, namespace, dry_run=dry_run))
    except RedisError as error:
        raise click.ClickException(f"Redis: {plain(str(error))}") from None
    for found in findings:
        click.echo(report.migrated(found, dry_run))
    if not findings:
        click.echo("Nothing to move: there is no experiment of gimel 1.x or lamed.")


@main.command()
@click.argument("experiment")
@_namespace
@_url
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--forget", is_flag=True, help="Allow the name again: late events make it anew.")
@click.pass_obj
def delete(
    config_file: Path | None,
    experiment: str,
    namespace: str,
    url: str | None,
    yes: bool,
    forget: bool,
) -> None:
    """Delete an EXPERIMENT and its counts; its late events count no more."""
    client = _client(config_file, url)
    if not yes:
        click.confirm(f"Delete {plain(experiment)} and all its counts?", abort=True)
    if not client.delete(experiment, namespace, forget=forget):
        raise click.ClickException(f"there is no experiment of this name in {namespace}")
    click.echo("Deleted.")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path.home() / ".gimel" / "local",
    help="Where the counts are kept. Default: ~/.gimel/local.",
)
@click.option("--redis-url", help="Count there, and not in an embedded Valkey.")
@click.option("--demo", is_flag=True, help="Fill namespace demo; serve a page to try it.")
def local(host: str, port: int, data_dir: Path, redis_url: str | None, demo: bool) -> None:
    """Run the backend on this machine."""
    try:
        from gimel.local.server import serve
    except ImportError:
        raise click.ClickException("this needs `pip install 'gimel[local]>=2'`") from None
    serve(host=host, port=port, data_dir=data_dir, redis_url=redis_url, with_demo=demo, say=say)


def _backend(config_file: Path | None, url: str | None) -> Backend:
    """The backend that a command talks to: the one at `url`, else the deployed one."""
    if url is not None:
        return Backend(url.rstrip("/"), os.environ.get("GIMEL_KEY", ""))
    from gimel.stack.deployed import find

    return find(file.load(config_file).config)


def _client(config_file: Path | None, url: str | None) -> Client:
    backend = _backend(config_file, url)
    return Client(backend.url, backend.key)
