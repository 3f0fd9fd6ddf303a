"""`gimel destroy` ends when nothing is left, and says what is left otherwise."""

import json
import threading
import time
import uuid
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack import destruction
from gimel.stack.observe.network import observe_interfaces
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import DeployError, Names, log_group
from tests.support.aws_account import RecordingAws, new_stack, stack_config
from tests.support.deployments import destroy

pytestmark = pytest.mark.slow

VPC = {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> RecordingAws:
    return RecordingAws()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is probed, and AWS gets a few seconds where it may take minutes."""
    monkeypatch.setattr(deploy, "probe", lambda *_: None)
    monkeypatch.setattr(destruction, "_RELEASE_DELAY", 0.0)
    monkeypatch.setattr(destruction, "_RELEASE_TIMEOUT", 2.0)
    monkeypatch.setattr(destruction, "_DELETION_TIMEOUT", 2.0)


def deployed(aws: RecordingAws, redis_url: str, **settings: Any) -> Config:
    config = stack_config(redis_url, stack=new_stack(), **settings)
    deploy.deploy(config, lambda line: None, aws)
    return config


def make_interface(aws: RecordingAws, function: str) -> str:
    """A network interface as Lambda makes one, which the emulator does not."""
    named = {"SubnetId": "subnet-1", "Description": f"AWS Lambda VPC ENI-{function}-{uuid.uuid4()}"}
    id = aws.call("ec2", "create_network_interface", "NetworkInterface.NetworkInterfaceId", **named)
    return str(id)


def release(aws: RecordingAws, id: str) -> None:
    aws.call("ec2", "delete_network_interface", NetworkInterfaceId=id)


def interfaces(aws: RecordingAws, names: Names) -> tuple[str, ...]:
    return observe_interfaces(aws, names)


def run(aws: RecordingAws, config: Config) -> list[str]:
    said: list[str] = []
    destruction.destroy(config, aws, said.append)
    return said


def test_only_the_stacks_own_interfaces_count(aws: RecordingAws) -> None:
    names = Names(new_stack())
    track = names.function("track")
    own = {make_interface(aws, track), make_interface(aws, names.function("replay"))}
    others = [make_interface(aws, name) for name in (f"{track}-track", f"{track}2", "other")]
    assert set(interfaces(aws, names)) == own
    for id in [*own, *others]:
        release(aws, id)
    assert interfaces(aws, names) == ()


def test_the_role_goes_when_lambda_has_released_its_interfaces(
    aws: RecordingAws, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(destruction, "_RELEASE_TIMEOUT", 30.0)
    config = deployed(aws, redis_url, vpc=VPC)
    names = Names(config.stack)
    id = make_interface(aws, names.function("track"))
    seen: list[Any] = []

    def release_late() -> None:
        seen.append(observe(aws, names))
        release(aws, id)

    timer = threading.Timer(3, release_late)
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("waiting"):
            timer.start()

    destruction.destroy(config, aws, say)
    timer.join()
    assert seen[0].functions == {}
    assert "ec2:DeleteNetworkInterface" in json.dumps(seen[0].role.permissions)
    wait = f"waiting: AWS still has role {names.role} (deleted when Lambda has released its network"
    assert f"{wait} interfaces {id})" in said
    assert said[-1] == f"delete role {names.role}: the stack is deleted"
    assert destruction.plan_destroy(config, aws) == []


def test_interfaces_that_take_longer(aws: RecordingAws, redis_url: str) -> None:
    config = deployed(aws, redis_url, vpc=VPC)
    names = Names(config.stack)
    id = make_interface(aws, names.function("replay"))
    for _ in range(2):
        with pytest.raises(
            DeployError, match=f"role {names.role} .deleted when Lambda has"
        ) as error:
            destroy(config, aws)
        assert id in str(error.value)
        assert "run the same command again then" in str(error.value).lower()
        assert "\n" not in str(error.value)
        seen = observe(aws, names)
        assert (seen.functions, seen.queues, seen.log_groups, seen.apis) == ({}, {}, {}, ())
        assert "ec2:DeleteNetworkInterface" in json.dumps(seen.role and seen.role.permissions)
    release(aws, id)
    destroy(config, aws)
    assert destruction.plan_destroy(config, aws) == []
    assert observe(aws, names).role is None


def test_a_vpc_that_is_taken_out_of_the_settings(aws: RecordingAws, redis_url: str) -> None:
    config = deployed(aws, redis_url, vpc=VPC)
    names, plain = Names(config.stack), config.model_copy(update={"vpc": None})
    id = make_interface(aws, names.function("track"))

    def may_release() -> bool:
        deploy.deploy(plain, lambda line: None, aws)
        role = observe(aws, names).role
        return "ec2:DeleteNetworkInterface" in json.dumps(role and role.permissions)

    assert may_release()
    for name, function in observe(aws, names).functions.items():
        assert function.versions["$LATEST"]["VpcConfig"]["SubnetIds"] == []
        (old,) = [
            number
            for number, version in function.versions.items()
            if version["VpcConfig"]["SubnetIds"]
        ]
        aws.call("lambda", "delete_function", FunctionName=name, Qualifier=old)
    assert may_release()
    release(aws, id)
    assert not may_release()
    destroy(plain, aws)


def test_a_log_group_that_a_late_invocation_makes_again(aws: RecordingAws, redis_url: str) -> None:
    config = deployed(aws, redis_url)
    name, said = log_group(Names(config.stack).function("track")), []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("delete role"):
            aws.call("logs", "create_log_group", logGroupName=name)

    destruction.destroy(config, aws, say)
    groups = aws.call(
        "logs", "describe_log_groups", "logGroups[].logGroupName", logGroupNamePrefix=name
    )
    assert groups == []


def test_what_aws_does_not_delete_is_named(aws: RecordingAws, redis_url: str) -> None:
    """AWS says that it deletes a queue, and it is there for a while, or for ever."""
    config = deployed(aws, redis_url)
    queue, answers = Names(config.stack).queue, [0, 99]

    def ignore(request: Any, **_: Any) -> AWSResponse | None:
        if f'{queue}"' not in request.body.decode() or answers[0] == answers[1]:
            return None
        answers[0] += 1
        response = AWSResponse(request.url, 200, {}, None)
        response._content = b"{}"
        return response

    aws.on("before-send.sqs.DeleteQueue", ignore)
    try:
        with pytest.raises(DeployError, match=f"^AWS still has queue {queue}: run the same comm"):
            destroy(config, aws)
        answers[1] = answers[0] + 1
        said = run(aws, config)
    finally:
        aws.off("before-send.sqs.DeleteQueue", ignore)
    assert f"waiting: AWS still has queue {queue}" in said
    assert destruction.plan_destroy(config, aws) == []


def test_what_appears_late_is_deleted_too(aws: RecordingAws, redis_url: str) -> None:
    """The answer to a creation was lost, and the thing shows up after the first look."""
    config = deployed(aws, redis_url)
    names, said = Names(config.stack), []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("delete role"):
            named = {"Name": names.api, "ProtocolType": "HTTP", "Tags": names.tags}
            aws.call("apigatewayv2", "create_api", **named)

    destruction.destroy(config, aws, say)
    assert sum(line.startswith("delete HTTP API") for line in said) == 2
    assert observe(aws, names).apis == ()


def test_a_deploy_waits_for_the_name_of_a_queue_and_says_so(
    aws: RecordingAws, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQS gives a queue's name to a new queue 60 s after the deletion, here after 2 s."""
    monkeypatch.setattr("gimel.stack.apply._SILENT_WAIT", 0.5)
    config = deployed(aws, redis_url)
    destroy(config, aws)
    code, free = "AWS.SimpleQueueService.QueueDeletedRecently", time.monotonic() + 2

    def refuse(request: Any, **_: Any) -> AWSResponse | None:
        if time.monotonic() > free:
            return None
        response = AWSResponse(request.url, 400, {"x-amzn-query-error": f"{code};Sender"}, None)
        response._content = json.dumps({"__type": code, "message": "wait 60 seconds"}).encode()
        return response

    said: list[str] = []
    aws.on("before-send.sqs.CreateQueue", refuse)
    try:
        deploy.deploy(config, said.append, aws)
    finally:
        aws.off("before-send.sqs.CreateQueue", refuse)
    assert said.count("waiting: SQS keeps the name of a deleted queue for 60 s") == 1
    assert set(observe(aws, Names(config.stack)).queues) == set(Names(config.stack).queues)
