"""The control plane on another emulator, moto's server, which errs otherwise than ministack does.

It runs no function, so nothing is probed. It lacks three calls, which are answered here in its
place: GetAccountSettings, DescribeServerlessCaches, and UpdateStage, for which the stage is made
anew. Of a mapping to an alias it tells to which version that led: the alias is put back. How
functions log it does not keep. The conditions of a function URL's permissions it writes beside the
others: they are put in their place.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore import xform_name
from botocore.awsrequest import AWSResponse

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack import destruction
from gimel.stack.change import Change
from gimel.stack.observe.observe import observe
from gimel.stack.prepare import prepare
from gimel.stack.wanted import ALIAS, LOGGING, Names, log_group
from tests.support.aws_account import (
    RecordingAws,
    await_answer,
    environment,
    new_stack,
    stack_config,
)
from tests.support.deployments import destroy, silent
from tests.support.serverless_caches import refusal
from tests.support.servers import free_port

pytestmark = pytest.mark.slow

REDIS = "redis://:secret@redis.example:6379/0"
RICH: dict[str, Any] = {
    "tags": {"team": "shop"},
    "permissions_boundary": "arn:aws:iam::aws:policy/PowerUserAccess",
    "vpc": {"subnets": ["subnet-1"], "security_groups": ["sg-1"]},
    "allowed_origins": ["https://shop.example"],
    "alarm_email": "ana@shop.example",
    "events": "function-url",
}


class MotoAws(RecordingAws):
    """AWS as moto gives it, with what it lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.on("before-send.lambda.GetAccountSettings", self._account_settings)
        self.on("before-send.apigatewayv2.UpdateStage", self._update_stage)
        self.on("before-send.elasticache.DescribeServerlessCaches", _find_no_cache)
        self.on("after-call.lambda.ListEventSourceMappings", _name_the_alias)
        self.on("after-call.lambda.ListVersionsByFunction", _tell_of_logging)
        self.on("after-call.lambda.GetPolicy", _write_conditions)

    def _account_settings(self, request: Any, **_: Any) -> AWSResponse:
        return _answer(request, {"AccountLimit": {"UnreservedConcurrentExecutions": 1000}})

    def _update_stage(self, request: Any, **_: Any) -> AWSResponse:
        *_, api, _, stage = urlsplit(request.url).path.split("/")
        client, named = self.clients["apigatewayv2"], {"ApiId": api, "StageName": stage}
        recorded = list(self.operations)
        body = json.loads(request.body)
        kept = ("AutoDeploy", "DefaultRouteSettings", "StageVariables", "Tags")
        found = client.get_stage(**named)
        settings = {name: found[name] for name in kept if name in found}
        client.delete_stage(**named)
        if limits := body.get("defaultRouteSettings"):
            capitals = {name[0].upper() + name[1:]: number for name, number in limits.items()}
            settings["DefaultRouteSettings"] = capitals
        settings["StageVariables"] = body.get("stageVariables", settings["StageVariables"])
        client.create_stage(**named, **settings)
        self.operations[:] = recorded
        return _answer(request, {})


def _find_no_cache(request: Any, **_: Any) -> AWSResponse:
    return refusal(request, "ServerlessCacheNotFoundFault", "no such cache")


def _name_the_alias(parsed: dict[str, Any], **_: Any) -> None:
    for mapping in parsed["EventSourceMappings"]:
        function, _, _ = mapping["FunctionArn"].rpartition(":")
        mapping["FunctionArn"] = f"{function}:{ALIAS}"


def _tell_of_logging(parsed: dict[str, Any], **_: Any) -> None:
    for version in parsed["Versions"]:
        version["LoggingConfig"] = {**LOGGING, "LogGroup": log_group(version["FunctionName"])}


def _write_conditions(parsed: dict[str, Any], **_: Any) -> None:
    """As AWS does: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html."""
    policy = json.loads(parsed.get("Policy", '{"Statement": []}'))
    for statement in policy["Statement"]:
        if auth := statement.pop("FunctionUrlAuthType", None):
            statement["Condition"] = {"StringEquals": {"lambda:FunctionUrlAuthType": auth}}
        if statement.pop("InvokedViaFunctionUrl", False):
            statement["Condition"] = {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}}
    parsed["Policy"] = json.dumps(policy)


def _answer(request: Any, content: dict[str, Any]) -> AWSResponse:
    response = AWSResponse(request.url, 200, {}, None)
    response._content = json.dumps(content).encode()
    return response


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoAws]:
    """A moto server in a process of its own."""
    port = free_port()
    with (tmp_path_factory.mktemp("moto") / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-p", str(port)], stdout=log, stderr=log
        )
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait, 20)
        stack.callback(process.terminate)
        await_answer(f"http://127.0.0.1:{port}/moto-api/data.json", process)
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in environment(f"http://127.0.0.1:{port}").items():
            patch.setenv(name, value)
        patch.setattr(deploy, "probe", lambda *_: None)
        patch.setattr("gimel.stack.aws._WAITER_DELAY", 0.05)
        yield MotoAws()


def settings(stack: str, **changed: Any) -> Config:
    return stack_config(REDIS, stack=stack, **changed)


def calls_of(changes: list[Change]) -> Counter[str]:
    return Counter(call.operation for change in changes for call in change.calls)


def written(aws: MotoAws, config: Config) -> Counter[str]:
    """What a deploy writes, by operation."""
    aws.operations.clear()
    deploy.deploy(config, silent, aws)
    return Counter(map(xform_name, aws.writes))


@pytest.fixture(scope="module")
def stack(aws: MotoAws) -> str:
    """A stack that stands."""
    name = new_stack()
    deploy.deploy(settings(name), silent, aws)
    return name


@pytest.mark.parametrize("rich", [{}, RICH], ids=["plain", "rich"])
def test_from_nothing_to_nothing(aws: MotoAws, rich: dict[str, Any]) -> None:
    config = settings(new_stack(), **rich)
    names = Names(config.stack)
    planned = calls_of(prepare(config, silent, aws).changes)
    assert planned["create_function"] == 4
    assert written(aws, config) == planned
    assert written(aws, config) == Counter()
    destroy(config, aws)
    seen = observe(aws, names)
    assert (seen.parameter, seen.role, seen.apis, seen.functions) == (None, None, (), {})
    assert (seen.log_groups, seen.queues, seen.mapping) == ({}, {}, None)
    assert (seen.topic, seen.alarms) == (None, {})
    assert destruction.plan_destroy(config, aws) == []


def test_keys_come_and_go(aws: MotoAws) -> None:
    config = settings(new_stack())
    names = Names(config.stack)
    deploy.deploy(config, silent, aws)
    first = deploy.create_key(config, aws, "send", "the shop", silent)
    second = deploy.create_key(config, aws, "send", "", silent)
    found = {key.value: key for key in observe(aws, names).keys}
    assert set(found) == {first, second}
    assert found[first].name == "the shop"
    assert written(aws, config) == Counter()
    deploy.revoke_key(config, aws, found[second].id, silent)
    assert observe(aws, names).keys == (found[first],)
    destroy(config, aws)
    assert observe(aws, names).keys == ()


def test_alarms_are_changed_and_switched_off(aws: MotoAws) -> None:
    email = {"alarm_email": "ana@shop.example"}
    config = settings(new_stack(), **email)
    deploy.deploy(config, silent, aws)
    changed = settings(config.stack, **email, alarm_dollars_per_day=9, throttle={"rate": 5})
    assert written(aws, changed) == Counter(put_metric_alarm=2, update_stage=1)
    tagged = settings(config.stack, **email, throttle={"rate": 5}, tags={"team": "shop"})
    assert written(aws, tagged)["put_metric_alarm"] == 1
    assert written(aws, tagged) == Counter()
    off = written(aws, settings(config.stack, throttle={"rate": 5}))
    # The news went to the topic too: the functions forget it.
    assert off == FUNCTION + Counter(delete_alarms=1, delete_topic=1, put_role_policy=1)


FUNCTION = Counter(update_function_configuration=4, publish_version=4, update_alias=4)


@pytest.mark.parametrize(
    ("changed", "calls"),
    [
        ({"memory": 512}, FUNCTION),
        ({"log_retention_days": 7}, Counter(put_retention_policy=4)),
        ({"throttle": {"rate": 10, "burst": 20}}, Counter(update_stage=1)),
        ({"allowed_origins": ["https://shop.example"]}, Counter(update_api=1)),
        ({"event_path": "hello"}, Counter(create_route=2, update_stage=1)),
        ({"reserved_concurrency": {"track": 7}}, Counter(put_function_concurrency=1)),
        (
            {"events": "function-url"},
            Counter(create_function_url_config=1, add_permission=2, update_stage=1),
        ),
    ],
    ids=lambda value: next(iter(value)),
)
def test_one_setting_makes_only_its_calls(
    aws: MotoAws, stack: str, changed: dict[str, Any], calls: Counter[str]
) -> None:
    deploy.deploy(settings(stack), silent, aws)
    config = settings(stack, **changed)
    assert calls_of(prepare(config, silent, aws).changes) == calls
    assert written(aws, config) == calls
    assert written(aws, config) == Counter()
