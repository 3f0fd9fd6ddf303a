"""The commands that back up, restore and move counts: export, import, move.

They talk to Redis directly, as `gimel migrate` does. `terminal.backup` does the work.
"""

import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event, Thread

import click

from gimel.terminal.backup.file import File, write
from gimel.terminal.backup.merging import Merger
from gimel.terminal.backup.moving import Move
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.restoring import restore
from gimel.terminal.progress import waiting
from gimel.terminal.redis_options import (
    connect_managed,
    connect_redis,
    connect_url,
    redis_errors,
    redis_url_option,
)
from gimel.terminal.text import console, plain, plural, print_line, say, say_on_stderr

# Seconds between two copies while a move waits for the switch
_PAUSE = 5.0


@click.command(name="export")
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--namespace", help="Export only the experiments of this namespace.")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File to write, or to replace. Default: gimel-DATE-TIME.jsonl.gz.",
)
@redis_url_option
@click.pass_obj
def export_command(
    config_file: Path | None,
    experiments: tuple[str, ...],
    namespace: str | None,
    output: Path | None,
    redis_url: str | None,
) -> None:
    """Write experiments and their counts to a file. Events may flow meanwhile.

    Without EXPERIMENT, the file holds everything that Gimel has in Redis.
    """
    path = output or Path(f"gimel-{datetime.now(UTC):%Y%m%d-%H%M%S}.jsonl.gz")
    with redis_errors():
        connection = connect_redis(config_file, redis_url)
        reader = Reader(connection, namespace, experiments, say_on_stderr)
        with waiting(lambda: f"reading {reader.at}"):
            written = write(path, reader.sections(with_counts=True))
    size = f"{written.size / 1000:,.1f} KB"
    click.echo(f"Wrote {plural(written.experiments, 'experiment')} to {path} ({size}).")


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]...")
@click.option("--namespace", help="Merge only the experiments of this namespace.")
@redis_url_option
@click.pass_obj
def import_command(
    config_file: Path | None,
    file: Path,
    experiments: tuple[str, ...],
    namespace: str | None,
    redis_url: str | None,
) -> None:
    """Merge a file of `gimel export` into Redis. Safe to run again, and while events flow.

    What exists in Redis stays. With EXPERIMENT, only these are merged, and those that were deleted
    in Redis exist again.
    """
    with redis_errors():
        merger = Merger(connect_redis(config_file, redis_url), experiments)
        source = File(file)
        with waiting(lambda: f"reading {source.at}"):
            merged = restore(source, merger, experiments, say_on_stderr, namespace)
    found = f"{plural(merger.new, 'value')} {'was' if merger.new == 1 else 'were'} new"
    click.echo(f"Merged {plural(merged, 'experiment')}: {found}.")


@click.command()
@click.option("--to", required=True, metavar="URL", help="The new Redis: its URL, or managed.")
@click.option("--finish", is_flag=True, help="After the switch: copy what is left, and verify.")
@redis_url_option
@click.pass_obj
def move(config_file: Path | None, to: str, finish: bool, redis_url: str | None) -> None:
    """Move all counts to another Redis, while events flow. Safe to run again.

    Copies everything and keeps copying, and says when to switch. Then it copies what arrived late
    at the old Redis, and compares all counters.
    """
    with redis_errors():
        source = connect_redis(config_file, redis_url)
        target = connect_managed(config_file) if to == "managed" else connect_url(to, "--to")
        # While a line below shows what is copied, click's echo would break it.
        moving = Move(source, target, partial(print_line, console))
        if not finish:
            moving.begin()
            _copy_until_switched(moving)
            if not sys.stdin.isatty():
                return
        say("Copying what arrives late at the old Redis; this takes half a minute at least.")
        with waiting(lambda: f"comparing {moving.at}"):
            moving.finish()
    _report_problems(moving)
    compared = f"all {moving.compared:,} counters and members of the old Redis are in the new one"
    click.echo(f"Moved: {compared}. The old Redis is as it was.")


def _copy_until_switched(moving: Move) -> None:
    """Copy, say what to do, and go on copying until Enter; in a pipe, copy once."""
    with waiting(lambda: f"copying {moving.at}"):
        copied = moving.copy()
    say(f"Copied {copied:,} values.")
    _report_problems(moving)
    say(
        "Now let everything use the new Redis: name it in config.json (redis), and run "
        "`gimel deploy`. Until then, declare, reset and delete no experiment."
    )
    if not sys.stdin.isatty():
        say("Then run `gimel move --redis-url OLD --to NEW --finish`.")
        return
    say("Press Enter when that is done. Changes are copied until then.")
    switched = Event()

    def await_enter() -> None:
        sys.stdin.readline()
        switched.set()

    Thread(target=await_enter, daemon=True).start()
    while not switched.wait(_PAUSE):
        moving.copy()


def _report_problems(moving: Move) -> None:
    """Raise click.ClickException if something cannot be moved."""
    if moving.problems:
        lines = [f"not moved: {plain(problem)}" for problem in moving.problems.values()]
        raise click.ClickException("\n".join(lines))


COMMANDS = (export_command, import_command, move)
