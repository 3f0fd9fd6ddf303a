"""The commands of a deployed stack's keys: `gimel key`.

Each command imports the deploy engine in its body, for the reason that `stack_commands` gives.
"""

import re
from pathlib import Path

import click

from gimel.backend.access import SCOPES, Scope
from gimel.config.file import load
from gimel.config.local_backends import key_of, read_key
from gimel.terminal.progress import progress
from gimel.terminal.text import plain, say, say_on_stderr

# Scope and name of the key in the link of `gimel dashboard --share`
_SHARED: tuple[Scope, str] = ("read", "share")


@click.group()
def key() -> None:
    """Show, create, revoke and rotate keys.

    A key has a scope. owner: everything. read: results and dashboard. send: vouches for events, and
    nothing else.
    """


@key.command()
@click.option("--scope", type=click.Choice(SCOPES), help="Print the ids and keys of a scope.")
@click.pass_obj
def show(config_file: Path | None, scope: Scope | None) -> None:
    """Print the main key, which Gimel's commands use.

    With --scope, print each key of the scope in a line of its own: its id, a space, the key.
    """
    from gimel.stack.deployed import connect, find, find_keys
    from gimel.stack.wanted import DeployError

    settings = load(config_file).config
    if scope is None:
        click.echo(find(settings).key)
        return
    keys = [each for each in find_keys(settings, connect(settings)) if each.scope == scope]
    if not keys:
        raise DeployError(f"there is no such key: `gimel key create --scope {scope}` creates one")
    for each in keys:
        click.echo(f"{each.id} {each.value}")


@key.command(name="list")
@click.pass_obj
def list_keys(config_file: Path | None) -> None:
    """List the id, scope and name of each key. The keys themselves are not printed."""
    from gimel.stack.deployed import connect, find_keys

    settings = load(config_file).config
    for each in find_keys(settings, connect(settings)):
        say(plain(f"{each.id:<8}  {each.scope:<5}  {each.name}".rstrip()))


def _check_name(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    # The name becomes the value of a tag, and AWS allows no other characters there.
    if not re.fullmatch(r"[\w .:/=+@-]{0,64}", value):
        raise click.BadParameter(
            "must be at most 64 letters, digits, spaces and characters of _ . : / = + - @"
        )
    return value


@key.command()
@click.option("--scope", type=click.Choice(SCOPES), required=True, help="What the key opens.")
@click.option("--name", default="", callback=_check_name, help="A text for `gimel key list`.")
@click.pass_obj
def create(config_file: Path | None, scope: Scope, name: str) -> None:
    """Create one more key, and print it when it works. Standard output receives only the key."""
    from gimel import deploy
    from gimel.stack.deployed import connect

    settings = load(config_file).config
    click.echo(deploy.create_key(settings, connect(settings), scope, name, say_on_stderr))


@key.command()
@click.argument("id")
@click.pass_obj
def revoke(config_file: Path | None, id: str) -> None:
    """Revoke the key with this id, which `gimel key list` prints."""
    from gimel import deploy
    from gimel.stack.deployed import connect

    settings = load(config_file).config
    aws = connect(settings)
    with progress() as say:
        deploy.revoke_key(settings, aws, id, say)
    click.echo(plain(f"Key {id} is revoked."))


@key.command()
@click.pass_obj
def rotate(config_file: Path | None) -> None:
    """Replace the main key. The old key works until the new key works everywhere."""
    from gimel import deploy
    from gimel.stack.deployed import connect

    settings = load(config_file).config
    aws = connect(settings)
    with progress() as say:
        deploy.rotate_key(settings, aws, say)
    click.echo(
        "The new main key works, the old one no longer does. `gimel key show` prints the new key."
    )


def share_key(config_file: Path | None, url: str | None) -> str:
    """Return the key of the link that `gimel dashboard --share` prints. It has the scope read.

    A deployed stack has one such key, made for the first link. Raises click.ClickException if the
    backend at `url` is no `gimel local` on this machine.
    """
    if url is not None:
        if owner := key_of(url):
            return read_key(owner)
        raise click.ClickException(
            "only a deployed stack and `gimel local` have a key to share: add read:HASH to "
            "GIMEL_KEY_SHA256, and put that key into the link of `gimel dashboard --print-url`"
        )
    from gimel import deploy
    from gimel.stack.deployed import connect, find_keys

    settings = load(config_file).config
    aws = connect(settings)

    found = [each for each in find_keys(settings, aws) if (each.scope, each.name) == _SHARED]
    say_on_stderr(
        "The link works for anybody who has it. `gimel key list` lists its key as share, and "
        "`gimel key revoke` ends it."
    )
    return found[0].value if found else deploy.create_key(settings, aws, *_SHARED, say_on_stderr)


COMMANDS = (key,)
