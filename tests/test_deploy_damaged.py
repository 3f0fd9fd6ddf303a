"""A stack that was damaged by hand is made whole by the next deploy."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack.aws import Aws
from gimel.stack.observe.observe import observe
from gimel.stack.observed import ObservedApi
from gimel.stack.permissions.functions import trust_policy
from gimel.stack.wanted import DeployError, Names, log_group
from tests.support.aws_account import REGION, RecordingAws, new_stack, stack_config
from tests.support.deployments import end_state, is_as_wanted, silent

pytestmark = pytest.mark.slow


def _api(aws: Aws, own_names: Names) -> ObservedApi:
    return observe(aws, own_names).apis[0]


def _delete_alias(aws: Aws, own_names: Names) -> None:
    aws.call("lambda", "delete_alias", FunctionName=own_names.function("track"), Name="live")


def _delete_function(aws: Aws, own_names: Names) -> None:
    aws.call("lambda", "delete_function", FunctionName=own_names.function("all-experiments"))


def _delete_policy(aws: Aws, own_names: Names) -> None:
    policy = own_names.policy(REGION)
    aws.call("iam", "delete_role_policy", RoleName=own_names.role, PolicyName=policy)


def _open_role(aws: Aws, own_names: Names) -> None:
    everyone = json.dumps(trust_policy()).replace("lambda.", "ec2.")
    aws.call("iam", "update_assume_role_policy", RoleName=own_names.role, PolicyDocument=everyone)


def _delete_api(aws: Aws, own_names: Names) -> None:
    aws.call("apigatewayv2", "delete_api", ApiId=_api(aws, own_names).id)


def _delete_stage(aws: Aws, own_names: Names) -> None:
    aws.call("apigatewayv2", "delete_stage", ApiId=_api(aws, own_names).id, StageName="prod")


def _delete_route(aws: Aws, own_names: Names) -> None:
    api = _api(aws, own_names)
    aws.call("apigatewayv2", "delete_route", ApiId=api.id, RouteId=api.routes["GET /e"]["RouteId"])


def _misroute(aws: Aws, own_names: Names) -> None:
    api = _api(aws, own_names)
    target = api.routes["DELETE /delete"]["Target"]
    named = {"ApiId": api.id, "RouteId": api.routes["GET /e"]["RouteId"]}
    aws.call("apigatewayv2", "update_route", **named, Target=target)
    aws.call("apigatewayv2", "create_route", ApiId=api.id, RouteKey="GET /x", Target=target)


def _delete_integration(aws: Aws, own_names: Names) -> None:
    api = _api(aws, own_names)
    integration = api.routes["GET /experiment"]["Target"].removeprefix("integrations/")
    aws.call("apigatewayv2", "delete_integration", ApiId=api.id, IntegrationId=integration)


def _close_cors(aws: Aws, own_names: Names) -> None:
    closed = {"AllowOrigins": ["https://shop.example"]}
    aws.call("apigatewayv2", "update_api", ApiId=_api(aws, own_names).id, CorsConfiguration=closed)


def _second_api(aws: Aws, own_names: Names) -> None:
    named = {"Name": own_names.api, "ProtocolType": "HTTP", "Tags": own_names.tags}
    aws.call("apigatewayv2", "create_api", **named)


def _delete_permission(aws: Aws, own_names: Names) -> None:
    named = {"FunctionName": own_names.function("track"), "Qualifier": "live"}
    aws.call("lambda", "remove_permission", **named, StatementId="gimel-http-api")


def _delete_log_group(aws: Aws, own_names: Names) -> None:
    aws.call("logs", "delete_log_group", logGroupName=log_group(own_names.function("track")))


def _delete_rule(aws: Aws, own_names: Names) -> None:
    aws.call("events", "remove_targets", Rule=own_names.rule, Ids=["gimel"])
    aws.call("events", "delete_rule", Name=own_names.rule)


def _delete_target(aws: Aws, own_names: Names) -> None:
    aws.call("events", "remove_targets", Rule=own_names.rule, Ids=["gimel"])


def _drift(aws: Aws, own_names: Names) -> None:
    empty: dict[str, Any] = {"Variables": {}}
    named = {"FunctionName": own_names.function("track")}
    aws.call_until_accepted(
        "lambda", "update_function_configuration", **named, Environment=empty, Timeout=77
    )


def _roll_back(aws: Aws, own_names: Names) -> None:
    _drift(aws, own_names)
    named = {"FunctionName": own_names.function("track")}
    aws.wait("function_updated_v2", **named)
    version = aws.call_until_accepted("lambda", "publish_version", **named)["Version"]
    aws.call("lambda", "update_alias", **named, Name="live", FunctionVersion=version)


def _lose_key(aws: Aws, own_names: Names) -> None:
    aws.call("ssm", "delete_parameter", Name=own_names.parameter)


# Those in a row do not hide each other.
DAMAGES = [
    (_delete_alias, _delete_policy, _delete_log_group),
    (_delete_function, _delete_stage, _delete_rule),
    (_delete_api, _delete_target),
    (_delete_route, _delete_permission, _open_role),
    (_misroute, _close_cors),
    (_delete_integration, _second_api),
    (_drift,),
    (_roll_back,),
    (_lose_key,),
]


@pytest.fixture(scope="module")
def worn(aws_endpoint: str, redis_url: str) -> Config:
    """A stack that is damaged again and again."""
    settings = stack_config(redis_url, stack=new_stack())
    deploy.deploy(settings, silent)
    return settings


@pytest.mark.parametrize(
    "damages", DAMAGES, ids=lambda damages: ",".join(damage.__name__[1:] for damage in damages)
)
def test_half_made_stacks_converge(
    worn: Config, damages: tuple[Callable[[Aws, Names], None], ...]
) -> None:
    aws, names = Aws(REGION), Names(worn.stack)
    before = end_state(aws, names)
    for damage in damages:
        damage(aws, names)
    repaired = deploy.deploy(worn, silent, aws)
    assert len(repaired.changes) >= len(damages)
    assert end_state(aws, names) == before
    assert is_as_wanted(worn)


def test_a_queue_whose_deletion_takes_effect_during_the_deploy(
    aws_endpoint: str, redis_url: str
) -> None:
    """SQS answers for a queue for up to a minute after its deletion."""
    settings = stack_config(redis_url, stack=new_stack())
    aws, names, said = Aws(REGION), Names(settings.stack), []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("sending a probe"):
            url = observe(aws, names).queues[names.queue].url
            aws.call("sqs", "delete_queue", QueueUrl=url)

    deploy.deploy(settings, say, aws)
    assert f"SQS has completed an earlier deletion of {names.queue}: deploying again" in said
    assert set(observe(aws, names).queues) == set(names.queues)
    assert is_as_wanted(settings)


def test_a_queue_that_disappears_again_and_again(aws_endpoint: str, redis_url: str) -> None:
    """SQS says that there is no queue, and whatever creates it has no lasting effect."""
    aws = RecordingAws()

    def say(line: str) -> None:
        if line.startswith("sending a probe"):
            aws.on("before-send.sqs.GetQueueUrl", _no_queue)

    with pytest.raises(DeployError, match="run `gimel deploy` again in a minute"):
        deploy.deploy(stack_config(redis_url, stack=new_stack()), say, aws)


def _no_queue(request: Any, **_: Any) -> AWSResponse:
    code = "AWS.SimpleQueueService.NonExistentQueue"
    response = AWSResponse(request.url, 400, {"x-amzn-query-error": f"{code};Sender"}, None)
    response._content = json.dumps({"__type": code, "message": "no such queue"}).encode()
    return response
