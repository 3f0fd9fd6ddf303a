"""A deployed stack writes snapshots by itself, because its rule calls the reading function."""

import json
from typing import Any

import pytest

from gimel import deploy
from gimel.backend.experiment.history import Snapshot, history
from gimel.backend.redis.connection import Connection
from gimel.client import BackendClient
from gimel.stack.aws import Aws
from gimel.stack.plan import schedule
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION, new_stack, stack_config
from tests.support.deployments import destroy, silent
from tests.support.waiting import wait

pytestmark = pytest.mark.slow

# Longer than the rule's minute, on a busy machine
SECONDS = 180


def test_the_rule_of_a_deployed_stack_writes_a_snapshot(
    aws_endpoint: str, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings_of = schedule.rule_settings
    every_minute = {"ScheduleExpression": "rate(1 minute)"}
    monkeypatch.setattr(
        schedule, "rule_settings", lambda wanted: settings_of(wanted) | every_minute
    )
    config = stack_config(redis_url, stack=new_stack())
    backend = deploy.deploy(config, silent)
    client, space = BackendClient(backend.url, backend.key), config.stack
    for number in range(7):
        client.track("snapshots", "a", "participate", str(number), space)

    def snapshots() -> list[Snapshot]:
        return history(Connection(redis_url), (space, "snapshots"))

    wait(lambda: bool(snapshots()), SECONDS)
    assert {each.visitors for each in snapshots()} == {7}
    aws = Aws(REGION)
    assert _ask(aws, config.stack) == {"snapshots": 0, "complete": True}
    destroy(config, aws)
    assert aws.find("events", "describe_rule", "Arn", Name=Names(config.stack).rule) is None


def _ask(aws: Aws, stack: str) -> Any:
    """Ask for snapshots as the rule does, and return what the function answers."""
    function = Names(stack).function("all-experiments")
    answer = aws.call(
        "lambda", "invoke", FunctionName=function, Qualifier="live", Payload='{"gimel": "snapshot"}'
    )
    return json.loads(answer["Payload"].read())
