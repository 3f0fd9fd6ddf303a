"""`gimel policy` is what the commands need, no more and no less; and what a linter says of it.

An account that enforces IAM, a user who has that policy and nothing else, and all commands over a
stack's whole life: nothing is denied, and what was called is what the policy names.
"""

import functools
import io
import json
import re
import warnings
import zipfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from gimel.config.file import parse
from gimel.config.settings import Config
from gimel.stack import permissions, preflight
from gimel.stack.aws import Aws, Home
from gimel.stack.observe import observe
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION, RecordingAws, emulator, environment
from tests.support.commands import run

with warnings.catch_warnings():
    # It imports pkg_resources, and leaves files open.
    warnings.simplefilter("ignore")
    import parliament

HOME = Home("000000000000", REGION)
NAMES = Names("gimel")
VPC = {"subnets": ["subnet-1"], "security_groups": ["sg-1"]}
BOUNDARY = "arn:aws:iam::aws:policy/PowerUserAccess"

# What AWS asks for though no call bears its name, or an emulator does not need: the sources are in
# permissions.py.
BESIDES = {
    "apigateway:TagResource": "tags at the creation of an API, a stage, a domain name",
    "iam:PassRole": "the role given to a function",
    "ec2:DescribeSecurityGroups": "a function in a VPC",
    "ec2:DescribeSubnets": "a function in a VPC",
    "ec2:DescribeVpcs": "a function in a VPC",
}
# Where the emulator's IAM goes by less of a request than AWS's.
MISTAKEN = {
    "lambda:ListAliases": "it takes GetAlias for it",
    "lambda:CreateEventSourceMapping": "it does not know lambda:FunctionArn",
    "lambda:UpdateEventSourceMapping": "it does not know lambda:FunctionArn",
    "lambda:DeleteEventSourceMapping": "it does not know lambda:FunctionArn",
    "lambda:CreateFunction": "it does not read the function's name in the body",
    "iam:PassRole": "its simulation does not read ContextEntries",
}
# GetCallerIdentity cannot be denied:
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = {"sts:GetCallerIdentity"}


class Account(RecordingAws):
    """AWS as the deployer sees it, each call noted as the action that IAM knows it by."""

    def __init__(self) -> None:
        super().__init__()
        self.by_command: dict[str, set[str]] = defaultdict(set)
        self.command = ""
        for service, client in self.clients.items():
            note = functools.partial(self._note, service)
            client.meta.events.register("before-send", note)

    def _note(self, service: str, request: Any, event_name: str, **_: Any) -> None:
        operation = event_name.split(".")[-1]
        if service.startswith("apigateway"):
            self.by_command[self.command].add(f"apigateway:{request.method}")
            return
        # Two versions of Lambda's API put their date into the operations' names.
        operation = re.sub(r"\d{8}(v\d)?$", "", operation)
        action = f"{service}:{'InvokeFunction' if operation == 'Invoke' else operation}"
        self.by_command[self.command].add(action)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    """The owner of an account that enforces IAM; a user of it is whom boto3 then finds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTH", "true")
        with emulator(tmp_path_factory.mktemp("account")) as endpoint:
            for name, value in environment(endpoint).items():
                patch.setenv(name, value)
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            owner = Aws(REGION)
            owner.call("iam", "create_user", UserName="deployer")
            key = owner.call("iam", "create_access_key", "AccessKey", UserName="deployer")
            patch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
            patch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
            yield owner


@pytest.fixture(scope="module")
def account(root: Aws) -> Account:
    return Account()


def allow(root: Aws, kind: str, name: str, policy: dict[str, Any]) -> None:
    """Give a user or a role this policy, and the allowance for the emulator's mistakes."""
    mistaken = {"Effect": "Allow", "Action": list(MISTAKEN), "Resource": "*"}
    document = json.dumps({**policy, "Statement": [*policy["Statement"], mistaken]})
    operation = {"UserName": "put_user_policy", "RoleName": "put_role_policy"}[kind]
    root.call("iam", operation, **{kind: name}, PolicyName="gimel", PolicyDocument=document)


class Life:
    """Commands on the stack called gimel, as the user whom its policy was given to."""

    def __init__(self, folder: Path, redis_url: str, root: Aws, account: Account) -> None:
        self.path, self.root, self.account = folder / "config.json", root, account
        self.content: dict[str, Any] = {"redis": {"url": redis_url}, "aws": {"region": REGION}}

    @property
    def config(self) -> Config:
        return parse(json.dumps(self.content))

    def set(self, **settings: Any) -> None:
        self.content = {**self.content, **settings}

    def run(self, *arguments: str, code: int = 0) -> str:
        """A command, once the user has the policy that goes with the settings."""
        self.path.write_text(json.dumps(self.content))
        self.path.chmod(0o600)
        policy = permissions.deployer_policy(self.config, HOME)
        allow(self.root, "UserName", "deployer", policy)
        self.account.command = arguments[0]
        done = run("--config", str(self.path), *arguments)
        assert done.exit_code == code, done.output
        return done.output

    def deploy(self, **settings: Any) -> str:
        self.set(**settings)
        return self.run("deploy", "--no-preflight", "--adopt")


@pytest.fixture
def life(
    root: Aws,
    account: Account,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Life:
    for module in ("deployed", "preflight"):
        monkeypatch.setattr(f"gimel.stack.{module}.connect", lambda config: account)
    return Life(tmp_path, redis_url, root, account)


def make_gimel_1(root: Aws) -> None:
    """A role, a function, a REST API and its key, as gimel 1.x made them; the role a bit wider."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("gimel.py", "def track(event, context): return None")
    trust = json.dumps(permissions.trust_policy())
    role = root.call(
        "iam", "create_role", "Role.Arn", RoleName="gimel", AssumeRolePolicyDocument=trust
    )
    document = json.dumps(permissions.functions_policy(NAMES, HOME))
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
    named = {"FunctionName": "gimel-track", "Name": "live"}
    root.call("lambda", "delete_alias", **named)
    route = next(iter(api.routes.values()))
    other = next(id for id in api.integrations if id != route[1])
    target = f"integrations/{other}"
    root.call("apigatewayv2", "update_route", ApiId=api.id, RouteId=route[0], Target=target)
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
        named = {"QueueUrl": queue.url}
        root.call(
            "sqs", "set_queue_attributes", **named, Attributes={"MessageRetentionPeriod": "60"}
        )
    aside = seen.queues[NAMES.dead_letters].url
    root.call("sqs", "send_message", QueueUrl=aside, MessageBody="[]")


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
    life.deploy()
    life.deploy(
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
        architecture="x86_64",
        domain=domain(2),
        event_path="moments",
        extra_wiring=[],
        memory=512,
        reserved_concurrency={"track": None, "reads": None, "delete": None},
        tags={"team": "shop"},
    )
    damage(root)
    assert "Moved 1 message back to the queue" in life.run("replay", "--dead-letter")
    life.deploy(domain=None, permissions_boundary=None, vpc=None)
    for megabytes in (192, 256):
        life.deploy(memory=megabytes)
    for command in (["status"], ["logs"], ["rollback"], ["key", "show"], ["key", "rotate"]):
        life.run(*command)
    assert json.loads(life.run("policy"))["Statement"]
    life.deploy(domain=domain(1))
    warning = "gimel 1.x's REST API"
    # Nobody is there to say yes.
    said = " ".join(life.run("destroy", code=1).split())
    assert warning in said
    assert "pages with its URL lose their events. `gimel destroy --legacy` deletes the API" in said
    life.run("destroy", "--yes", "--legacy")
    assert warning not in " ".join(life.run("destroy", "--yes", "--data").split())
    life.deploy()
    life.run("destroy", "--yes")


def test_the_policy_is_what_the_commands_call(life: Life, account: Account) -> None:
    live_a_whole_life(life)
    seen = observe(life.root, NAMES)
    left = [seen.parameter, seen.role, seen.functions, seen.log_groups, seen.apis]
    assert not any([*left, seen.queues, seen.mapping])
    named = actions(permissions.deployer_policy(parsed(vpc=VPC), HOME))
    called = set().union(*account.by_command.values()) - FREE
    assert named == called | set(BESIDES)
    assert not called & set(BESIDES)
    # A deploy asks a function only when Redis does not answer.
    not_by_deploying = named - account.by_command["deploy"] - set(BESIDES)
    assert not_by_deploying - {"lambda:InvokeFunction"} == permissions.OPTIONAL_FOR_DEPLOY


def parsed(**settings: Any) -> Config:
    return parse(json.dumps({"redis": {"host": "h"}, **settings}))


def actions(policy: dict[str, Any]) -> set[str]:
    return {action for statement in policy["Statement"] for action in statement["Action"]}


def test_the_policy_goes_with_the_settings() -> None:
    plain = permissions.deployer_policy(parsed(stack="shop"), HOME)
    text = json.dumps(plain)
    assert "restapis" not in text
    assert "gimel-track" not in text
    assert "ec2:" not in text
    assert "restapis" in json.dumps(permissions.deployer_policy(parsed(), HOME))
    more = actions(permissions.deployer_policy(parsed(stack="shop", vpc=VPC), HOME))
    assert more - actions(plain) == {action for action in BESIDES if action.startswith("ec2:")}


# Whether the caller is allowed what is needed


def without(policy: dict[str, Any], *gone: str) -> dict[str, Any]:
    statements = [
        {**each, "Action": [action for action in each["Action"] if action not in gone]}
        for each in policy["Statement"]
    ]
    return {**policy, "Statement": [each for each in statements if each["Action"]]}


def said_of_permissions(life: Life, aws: Aws) -> list[tuple[str, str]]:
    who = aws.call("sts", "get_caller_identity", "Arn")
    found = list(preflight.check_permissions(life.config, aws, who))
    assert {check.name for check in found} == {"Permissions"}
    return [(check.state, check.found) for check in found]


CURE = "`gimel policy` prints the policy to ask for"


def test_each_missing_action_is_named(life: Life, account: Account) -> None:
    policy = permissions.deployer_policy(life.config, HOME)
    allow(life.root, "UserName", "deployer", policy)
    ((state, found),) = said_of_permissions(life, account)
    assert state == "ok"
    assert f"all {len(all_of(policy))} actions" in found
    missing = ("lambda:PublishVersion", "logs:FilterLogEvents", "apigateway:PATCH")
    allow(life.root, "UserName", "deployer", without(policy, *missing))
    assert said_of_permissions(life, account) == [
        ("failed", f"lambda:PublishVersion is not allowed. {CURE}"),
        ("warning", f"logs:FilterLogEvents is not allowed: deploying does not need it. {CURE}"),
        ("failed", f"apigateway:PATCH is not allowed. {CURE}"),
    ]


def all_of(policy: dict[str, Any]) -> list[str]:
    return [action for statement in policy["Statement"] for action in statement["Action"]]


def test_who_may_not_ask_is_told_so(life: Life, account: Account) -> None:
    policy = permissions.deployer_policy(life.config, HOME)
    allow(life.root, "UserName", "deployer", without(policy, "iam:SimulatePrincipalPolicy"))
    ((state, found),) = said_of_permissions(life, account)
    assert state == "warning"
    assert found.startswith("cannot be checked: ")
    assert "iam:SimulatePrincipalPolicy" in found
    assert found.endswith(CURE)


def test_the_root_user_is_not_asked_for(life: Life) -> None:
    assert said_of_permissions(life, life.root) == [
        ("ok", "the account's root user may do everything")
    ]


@pytest.mark.parametrize("may_look", [True, False])
def test_a_session_is_asked_for_as_its_role(
    life: Life, root: Aws, monkeypatch: pytest.MonkeyPatch, may_look: bool
) -> None:
    """A session's ARN leaves the role's path out; without leave to look, there is none."""
    name = f"ops-{may_look}"
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    path = "/people/" if may_look else "/"
    arguments = {"RoleName": name, "Path": path, "AssumeRolePolicyDocument": document}
    arn = root.call("iam", "create_role", "Role.Arn", **arguments)
    policy = permissions.deployer_policy(life.config, HOME)
    look = {"Effect": "Allow", "Action": ["iam:GetRole"] if may_look else ["iam:GetUser"]}
    statements = [*policy["Statement"], {**look, "Resource": "*"}]
    allow(root, "RoleName", name, {**policy, "Statement": statements})
    key = root.call("sts", "assume_role", "Credentials", RoleArn=arn, RoleSessionName="me")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", key["SessionToken"])
    aws = Account()
    asked: set[str] = set()
    aws.on("provide-client-params", lambda params, **_: asked.add(params.get("PolicySourceArn")))
    said_of_permissions(life, aws)
    assert asked - {None} == {arn}


def test_conditions_that_the_simulation_does_not_know_are_no_failure(
    life: Life, account: Account
) -> None:
    policy = permissions.deployer_policy(life.config, HOME)
    allow(life.root, "UserName", "deployer", policy)
    answer = """<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult>
        <EvaluationResults><member><EvalActionName>lambda:AddPermission</EvalActionName>
        <EvalDecision>implicitDeny</EvalDecision><MissingContextValues>
        <member>aws:MultiFactorAuthPresent</member></MissingContextValues></member>
        </EvaluationResults></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"""

    def instead(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if not event_name.endswith("SimulatePrincipalPolicy"):
            return None
        response = AWSResponse(request.url, 200, {}, None)
        response._content = answer.encode()
        return response

    account.on("before-send", instead)
    try:
        found = said_of_permissions(life, account)
    finally:
        account.off("before-send", instead)
    assert {state for state, _ in found} == {"warning"}
    assert "unless a policy's condition on aws:MultiFactorAuthPresent is met" in found[0][1]


# What a linter says

# By the sources in permissions.py; the linter's list of actions and keys has them not.
DOCUMENTED = {
    "UNKNOWN_ACTION": "apigateway:TagResource",
    "UNKNOWN_CONDITION_FOR_ACTION": "lambda:SourceFunctionArn",
    "RESOURCE_MISMATCH": "ec2:",
}


def findings(policy: dict[str, Any]) -> list[tuple[str, str]]:
    found = parliament.analyze_policy_string(json.dumps(policy)).findings
    return [(finding.issue, str(finding.detail)) for finding in found]


@pytest.mark.parametrize("stack_name", ["gimel", "shop"])
@pytest.mark.parametrize("vpc", [None, VPC])
def test_policies_are_without_findings(stack_name: str, vpc: dict[str, Any] | None) -> None:
    settings, names = parsed(stack=stack_name, vpc=vpc), Names(stack_name)
    role = permissions.functions_policy(names, HOME, settings.vpc, legacy=stack_name == "gimel")
    ours = [*findings(permissions.deployer_policy(settings, HOME)), *findings(role)]
    undocumented = [each for each in ours if DOCUMENTED.get(each[0], "?") not in each[1]]
    assert undocumented == []
    if vpc is None:
        assert findings(role) == []


def test_the_linter_finds_what_is_wrong() -> None:
    policy = permissions.deployer_policy(parsed(), HOME)
    first, *others = policy["Statement"]
    mistyped = {**first, "Action": [*first["Action"], "lambda:CreateFuntion"]}
    of_another_kind = {**first, "Resource": ["arn:aws:s3:::bucket/*"]}
    for wrong, issue in ((mistyped, "UNKNOWN_ACTION"), (of_another_kind, "RESOURCE_MISMATCH")):
        found = findings({**policy, "Statement": [wrong, *others]})
        assert issue in [each[0] for each in found if DOCUMENTED.get(each[0], "?") not in each[1]]
