"""The handlers of gimel 1.5.0 and lamed 0.4.3, run in environments of their own."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import redis

from tests.support.environments import gimel_1, lamed
from tests.support.servers import port_of

# Each line of input is a call: [handler, event]; each line of output its answer.
_RUN = """
import importlib, json, sys
module = importlib.import_module(f"{sys.argv[1]}.{sys.argv[1]}")
for handler, event in json.load(sys.stdin):
    print(json.dumps(getattr(module, handler)(event, None)))
"""
_INTERPRETERS = {"gimel": gimel_1, "lamed": lamed}


class OldHandlers:
    """The handlers of both, on one Redis, configured in one folder."""

    def __init__(self, store: redis.Redis, folder: Path) -> None:
        settings = {"redis": {"host": "127.0.0.1", "port": port_of(store)}}
        (folder / "config.json").write_text(json.dumps(settings))
        self._folder = folder

    def __call__(self, package: str, *calls: tuple[str, dict[str, Any]]) -> list[Any]:
        """Call the handlers of `gimel` or `lamed` in one process, and return the answers."""
        done = subprocess.run(
            [_INTERPRETERS[package](), "-W", "ignore", "-c", _RUN, package],
            input=json.dumps(calls),
            capture_output=True,
            text=True,
            check=True,
            cwd=self._folder,
            env=os.environ | {"PYTHONPATH": ""},
        )
        return [json.loads(line) for line in done.stdout.splitlines() if line[:1] in '[{n"']
