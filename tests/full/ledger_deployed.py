"""The ledger of a stack that is deployed on an emulated account: its API, functions and queue."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import requests

from gimel import deploy
from gimel.backend.counting.exact import EXACT
from gimel.backend.wire import Event
from gimel.client import BackendClient
from gimel.config.file import parse
from gimel.stack.aws import Aws
from gimel.stack.observe.queues import observe_queues
from gimel.stack.wanted import Names
from tests.full.load import NAMESPACE, body_of
from tests.support.aws_account import REGION, emulator, environment

# A message that was replayed in vain comes back twice as late each time.
_DRAINED_WITHIN = 1200


class Stack(NamedTuple):
    """A deployed stack: where it is, its name, and its config.json."""

    url: str
    name: str
    config: Path

    def ask(self, events: list[Event]) -> dict[str, Any] | None:
        """The endpoint's answer where it is 200."""
        if len(events) == 1:
            (fields,) = json.loads(body_of(events))
            answer = requests.get(f"{self.url}/e", fields, timeout=30)
        else:
            answer = requests.post(f"{self.url}/e", body_of(events), timeout=30)
        found: dict[str, Any] | None = answer.json() if answer.status_code == 200 else None
        return found

    def waiting(self) -> dict[str, int]:
        """About how many messages are in each of the queues."""
        queues = observe_queues(Aws(REGION), Names(self.name))
        return {name: queue.waiting for name, queue in queues.items()}

    def drain(self) -> int:
        """Wait until the queue is empty. Returns the seconds it took. Raises TimeoutError."""
        started = time.monotonic()
        names = Names(self.name)
        while (waiting := self.waiting())[names.queue]:
            if time.monotonic() > started + _DRAINED_WITHIN:
                raise TimeoutError(f"still waiting: {waiting}")
            time.sleep(0.5)
        assert not waiting[names.dead_letters]
        return round(time.monotonic() - started)


@contextlib.contextmanager
def deployed(folder: Path, redis_url: str, shards: int) -> Iterator[Stack]:
    """A stack made by `gimel deploy` on an emulator of its own, experiment "x" exact."""
    with account(folder):
        yield make(folder, redis_url, shards)


@contextlib.contextmanager
def account(folder: Path) -> Iterator[None]:
    """An emulated account, which the environment names."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    (folder / "aws").mkdir()
    with emulator(folder / "aws") as endpoint:
        os.environ |= environment(endpoint)
        yield


def make(folder: Path, redis_url: str, shards: int, name: str = "gimel") -> Stack:
    """Deploy it to the account that the environment names."""
    settings = {"redis": {"url": redis_url}, "aws": {"region": REGION}}
    text = json.dumps({**settings, "shards": shards, "stack": name})
    path = folder / "config.json"
    path.write_text(text)
    run_deploy(path)
    backend = deploy.find(parse(text))
    BackendClient(backend.url, backend.key).configure("x", {"counting": EXACT}, NAMESPACE)
    return Stack(backend.url, name, path)


def run_deploy(config: Path) -> None:
    """Deploy what a config.json asks for, in a process of its own."""
    command = [sys.executable, "-m", "gimel", "--config", str(config), "deploy"]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
