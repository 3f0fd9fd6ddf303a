"""The commands of a deployed stack: deploy, destroy, rollback, status, logs, policy, replay.

Each command imports the deploy engine in its body: the engine needs boto3, which is slow to import,
and `gimel results` does not need it.
"""

import json
import re
import sys
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gimel.client import BackendClient, BackendError
from gimel.config.file import load
from gimel.snippet import snippet
from gimel.terminal import report
from gimel.terminal.group import EXIT_INTERRUPTED
from gimel.terminal.progress import progress
from gimel.terminal.text import console, plain, plural, say, say_on_stderr

if TYPE_CHECKING:
    from gimel.config.settings import Config
    from gimel.stack.aws import Aws


@click.command(name="deploy")
@click.option(
    "--preflight/--no-preflight", "check", default=True, help="Run `gimel preflight` first."
)
@click.option(
    "--dry-run", is_flag=True, help="Show the changes, and make none. Exit code 2 if there are any."
)
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print JSON.")
@click.option("--verbose", is_flag=True, help="With --dry-run: print the fields of each change.")
@click.option(
    "--adopt", is_flag=True, help="Take over resources that have the stack's names but not its tag."
)
@click.option("--yes", is_flag=True, help="Agree to the price of a managed Redis.")
@click.pass_obj
def deploy_command(
    config_file: Path | None,
    check: bool,
    dry_run: bool,
    as_json: bool,
    verbose: bool,
    adopt: bool,
    yes: bool,
) -> None:
    """Deploy the backend to AWS, or update it. Safe to run again."""
    from gimel import deploy
    from gimel.stack import bundle
    from gimel.stack.deployed import connect
    from gimel.stack.preflight import preflight

    source = load(config_file)
    settings = source.config
    if (as_json or verbose) and not dry_run:
        raise click.UsageError("--json and --verbose work only with --dry-run")
    bundle.build_in_background(settings.runtime)
    if dry_run:
        sys.exit(_dry_run(settings, as_json, verbose, adopt))
    # One connection, made when it is first used: each may ask for an MFA code.
    connection = cache(partial(connect, settings))
    checks = preflight.run(source, connection)
    if check and not report.show_checks(console, checks, in_short=True):
        raise click.ClickException(
            "not deployed: fix what failed, or skip the checks with --no-preflight"
        )
    aws = connection()
    if not yes:
        _agree_to_price(settings, aws)
    with progress() as say:
        deployed = deploy.deploy(settings, say, aws, adopt=adopt, may_create_cache=True)
    report.show_deployed(console, deployed, config_file)
    if deployed.is_new:
        path, script_url = deployed.event_path, deployed.page_url
        html = snippet(deployed.events_base, event_path=path, script_url=script_url)
        click.echo(html, nl=False)


def _agree_to_price(settings: "Config", aws: "Aws") -> None:
    """Ask before a deploy creates a managed Redis. Raises click.ClickException or click.Abort."""
    from gimel.stack.cache import creation_offer

    offer = creation_offer(settings, aws)
    if offer and not sys.stdin.isatty():
        raise click.ClickException(f"{offer}. To agree: `gimel deploy --yes`")
    if offer:
        click.confirm(f"{offer}. Create it?", abort=True)


def _dry_run(settings: "Config", as_json: bool, verbose: bool, adopt: bool) -> int:
    """Print the plan. Returns the exit code: 0 without changes, 2 with changes."""
    from gimel.stack.deployed import connect
    from gimel.stack.prepare import prepare

    aws = connect(settings)
    planned = prepare(settings, say_on_stderr, aws, adopt=adopt)
    if as_json:
        changes = [change.describe() for change in planned.changes]
        click.echo(json.dumps({"changes": changes, "notes": planned.notes}, indent=2))
    else:
        report.show_plan(console, planned.changes, planned.notes, verbose=verbose)
    return 2 if planned.changes else 0


@click.command()
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--data", is_flag=True, help="Also delete all experiments and their counts.")
@click.option(
    "--snapshot/--no-snapshot",
    default=True,
    help="With --data: keep the counts of a managed Redis in a final snapshot.",
)
@click.option("--legacy", is_flag=True, help="Remove only the REST API and API key of gimel 1.x.")
@click.pass_obj
def destroy(config_file: Path | None, yes: bool, data: bool, snapshot: bool, legacy: bool) -> None:
    """Remove the backend from AWS. The counts in Redis stay, unless you give --data."""
    from gimel.stack import destruction
    from gimel.stack.deployed import connect

    settings = load(config_file).config
    if data and legacy:
        raise click.UsageError("--data and --legacy exclude each other")
    if not snapshot and not data:
        raise click.UsageError("--no-snapshot works only with --data")
    aws = connect(settings)
    home = aws.home()
    stack = f"stack {settings.stack} in {home.region}, account {home.account}"
    warnings: list[str] = []
    changes = destruction.plan_destroy(
        settings, aws, legacy, warnings.append, data=data, snapshot=snapshot
    )
    if not changes:
        for warning in warnings:
            click.echo(f"! {warning}")
        # In a wrong region or account, there is nothing either.
        click.echo(f"There is nothing {'else ' if warnings else ''}to remove from {stack}.")
        return
    report.show_plan(console, changes, warnings)
    # A managed Redis is deleted as a whole.
    one_by_one = data and not settings.redis.managed
    if one_by_one:
        click.echo("- delete every experiment in every namespace of this Redis, with its counts")
    if not yes:
        click.confirm(f"Remove all of this: {stack}?", abort=True)
    if one_by_one:
        _delete_experiments(settings, aws)
    with progress() as say:
        destruction.destroy(settings, aws, say, legacy, data=data, snapshot=snapshot)
    click.echo("Removed." if data or legacy else "Removed. The counts are still in Redis.")


def _delete_experiments(settings: "Config", aws: "Aws") -> None:
    from gimel.stack import destruction
    from gimel.stack.deployed import find
    from gimel.stack.wanted import DeployError

    try:
        backend = find(settings, aws)
    except DeployError:
        click.echo("The API no longer exists, so the counts cannot be deleted: they stay in Redis.")
        return
    try:
        deleted = destruction.delete_all_experiments(BackendClient(backend.url, backend.key))
    except BackendError as error:
        raise DeployError(
            f"cannot delete the counts: {error}. Run the command without --data to keep them"
        ) from None
    click.echo(f"Deleted {plural(deleted, 'experiment')}.")


@click.command()
@click.option(
    "--to",
    type=click.IntRange(1),
    metavar="N",
    help="Version from `gimel status`. Default: the previous one.",
)
@click.pass_obj
def rollback(config_file: Path | None, to: int | None) -> None:
    """Roll the API back to an earlier version. The next deploy undoes the rollback."""
    from gimel import deploy
    from gimel.stack import operations
    from gimel.stack.deployed import connect

    settings = load(config_file).config
    aws = connect(settings)
    with progress() as say:
        version = operations.rollback(settings, aws, None if to is None else str(to), say)
    deploy.verify(settings, aws)
    click.echo(f"Version {version} is live; a probe event was counted.")


@click.command(name="status")
@click.pass_obj
def status_command(config_file: Path | None) -> None:
    """Show the state of the deployed stack.

    Shows versions, differences from config.json, calls and errors, Redis, and raised alarms. Exit
    code 1 if anybody may invoke a function.
    """
    from gimel.stack.deployed import connect
    from gimel.stack.status import status

    settings = load(config_file).config
    found = status(settings, connect(settings))
    report.show_dangers(console, found.open_permissions)
    report.show_status(console, found)
    sys.exit(1 if found.open_permissions else 0)


_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _parse_duration(ctx: click.Context, parameter: click.Parameter, value: str) -> timedelta:
    match = re.fullmatch(r"(\d{1,5})([smhd])", value)
    if not match:
        raise click.BadParameter("must look like 90s, 15m, 2h or 7d")
    duration = timedelta(**{_UNITS[match[2]]: int(match[1])})
    # CloudWatch rejects times before 1970. Gimel's logs are kept for a year at most.
    if duration > timedelta(days=3650):
        raise click.BadParameter("must be at most 3650d")
    return duration


@click.command()
@click.option(
    "--since",
    default="1h",
    show_default=True,
    callback=_parse_duration,
    help="Age of the oldest line: 90s, 15m, 2h, 7d.",
)
@click.option("--follow", is_flag=True, help="Print new lines until Ctrl-C.")
@click.pass_obj
def logs(config_file: Path | None, since: timedelta, follow: bool) -> None:
    """Print the logs of the functions."""
    from gimel.stack import operations
    from gimel.stack.deployed import connect
    from gimel.stack.wanted import Names

    settings = load(config_file).config
    aws, names = connect(settings), Names(settings.stack)
    is_empty = True
    try:
        for function, line in operations.read_logs(aws, names, since, follow):
            say(plain(f"{function} {line}"))
            is_empty = False
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    if is_empty:
        say_on_stderr(f"Stack {names.stack} in {aws.region} logged nothing in that time.")


@click.command()
@click.pass_obj
def policy(config_file: Path | None) -> None:
    """Print the minimal IAM policy for deploying. Needs no AWS credentials."""
    from gimel.stack.permissions.deployer import MANAGED_POLICY, characters, deployer_policy
    from gimel.stack.region import home_in_any_account

    settings = load(config_file).config
    home = home_in_any_account(settings)
    document = deployer_policy(settings, home)
    say_on_stderr(
        f"Policy for stack {settings.stack} in {home.region}. The account in it is *: it allows "
        "nothing outside the account of the user or role that has it."
    )
    if (size := characters(document)) > MANAGED_POLICY:
        say_on_stderr(
            f"It has {size:,} characters without spaces, and IAM allows {MANAGED_POLICY:,} in a "
            "managed policy: put it into a role with `aws iam put-role-policy`, or split it."
        )
    click.echo(json.dumps(document, indent=2))


@click.command()
@click.option(
    "--dead-letter",
    is_flag=True,
    required=True,
    help="Replay the messages of the dead-letter queue.",
)
@click.pass_obj
def replay(config_file: Path | None, dead_letter: bool) -> None:
    """Count failed events again.

    `gimel status` shows how many messages failed and were set aside.
    """
    from gimel.stack.deployed import connect
    from gimel.stack.redrive import redrive
    from gimel.stack.wanted import Names

    settings = load(config_file).config
    moved = redrive(connect(settings), Names(settings.stack))
    click.echo(f"Moved {plural(moved, 'message')} back to the queue.")


COMMANDS = (deploy_command, destroy, rollback, status_command, logs, policy, replay)
