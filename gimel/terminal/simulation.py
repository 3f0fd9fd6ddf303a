"""The command simulate: made-up visitors, played against a backend in a namespace of their own."""

import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import click

from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.wire import MAX_BATCH
from gimel.client import BackendClient, BackendError, backlog_in
from gimel.terminal import results
from gimel.terminal.backend_options import connect_client, url_option
from gimel.terminal.hints import command_line
from gimel.terminal.percentages import LIFT, PERCENTAGE
from gimel.terminal.progress import waiting
from gimel.terminal.text import console, plain, plural
from gimel.wsgi import is_loopback

NAMESPACE = "simulation"
_VARIANTS = ("A", "B")


class _Simulation(NamedTuple):
    """The visitors to play. Those of one simulation are the same every time."""

    experiment: str
    goal: str
    visitors: int
    rate: float
    lift: float

    @property
    def description(self) -> str:
        """The text that distinguishes this simulation from others of the experiment."""
        played = f"{plural(self.visitors, 'visitor')}, rate {self.rate}, lift {self.lift}"
        return f"Simulated: {played}, goal {self.goal}"

    @property
    def definition(self) -> dict[str, Any]:
        """The experiment's definition."""
        return {
            "hypothesis": self.description,
            "variants": [{"name": name} for name in _VARIANTS],
            "goals": [{"name": self.goal}],
            "planned_visitors": self.visitors,
        }

    def events(self) -> Iterator[dict[str, str]]:
        """Yield the events of each visitor."""
        chance = random.Random(f"{self.experiment} {self.description}")  # noqa: S311 - no secret
        rates = dict(zip(_VARIANTS, (self.rate, self.rate * (1 + self.lift)), strict=True))
        for number in range(self.visitors):
            variant = chance.choice(_VARIANTS)
            event = {"namespace": NAMESPACE, "experiment": self.experiment, "variant": variant}
            event["uuid"] = f"simulated {number}"
            yield event | {"event": PARTICIPATE}
            if chance.random() < rates[variant]:
                yield event | {"event": self.goal}


@click.command()
@click.argument("experiment")
@click.option("--visitors", type=click.IntRange(1), required=True, help="Number of visitors.")
@click.option("--rate", type=PERCENTAGE, required=True, help="Rate of the baseline: 0.1 or 10%.")
@click.option("--lift", type=LIFT, required=True, help="True lift of the variant: 0.05 or 5%.")
@click.option("--goal", default="signup", show_default=True, help="Goal that they reach.")
@url_option
@click.pass_obj
def simulate(
    config_file: Path | None,
    experiment: str,
    visitors: int,
    rate: float,
    lift: float,
    goal: str,
    url: str | None,
) -> None:
    """Send made-up visitors to a backend, and show the results.

    EXPERIMENT stays apart from your own experiments, in the namespace "simulation". A backend that
    is not on this machine is asked about twice. Run the command again: the same visitors count
    once.
    """
    if not (0 < rate <= 1 and 0 <= rate * (1 + lift) <= 1):
        raise click.UsageError(
            "both rates must lie between 0 and 1: that of the variant is rate × (1 + lift)"
        )
    simulation = _Simulation(experiment, goal, visitors, rate, lift)
    client = connect_client(config_file, url)
    if not is_loopback(urlsplit(url or "").hostname or ""):
        _ask_twice(client.url, simulation)
    place: dict[str, Any] = {"config_file": config_file, "namespace": NAMESPACE, "url": url}
    delete = command_line("delete", experiment, "--forget", **place)
    _declare(client, simulation, delete)
    _play(client, simulation, command_line("show", experiment, **place))
    found = client.experiment(experiment, NAMESPACE)
    if backlog := backlog_in(found):
        results.show_backlog(console, backlog)
    results.show(console, [found])
    click.echo(f"Delete it:\n  {delete}")


def _ask_twice(url: str, simulation: _Simulation) -> None:
    """Ask for a confirmation and for the name: the events cost money, and no option skips this."""
    events = round(simulation.visitors * (1 + simulation.rate))
    click.confirm(
        f"{plain(url)} is not on this machine. Send it about {plural(events, 'event')} of "
        "made-up visitors?",
        abort=True,
    )
    if click.prompt("Type the experiment's name to go on") != simulation.experiment:
        raise click.ClickException("that is another name: nothing was sent")


def _declare(client: BackendClient, simulation: _Simulation, delete: str) -> None:
    """Declare the experiment, unless an earlier run of the same simulation has.

    `delete` is the command that deletes another simulation of this name.
    """
    name = simulation.experiment
    try:
        found = client.experiment(name, NAMESPACE)
    except BackendError as error:
        if error.status != 404:
            raise
    else:
        before = (found["definition"] or {}).get("hypothesis")
        if before != simulation.description:
            raise click.ClickException(
                f"there is another simulation {plain(name)}: choose another name, or delete it: "
                f"`{delete}`"
            )
    client.declare(name, simulation.definition, NAMESPACE)


def _play(client: BackendClient, simulation: _Simulation, show: str) -> None:
    """Send the events in batches, and show how far this is.

    `show` is the command that shows what was ignored.
    """
    events, ignored, sent = simulation.events(), 0, 0
    with waiting(lambda: f"{plural(sent, 'event')} sent"):
        while batch := list(islice(events, MAX_BATCH)):
            ignored += client.send(batch)
            sent += len(batch)
    click.echo(f"Sent {plural(sent, 'event')} of {plural(simulation.visitors, 'visitor')}.")
    if ignored:
        click.echo(f"{plural(ignored, 'event')} did not count: `{show}` says why.")


COMMANDS = (simulate,)
