"""The group of all commands: its help, and the end of a command that fails or is interrupted.

That end is one message and an exit code.
"""

import errno
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from gimel.backend.errors import GimelError
from gimel.terminal.text import plain, prepare_streams

# The exit code that shells use after Ctrl-C
EXIT_INTERRUPTED = 130
_INTERRUPTED = "stopped. Completed steps stay; run the same command again to continue"


class CommandError(click.ClickException):
    """An error that ends a command, with a message and an exit code of its own."""

    exit_code: int  # type: ignore[misc]

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class CommandGroup(click.Group):
    """A group of commands in which an expected error ends as one message, without a traceback.

    `sections` are the headings of its help, with the names of the commands below each.
    """

    def __init__(self, sections: Mapping[str, Sequence[str]], **attributes: Any) -> None:
        super().__init__(**attributes)
        self._sections = sections

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands, section by section."""
        longest = max(map(len, self.commands))
        for heading, names in self._sections.items():
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name.ljust(longest), self.commands[name].get_short_help_str(limit=80))
                        for name in names
                    ]
                )

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run the command line. An output that takes no more ends it without a traceback."""
        prepare_streams()
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                # At the end of the process, a failure could only be a traceback.
                sys.stdout.flush()
        except OSError as error:
            _end_without_output(error)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises click.ClickException."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise CommandError(_INTERRUPTED, EXIT_INTERRUPTED) from None
        except click.Abort as abort:
            # Click turns Ctrl-C at a prompt into Abort.
            if isinstance(abort.__context__, KeyboardInterrupt):
                raise CommandError(_INTERRUPTED, EXIT_INTERRUPTED) from None
            raise
        except GimelError as error:
            # Only --debug imports the module, and most commands do not talk to AWS.
            trace = sys.modules.get("gimel.stack.trace")
            if trace and trace.is_on():
                trace.explain(error)
            message = "\n".join(map(plain, error.lines))
            raise CommandError(message, error.exit_code) from None


def _end_without_output(error: OSError) -> NoReturn:
    """End the process after a file or the output failed. Print nothing if a pipe was closed."""
    with suppress(OSError, ValueError, AttributeError):
        # What the failed output still holds must not fail once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    if error.errno != errno.EPIPE:
        what = plain(str(error.filename or "cannot write the output"))
        with suppress(OSError):
            click.echo(f"Error: {what}: {error.strerror or error}", err=True)
    sys.exit(1)
