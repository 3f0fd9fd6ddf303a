"""`gimel policy` is what the commands need, no more and no less; and what a linter says of it.

An account that enforces IAM, a user who has that policy and nothing else, and all commands over a
stack's whole life: nothing is denied, and what was called is what the policy names.
"""

import io
import json
import os
import re
import shutil
import subprocess
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest

from gimel import deploy
from gimel.config.file import parse
from gimel.config.settings import Config
from gimel.stack.aws import Aws, Home
from gimel.stack.observe.observe import observe
from gimel.stack.permissions.deployer import OPTIONAL_FOR_DEPLOY, deployer_policy
from gimel.stack.permissions.functions import functions_policy, trust_policy
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION
from tests.support.aws_calls import pages
from tests.support.commands import run
from tests.support.iam_account import HOME, NAMES, Account, Life, allow
from tests.support.serverless_caches import make_user_group

with warnings.catch_warnings():
    # It imports pkg_resources, and leaves files open.
    warnings.simplefilter("ignore")
    import parliament


VPC = {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}
CONTINUOUS = Path(__file__).parents[2] / "docs" / "continuous-deployment.md"
BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab"
SECRETS = (
    "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/redis-a1B2c3",
    "arn:aws:ssm:eu-west-1:123456789012:parameter/shop/redis",
)


# What AWS asks for though no call bears its name, or an emulator does not need: the sources are in
# permissions/__init__.py.
BESIDES = {
    "apigateway:TagResource": "tags at the creation of an API, a stage, a domain name",
    "iam:PassRole": "the role given to a function",
    "ec2:DescribeSecurityGroups": "a function in a VPC",
    "ec2:DescribeSubnets": "a function in a VPC",
    "ec2:DescribeVpcs": "a function in a VPC",
    "elasticache:Connect": "a connection to the managed Redis",
    "elasticache:CreateServerlessCacheSnapshot": "the final snapshot",
    "elasticache:DescribeEvents": "why a cache could not be created",
    "iam:CreateServiceLinkedRole": "an account's first cache, alarm or custom domain name",
}


# GetCallerIdentity cannot be denied:
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = {"sts:GetCallerIdentity"}


def make_gimel_1(root: Aws) -> None:
    """A role, a function, a REST API and its key, as gimel 1.x made them; the role a bit wider."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("gimel.py", "def track(event, context): return None")
    trust = json.dumps(trust_policy())
    role = root.call(
        "iam", "create_role", "Role.Arn", RoleName="gimel", AssumeRolePolicyDocument=trust
    )
    document = json.dumps(functions_policy(NAMES, HOME))
    named = {"RoleName": "gimel"}
    root.call("iam", "put_role_policy", **named, PolicyName="gimel", PolicyDocument=document)
    root.call("iam", "attach_role_policy", **named, PolicyArn=BOUNDARY)
    function = root.call(
        "lambda",
        "create_function",
        "FunctionArn",
        FunctionName="gimel-track",
        Code={"ZipFile": buffer.getvalue()},
        Handler="gimel.track",
        Runtime="python3.11",
        Role=role,
    )
    root.wait("function_active_v2", FunctionName="gimel-track")
    root.call("logs", "create_log_group", logGroupName="/aws/lambda/gimel-track")
    api = root.call("apigateway", "create_rest_api", "id", name="gimel")
    top = root.call("apigateway", "get_resources", "items[0].id", restApiId=api)
    place = {"restApiId": api, "resourceId": top, "httpMethod": "GET"}
    root.call("apigateway", "put_method", **place, authorizationType="NONE")
    path = f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"
    root.call(
        "apigateway",
        "put_integration",
        **place,
        type="AWS",
        integrationHttpMethod="POST",
        uri=path,
    )
    stage = {"restApiId": api, "stageName": "prod"}
    root.call("apigateway", "create_deployment", **stage)
    root.call("apigateway", "create_api_key", name="gimel", stageKeys=[stage], enabled=True)


def damage(root: Aws) -> None:
    """What a deploy mends by calls that it makes at no other time."""
    seen = observe(root, NAMES)
    (api,) = seen.apis
    root.call("lambda", "delete_alias", FunctionName="gimel-track", Name="live")
    route = next(iter(api.routes.values()))
    targets = [f"integrations/{id}" for id in api.integrations]
    other = next(target for target in targets if target != route["Target"])
    named = {"ApiId": api.id, "RouteId": route["RouteId"]}
    root.call("apigatewayv2", "update_route", **named, Target=other)
    root.call(
        "apigatewayv2",
        "create_integration",
        ApiId=api.id,
        IntegrationType="HTTP_PROXY",
        IntegrationMethod="GET",
        IntegrationUri="https://example.com",
        PayloadFormatVersion="1.0",
    )
    tags = NAMES.tags
    root.call("apigatewayv2", "create_api", Name="gimel", ProtocolType="HTTP", Tags=tags)

    assert seen.mapping
    root.call("lambda", "update_event_source_mapping", UUID=seen.mapping.uuid, BatchSize=5)
    for queue in seen.queues.values():
        short = {"MessageRetentionPeriod": "60"}
        root.call("sqs", "set_queue_attributes", QueueUrl=queue.url, Attributes=short)
    aside = seen.queues[NAMES.dead_letters].url
    root.call("sqs", "send_message", QueueUrl=aside, MessageBody="[]")

    assert seen.topic
    opened = json.dumps({"Statement": []})
    attribute = {"AttributeName": "Policy", "AttributeValue": opened}
    root.call("sns", "set_topic_attributes", TopicArn=seen.topic.arn, **attribute)


def wiring(path: str) -> dict[str, Any]:
    return {
        "lambda": {"FunctionName": "gimel-track"},
        "api_gateway": {"pathPart": path, "method": {"httpMethod": "GET"}},
    }


def domain(certificate: int) -> dict[str, str]:
    arn = f"arn:aws:acm:{REGION}:{1:012}:certificate/{certificate}"
    return {"name": "ab.shop.example", "certificate": arn}


def live_a_whole_life(life: Life) -> None:
    """Everything that the commands can be asked to do, and what they can meet."""
    root = life.root
    make_gimel_1(root)
    life.run("deploy", "--dry-run", code=2)
    life.run("preflight")
    life.deploy(events="function-url")
    life.deploy(
        alarm_email="ana@shop.example",
        allowed_origins=["https://shop.example"],
        domain=domain(1),
        extra_wiring=[wiring("old")],
        permissions_boundary=BOUNDARY,
        reserved_concurrency={"track": 7, "reads": 3, "delete": 1},
        tags={"team": "web"},
        throttle={"rate": 9, "burst": 9},
        vpc=VPC,
    )
    life.deploy(
        alarm_email="bea@shop.example",
        architecture="x86_64",
        domain=domain(2),
        event_path="moments",
        events="api",
        extra_wiring=[],
        memory=512,
        reserved_concurrency={"track": None, "reads": None, "delete": None},
        tags={"team": "shop"},
    )
    damage(root)
    life.run("status")
    assert "Moved 1 message back to the queue" in life.run("replay", "--dead-letter")
    # The policy that goes with a boundary lets nobody remove it.
    life.set(domain=None, permissions_boundary=None, vpc=None)
    assert "not allowed to call iam:DeleteRolePermissionsBoundary" in life.run(
        "deploy", "--no-preflight", code=1, is_allowed=False
    )
    life.deploy()
    for megabytes in (192, 256):
        life.deploy(alarm_email=None, memory=megabytes)
    lines = "results,snippet,dashboard --print-url,status,logs,rollback,key show,key rotate"
    for line in lines.split(","):
        life.run(*line.split())
    for scope in ("send", "read"):
        life.run("key", "create", "--scope", scope, "--name", "the shop")
    id, _ = life.run("key", "show", "--scope", "read").split()
    assert id in life.run("key", "list")
    life.run("key", "revoke", id)
    assert '"Statement"' in life.run("policy")
    life.deploy(alarm_email="ana@shop.example", domain=domain(1))
    warning = "gimel 1.x's REST API"
    # Nobody is there to say yes.
    said = " ".join(life.run("destroy", code=1).split())
    assert warning in said
    assert "pages with its URL lose their events. `gimel destroy --legacy` deletes the API" in said
    life.run("destroy", "--yes", "--legacy")
    assert warning not in " ".join(life.run("destroy", "--yes", "--data").split())
    life.deploy(vpc=VPC)
    life.run("destroy", "--yes")
    live_with_a_managed_redis(life)


def live_with_a_managed_redis(life: Life) -> None:
    make_user_group(life.root)
    with pytest.MonkeyPatch.context() as patch:
        # The emulator's cache has no server behind it.
        patch.setattr(deploy, "probe", lambda *_: None)
        life.set(redis="managed")
        life.run("preflight")
        life.run("deploy", "--no-preflight", "--yes")
        life.set(redis={"managed": {"gigabytes": 2}}, tags={"team": "managed"})
        life.run("deploy", "--no-preflight")
        life.run("status")
        life.run("destroy", "--yes", "--data", "--no-snapshot")


def test_the_policy_is_what_the_commands_call(
    life: Life, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.stack.destruction._RELEASE_DELAY", 0.0)
    live_a_whole_life(life)
    seen = observe(life.root, NAMES)
    left = [seen.parameter, seen.keys, seen.role, seen.functions, seen.log_groups, seen.apis]
    assert not any([*left, seen.queues, seen.mapping, seen.topic, seen.alarms, seen.cache])
    content = {"domain": domain(1), "vpc": VPC, "alarm_email": "ana@shop.example"}
    bounded, unbounded = (
        deployer_policy(parsed(redis="managed", permissions_boundary=boundary, **content), HOME)
        for boundary in (BOUNDARY, None)
    )
    named = actions(bounded) | actions(unbounded)
    called = set().union(*account.by_command.values()) - FREE
    assert named == called | set(BESIDES)
    assert not called & set(BESIDES)
    # A deploy asks a function only when Redis does not answer.
    not_by_deploying = named - account.by_command["deploy"] - set(BESIDES)
    optional = (OPTIONAL_FOR_DEPLOY & named) - set(BESIDES)
    assert not_by_deploying - {"lambda:InvokeFunction"} == optional
    for made, commands in account.made.items():
        if made.operation == "Invoke":
            commands.discard("deploy")
    for page, current in pages(account.made, bounded, unbounded).items():
        if "GIMEL_WRITE_DOCS" in os.environ:
            page.write_text(current, "utf-8")
        assert page.read_text("utf-8") == current, (
            "write it: GIMEL_WRITE_DOCS=1 pytest -k policy_is"
        )


def picked_out(config: Config) -> dict[str, Any]:
    """The policy for plans, made by the jq program in docs/continuous-deployment.md."""
    (program,) = re.findall(r"^jq '(.+)' deploy\.json", CONTINUOUS.read_text("utf-8"), re.M)
    policy = json.dumps(deployer_policy(config, HOME))
    done = subprocess.run(["jq", program], input=policy.encode(), capture_output=True, check=True)
    picked: dict[str, Any] = json.loads(done.stdout)
    return picked


@pytest.mark.parametrize("secret", SECRETS)
def test_a_plan_reads_the_environment_and_not_the_secret(secret: str) -> None:
    if shutil.which("jq") is None:
        pytest.skip("no jq on this machine")
    picked = picked_out(parsed(redis={"host": "h", "secret": secret}, kms_key=KEY))
    with_keys = [each for each in picked["Statement"] if "kms:Decrypt" in each["Action"]]
    assert [(each["Action"], each["Resource"]) for each in with_keys] == [(["kms:Decrypt"], [KEY])]
    assert secret not in json.dumps(picked)
    assert not [each for each in actions(picked) if re.match("kms:[^D]|secretsmanager:", each)]


def test_a_plan_needs_only_the_actions_that_read(life: Life) -> None:
    """Those that jq picks out in docs/continuous-deployment.md."""
    if shutil.which("jq") is None:
        pytest.skip("no jq on this machine")
    life.deploy()
    allow(life.root, "UserName", "deployer", picked_out(life.config))
    command = ("--config", str(life.path), "deploy")
    assert run(*command, "--dry-run").exit_code == 0
    life.set(memory=512)
    life.path.write_text(json.dumps(life.content))
    assert run(*command, "--dry-run").exit_code == 2
    refused = run(*command, "--no-preflight")
    assert "not allowed to call ssm:PutParameter" in refused.stderr
    life.run("destroy", "--yes")


def parsed(**settings: Any) -> Config:
    return parse(json.dumps({"redis": {"host": "h"}, **settings}))


def actions(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_the_policy_goes_with_the_settings() -> None:
    plain = deployer_policy(parsed(stack="shop"), HOME)
    text = json.dumps(plain)
    assert "restapis" not in text
    assert "gimel-track" not in text
    assert "restapis" in json.dumps(deployer_policy(parsed(), HOME))
    more = actions(deployer_policy(parsed(stack="shop", vpc=VPC), HOME))
    assert more - actions(plain) == {action for action in BESIDES if action.startswith("ec2:")}
    more = actions(deployer_policy(parsed(stack="shop", alarm_email="ana@shop.example"), HOME))
    assert more - actions(plain) == {
        *("cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "iam:CreateServiceLinkedRole"),
        *("sns:CreateTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource"),
        "sns:Unsubscribe",
    }
    more = actions(deployer_policy(parsed(stack="shop", domain=domain(1)), HOME))
    assert more - actions(plain) == {"iam:CreateServiceLinkedRole"}
    looking = {"elasticache:DescribeServerlessCaches", "elasticache:ListTagsForResource"}
    assert {action for action in actions(plain) if "elasticache" in action} == looking


# What a linter says


# By the sources in permissions/__init__.py; the linter's list of actions and keys has them not.
DOCUMENTED = {
    "UNKNOWN_ACTION": "apigateway:TagResource",
    "UNKNOWN_CONDITION_FOR_ACTION": "lambda:SourceFunctionArn",
    "RESOURCE_MISMATCH": "ec2:",
    # AWS compares a boundary in this way, too: access_policies_boundaries.html in IAM's guide.
    "MISMATCHED_TYPE_BUT_USABLE": "StringEquals requires a value of type String but given Arn",
}


def findings(policy: dict[str, Any]) -> list[tuple[str, str]]:
    found = parliament.analyze_policy_string(json.dumps(policy)).findings
    return [(finding.issue, str(finding.detail)) for finding in found]


@pytest.mark.parametrize("stack_name", ["gimel", "shop"])
@pytest.mark.parametrize("vpc", [None, VPC])
@pytest.mark.parametrize("account", [HOME.account, "*"])
def test_policies_are_without_findings(
    stack_name: str, vpc: dict[str, Any] | None, account: str
) -> None:
    names, is_default = Names(stack_name), stack_name == "gimel"
    settings = parsed(
        stack=stack_name,
        vpc=vpc,
        redis="managed",
        domain=domain(1),
        alarm_email="ana@shop.example" if vpc else None,
        permissions_boundary=BOUNDARY if vpc else None,
    )
    role = functions_policy(names, HOME, vpc is not None, legacy=is_default, managed=True)
    ours = [*findings(deployer_policy(settings, Home(account, REGION))), *findings(role)]
    undocumented = [each for each in ours if DOCUMENTED.get(each[0], "?") not in each[1]]
    assert undocumented == []
    if vpc is None:
        assert findings(role) == []


def test_the_linter_finds_what_is_wrong() -> None:
    policy = deployer_policy(parsed(), HOME)
    first, *others = policy["Statement"]
    mistyped = {**first, "Action": [*first["Action"], "lambda:CreateFuntion"]}
    of_another_kind = {**first, "Resource": ["arn:aws:s3:::bucket/*"]}
    for wrong, issue in ((mistyped, "UNKNOWN_ACTION"), (of_another_kind, "RESOURCE_MISMATCH")):
        found = findings({**policy, "Statement": [wrong, *others]})
        assert issue in [each[0] for each in found if DOCUMENTED.get(each[0], "?") not in each[1]]
