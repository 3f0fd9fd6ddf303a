import io
import json
import zipfile
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
import requests
from botocore.awsrequest import AWSResponse

from gimel import deploy
from gimel.client import Backend, BackendError, Client
from gimel.config.settings import AwsSettings, Config
from gimel.deploy import Deployed
from gimel.stack.aws import Aws, AwsError
from gimel.stack.bundle import build_in_background
from gimel.stack.deployed import find
from gimel.stack.observe import observe
from gimel.stack.observed import ObservedApi
from gimel.stack.permissions import trust_policy
from gimel.stack.plan.plan import plan
from gimel.stack.wanted import LATEST, LOGGING, DeployError, Names, log_group, wanted_stack
from tests.support.aws_account import REGION, RecordingAws, new_stack, stack_config
from tests.support.deployments import REDIS_PASSWORD, Deployment, end_state, silent
from tests.support.servers import free_port

SPACE = "shop at night/é:#%"


@pytest.fixture
def settings(aws_endpoint: str, redis_url: str) -> Config:
    """The settings of a stack of the test's own."""
    return stack_config(redis_url, stack=new_stack())


@pytest.fixture
def names(settings: Config) -> Names:
    return Names(settings.stack)


@pytest.fixture
def first(settings: Config) -> Deployed:
    """That stack, deployed."""
    return deploy.deploy(settings, silent)


def again(settings: Config) -> tuple[Deployed, RecordingAws]:
    aws = RecordingAws(settings.aws.region)
    return deploy.deploy(settings, silent, aws), aws


def is_as_wanted(settings: Config) -> bool:
    return again(settings)[1].writes == []


# What a deploy gives


def test_events_come_back_as_counts(deployed: Deployment) -> None:
    client = Client(deployed.url, deployed.key)
    for uuid in ("1", "2", "3", "3"):
        client.track("button color", "red & blue", "participate", uuid, SPACE)
    goal = {"namespace": SPACE, "experiment": "button color", "event": "signup/now"}
    batch = [{**goal, "variant": "red & blue", "uuid": uuid} for uuid in ("1", "2", "2")]
    answer = requests.post(
        f"{deployed.url}/e", json.dumps(batch), headers={"content-type": "text/plain"}, timeout=20
    )
    assert (answer.status_code, answer.json()) == (200, {"accepted": 3, "rejected": []})
    found = client.experiment("button color", SPACE)
    assert found["variants"] == [{"label": "red & blue", "trials": 3, "stray": False}]
    ((goal_found,), (result,)) = found["goals"], found["goals"][0]["results"]
    assert goal_found["goal"] == "signup/now"
    assert (result["label"], result["successes"]) == ("red & blue", 2)
    assert client.experiments(SPACE) == [found]
    client.track("another", "a", "participate", "1", SPACE)
    assert client.experiments(SPACE, scope="button color") == [found]
    assert len(client.experiments(SPACE)) == 2


def test_the_old_path_counts_too(deployed: Deployment) -> None:
    fields = {"experiment": "old", "variant": "a", "event": "participate", "uuid": "1"}
    assert requests.get(f"{deployed.url}/track", fields, timeout=20).status_code == 200
    assert requests.post(f"{deployed.url}/track", json=fields, timeout=20).status_code == 200
    assert Client(deployed.url, deployed.key).experiment("old")["variants"][0]["trials"] == 1


@pytest.mark.parametrize("key", [None, "wrong"])
def test_reading_and_deleting_ask_for_the_key(deployed: Deployment, key: str | None) -> None:
    client = Client(deployed.url, key)
    asks: list[Callable[[], Any]] = [
        client.experiments,
        lambda: client.experiment("x"),
        lambda: client.delete("x"),
    ]
    for ask in asks:
        with pytest.raises(BackendError, match=r"403.*read key") as refused:
            ask()
        assert refused.value.status == 403


def test_delete_forgets_an_experiment(deployed: Deployment) -> None:
    client = Client(deployed.url, deployed.key)
    client.track("short-lived", "a", "participate", "1")
    assert client.delete("short-lived") is True
    with pytest.raises(BackendError, match="no such experiment") as missing:
        client.experiment("short-lived")
    assert missing.value.status == 404
    assert client.delete("short-lived") is False


def test_browsers_may_call_from_any_page(deployed: Deployment) -> None:
    for method, path in [("POST", "/e"), ("GET", "/experiments"), ("DELETE", "/delete")]:
        answer = requests.options(
            deployed.url + path,
            headers={
                "origin": "https://shop.example",
                "access-control-request-method": method,
                "access-control-request-headers": "x-api-key,content-type",
            },
            timeout=20,
        )
        assert answer.status_code in (200, 204)
        assert answer.headers["access-control-allow-origin"] == "*"
        assert method in answer.headers["access-control-allow-methods"]
        assert "x-api-key" in answer.headers["access-control-allow-headers"]
        assert answer.headers["access-control-max-age"] == "86400"


def test_the_dashboard_needs_no_key(deployed: Deployment) -> None:
    page = requests.get(f"{deployed.url}/dashboard", timeout=20)
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")


def test_the_probe_leaves_nothing_behind(deployed: Deployment) -> None:
    with redis.Redis.from_url(deployed.redis_url) as client:
        assert client.keys(f"{deploy.PROBE_NAMESPACE}*") == []


def test_output_says_what_was_done_and_no_secret(deployed: Deployment) -> None:
    for line in ["create function gimel-track", "create HTTP API gimel", "probe event"]:
        assert line in deployed.output
    address = urlsplit(deployed.redis_url)
    secrets = {deployed.key, REDIS_PASSWORD, deployed.redis_url, address.password, "/word"}
    assert not [secret for secret in secrets if str(secret) in deployed.output]


def test_everything_is_tagged_and_least_privileged(names: Names, first: Deployed) -> None:
    aws = Aws(REGION)
    seen = observe(aws, names)
    role = seen.role
    assert role is not None
    assert seen.parameter is not None
    tagged = [role.tags, seen.parameter.tags]
    tagged += [
        found.tags
        for kind in (seen.functions, seen.log_groups, seen.queues)
        for found in kind.values()
    ]
    assert tagged == [names.tags] * 12
    assert seen.apis[0].tags == names.tags
    kind = aws.call("ssm", "get_parameter", "Parameter.Type", Name=names.parameter)
    assert kind == "SecureString"
    statement, queue, _ = role.permissions["Statement"]
    assert queue["Resource"] == [seen.queues[names.queue].attributes["QueueArn"]]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert [arn.removesuffix(":*") for arn in statement["Resource"]] == [
        seen.log_groups[f"/aws/lambda/{name}"].arn for name in names.functions
    ]
    (api,) = seen.apis
    source = f"arn:aws:execute-api:{REGION}:{aws.home().account}:{api.id}/prod/*"
    for name, function in seen.functions.items():
        called = name != names.function("replay")
        assert function.invokers == ({"gimel-http-api": source} if called else {})
        assert all(each["LoggingConfig"] == LOGGING for each in function.versions.values())
    assert seen.mapping is not None
    assert seen.mapping.tags == names.tags


def test_somebody_else_at_the_queue_is_seen(names: Names, first: Deployed) -> None:
    aws = Aws(REGION)
    _make_stranger(aws, f"{names.stack}-eater")
    source = aws.home().arn("sqs", names.queue)
    mapping = {"EventSourceArn": source, "FunctionName": f"{names.stack}-eater"}
    made = aws.call("lambda", "create_event_source_mapping", "UUID", **mapping, Enabled=False)
    try:
        seen = observe(aws, names)
    finally:
        aws.call("lambda", "delete_event_source_mapping", UUID=made)
    assert [arn.rsplit(":", 1)[1] for arn in seen.other_consumers] == [f"{names.stack}-eater"]
    assert seen.mapping is not None
    assert names.function("replay") in seen.mapping.settings["FunctionName"]


# Doing it again


def test_second_deploy_writes_nothing(first: Deployed, settings: Config) -> None:
    assert first.key_is_new
    second, aws = again(settings)
    assert aws.writes == []
    assert aws.operations
    assert (second.url, second.key) == (first.url, first.key)
    assert (second.changes, second.key_is_new) == ((), False)
    assert find(settings) == Backend(first.url, first.key)


def test_one_setting_makes_only_its_calls(names: Names, first: Deployed, settings: Config) -> None:
    _, aws = again(settings.model_copy(update={"memory": 512}))
    assert aws.writes == sorted(
        ["UpdateFunctionConfiguration", "PublishVersion", "UpdateAlias"] * 4
    )
    live = aws.call(
        "lambda",
        "get_function",
        "Configuration",
        FunctionName=names.function("track"),
        Qualifier="live",
    )
    assert (live["MemorySize"], live["Version"]) == (512, "2")


def test_retention_changes_by_itself(first: Deployed, settings: Config) -> None:
    _, aws = again(settings.model_copy(update={"log_retention_days": 7}))
    assert aws.writes == ["PutRetentionPolicy"] * 4


def test_other_code_is_pushed(first: Deployed, settings: Config) -> None:
    runtime = "python3.14" if first.changes and not settings.runtime else None
    _, aws = again(settings.model_copy(update={"runtime": runtime}))
    assert set(aws.writes) == {
        "UpdateFunctionConfiguration",
        "UpdateFunctionCode",
        "PublishVersion",
        "UpdateAlias",
    }


def test_five_versions_are_kept_and_the_live_one(
    names: Names, first: Deployed, settings: Config
) -> None:
    aws = Aws(REGION)
    for number in range(7):
        named = {"FunctionName": names.function("track")}
        # A setting that Gimel leaves alone.
        size = {"Size": 512 + number}
        aws.call_until_accepted(
            "lambda", "update_function_configuration", **named, EphemeralStorage=size
        )
        aws.wait("function_updated_v2", **named)
        aws.call_until_accepted("lambda", "publish_version", **named)
    _, recorded = again(settings)
    assert recorded.writes == ["DeleteFunction"] * 2
    seen = observe(aws, names).functions[names.function("track")]
    numbers = sorted(number for number in seen.versions if number != LATEST)
    # All have the same settings in Gimel's eyes: the alias need not move from the oldest.
    assert (seen.live, numbers) == ("1", ["1", "4", "5", "6", "7", "8"])
    again(settings.model_copy(update={"memory": 512}))
    seen = observe(aws, names).functions[names.function("track")]
    numbers = sorted(number for number in seen.versions if number != LATEST)
    assert (seen.live, numbers) == ("9", ["5", "6", "7", "8", "9"])


def _api(aws: Aws, names: Names) -> ObservedApi:
    return observe(aws, names).apis[0]


def _delete_alias(aws: Aws, names: Names) -> None:
    aws.call("lambda", "delete_alias", FunctionName=names.function("track"), Name="live")


def _delete_function(aws: Aws, names: Names) -> None:
    aws.call("lambda", "delete_function", FunctionName=names.function("all-experiments"))


def _delete_policy(aws: Aws, names: Names) -> None:
    policy = names.policy(REGION)
    aws.call("iam", "delete_role_policy", RoleName=names.role, PolicyName=policy)


def _open_role(aws: Aws, names: Names) -> None:
    everyone = json.dumps(trust_policy()).replace("lambda.", "ec2.")
    aws.call("iam", "update_assume_role_policy", RoleName=names.role, PolicyDocument=everyone)


def _delete_api(aws: Aws, names: Names) -> None:
    aws.call("apigatewayv2", "delete_api", ApiId=_api(aws, names).id)


def _delete_stage(aws: Aws, names: Names) -> None:
    aws.call("apigatewayv2", "delete_stage", ApiId=_api(aws, names).id, StageName="prod")


def _delete_route(aws: Aws, names: Names) -> None:
    api = _api(aws, names)
    aws.call("apigatewayv2", "delete_route", ApiId=api.id, RouteId=api.routes["GET /e"][0])


def _misroute(aws: Aws, names: Names) -> None:
    api = _api(aws, names)
    target = f"integrations/{api.routes['DELETE /delete'][1]}"
    named = {"ApiId": api.id, "RouteId": api.routes["GET /e"][0]}
    aws.call("apigatewayv2", "update_route", **named, Target=target)
    aws.call("apigatewayv2", "create_route", ApiId=api.id, RouteKey="GET /x", Target=target)


def _delete_integration(aws: Aws, names: Names) -> None:
    api = _api(aws, names)
    integration = api.routes["GET /experiment"][1]
    aws.call("apigatewayv2", "delete_integration", ApiId=api.id, IntegrationId=integration)


def _close_cors(aws: Aws, names: Names) -> None:
    closed = {"AllowOrigins": ["https://shop.example"]}
    aws.call("apigatewayv2", "update_api", ApiId=_api(aws, names).id, CorsConfiguration=closed)


def _second_api(aws: Aws, names: Names) -> None:
    named = {"Name": names.api, "ProtocolType": "HTTP", "Tags": names.tags}
    aws.call("apigatewayv2", "create_api", **named)


def _delete_permission(aws: Aws, names: Names) -> None:
    named = {"FunctionName": names.function("track"), "Qualifier": "live"}
    aws.call("lambda", "remove_permission", **named, StatementId="gimel-http-api")


def _delete_log_group(aws: Aws, names: Names) -> None:
    aws.call("logs", "delete_log_group", logGroupName=log_group(names.function("track")))


def _drift(aws: Aws, names: Names) -> None:
    empty: dict[str, Any] = {"Variables": {}}
    named = {"FunctionName": names.function("track")}
    aws.call_until_accepted(
        "lambda", "update_function_configuration", **named, Environment=empty, Timeout=77
    )


def _roll_back(aws: Aws, names: Names) -> None:
    _drift(aws, names)
    named = {"FunctionName": names.function("track")}
    aws.wait("function_updated_v2", **named)
    version = aws.call_until_accepted("lambda", "publish_version", **named)["Version"]
    aws.call("lambda", "update_alias", **named, Name="live", FunctionVersion=version)


def _lose_key(aws: Aws, names: Names) -> None:
    aws.call("ssm", "delete_parameter", Name=names.parameter)


# Those in a row do not hide each other.
DAMAGES = [
    (_delete_alias, _delete_policy, _delete_log_group),
    (_delete_function, _delete_stage),
    (_delete_api,),
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


# Whose it is


def test_two_stacks_do_not_touch_each_other(first: Deployed, settings: Config) -> None:
    other = settings.model_copy(update={"stack": f"{settings.stack}-two", "memory": 512})
    second = deploy.deploy(other, silent)
    assert second.url != first.url
    with pytest.raises(BackendError, match="403"):
        Client(second.url, first.key).experiments()
    assert is_as_wanted(settings)
    assert is_as_wanted(other)


def test_two_regions_share_the_role_in_peace(first: Deployed, settings: Config) -> None:
    there = settings.model_copy(update={"aws": AwsSettings(region="us-east-1")})
    deploy.deploy(there, silent)
    assert is_as_wanted(settings)


def _make_stranger(aws: Aws, name: str) -> None:
    """A function as someone else, or gimel 1.x, made it: no tag, other settings."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("gimel.py", "def track(event, context): return None")
    trust = json.dumps(trust_policy())
    role = aws.call(
        "iam", "create_role", "Role.Arn", RoleName=new_stack(), AssumeRolePolicyDocument=trust
    )
    arguments = {"Handler": "gimel.track", "Runtime": "python3.11", "Role": role}
    code = {"ZipFile": buffer.getvalue()}
    aws.call_until_accepted("lambda", "create_function", FunctionName=name, Code=code, **arguments)
    aws.wait("function_active_v2", FunctionName=name)


def test_foreign_things_are_left_alone(settings: Config, names: Names) -> None:
    aws = RecordingAws()
    _make_stranger(aws, names.function("track"))
    aws.operations.clear()
    with pytest.raises(DeployError, match=f"function {names.function('track')}"):
        deploy.deploy(settings, silent, aws)
    assert aws.operations
    assert aws.writes == []


def test_the_functions_of_gimel_1_are_taken_over(aws_endpoint: str, redis_url: str) -> None:
    settings, names = stack_config(redis_url), Names("gimel")
    elsewhere = settings.model_copy(update={"aws": AwsSettings(region="us-west-2")})
    aws = Aws("us-west-2")
    _make_stranger(aws, "gimel-track")
    aws.call("logs", "create_log_group", logGroupName="/aws/lambda/gimel-track")
    deploy.deploy(elsewhere, silent, aws)
    assert is_as_wanted(elsewhere)
    function = observe(aws, names).functions["gimel-track"]
    assert function.tags == {"gimel:stack": "gimel"}
    assert function.versions["$LATEST"]["Architectures"] == ["arm64"]


def test_another_stacks_things_are_not_taken_over(redis_url: str, aws_endpoint: str) -> None:
    aws = Aws("ap-south-1")
    elsewhere = stack_config(redis_url, aws={"region": "ap-south-1"})
    tags = {"gimel:stack": "other"}
    aws.call("logs", "create_log_group", logGroupName="/aws/lambda/gimel-track", tags=tags)
    with pytest.raises(DeployError, match="log group /aws/lambda/gimel-track"):
        deploy.deploy(elsewhere, silent, aws)


def test_nothing_deployed_says_what_makes_it(settings: Config) -> None:
    said = f"no stack {settings.stack} in region eu-west-1: create it with `gimel deploy`"
    with pytest.raises(DeployError, match=said):
        find(settings)


# What goes wrong


def test_redis_out_of_reach_is_one_clear_message(
    first: Deployed, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deploy, "_REDIS_TIMEOUT", 0.0)
    away = stack_config(f"redis://:hushhush@127.0.0.1:{free_port()}/0", stack=settings.stack)
    with pytest.raises(
        DeployError, match=r"was queued.*do not reach Redis: network: no connection"
    ) as error:
        deploy.deploy(away, silent)
    assert "\n" not in str(error.value)
    assert "hushhush" not in str(error.value)
    deploy.deploy(settings, silent)


def _refusing(aws: RecordingAws, operation: str, code: str, message: str, times: int) -> None:
    """Have AWS refuse an operation some times, as it does: a fault that can't be had otherwise."""
    left = [times]

    def refuse(request: Any, **_: Any) -> Any:
        if left[0] == 0:
            return None
        left[0] -= 1
        response = AWSResponse(request.url, 400, {"x-amzn-errortype": code}, None)
        response._content = json.dumps({"__type": code, "message": message}).encode()
        return response

    aws.on(f"before-send.*.{operation}", refuse)


@pytest.mark.parametrize(
    ("operation", "code", "message"),
    [
        (
            "CreateFunction",
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        (
            "CreateAlias",
            "ResourceConflictException",
            "The operation cannot be performed at this time. An update is in progress",
        ),
    ],
)
def test_refusals_for_the_moment_are_tried_again(
    settings: Config, operation: str, code: str, message: str
) -> None:
    aws = RecordingAws()
    _refusing(aws, operation, code, message, times=3)
    deploy.deploy(settings, silent, aws)
    assert aws.operations.count(operation) == 7


@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("ExpiredTokenException", "The security token is expired", "expired: log in again"),
        ("UnrecognizedClientException", "The token is invalid", "does not know these cred"),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/x is not authorized to perform: lambda:CreateFunction on y",
            "not allowed to call lambda:CreateFunction:",
        ),
        ("AccessDeniedException", "no", "not allowed to call lambda:CreateFunction:"),
        ("InvalidParameterValueException", "bad variable {secret}", r"bad variable \*\*\*"),
    ],
)
def test_refusals_say_what_to_do(settings: Config, code: str, message: str, said: str) -> None:
    aws = RecordingAws()
    _refusing(aws, "CreateFunction", code, message.format(secret=settings.redis.address), times=99)
    with pytest.raises(AwsError, match=said) as error:
        deploy.deploy(settings, silent, aws)
    assert "\n" not in str(error.value)
    # Once a function; those whose turn had not come are not tried.
    assert 1 <= aws.operations.count("CreateFunction") <= 4


def test_no_credentials(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsError, match="no AWS credentials: run `aws configure`"):
        Aws(REGION).home()


def test_no_region(aws_endpoint: str) -> None:
    with pytest.raises(AwsError, match=r"no AWS region: set .* in config.json"):
        Aws()


def test_unknown_profile(aws_endpoint: str) -> None:
    with pytest.raises(AwsError, match=r"nowhere.*list-profiles"):
        Aws(REGION, "nowhere")


def test_a_region_that_does_not_answer(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(AwsError, match="does not answer in region eu-west-1"):
        Aws(REGION).home()


def test_plan_is_as_seen(names: Names, first: Deployed, settings: Config) -> None:
    """What was deployed and what the same settings want are one: the plan says so by itself."""
    aws = Aws(REGION)
    bundle = build_in_background(settings.runtime).result()
    asked = wanted_stack(settings, aws.home(), first.key, bundle)
    assert plan(asked, observe(aws, names)) == []
