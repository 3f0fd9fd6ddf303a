"""The application of a plan: lanes run in parallel, and each change is announced with one line.

When a lane fails or Ctrl-C comes, every lane finishes the call that it is making. It starts no
other call, and repeats no refused one. Nothing is undone: the next deploy observes the changes made
so far and plans the rest.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby
from threading import Event, Lock
from typing import Any

import jmespath

from gimel.stack.aws import Aws, NotFoundError, backoff
from gimel.stack.change import Call, Change, fill
from gimel.stack.progress import Progress, Say, step
from gimel.stack.refusals import Refusal
from gimel.stack.wanted import DeployError

# Seconds of waiting without a line.
_SILENT_WAIT = 5.0
# Seconds for which a deploy waits until AWS has made a resource, and between two lines about it.
_WAIT_TIMEOUT = 900.0
_WAIT_LINE_EVERY = 20.0


class InterruptedDeployError(DeployError):
    """Ctrl-C stopped a deploy between two calls. The message says how many changes were made."""

    exit_code = 130


@dataclass
class _Run:
    """The state that the lanes share: the values saved so far, and the signal to stop."""

    aws: Aws
    say: Say
    saved: dict[str, str]
    confirm: Callable[[], None]
    stop: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)
    made: list[Change] = field(default_factory=list)
    waits: set[str] = field(default_factory=set)

    def step(self, change: Change) -> AbstractContextManager[None]:
        # Beside a tick, "does not exist yet" would be wrong.
        is_obvious = change.verb in ("create", "delete")
        short = f"{change.verb} {change.what}" if is_obvious else str(change)
        with self.lock:
            return step(self.say, str(change), short)

    def keeps_trying(self, refusal: Refusal, seconds: float) -> bool:
        """Say once what a long wait is for. Return False if the signal to stop has come."""
        with self.lock:
            if seconds > _SILENT_WAIT and refusal.reason not in self.waits:
                self.waits.add(refusal.reason)
                self.say(f"waiting: {refusal.reason}")
        return not self.stop.is_set()


def apply(
    aws: Aws,
    changes: list[Change],
    saved: Mapping[str, str],
    say: Say,
    confirm: Callable[[], None] = lambda: None,
) -> Mapping[str, str]:
    """Make the changes in order. Return `saved` with the values that the calls saved.

    `confirm` is called before each call, and raises an error if the stack's lock is lost.
    Raises AwsError and InterruptedDeployError. The changes made by then stay.
    """
    run = _Run(aws, say, dict(saved), confirm)
    try:
        for _, neighbours in groupby(changes, key=lambda change: bool(change.lane)):
            lanes: dict[str, list[Change]] = {}
            for change in neighbours:
                lanes.setdefault(change.lane, []).append(change)
            _run_in_parallel(run, list(lanes.values()))
    except KeyboardInterrupt:
        raise InterruptedDeployError(_interruption(run, len(changes))) from None
    return run.saved


def _run_in_parallel(run: _Run, lanes: list[list[Change]]) -> None:
    with ThreadPoolExecutor(len(lanes)) as pool:
        futures = [pool.submit(_run_lane, run, lane) for lane in lanes]
        try:
            ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in ended:
                future.result()
        finally:
            run.stop.set()
    run.stop.clear()


def _interruption(run: _Run, planned: int) -> str:
    last = f", the last one: {run.made[-1].verb} {run.made[-1].what}" if run.made else ""
    return (
        f"stopped: {len(run.made)} of {planned} changes are made{last}. "
        "Run the same command again to continue"
    )


def _run_lane(run: _Run, changes: list[Change]) -> None:
    for change in changes:
        if run.stop.is_set():
            return
        with run.step(change):
            for call in change.calls:
                if run.stop.is_set():
                    # Ends the step as not finished. The caller knows why the lanes stop.
                    raise InterruptedDeployError(f"stopped during: {change}")
                run.confirm()
                _make_call(run, change, call)
        run.made.append(change)


def _make_call(run: _Run, change: Change, call: Call) -> None:
    """Make one call, save the values that later calls need, and wait for the result."""
    arguments = fill(call.arguments, run.saved)
    try:
        answer = _answer(run, change, call, arguments)
    except NotFoundError:
        if call.if_exists:
            return
        raise
    run.saved.update({name: jmespath.search(part, answer) for name, part in call.saves.items()})
    if call.waiter:
        function = arguments["FunctionName"]
        run.aws.wait(call.waiter, FunctionName=function, Qualifier=answer["Version"])


def _answer(run: _Run, change: Change, call: Call, arguments: Mapping[str, Any]) -> Any:
    """Return AWS's answer, for a call with `until` the one that it waits for.

    Raises DeployError if AWS fails, or takes too long.
    """
    started = said = time.monotonic()
    for is_last in backoff(_WAIT_TIMEOUT):
        answer = run.aws.call_until_accepted(
            call.service, call.operation, run.keeps_trying, **arguments
        )
        if call.until is None or jmespath.search(call.until, answer):
            return answer
        if call.failure and jmespath.search(call.failure, answer):
            raise _failure(run, change, call)
        if run.stop.is_set():
            raise InterruptedDeployError(f"stopped during: {change}")
        if time.monotonic() - said > _WAIT_LINE_EVERY and not isinstance(run.say, Progress):
            said = time.monotonic()
            run.say(f"{change.verb} {change.what}: waiting for AWS, {said - started:.0f} s")
        if is_last:
            break
    raise DeployError(
        f"{change.verb} {change.what}: AWS needs longer than {_WAIT_TIMEOUT / 60:.0f} minutes. Run "
        "the same command again to continue"
    )


def _failure(run: _Run, change: Change, call: Call) -> DeployError:
    """Return the error for a resource that AWS could not create, with AWS's reason."""
    if call.reason:
        _make_call(run, change, call.reason)
    reason = run.saved.get("reason") or "AWS gives no reason"
    return DeployError(
        f"AWS could not create {change.what}: {reason}. The same command tries again"
    )
