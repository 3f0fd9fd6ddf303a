"""A deploy, from the start of its process to its end: ours and gimel 1.5.0's, on the emulator.

gimel 1.5.0 is as PyPI has it, with redis-py pinned so that it starts, the boto3 that ours has, and
setuptools of its time (it imports pkg_resources). Nothing of it is changed: the emulator takes the
runtime python3.8 that AWS refuses today, and needs no pause between two updates of a function.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.harness import ROOT, Lines, Row, ratio_row
from tests.support import environments
from tests.support.aws_account import REGION, empty, emulator, environment

ROUNDS = 7
# Seconds that gimel 1.5.0 sleeps after it has made the role.
SLEEP = 5.0
OURS, THEIRS = "ours", "1.5.0"


@dataclass(frozen=True)
class Program:
    """A program that deploys, and its folder. `world` is the environment of its processes."""

    interpreter: str
    module: str
    folder: Path
    world: dict[str, str]

    def seconds(self) -> float:
        """A deploy, from the start of its process to its end."""
        return self._run("-m", self.module, "deploy")

    def calls(self) -> int:
        """How many requests a deploy sends to AWS."""
        file = self.folder / "calls"
        self._run(str(ROOT / "bench" / "calls.py"), str(file), self.module, "deploy")
        return int(file.read_text())

    def start(self) -> float:
        """The seconds that the interpreter and the imports take."""
        return self._run("-c", "import gimel.cli")

    def _run(self, *arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run(
            [self.interpreter, *arguments],
            cwd=self.folder,
            env=self.world,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return time.perf_counter() - began


@contextmanager
def _programs(port: int) -> Iterator[dict[str, Program]]:
    with TemporaryDirectory() as name, emulator(Path(name)) as endpoint:
        world = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTHON")},
            **environment(endpoint),
            "AWS_DEFAULT_REGION": REGION,
        }
        settings = {
            OURS: {"redis": {"url": f"redis://127.0.0.1:{port}/0"}},
            THEIRS: {"redis": {"host": "127.0.0.1", "port": port}},
        }
        for program, content in settings.items():
            (Path(name) / program).mkdir()
            (Path(name) / program / "config.json").write_text(json.dumps(content))
        own = world | {"PYTHONPATH": str(ROOT)}
        yield {
            OURS: Program(sys.executable, "gimel", Path(name) / OURS, own),
            THEIRS: Program(
                str(environments.gimel_1_deploy()), "gimel.cli", Path(name) / THEIRS, world
            ),
        }


def measure(port: int) -> Lines:
    """Rounds in turn: a fresh deploy, then one that has nothing to change."""
    fresh: dict[str, list[float]] = {OURS: [], THEIRS: []}
    again: dict[str, list[float]] = {OURS: [], THEIRS: []}
    start: dict[str, list[float]] = {OURS: [], THEIRS: []}
    with _programs(port) as programs:
        for number in range(ROUNDS):
            for name in list(programs)[:: 1 if number % 2 else -1]:
                program = programs[name]
                start[name].append(program.start())
                empty(program.world["AWS_ENDPOINT_URL"])
                fresh[name].append(program.seconds())
                again[name].append(program.seconds())
        calls = {name: _calls(program) for name, program in programs.items()}
    rows = _rows("fresh deploy", fresh, [calls[name][0] for name in calls], 0.5)
    awake = [seconds - SLEEP for seconds in fresh[THEIRS]]
    against = "1.5.0 without its sleep"
    rows.append(ratio_row("fresh deploy", fresh[OURS], awake, "s", against, 0.5))
    rows += _rows("deploy again, no change", again, [calls[name][1] for name in calls], 0.25)
    rows += _rows("of it interpreter and imports", start, None, None)
    return [row.cells() for row in rows]


def _calls(program: Program) -> tuple[int, int]:
    """The numbers of calls of a fresh deploy and of the next one."""
    empty(program.world["AWS_ENDPOINT_URL"])
    return program.calls(), program.calls()


def _rows(
    what: str, found: dict[str, list[float]], calls: list[int] | None, goal: float | None
) -> list[Row]:
    ours, theirs = (f", {number} calls" for number in calls) if calls else ("", "")
    return [
        ratio_row(f"**{what}**{ours}", found[OURS], found[THEIRS], "s", "1.5.0", goal),
        ratio_row(f"the same, gimel 1.5.0{theirs}", found[THEIRS], found[THEIRS], "s", "1.5.0"),
    ]
