"""`gimel configure`: it asks where Redis is, writes config.json, and checks it."""

import json
import sys
from pathlib import Path

import click

from gimel.config.file import ConfigError, load, locate, parse, write_template
from gimel.config.redis import ManagedRedis
from gimel.terminal.text import plain, say_on_stderr

_QUESTION = """\
Where is Redis, which holds the counts?
  1  `gimel deploy` makes it: ElastiCache Serverless for Valkey,
     {minimum}, at most about ${maximum:.0f}
  2  I have a Redis or Valkey"""


@click.command()
@click.option("--redis-url", help="Write this URL into the new file.")
@click.option("--managed-redis", is_flag=True, help="Let `gimel deploy` make the Redis.")
@click.option(
    "--edit/--no-edit",
    default=None,
    help="Open the file in $EDITOR. Default: only a file that exists already, in a terminal.",
)
@click.pass_obj
def configure(
    config_file: Path | None, redis_url: str | None, managed_redis: bool, edit: bool | None
) -> None:
    """Create or edit the config file, and check it."""
    if managed_redis and redis_url is not None:
        raise click.UsageError("--redis-url and --managed-redis exclude each other")
    path = locate(config_file)
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if edit is None:
        edit = is_terminal and path.exists()
    if not path.exists():
        write_template(path, _settings(redis_url, managed_redis, is_terminal))
        click.echo(f"Wrote {path}, readable only by you.")
    elif managed_redis or redis_url is not None:
        raise click.ClickException(
            f"{path} already exists: change redis in it. --redis-url and --managed-redis work only "
            "for a new file"
        )
    if edit:
        click.edit(filename=str(path))
    load(path)
    click.echo(f"{path} is valid.")


def _settings(redis_url: str | None, managed_redis: bool, is_terminal: bool) -> dict[str, object]:
    """Return the settings of a new file that differ from the template's."""
    from gimel.stack.aws import AwsError
    from gimel.stack.bundle import default_runtime
    from gimel.stack.region import default_region

    settings: dict[str, object] = {}
    if managed_redis:
        settings["redis"] = "managed"
    elif redis_url is not None:
        settings["redis"] = _redis_at(redis_url, "--redis-url")
    elif is_terminal:
        settings["redis"] = _ask_for_redis()
    try:
        settings["aws"] = {"region": default_region()}
    except AwsError as error:
        say_on_stderr(plain(f"! {error}"))
    return settings | {"runtime": default_runtime()}


def _ask_for_redis() -> object:
    from gimel.stack.cost import max_cost, min_text

    click.echo(_QUESTION.format(minimum=min_text(), maximum=max_cost(ManagedRedis())))
    if click.prompt("1 or 2", "1", type=click.Choice(["1", "2"]), show_choices=False) == "1":
        return "managed"
    while True:
        # The URL holds a password, which would stay readable in the terminal.
        url = click.prompt("Its URL, rediss://user:password@host:6379 (hidden)", hide_input=True)
        try:
            return _redis_at(url, "Error")
        except ConfigError as error:
            click.echo(str(error))


def _redis_at(url: str, source: str) -> dict[str, str]:
    """Return the settings of the Redis at this URL. Raises ConfigError, which names the source."""
    settings = {"url": url}
    parse(json.dumps({"redis": settings}), source)
    return settings


COMMANDS = (configure,)
