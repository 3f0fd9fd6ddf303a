"""An account that enforces IAM, and a user of it who has Gimel's policy and nothing else."""

import functools
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from gimel.config.file import parse
from gimel.config.settings import Config
from gimel.stack.aws import Aws, Home
from gimel.stack.permissions.deployer import deployer_policy
from gimel.stack.region import home_in_any_account
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION, RecordingAws
from tests.support.aws_calls import Made
from tests.support.commands import run

HOME = Home("000000000000", REGION)
NAMES = Names("gimel")


# Actions for which the emulator's IAM reads less of a request than AWS's does.
MISTAKEN = {
    "lambda:ListAliases": "it takes GetAlias for it",
    "lambda:CreateEventSourceMapping": "it does not know lambda:FunctionArn",
    "lambda:UpdateEventSourceMapping": "it does not know lambda:FunctionArn",
    "lambda:DeleteEventSourceMapping": "it does not know lambda:FunctionArn",
    "cloudwatch:DeleteAlarms": "it does not read the alarms' names in the body",
    "cloudwatch:DescribeAlarms": "it takes * for the resource",
    "cloudwatch:ListTagsForResource": "it does not read the ARN in the body",
    "cloudwatch:TagResource": "it does not read the ARN in the body",
    "sns:ListTagsForResource": "it does not read the ARN in the body",
    "sns:TagResource": "it does not read the ARN in the body",
    "lambda:CreateFunction": "it does not read the function's name in the body",
    "ssm:GetParametersByPath": "it does not read the path in the body",
    "iam:PassRole": "its simulation does not read ContextEntries",
    **dict.fromkeys(
        (
            *("elasticache:AddTagsToResource", "elasticache:CreateServerlessCache"),
            *("elasticache:DeleteServerlessCache", "elasticache:DescribeServerlessCaches"),
            *("elasticache:ListTagsForResource", "elasticache:ModifyServerlessCache"),
        ),
        "it does not read the name of a serverless cache",
    ),
    **dict.fromkeys(
        (
            *("events:DeleteRule", "events:DescribeRule", "events:ListTagsForResource"),
            *("events:ListTargetsByRule", "events:PutRule", "events:PutTargets"),
            *("events:RemoveTargets", "events:TagResource"),
        ),
        "it does not read the rule's name in the body",
    ),
    "iam:CreateServiceLinkedRole": "its simulation does not read ContextEntries",
    **dict.fromkeys(
        (
            *("iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy"),
            *("iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"),
        ),
        "it does not know iam:PermissionsBoundary",
    ),
}


class Account(RecordingAws):
    """AWS as the deployer sees it, each call noted as the action that IAM knows it by."""

    def __init__(self) -> None:
        super().__init__()
        self.by_command: dict[str, set[str]] = defaultdict(set)
        self.made: dict[Made, set[str]] = defaultdict(set)
        self.command = ""
        for service, client in self.clients.items():
            note = functools.partial(self._note, service)
            client.meta.events.register("before-send", note)

    def _note(self, service: str, request: Any, event_name: str, **_: Any) -> None:
        operation = event_name.split(".")[-1]
        # Two versions of Lambda's API put their date into the operations' names.
        operation = re.sub(r"\d{8}(v\d)?$", "", operation)
        action = f"{service}:{'InvokeFunction' if operation == 'Invoke' else operation}"
        if service.startswith("apigateway"):
            action = f"apigateway:{request.method}"
        self.by_command[self.command].add(action)
        self.made[Made(service, operation, action)].add(self.command)


def allow(root: Aws, kind: str, name: str, policy: dict[str, Any]) -> None:
    """Give a user or a role this policy, and the allowance for the emulator's mistakes."""
    mistaken = {"Effect": "Allow", "Action": list(MISTAKEN), "Resource": "*"}
    document = json.dumps({**policy, "Statement": [*policy["Statement"], mistaken]})
    operation = {"UserName": "put_user_policy", "RoleName": "put_role_policy"}[kind]
    root.call("iam", operation, **{kind: name}, PolicyName="gimel", PolicyDocument=document)


class Life:
    """Commands on the stack called gimel, as a user who has its policy."""

    def __init__(self, folder: Path, redis_url: str, root: Aws, account: Account) -> None:
        self.path, self.root, self.account = folder / "config.json", root, account
        self.content: dict[str, Any] = {"redis": {"url": redis_url}, "aws": {"region": REGION}}

    @property
    def config(self) -> Config:
        return parse(json.dumps(self.content))

    def set(self, **settings: Any) -> None:
        self.content = {**self.content, **settings}

    def run(self, *arguments: str, code: int = 0, is_allowed: bool = True) -> str:
        """A command, once the user has the policy that goes with the settings.

        Unless `is_allowed`, the user keeps the policy of the last command.
        """
        self.path.write_text(json.dumps(self.content))
        self.path.chmod(0o600)
        if is_allowed:
            policy = deployer_policy(self.config, home_in_any_account(self.config))
            allow(self.root, "UserName", "deployer", policy)
        self.account.command = arguments[0]
        done = run("--config", str(self.path), *arguments)
        assert done.exit_code == code, done.output
        return done.output

    def deploy(self, **settings: Any) -> str:
        self.set(**settings)
        return self.run("deploy", "--no-preflight", "--adopt")
