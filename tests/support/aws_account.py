"""An AWS account on this machine: ministack in a process of its own, all state in one folder."""

import contextlib
import itertools
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from gimel.config.file import parse
from gimel.config.settings import Config
from gimel.stack.aws import Aws
from tests.support.aws_model import violations
from tests.support.servers import free_port
from tests.support.waiting import wait

REGION = "eu-west-1"
# All services that Gimel's commands call
SERVICES = (
    *("apigateway", "apigatewayv2", "cloudwatch", "ec2", "elasticache", "events", "iam", "lambda"),
    *("logs", "sns", "sqs", "ssm", "sts"),
)


def environment(endpoint: str) -> dict[str, str]:
    """What boto3 needs to see that account, and nothing of the developer's own."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@contextlib.contextmanager
def emulator(folder: Path) -> Iterator[str]:
    """The endpoint of a fresh emulator, which ends with the block."""
    port = free_port()
    settings = {
        "GATEWAY_PORT": str(port),
        "BIND_HOST": "127.0.0.1",
        "TMPDIR": str(folder),
        "STATE_DIR": str(folder / "state"),
        "S3_DATA_DIR": str(folder / "s3"),
        "LAMBDA_EXECUTOR": "local",
        # Each of a run's stacks reserves 27.
        "LAMBDA_ACCOUNT_CONCURRENCY": "100000",
        "LOG_LEVEL": "WARNING",
        "DOCKER_HOST": f"unix://{folder}/no-docker",
    }
    # Functions inherit the emulator's environment: they must not find Gimel but in their zip.
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "PYTHON", "GIMEL_", "COV"))
    }
    with (folder / "emulator.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("completed_ministack.py")],
            cwd=folder,
            env=inherited | settings,
            stdout=log,
            stderr=log,
        )
    try:
        await_answer(f"http://127.0.0.1:{port}/_ministack/health", process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


def await_answer(url: str, process: "subprocess.Popen[bytes]") -> None:
    """Wait for the URL to answer, the process being what serves it."""

    def answers() -> bool:
        assert process.poll() is None, "the emulator ended at its start"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=60):
            return True
        return False

    wait(answers)


def empty(endpoint: str) -> None:
    """Make the account as new."""
    request = urllib.request.Request(f"{endpoint}/_ministack/reset", method="POST")
    urllib.request.urlopen(request, timeout=60).close()


_numbers = itertools.count(1)


def new_stack() -> str:
    """A stack's name that no test has used."""
    return f"stack{next(_numbers)}"


def stack_config(redis_url: str, **settings: Any) -> Config:
    content = {"redis": {"url": redis_url}, "aws": {"region": REGION}, **settings}
    return parse(json.dumps(content))


class RecordingAws(Aws):
    """AWS with a list of the operations that went out, each attempt of each.

    A call with an argument that AWS's model refuses fails, which no emulator checks.
    """

    def __init__(self, region: str | None = REGION) -> None:
        super().__init__(region)
        self.operations: list[str] = []
        self.on("before-send", self._record)
        self.on("provide-client-params", _check)

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        for service in SERVICES:
            self.clients[service].meta.events.register(event, handler)

    def off(self, event: str, handler: Callable[..., Any]) -> None:
        for client in self.clients.values():
            client.meta.events.unregister(event, handler)

    def _record(self, request: Any, event_name: str, **_: Any) -> None:
        # The lock comes and goes with every deploy that changes something.
        if "/changing" not in str(request.body):
            self.operations.append(event_name.split(".")[-1])

    @property
    def writes(self) -> list[str]:
        reading = ("Describe", "Get", "List")
        return sorted(name for name in self.operations if not name.startswith(reading))


def _check(params: dict[str, Any], model: Any, **_: Any) -> None:
    if model.input_shape:
        found = list(violations(model.input_shape, params, model.name))
        assert not found, "\n".join(found)
