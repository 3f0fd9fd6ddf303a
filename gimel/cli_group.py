"""How commands end that do not come to their end: one line, and an exit code."""

from typing import Any

import click

from gimel import config, debug, report
from gimel.apply import InterruptedDeployError
from gimel.aws import AwsError
from gimel.client import BackendError
from gimel.stack import DeployError

_STOPPED = "stopped. What was done stands; the same command again goes on from there"


class Stopped(click.ClickException):
    """Ctrl-C ended a command; the exit code is that of shells."""

    exit_code = 130


class Commands(click.Group):
    """A group whose expected errors end as one message, never as a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. Raises ClickException."""
        try:
            return super().invoke(ctx)
        except InterruptedDeployError as error:
            raise Stopped(report.plain(str(error))) from None
        except KeyboardInterrupt:
            raise Stopped(_STOPPED) from None
        except click.Abort as abort:
            if isinstance(abort.__context__, KeyboardInterrupt):
                raise Stopped(_STOPPED) from None
            raise
        except (config.ConfigError, AwsError, DeployError, BackendError) as error:
            if debug.is_on():
                debug.explain(error)
            # A mistake quotes keys, and these may hold line breaks.
            lines = (
                error.mistakes if isinstance(error, config.ConfigError) else str(error).splitlines()
            )
            raise click.ClickException("\n".join(map(report.plain, lines))) from None
