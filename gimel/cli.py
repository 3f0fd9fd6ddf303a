"""The command `gimel`: its options, the commands preflight to local, and the list of all others.

The other commands are in `gimel.terminal`. Each module in `_ROOMS` lists its own in COMMANDS. A
command calls one function and prints the result.
"""

import sys
import webbrowser
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from gimel import __version__
from gimel.backend.counting.hyperloglog import relative_error
from gimel.backend.counting.migration import migrate
from gimel.config.file import ConfigError, home, load
from gimel.terminal import (
    backup_commands,
    configure,
    decision_commands,
    definition_commands,
    experiment_commands,
    key_commands,
    report,
    results,
    simulation,
    snippet_command,
    stack_commands,
    watch,
)
from gimel.terminal.backend_options import (
    connect_client,
    find_backend,
    namespace_option,
    url_option,
)
from gimel.terminal.definition_commands import plan_of, save_plan
from gimel.terminal.group import CommandGroup
from gimel.terminal.hints import command_line
from gimel.terminal.key_commands import share_key
from gimel.terminal.percentages import LIFT, PERCENTAGE
from gimel.terminal.redis_options import connect_redis, redis_errors, redis_url_option
from gimel.terminal.sample_size import sample_size
from gimel.terminal.text import console, say

# In the order in which a newcomer needs them
SECTIONS = {
    "Try it on this machine": ("local", "simulate"),
    "Run an experiment": (
        "sample-size", "create", "show", "snippet", "track", "settings", "stop", "resume", "delete",
    ),
    "Read results": ("results", "dashboard", "watch", "decide", "decisions"),
    "Deploy to AWS": ("configure", "policy", "preflight", "deploy", "destroy"),
    "Operate the stack": ("status", "logs", "key", "rollback", "replay"),
    "Back up and move counts": ("export", "import", "move", "migrate"),
}  # fmt: skip


@click.group(
    cls=CommandGroup, sections=SECTIONS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(__version__, prog_name="gimel")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Config file. Default: $GIMEL_CONFIG, else ./config.json, else ~/.gimel/config.json.",
)
@click.option("--debug", is_flag=True, help="Print each call to AWS to stderr.")
@click.pass_context
def main(ctx: click.Context, config_file: Path | None, debug: bool) -> None:
    """Run A/B tests on your own AWS account: deploy, track events, read results."""
    ctx.obj = config_file
    if debug:
        from gimel.stack import trace

        trace.switch_on()


_ROOMS = (
    backup_commands,
    configure,
    decision_commands,
    definition_commands,
    experiment_commands,
    key_commands,
    simulation,
    snippet_command,
    stack_commands,
    watch,
)
for _command in (command for room in _ROOMS for command in room.COMMANDS):
    main.add_command(_command)


@main.command(name="preflight")
@click.pass_obj
def preflight_command(config_file: Path | None) -> None:
    """Check config, AWS, permissions and Redis before a deploy."""
    from gimel.stack.deployed import connect
    from gimel.stack.preflight import preflight

    try:
        source = load(config_file)
        found = preflight.run(source, partial(connect, source.config))
    except ConfigError as error:
        found = preflight.config_mistakes(error)
    if not report.show_checks(console, found):
        sys.exit(1)


@main.command()
@namespace_option
@url_option
@click.option("--print-url", is_flag=True, help="Print the URL, key included, and open nothing.")
@click.option("--share", is_flag=True, help="Print a link that shows everything and changes none.")
@click.pass_obj
def dashboard(
    config_file: Path | None, namespace: str, url: str | None, print_url: bool, share: bool
) -> None:
    """Open the dashboard in a browser.

    The URL holds the key in its fragment, which browsers do not send to any server. With --share,
    that is a key with the scope read.
    """
    backend = find_backend(config_file, url)
    value = share_key(config_file, url) if share else backend.key
    key = {"key": value} if value else {}
    address = f"{backend.dashboard_url}#{urlencode(key | {'namespace': namespace})}"
    if print_url or share:
        click.echo(address)
    elif not webbrowser.open(address):
        raise click.ClickException(
            "found no browser: run `gimel dashboard --print-url` and open the URL yourself"
        )


@main.command(name="sample-size")
@click.option("--rate", type=PERCENTAGE, required=True, help="Rate of the baseline: 0.1 or 10%.")
@click.option("--lift", type=LIFT, required=True, help="Smallest lift to detect: 0.05 or 5%.")
@click.option(
    "--power", type=PERCENTAGE, default=0.8, show_default=True, help="Chance to detect that lift."
)
@click.option(
    "--alpha", type=PERCENTAGE, default=0.05, show_default=True, help="False-positive rate."
)
@click.option(
    "--variants",
    type=click.IntRange(max=1000),
    default=2,
    show_default=True,
    help="Number of variants, baseline included.",
)
@click.option(
    "--shards",
    type=click.IntRange(1, 1024),
    default=64,
    show_default=True,
    help="Value of `shards` in config.json.",
)
@click.option(
    "--visitors-per-day", type=click.IntRange(1), help="Visitors of all variants in one day."
)
@click.option(
    "--save",
    metavar="EXPERIMENT",
    help="Make it the plan of this experiment, before its first event. Its variants and primary "
    "goals are those to correct for.",
)
@namespace_option
@url_option
@click.pass_obj
def sample_size_command(
    config_file: Path | None,
    /,
    shards: int,
    visitors_per_day: int | None,
    save: str | None,
    namespace: str,
    url: str | None,
    **design: Any,
) -> None:
    """Calculate how many visitors, and days, an experiment needs."""
    client = None if save is None else connect_client(config_file, url)
    error = relative_error(shards)
    if client and save is not None:
        of_experiment, error = plan_of(client, save, namespace)
        design |= of_experiment
    try:
        needed = sample_size(**design, relative_error=error)
    except ValueError as mistake:
        raise click.UsageError(str(mistake)) from None
    results.show_sample_size(console, design, needed, visitors_per_day)
    if client and save is not None:
        save_plan(client, save, namespace, needed)


@main.command(name="migrate")
@click.option("--namespace", help="Move only the experiments of this namespace.")
@click.option("--dry-run", is_flag=True, help="Show what would be moved, and change nothing.")
@redis_url_option
@click.pass_obj
def migrate_command(
    config_file: Path | None, namespace: str | None, dry_run: bool, redis_url: str | None
) -> None:
    """Move experiments of gimel 1.x and lamed to the new layout. Safe to run again."""
    with redis_errors():
        connection = connect_redis(config_file, redis_url)
        findings = list(migrate(connection, namespace, dry_run=dry_run))
    for finding in findings:
        click.echo(report.describe_migration(finding, dry_run))
    if not findings:
        click.echo("Nothing to move: there is no experiment of gimel 1.x or lamed.")


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8000,
    show_default=True,
    help="Port to listen on. 0 picks a free port.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that keeps the counts. Default: ~/.gimel/local, and ~/.gimel/demo with --demo.",
)
@click.option("--redis-url", help="Count in this Redis instead of an embedded Valkey.")
@click.option("--demo", is_flag=True, help="Add example experiments and a page to try.")
def local(host: str, port: int, data_dir: Path | None, redis_url: str | None, demo: bool) -> None:
    """Run the backend on this machine.

    A folder keeps the counts of the demo or real ones, never both.
    """
    try:
        from gimel.local.server import serve
    except ImportError:
        raise click.ClickException(
            "packages are missing: run `pip install 'gimel[local]>=2'`"
        ) from None
    folder = data_dir or home() / ".gimel" / ("demo" if demo else "local")
    serve(
        host=host, port=port, data_dir=folder, redis_url=redis_url, with_demo=demo,
        results=partial(command_line, "results"), say=say,
    )  # fmt: skip
