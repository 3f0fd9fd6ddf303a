"""The commands of a deployed stack: deploy, destroy, rollback, status, logs, key, policy, replay.

Each imports the deploy engine in its body: boto3 takes longer to import than `gimel results` runs.
"""

import json
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gimel import snippet as html
from gimel.client import BackendError, Client
from gimel.config import file
from gimel.terminal import report
from gimel.terminal.group import STOPPED
from gimel.terminal.text import console, plain, say

if TYPE_CHECKING:
    from gimel.config.settings import Config
    from gimel.stack.aws import Aws


@click.command(name="deploy")
@click.option("--preflight/--no-preflight", "check", default=True, help="Check first.")
@click.option("--dry-run", is_flag=True, help="Show what would be done; exit 2 if anything would.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: for machines.")
@click.option("--adopt", is_flag=True, help="Take over what bears the stack's names, but no tag.")
@click.pass_obj
def deploy_command(
    config_file: Path | None, check: bool, dry_run: bool, as_json: bool, adopt: bool
) -> None:
    """Bring the backend up on AWS, or up to date. Safe to run again."""
    from gimel import deploy
    from gimel.stack import bundle, preflight
    from gimel.stack.deployed import connect

    source = file.load(config_file)
    settings = source.config
    if as_json and not dry_run:
        raise click.UsageError("--json goes with --dry-run")
    bundle.build_in_background(settings.runtime)
    if dry_run:
        sys.exit(_dry_run(settings, as_json, adopt))
    if check and not report.checks(console, preflight.run(source)):
        raise click.ClickException("not deployed: correct what failed, or use --no-preflight")
    deployed = deploy.deploy(settings, say, connect(settings), adopt=adopt)
    report.deployed(console, deployed)
    click.echo(html.snippet(deployed.url, event_path=deployed.event_path), nl=False)


def _dry_run(settings: "Config", as_json: bool, adopt: bool) -> int:
    """Show the plan. Returns the exit code: 0 for no change, 2 for some."""
    from gimel.stack.deployed import connect
    from gimel.stack.prepare import prepare

    aws = connect(settings)
    planned = prepare(settings, _to_stderr, aws, adopt=adopt)
    if as_json:
        changes = [change.describe() for change in planned.changes]
        click.echo(json.dumps({"changes": changes, "notes": planned.notes}, indent=2))
    else:
        report.plan(console, planned.changes, planned.notes)
    return 2 if planned.changes else 0


def _to_stderr(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--data", is_flag=True, help="Delete all experiments and their counts as well.")
@click.option("--legacy", is_flag=True, help="Only what gimel 1.x left: REST API and API key.")
@click.pass_obj
def destroy(config_file: Path | None, yes: bool, data: bool, legacy: bool) -> None:
    """Remove the backend from AWS. The counts in Redis stay, unless --data."""
    from gimel.stack import operations
    from gimel.stack.deployed import connect

    settings = file.load(config_file).config
    if data and legacy:
        raise click.UsageError("--data goes with the stack, --legacy without it")
    aws = connect(settings)
    warnings: list[str] = []
    changes = operations.plan_destroy(settings, aws, legacy, warnings.append)
    if not changes:
        click.echo("There is nothing to remove.")
        return
    report.plan(console, changes, warnings)
    if data:
        click.echo("delete every experiment in every namespace of this Redis, with its counts")
    if not yes:
        click.confirm("Remove all of this?", abort=True)
    if data:
        _forget_all(settings, aws)
    operations.destroy(aws, changes, say)
    click.echo("Removed." if data or legacy else "Removed. The counts are still in Redis.")


def _forget_all(settings: "Config", aws: "Aws") -> None:
    from gimel.stack import operations
    from gimel.stack.deployed import find
    from gimel.stack.wanted import DeployError

    try:
        backend = find(settings, aws)
    except DeployError:
        click.echo("The API is gone, and with it the way to the counts: those left stay.")
        return
    try:
        gone = operations.delete_all_experiments(Client(backend.url, backend.key))
    except BackendError as error:
        raise DeployError(f"{error}. Without --data, the counts stay") from None
    click.echo(f"Forgot {gone} experiments.")


@click.command()
@click.option("--to", type=click.IntRange(1), metavar="N", help="Version N of `gimel status`.")
@click.pass_obj
def rollback(config_file: Path | None, to: int | None) -> None:
    """Go back to an earlier version. The next deploy brings the newest again."""
    from gimel import deploy
    from gimel.stack import operations
    from gimel.stack.deployed import connect

    settings = file.load(config_file).config
    aws = connect(settings)
    version = operations.rollback(settings, aws, None if to is None else str(to), say)
    deploy.verify(settings, aws)
    click.echo(f"Version {version} is live; a probe event came through.")


@click.command(name="status")
@click.pass_obj
def status_command(config_file: Path | None) -> None:
    """Show what stands, whether it is as configured, and how it fares."""
    from gimel.stack import operations
    from gimel.stack.deployed import connect

    settings = file.load(config_file).config
    report.status(console, operations.status(settings, connect(settings)))


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _ago(ctx: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    found = re.fullmatch(r"(\d{1,5})([smhd])", value)
    if not found:
        raise click.BadParameter("must look like 90s, 15m, 2h or 7d")
    ago = timedelta(**{_UNITS[found[2]]: int(found[1])})
    # CloudWatch takes no time before 1970, and keeps nothing of Gimel's longer than a year.
    if ago > timedelta(days=3650):
        raise click.BadParameter("must be at most 3650d")
    return ago


@click.command()
@click.option("--since", default="1h", show_default=True, callback=_ago, help="90s, 15m, 2h, 7d.")
@click.option("--follow", is_flag=True, help="Go on until Ctrl-C.")
@click.pass_obj
def logs(config_file: Path | None, since: timedelta, follow: bool) -> None:
    """Show what the functions logged."""
    from gimel.stack import operations
    from gimel.stack.deployed import connect
    from gimel.stack.wanted import Names

    settings = file.load(config_file).config
    aws, names = connect(settings), Names(settings.stack)
    try:
        for function, line in operations.read_logs(aws, names, since, follow):
            say(plain(f"{function} {line}"))
    except KeyboardInterrupt:
        sys.exit(STOPPED)


@click.group()
def key() -> None:
    """The key that reads the results."""


@key.command()
@click.pass_obj
def show(config_file: Path | None) -> None:
    """Print the key."""
    from gimel.stack.deployed import find

    click.echo(find(file.load(config_file).config).key)


@key.command()
@click.pass_obj
def rotate(config_file: Path | None) -> None:
    """Draw another key. The old one is good until the new one is in place everywhere."""
    from gimel import deploy
    from gimel.stack.deployed import connect

    settings = file.load(config_file).config
    deploy.rotate_key(settings, connect(settings), say)
    click.echo("The new key is in place, the old one is refused. `gimel key show` prints it.")


@click.command()
@click.pass_obj
def policy(config_file: Path | None) -> None:
    """Print the least IAM policy that one who deploys needs."""
    from gimel.stack import permissions
    from gimel.stack.deployed import connect

    settings = file.load(config_file).config
    home = connect(settings).home()
    click.echo(json.dumps(permissions.deployer_policy(settings, home), indent=2))


@click.command()
@click.option("--dead-letter", is_flag=True, required=True, help="What was set aside.")
@click.pass_obj
def replay(config_file: Path | None, dead_letter: bool) -> None:
    """Count events again that could not be counted."""
    from gimel.stack import queues
    from gimel.stack.deployed import connect
    from gimel.stack.wanted import Names

    settings = file.load(config_file).config
    moved = queues.redrive(connect(settings), Names(settings.stack))
    click.echo(f"{moved} messages are on the queue again.")


COMMANDS = (deploy_command, destroy, rollback, status_command, logs, key, policy, replay)
