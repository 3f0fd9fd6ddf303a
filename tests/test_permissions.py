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
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gimel import config, deploy, permissions, stack
from gimel.aws import Aws, Home
from gimel.config import Config
from gimel.observe import observe
from gimel.stack import Names
from tests.aws import REGION, RecordingAws, emulator, environment
from tests.tooling import run

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
    "lambda:ListTags": "the tags in GetFunction's answer",
    "ec2:DescribeSecurityGroups": "a function in a VPC",
    "ec2:DescribeSubnets": "a function in a VPC",
    "ec2:DescribeVpcs": "a function in a VPC",
}
# Where the emulator's IAM goes by less of a request than AWS's.
MISTAKEN = {
    "lambda:ListAliases": "it takes GetAlias for it",
    "lambda:CreateFunction": "it does not read the function's name in the body",
}
# GetCallerIdentity cannot be denied:
# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = {"sts:GetCallerIdentity"}


class Account(RecordingAws):
    """AWS as the deployer sees it, each call noted as the action that IAM knows it by."""

    def __init__(self) -> None:
        super().__init__()
        self.actions: set[str] = set()
        for service, client in self.clients.items():
            note = functools.partial(self._note, service)
            client.meta.events.register("before-send", note)

    def _note(self, service: str, request: Any, event_name: str, **_: Any) -> None:
        operation = event_name.split(".")[-1]
        if service.startswith("apigateway"):
            self.actions.add(f"apigateway:{request.method}")
            return
        # Two versions of Lambda's API put their date into the operations' names.
        operation = re.sub(r"\d{8}(v\d)?$", "", operation)
        self.actions.add(f"{service}:{'InvokeFunction' if operation == 'Invoke' else operation}")


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
            patch.setattr(deploy, "build", functools.cache(deploy.build))
            yield owner


@pytest.fixture(scope="module")
def account(root: Aws) -> Account:
    return Account()


class Life:
    """Commands on the stack called gimel, as the user whom its policy was given to."""

    def __init__(self, folder: Path, redis_url: str, root: Aws) -> None:
        self.path, self.root = folder / "config.json", root
        self.content: dict[str, Any] = {"redis": {"url": redis_url}, "aws": {"region": REGION}}

    @property
    def config(self) -> Config:
        return config.parse(json.dumps(self.content))

    def set(self, **settings: Any) -> None:
        self.content = {**self.content, **settings}

    def run(self, *arguments: str, code: int = 0) -> str:
        """A command, once the user has the policy that goes with the settings."""
        self.path.write_text(json.dumps(self.content))
        self.path.chmod(0o600)
        policy = permissions.deployer_policy(self.config, HOME)
        mistaken = {"Effect": "Allow", "Action": list(MISTAKEN), "Resource": "*"}
        policy["Statement"].append(mistaken)
        named = {"UserName": "deployer", "PolicyName": "gimel"}
        self.root.call("iam", "put_user_policy", **named, PolicyDocument=json.dumps(policy))
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
    monkeypatch.setattr(deploy, "connect", lambda config: account)
    return Life(tmp_path, redis_url, root)


def make_gimel_1(root: Aws) -> None:
    """A role, a function, a REST API and its key, as gimel 1.x made them; the role a bit wider."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("gimel.py", "def track(event, context): return None")
    trust = json.dumps(stack.trust_policy())
    role = root.call(
        "iam", "create_role", "Role.Arn", RoleName="gimel", AssumeRolePolicyDocument=trust
    )
    document = json.dumps(stack.permissions_policy(NAMES, HOME))
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
    life.run("deploy", "--adopt")
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
    life.deploy(domain=None, permissions_boundary=None, vpc=None)
    for megabytes in (192, 256):
        life.deploy(memory=megabytes)
    for command in (["status"], ["logs"], ["rollback"], ["key", "show"], ["key", "rotate"]):
        life.run(*command)
    assert json.loads(life.run("policy"))["Statement"]
    life.deploy(domain=domain(1))
    life.run("destroy", "--yes", "--legacy")
    life.run("destroy", "--yes", "--data")
    life.deploy()
    life.run("destroy", "--yes")


def test_the_policy_is_what_the_commands_call(life: Life, account: Account) -> None:
    live_a_whole_life(life)
    seen = observe(life.root, NAMES)
    assert not any([seen.parameter, seen.role, seen.functions, seen.log_groups, seen.apis])
    life.set(vpc=VPC)
    policy = permissions.deployer_policy(life.config, HOME)
    named = {action for statement in policy["Statement"] for action in statement["Action"]}
    assert named == (account.actions - FREE) | set(BESIDES)
    assert not account.actions & set(BESIDES)
