"""An event, and a batch of them, on a warm connection, in process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from bench import harness, peers
from bench.harness import BUILD, ROOT, Row
from tests.support import environments

ROUNDS = 25


class Worker:
    """A `worker.py` in an environment, over its pipes; `own`: with Gimel beside it."""

    def __init__(
        self, interpreter: str | Path, port: int, *contenders: str, own: bool = True
    ) -> None:
        # gimel 1.x and lamed read their settings from the current folder.
        folder = BUILD / f"redis-{port}"
        folder.mkdir(parents=True, exist_ok=True)
        settings = {"redis": {"host": "127.0.0.1", "port": port}}
        (folder / "config.json").write_text(json.dumps(settings))
        self._process = subprocess.Popen(
            [interpreter, Path(__file__).with_name("worker.py"), str(port), *contenders],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=folder,
            env=os.environ | ({"PYTHONPATH": str(ROOT)} if own else {"PYTHONPATH": ""}),
        )
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("a worker died: run bench/worker.py by hand to see why")
        return line

    def microseconds(self, contender: str) -> Callable[[], float]:
        return lambda: self._seconds(contender) * 1e6

    def milliseconds(self, contender: str) -> Callable[[], float]:
        return lambda: self._seconds(contender) * 1e3

    def _seconds(self, contender: str) -> float:
        assert self._process.stdin
        self._process.stdin.write(f"{contender}\n")
        self._process.stdin.flush()
        return float(self._answer())

    def __enter__(self) -> "Worker":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def measure(port: int) -> list[Row]:
    own_names = ("bare", "raw", "track", "batch:100", "batch:500")
    with ExitStack() as stack:
        own = stack.enter_context(Worker(sys.executable, port, *own_names))
        first = stack.enter_context(
            Worker(environments.gimel_1(), port, "bare", "gimel_1", own=False)
        )
        lamed = stack.enter_context(Worker(environments.lamed(), port, "bare", "lamed", own=False))
        hiredis = stack.enter_context(Worker(peers.hiredis(), port, "track"))
        contenders = {name: own.microseconds(name) for name in own_names}
        contenders |= {"bare 3": first.microseconds("bare"), "1": first.microseconds("gimel_1")}
        contenders["hiredis"] = hiredis.microseconds("track")
        contenders["lamed"] = lamed.microseconds("lamed")
        found = harness.in_turn(contenders, ROUNDS)
    return _rows(found)


def measure_amounts(port: int) -> list[Row]:
    names = ("track", "amount:10", "amount:100")
    with Worker(sys.executable, port, *names) as own:
        found = harness.in_turn({name: own.microseconds(name) for name in names}, ROUNDS)
    track = found["track"]
    return [
        harness.ratio_row("warm `track`, a visitor", track, track, "µs", "a visitor"),
        harness.ratio_row(
            "an amount, a tenth of its cap", found["amount:10"], track, "µs", "a visitor"
        ),
        harness.ratio_row(
            "an amount as high as its cap", found["amount:100"], track, "µs", "a visitor"
        ),
    ]


def _rows(found: harness.Rounds) -> list[Row]:
    bare = found["bare"]
    return [
        harness.ratio_row("bare redis-py `pfadd`, connection kept", bare, bare, "µs", "bare"),
        harness.ratio_row("raw socket, the floor", found["raw"], bare, "µs", "bare"),
        harness.ratio_row("**warm `track`**", found["track"], bare, "µs", "bare", 1.2),
        harness.ratio_row("warm `track`", found["track"], found["raw"], "µs", "raw socket"),
        harness.ratio_row(
            "warm `track` with hiredis", found["hiredis"], found["track"], "µs", "ours"
        ),
        harness.ratio_row(
            "**an event in a batch of 100**", found["batch:100"], bare, "µs", "bare", 0.25
        ),
        harness.ratio_row(
            "**an event in a batch of 500**", found["batch:500"], bare, "µs", "bare", 0.12
        ),
        harness.ratio_row(
            "gimel 1.5.0 `track`", found["1"], found["bare 3"], "µs", "its own bare (redis-py 3.5)"
        ),
        harness.ratio_row("gimel 1.5.0 `track`", found["1"], found["track"], "µs", "ours"),
        harness.ratio_row("lamed 0.4.3 `track`", found["lamed"], found["track"], "µs", "ours"),
    ]
