"""Applying a plan: lanes side by side, each change a line, a stop between calls."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from threading import Event, Lock
from typing import Any

from gimel.stack.aws import Aws, NotFoundError
from gimel.stack.change import Call, Change, Later
from gimel.stack.wanted import DeployError

Say = Callable[[str], None]


class InterruptedDeployError(DeployError):
    """Ctrl-C stopped a deploy between two calls. The message says what was done."""

    exit_code = 130


@dataclass
class _Run:
    """What the lanes share: what the answers told so far, and the word to stop."""

    aws: Aws
    say: Say
    known: dict[str, str]
    stop: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)
    done: list[Change] = field(default_factory=list)

    def tell(self, line: str) -> None:
        with self.lock:
            self.say(line)


def apply(aws: Aws, changes: list[Change], known: Mapping[str, str], say: Say) -> Mapping[str, str]:
    """Make the changes, and return what is known then.

    When a lane fails, or Ctrl-C comes, the others stop between two calls. Raises AwsError and
    InterruptedDeployError.
    """
    run = _Run(aws, say, dict(known))
    try:
        for _, neighbours in groupby(changes, key=lambda change: bool(change.lane)):
            lanes: dict[str, list[Change]] = {}
            for change in neighbours:
                lanes.setdefault(change.lane, []).append(change)
            _side_by_side(run, list(lanes.values()))
    except KeyboardInterrupt:
        raise InterruptedDeployError(_what_stands(run, len(changes))) from None
    return run.known


def _side_by_side(run: _Run, lanes: list[list[Change]]) -> None:
    with ThreadPoolExecutor(len(lanes)) as pool:
        futures = [pool.submit(_lane, run, lane) for lane in lanes]
        try:
            for future in futures:
                future.result()
        finally:
            run.stop.set()
    run.stop.clear()


def _what_stands(run: _Run, planned: int) -> str:
    last = f", the last: {run.done[-1].verb} {run.done[-1].what}" if run.done else ""
    return (
        f"stopped: {len(run.done)} of {planned} changes stand{last}. "
        "Run the same command again to continue"
    )


def _lane(run: _Run, changes: list[Change]) -> None:
    for change in changes:
        run.tell(str(change))
        for call in change.calls:
            if run.stop.is_set():
                return
            _make(run, call)
        run.done.append(change)


def _make(run: _Run, call: Call) -> None:
    """Make one call. What the answer tells is added to what is known."""
    arguments = {name: _filled(value, run.known) for name, value in call.arguments.items()}
    try:
        answer = run.aws.settle(call.service, call.operation, **arguments)
    except NotFoundError:
        if call.if_exists:
            return
        raise
    run.known.update({name: answer[place] for name, place in call.saves.items()})
    if call.waiter:
        function = arguments["FunctionName"]
        run.aws.wait(call.waiter, FunctionName=function, Qualifier=answer["Version"])


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    return value.format_map(known) if isinstance(value, Later) else value
