"""What was changed by hand is seen by a plan and mended by the next deploy, and by nothing else.

The emulator has no DeleteRouteSettings: `Drifting` answers in its place.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from botocore.awsrequest import AWSResponse

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack.aws import Aws
from gimel.stack.observe.observe import observe
from gimel.stack.observed import ObservedApi
from gimel.stack.prepare import prepare
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION, RecordingAws, new_stack, stack_config
from tests.support.deployments import end_state, silent

pytestmark = pytest.mark.slow

OPEN_QUEUE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sqs:*", "Resource": "*"}],
}

ALL: dict[str, Any] = {
    "events": "function-url",
    "domain": {
        "name": "ab.drift.example",
        "certificate": f"arn:aws:acm:{REGION}:{1:012}:certificate/1",
    },
    "alarm_email": "ana@shop.example",
    "permissions_boundary": "arn:aws:iam::aws:policy/PowerUserAccess",
}


class Drifting(RecordingAws):
    """AWS with the call that the emulator lacks."""

    def __init__(self) -> None:
        super().__init__()
        self.on("before-send.apigatewayv2.DeleteRouteSettings", self._delete_route_settings)

    def _delete_route_settings(self, request: Any, **_: Any) -> AWSResponse:
        parts = [unquote(part) for part in urlsplit(request.url).path.split("/")]
        api, stage, route = parts[3], parts[5], "/".join(parts[7:])
        client = self.clients["apigatewayv2"]
        found = client.get_stage(ApiId=api, StageName=stage)["RouteSettings"]
        left = {key: settings for key, settings in found.items() if key != route}
        assert left != found
        client.update_stage(ApiId=api, StageName=stage, RouteSettings=left)
        answer = AWSResponse(request.url, 204, {}, None)
        answer._content = b""
        return answer


@pytest.fixture(scope="module")
def aws(aws_endpoint: str) -> Drifting:
    return Drifting()


@pytest.fixture(scope="module", params=[{}, ALL], ids=["plain", "all"])
def drifting(aws_endpoint: str, redis_url: str, request: pytest.FixtureRequest) -> Iterator[Config]:
    """A stack that is changed by hand again and again. Nothing is probed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deploy, "probe", lambda *_: None)
        settings = stack_config(redis_url, stack=new_stack(), **request.param)
        deploy.deploy(settings, silent)
        yield settings


def api(aws: Aws, names: Names) -> ObservedApi:
    return observe(aws, names).apis[0]


def change_route(**changed: Any) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        found = api(aws, names)
        target = {"ApiId": found.id, "RouteId": found.routes["GET /e"]["RouteId"]}
        aws.call("apigatewayv2", "update_route", **target, **changed)

    return change


def change_integration(**changed: Any) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        found = api(aws, names)
        id = found.routes["GET /e"]["Target"].removeprefix("integrations/")
        target = {"ApiId": found.id, "IntegrationId": id}
        aws.call("apigatewayv2", "update_integration", **target, **changed)

    return change


def change_api(**changed: Any) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        aws.call("apigatewayv2", "update_api", ApiId=api(aws, names).id, **changed)

    return change


def change_stage(**changed: Any) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        target = {"ApiId": api(aws, names).id, "StageName": "prod"}
        aws.call("apigatewayv2", "update_stage", **target, **changed)

    return change


def permit(
    purpose: str, sid: str = "by-hand", qualifier: str = "live", **more: str
) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        target = {"FunctionName": names.function(purpose), "StatementId": sid}
        if qualifier:
            target["Qualifier"] = qualifier
        aws.call("lambda", "add_permission", **target, Action="lambda:InvokeFunction", **more)

    return change


def widen_permission(aws: Aws, names: Names) -> None:
    """API Gateway may call the alias for any API, of any account."""
    target = {"FunctionName": names.function("track"), "Qualifier": "live"}
    aws.call("lambda", "remove_permission", **target, StatementId="gimel-http-api")
    permit("track", "gimel-http-api", Principal="apigateway.amazonaws.com")(aws, names)


def change_queue(**attributes: str) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        url = observe(aws, names).queues[names.queue].url
        aws.call("sqs", "set_queue_attributes", QueueUrl=url, Attributes=attributes)

    return change


def split_alias(aws: Aws, names: Names) -> None:
    """One call of ten goes to a version that was published by hand."""
    name = names.function("track")
    version = aws.call_until_accepted("lambda", "publish_version", FunctionName=name)["Version"]
    live = observe(aws, names).functions[name].live
    aws.call(
        "lambda",
        "update_alias",
        FunctionName=name,
        Name="live",
        FunctionVersion=live,
        RoutingConfig={"AdditionalVersionWeights": {version: 0.1}},
    )


def change_function(**changed: Any) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        name = names.function("track")
        aws.call_until_accepted(
            "lambda", "update_function_configuration", FunctionName=name, **changed
        )
        aws.wait("function_updated_v2", FunctionName=name)

    return change


def change_mapping(**changed: Any) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        mapping = observe(aws, names).mapping
        assert mapping is not None
        aws.call("lambda", "update_event_source_mapping", UUID=mapping.uuid, **changed)

    return change


def change_rule(**changed: Any) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        settings = {"ScheduleExpression": "rate(1 hour)", "State": "ENABLED", **changed}
        aws.call("events", "put_rule", Name=names.rule, **settings)

    return change


def change_target(id: str = "gimel", **changed: Any) -> Callable[[Aws, Names], None]:
    def change(aws: Aws, names: Names) -> None:
        found = observe(aws, names).rule
        assert found is not None
        target = {**found.targets["gimel"], "Id": id, **changed}
        aws.call("events", "put_targets", Rule=names.rule, Targets=[target])

    return change


KMS = f"arn:aws:kms:{REGION}:{1:012}:key/1"
REPLACED = ["create integrations of HTTP API", "update routes of", "delete integrations of"]
DRIFTS = {
    "a route asks for IAM": (change_route(AuthorizationType="AWS_IAM"), ["update routes of"]),
    "a route asks for a token": (
        change_route(AuthorizationType="JWT", AuthorizerId="a1", AuthorizationScopes=["x"]),
        ["update routes of"],
    ),
    "a timeout": (change_integration(TimeoutInMillis=50), REPLACED),
    "an older payload": (change_integration(PayloadFormatVersion="1.0"), REPLACED),
    "a private connection": (change_integration(ConnectionType="VPC_LINK"), REPLACED),
    "rewritten requests": (
        change_integration(RequestParameters={"overwrite:path": "/x"}),
        REPLACED,
    ),
    "a disabled endpoint": (
        change_api(DisableExecuteApiEndpoint=True),
        ["update HTTP API {stack}: DisableExecuteApiEndpoint"],
    ),
    "other CORS": (
        change_api(CorsConfiguration={"AllowOrigins": ["https://shop.example"]}),
        ["update HTTP API {stack}: CorsConfiguration"],
    ),
    "a throttle on a route": (
        change_stage(RouteSettings={"GET /e": {"ThrottlingRateLimit": 0.0}}),
        ["delete settings of single routes of HTTP API {stack}: GET /e"],
    ),
    "a throttle on the stage": (
        change_stage(DefaultRouteSettings={"ThrottlingRateLimit": 1.0}),
        ["update stage prod"],
    ),
    "an alias that anybody may invoke": (
        permit("all-experiments", Principal="*"),
        [
            "delete permission by-hand to invoke alias live of function {stack}-all-experiments: "
            "anybody may invoke it"
        ],
    ),
    "an alias that another account may invoke": (
        permit("track", Principal="210987654321"),
        ["delete permission by-hand to invoke alias live of function {stack}-track: Gimel did not"],
    ),
    "a function that anybody may invoke": (
        permit("replay", qualifier="", Principal="*"),
        ["delete permission by-hand to invoke function {stack}-replay: anybody may invoke it"],
    ),
    "an alias that every API may invoke": (
        widen_permission,
        ["replace permission to invoke function {stack}-track"],
    ),
    "an open queue": (
        change_queue(Policy=json.dumps(OPEN_QUEUE)),
        ["update queue {stack}-events: Policy"],
    ),
    "a queue with a key of its own": (
        change_queue(KmsMasterKeyId="alias/x", SqsManagedSseEnabled="false"),
        ["update queue {stack}-events: SqsManagedSseEnabled, KmsMasterKeyId"],
    ),
    "a queue for small messages": (
        change_queue(MaximumMessageSize="1024"),
        ["update queue {stack}-events: MaximumMessageSize"],
    ),
    "a mapping that filters": (
        change_mapping(FilterCriteria={"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]}),
        ["update mapping of queue {stack}-events"],
    ),
    "a rule without its description, that rests": (
        change_rule(State="DISABLED"),
        ["update rule {stack}-snapshots: State"],
    ),
    "a rule that calls seldom": (
        change_rule(ScheduleExpression="rate(7 days)"),
        ["update rule {stack}-snapshots: ScheduleExpression"],
    ),
    "a rule that says something else": (
        change_target(Input='{"gimel": "redis"}', RetryPolicy={"MaximumRetryAttempts": 0}),
        ["update target of rule {stack}-snapshots: Input, RetryPolicy"],
    ),
    "a rule that calls others": (
        change_target("by-hand", Arn=f"arn:aws:sqs:{REGION}:{1:012}:theirs"),
        ["delete other targets of rule {stack}-snapshots: by-hand"],
    ),
    "an alias that every rule may invoke": (
        permit("all-experiments", Principal="events.amazonaws.com"),
        [
            "delete permission by-hand to invoke alias live of function {stack}-all-experiments: "
            "anybody may invoke it"
        ],
    ),
    "an alias that splits calls": (split_alias, ["update alias live of function {stack}-track: "]),
    "a file system": (
        change_function(
            FileSystemConfigs=[
                {
                    "Arn": f"arn:aws:elasticfilesystem:{REGION}:{1:012}:access-point/fsap-"
                    + "0" * 17,
                    "LocalMountPath": "/mnt/x",
                }
            ]
        ),
        ["update function {stack}-track: FileSystemConfigs"],
    ),
    "a key, a trace, a disk": (
        change_function(
            KMSKeyArn=KMS, TracingConfig={"Mode": "Active"}, EphemeralStorage={"Size": 1024}
        ),
        [f"update function {{stack}}-track: KMSKeyArn {KMS} → none, EphemeralStorage, TracingConf"],
    ),
    "logs elsewhere": (
        change_function(
            LoggingConfig={"LogFormat": "JSON", "SystemLogLevel": "WARN", "LogGroup": "elsewhere"}
        ),
        ["update function {stack}-track: LoggingConfig"],
    ),
}


@pytest.mark.parametrize("kind", DRIFTS)
def test_a_change_by_hand_is_seen_and_mended(aws: Drifting, drifting: Config, kind: str) -> None:
    change, expected = DRIFTS[kind]
    names, starts = Names(drifting.stack), [each.format(stack=drifting.stack) for each in expected]
    before = end_state(aws, names)
    change(aws, names)
    seen = [str(change) for change in prepare(drifting, silent, aws).changes]
    assert [line[: len(start)] for line, start in zip(seen, starts, strict=True)] == starts
    deploy.deploy(drifting, silent, aws)
    assert end_state(aws, names) == before
    assert prepare(drifting, silent, aws).changes == []
