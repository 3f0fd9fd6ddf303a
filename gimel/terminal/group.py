"""How a command ends that fails or is stopped: one message, and an exit code."""

import sys
from typing import Any

import click

from gimel.backend.errors import GimelError
from gimel.terminal.text import plain

_STOPPED = "stopped. What was done stands; run the same command again to continue"


# Ctrl-C: the exit code that shells use
STOPPED = 130


class Ended(click.ClickException):
    """A command's end, with a message and an exit code."""

    exit_code: int  # type: ignore[misc]

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Commands(click.Group):
    """A group of commands. An expected error ends as one message, never as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises ClickException."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Ended(_STOPPED, STOPPED) from None
        except click.Abort as abort:
            if isinstance(abort.__context__, KeyboardInterrupt):
                raise Ended(_STOPPED, STOPPED) from None
            raise
        except GimelError as error:
            # Not imported at the top: most commands do not talk to AWS, and --debug is rare.
            trace = sys.modules.get("gimel.stack.trace")
            if trace and trace.is_on():
                trace.explain(error)
            message = "\n".join(map(plain, error.lines))
            raise Ended(message, error.exit_code) from None
