"""Preflight says which of the caller's permissions are missing."""

import json
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from gimel.stack.aws import Aws
from gimel.stack.permissions.deployer import deployer_policy
from gimel.stack.preflight.permissions import check_permissions
from tests.support.iam_account import HOME, Account, Life, allow


def without(policy: dict[str, Any], *gone: str) -> dict[str, Any]:
    statements = [
        {**each, "Action": [action for action in each["Action"] if action not in gone]}
        for each in policy["Statement"]
    ]
    return {**policy, "Statement": [each for each in statements if each["Action"]]}


def said_of_permissions(life: Life, aws: Aws) -> list[tuple[str, str]]:
    who = aws.call("sts", "get_caller_identity", "Arn")
    found = list(check_permissions(life.config, aws, who))
    assert {check.name for check in found} == {"Permissions"}
    return [(check.state, check.found) for check in found]


CURE = "`gimel policy` prints the policy to ask for"


def test_each_missing_action_is_named(life: Life, account: Account) -> None:
    policy = deployer_policy(life.config, HOME)
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
    policy = deployer_policy(life.config, HOME)
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
    policy = deployer_policy(life.config, HOME)
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
    policy = deployer_policy(life.config, HOME)
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
