"""Whatever call fails, and however: the next deploy reaches the state of an undisturbed one.

`make test` takes every fourth call with all settings on and every twelfth with none, the kinds in
turn; `make test-full` every call with every kind. Nothing is probed: what is looked at is the
account. Besides, a process that deploys or destroys is killed (SIGKILL) at each call.
"""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ConnectionClosedError, ReadTimeoutError
from botocore.httpsession import URLLib3Session

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack.apply import InterruptedDeployError
from gimel.stack.aws import Aws, AwsError
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import DeployError, Names
from tests.support.aws_account import REGION, RecordingAws, new_stack, stack_config
from tests.support.deployments import destroy, end_state, silent
from tests.support.serverless_caches import make_user_group

pytestmark = pytest.mark.slow

# More than a fresh deploy makes; beyond its last call, nothing is disturbed.
CALLS = 125
# Of one call, by botocore.
ATTEMPTS = 5
# Those of a destroy that change something, and one on either side.
DESTROYS = range(130, 155)
# A deploy or destroy makes at least so many.
SURE = 103
SETTINGS: dict[str, Any] = {
    "domain": {
        "name": "ab.{stack}.example",
        "certificate": f"arn:aws:acm:{REGION}:{1:012}:certificate/1",
    },
    "permissions_boundary": "arn:aws:iam::aws:policy/PowerUserAccess",
    "alarm_email": "ana@shop.example",
    "events": "function-url",
    "redis": "managed",
}
NONE: dict[str, Any] = {}


class Killed(BaseException):
    """The process ends here: no handler of it runs on."""


class Fault:
    """Disturbs the k-th call to AWS, once for all its attempts."""

    def __init__(self, aws: RecordingAws, k: int) -> None:
        self.k = k
        self.hit: str | None = None
        self._calls = 0
        self._lock = threading.Lock()
        self._mine = threading.local()
        self._aws = aws

    def __enter__(self) -> Self:
        self._aws.on("before-call", self._count)
        self._aws.on("before-send", self._before)
        return self

    def __exit__(self, *_: object) -> None:
        self._aws.off("before-call", self._count)
        self._aws.off("before-send", self._before)

    def _count(self, model: Any, **_: Any) -> None:
        with self._lock:
            self._calls += 1
            self._mine.hit = self._calls == self.k
        if self._mine.hit:
            self.hit = model.name
            self.at_start()

    def _before(self, request: Any, **_: Any) -> Any:
        return self.instead(request) if self._mine.hit else None

    def at_start(self) -> None:
        """Before anything is sent."""

    def instead(self, request: Any) -> Any:
        """An answer in AWS's place."""


def _answer(request: Any, status: int, code: str) -> AWSResponse:
    json_errors = {"x-amzn-errortype": code}
    response = AWSResponse(request.url, status, json_errors, None)
    if "smithy-protocol" in request.headers:
        # CBOR, in which CloudWatch is spoken to: a map of two pairs of short texts.
        texts = ("__type", code, "message", "no")
        content = [bytes([0x60 + len(text)]) + text.encode() for text in texts]
        response._content = b"\xa2" + b"".join(content)
        return response
    response._content = (
        f"<ErrorResponse><Error><Code>{code}</Code><Message>no</Message></Error></ErrorResponse>"
        if "Action=" in str(request.body)
        else f'{{"__type": "{code}", "message": "no"}}'
    ).encode()
    return response


class Throttled(Fault):
    def instead(self, request: Any) -> Any:
        return _answer(request, 429, "ThrottlingException")


class Denied(Fault):
    def instead(self, request: Any) -> Any:
        return _answer(request, 403, "AccessDeniedException")


class Cut(Fault):
    def instead(self, request: Any) -> Any:
        raise ConnectionClosedError(endpoint_url=request.url)


class TimedOutAfterwards(Fault):
    """AWS does it, the answer is lost; botocore asks again, and AWS says that it is done."""

    sent = False

    def instead(self, request: Any) -> Any:
        if self.sent:
            return None
        self.sent = True
        URLLib3Session().send(request)
        raise ReadTimeoutError(endpoint_url=request.url)


class KilledBefore(Fault):
    def at_start(self) -> None:
        raise Killed


KINDS = (TimedOutAfterwards, KilledBefore, Denied, Cut, Throttled)


@pytest.fixture(scope="module", autouse=True)
def quick() -> Iterator[None]:
    """No probe, no pause between attempts; a waiter asks twice, the emulator taking 0.5 s.

    So a deploy makes the same calls each time.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "probe", lambda *_: None)
        patch.setattr("gimel.stack.aws._WAITER_DELAY", 0.55)
        patch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", _no_delay)
        yield


def _no_delay(self: Any, context: Any) -> float:
    return 0.0


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> RecordingAws:
    """One for all: to make its clients takes longer than a deploy."""
    aws = RecordingAws()
    make_user_group(aws)
    return aws


def settings_of(stack: str, settings: dict[str, Any] = SETTINGS) -> Config:
    if "domain" in settings:
        named = {**settings["domain"], "name": f"ab.{stack}.example"}
        settings = {**settings, "domain": named}
    return stack_config("redis://127.0.0.1:1", stack=stack, **settings)


def bring_up(aws: Aws, config: Config) -> None:
    deploy.deploy(config, silent, aws, may_create_cache=True)


def take_down(aws: Aws, config: Config) -> None:
    # The emulator takes no snapshot.
    destroy(config, aws, data=True, snapshot=False)


@pytest.fixture(scope="module")
def undisturbed(aws: RecordingAws) -> str:
    """Return the state after an undisturbed deploy with all settings."""
    return _undisturbed(aws, SETTINGS)


@pytest.fixture(scope="module")
def undisturbed_plain(aws: RecordingAws) -> str:
    """Return the state after an undisturbed deploy with none of them."""
    return _undisturbed(aws, NONE)


def _undisturbed(aws: RecordingAws, settings: dict[str, Any]) -> str:
    aws.operations.clear()
    bring_up(aws, config := settings_of(new_stack(), settings))
    assert len(aws.operations) < CALLS
    return _left(aws, config)


def _left(aws: RecordingAws, config: Config) -> str:
    """Deploy, and say what there is then, without the stack's name."""
    bring_up(aws, config)
    return repr(end_state(aws, Names(config.stack))).replace(config.stack, "STACK")


def _disturb(aws: RecordingAws, kind: type[Fault], k: int, do: Callable[[Aws], Any]) -> None:
    with kind(aws, k) as fault:
        try:
            do(aws)
        except (AwsError, DeployError, Killed):
            assert fault.hit


def _all_cases(step: int) -> list[Any]:
    # A step that has no factor in common with the kinds meets each of them.
    quick = {(k, KINDS[k % len(KINDS)]) for k in range(1, CALLS, step)}
    return [
        pytest.param(k, kind, marks=[] if (k, kind) in quick else [pytest.mark.full])
        for k in range(1, CALLS)
        for kind in KINDS
    ]


@pytest.mark.parametrize(("k", "kind"), _all_cases(4))
def test_a_deploy_disturbed_anywhere_is_finished_by_the_next(
    aws: RecordingAws, undisturbed: str, k: int, kind: type[Fault]
) -> None:
    _finish(aws, settings_of(new_stack()), undisturbed, k, kind)


@pytest.mark.parametrize(("k", "kind"), _all_cases(12))
def test_so_is_one_without_the_settings(
    aws: RecordingAws, undisturbed_plain: str, k: int, kind: type[Fault]
) -> None:
    _finish(aws, settings_of(new_stack(), NONE), undisturbed_plain, k, kind)


def _finish(aws: RecordingAws, config: Config, undisturbed: str, k: int, kind: type[Fault]) -> None:
    aws.operations.clear()
    _disturb(aws, kind, k, lambda aws: bring_up(aws, config))
    if not aws.writes:
        # The next deploy is an undisturbed one.
        assert_nothing_is_left(aws, Names(config.stack))
        return
    assert _left(aws, config) == undisturbed
    assert writes_of_a_deploy(aws, config) == []
    take_down(aws, config)
    assert_nothing_is_left(aws, Names(config.stack))


def writes_of_a_deploy(aws: RecordingAws, config: Config) -> list[str]:
    aws.operations.clear()
    bring_up(aws, config)
    return aws.writes


@pytest.mark.parametrize(
    ("k", "kind"),
    [
        pytest.param(k, kind, marks=[] if k % 6 == KINDS.index(kind) else [pytest.mark.full])
        for k in DESTROYS
        for kind in KINDS
    ],
)
def test_a_destroy_disturbed_anywhere_is_finished_by_the_next(
    aws: RecordingAws, k: int, kind: type[Fault]
) -> None:
    config = settings_of(new_stack())
    bring_up(aws, config)
    aws.operations.clear()
    _disturb(aws, kind, k, lambda aws: take_down(aws, config))
    after = aws.operations[DESTROYS.stop + ATTEMPTS :]
    assert not [name for name in after if name.startswith("Delete")]
    take_down(aws, config)
    assert_nothing_is_left(aws, Names(config.stack))


def _kill(aws: Aws, config: Config, folder: Path, k: int, *command: str) -> None:
    """Run a command in a process of its own, which is killed at its k-th request, if it has one."""
    path = folder / "config.json"
    settings = config.model_dump(mode="json", exclude_none=True, exclude={"redis"})
    path.write_text(json.dumps({**settings, "redis": "managed"}))
    arguments = ["--config", str(path), *command]
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.killed_command", str(k), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL or (k > SURE and done.returncode == 0), done.stderr
    # What was under way at that moment may take effect a little later.
    names, seen = Names(config.stack), None
    for _ in range(100):
        before, seen = seen, observe(aws, names)
        if seen == before:
            return
        time.sleep(0.2)
    raise AssertionError("what is there goes on changing")


def _ks(quick: Collection[int], ks: Iterable[int]) -> list[Any]:
    return [pytest.param(k, marks=[] if k in quick else [pytest.mark.full]) for k in ks]


# The first 20 only look, and there is nothing yet. The next ones take the lock and look again.
@pytest.mark.parametrize("k", _ks((23, 49, 77, 103), range(20, CALLS)))
def test_a_deploy_whose_process_is_killed_is_finished_by_the_next(
    aws: RecordingAws, undisturbed: str, tmp_path: Path, k: int
) -> None:
    config = settings_of(new_stack())
    _kill(aws, config, tmp_path, k, "deploy", "--no-preflight", "--yes")
    assert _left(aws, config) == undisturbed
    assert writes_of_a_deploy(aws, config) == []
    take_down(aws, config)
    assert_nothing_is_left(aws, Names(config.stack))


@pytest.mark.parametrize("k", _ks((133, 153), DESTROYS))
def test_a_destroy_whose_process_is_killed_is_finished_by_the_next(
    aws: RecordingAws, tmp_path: Path, k: int
) -> None:
    config = settings_of(new_stack())
    bring_up(aws, config)
    _kill(aws, config, tmp_path, k, "destroy", "--yes", "--data", "--no-snapshot")
    take_down(aws, config)
    assert_nothing_is_left(aws, Names(config.stack))


def assert_nothing_is_left(aws: Aws, names: Names) -> None:
    seen = observe(aws, names)
    assert (seen.parameter, seen.role, seen.apis, seen.domains) == (None, None, (), ())
    assert (seen.functions, seen.log_groups) == ({}, {})
    assert (seen.queues, seen.mapping, seen.rule) == ({}, None, None)
    assert (seen.topic, seen.alarms, seen.cache) == (None, {}, None)


def test_ctrl_c_stops_between_calls_and_says_what_stands(aws: RecordingAws) -> None:
    config = settings_of(new_stack())

    def interrupt(line: str) -> None:
        if line.startswith("create integrations"):
            raise KeyboardInterrupt

    with pytest.raises(
        InterruptedDeployError, match=r"stopped: \d+ of \d+ changes are made"
    ) as error:
        deploy.deploy(config, interrupt, aws, may_create_cache=True)
    assert "the last one: create HTTP API" in str(error.value)
    assert "again to continue" in str(error.value)
    bring_up(aws, config)
    assert writes_of_a_deploy(aws, config) == []
