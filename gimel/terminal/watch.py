"""The command `gimel watch`: it asks the backend again and again, and prints what is new.

It prints the messages of `gimel.backend.news`, each once. It sends nothing: the backend itself
tells a webhook.
"""

import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from typing import Any

import click

from gimel.backend.news.messages import Message, about_backlog, about_experiment, piles_since
from gimel.client import BackendClient, BackendError
from gimel.terminal.backend_options import connect_client, namespace_option, url_option
from gimel.terminal.text import console, plain, print_line

# Seconds after which an experiment's history is looked at again for traffic that stopped
_HISTORY_SECONDS = 3600.0


@click.command()
@click.argument("experiment", required=False)
@click.option(
    "--every",
    type=click.IntRange(5),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="Time between two requests.",
)
@click.option("--once", is_flag=True, help="Print what is to be told now, and end.")
@namespace_option
@url_option
@click.pass_obj
def watch(
    config_file: Path | None,
    experiment: str | None,
    every: int,
    once: bool,
    namespace: str,
    url: str | None,
) -> None:
    """Print new verdicts, wrong splits and stopped traffic.

    Watches one EXPERIMENT, or all declared experiments of the namespace, and prints each message
    once, until Ctrl-C. Events that wait to be counted are news too.
    """
    watcher = _Watcher(connect_client(config_file, url), namespace, experiment)
    if once:
        watcher.look(histories=None)
        return
    while True:
        try:
            watcher.look_patiently()
            time.sleep(every)
        except KeyboardInterrupt:
            return


class _Watcher:
    """The printed messages, and the time of the last look at each experiment's history."""

    def __init__(self, client: BackendClient, namespace: str, experiment: str | None) -> None:
        self._client = client
        self._namespace = namespace
        self._experiment = experiment
        self._printed: set[str] = set()
        self._since: dict[str, int] = {}
        self._looked_at: dict[str, float] = {}
        self._is_away = False

    def look_patiently(self) -> None:
        """Look. If the backend is away, say so once. Raises BackendError if it refuses."""
        try:
            self.look()
        except BackendError as error:
            if error.status and error.status < 500 and error.status != 429:
                raise
            if not self._is_away:
                _say(f"{error}. Waiting for it.")
            self._is_away = True
            return
        if self._is_away:
            _say("The backend answers again.")
        self._is_away = False

    def look(self, histories: int | None = 1) -> None:
        """Print what is new. Look at so many histories at most, or at all."""
        if self._experiment is not None:
            experiments = [self._client.experiment(self._experiment, self._namespace)]
        else:
            found = self._client.experiments(self._namespace, view="summary")
            # Strangers can make as many of the others as they like.
            declared = [each for each in found if each.get("declared")]
            experiments = [*declared, *self._read_whole(declared, histories)]
        for message in self._messages(experiments):
            if message.id not in self._printed:
                _say(message.text)
            self._printed.add(message.id)

    def _messages(self, experiments: list[dict[str, Any]]) -> Iterator[Message]:
        now = datetime.now(UTC)
        for each in experiments:
            yield from about_experiment(self._namespace, each, now)
        if backlog := self._client.backlog():
            self._since = piles_since(backlog, self._since, now.timestamp())
            yield from about_backlog(backlog, self._since, now.timestamp())

    def _read_whole(
        self, experiments: list[dict[str, Any]], most: int | None
    ) -> Iterator[dict[str, Any]]:
        """Return those whose history was looked at longest ago, if that is an hour.

        A few for each look: so many experiments are no load.
        """
        now = time.monotonic()
        running = (each["experiment"] for each in experiments if each["state"] == "running")
        looked_at = {name: self._looked_at.get(name, -inf) for name in running}
        due = [name for name, when in looked_at.items() if now - when >= _HISTORY_SECONDS]
        due = sorted(due, key=looked_at.__getitem__)[:most]
        self._looked_at |= dict.fromkeys(due, now)
        return self._read(due)

    def _read(self, names: Iterable[str]) -> Iterator[dict[str, Any]]:
        for name in names:
            try:
                yield self._client.experiment(name, self._namespace)
            except BackendError as error:
                # It was deleted since.
                if error.status != 404:
                    raise


def _say(text: str) -> None:
    time = f"{datetime.now():%Y-%m-%d %H:%M}  "
    print_line(console, f"{time}{plain(text)}", indent=len(time))


COMMANDS = (watch,)
