"""The deployer's policy fits into IAM's limits as docs/permissions.md says, and allows no more."""

import json
import re
from typing import Any

import pytest

from gimel.config.file import parse
from gimel.stack.aws import Home
from gimel.stack.permissions.deployer import MANAGED_POLICY, characters, deployer_policy
from gimel.stack.wanted import Names
from tests.support.documented_examples import DOCS
from tests.support.planning import DOMAIN, VPC

PAGE = (DOCS / "permissions.md").read_text("utf-8")
ROLE_POLICY = 10_240
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/redis-a1B2c3"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab"
BOUNDARY = "arn:aws:iam::123456789012:policy/teams/limits"
ALL: dict[str, Any] = {
    "vpc": VPC,
    "domain": DOMAIN,
    "kms_key": KEY,
    "permissions_boundary": BOUNDARY,
    "alarm_email": "ana@shop.example",
}
SECRET_REDIS = {"redis": {"host": "h", "secret": SECRET}}


def policy(region: str = "eu-west-1", **settings: Any) -> dict[str, Any]:
    config = parse(json.dumps({"redis": {"host": "h"}, **settings}))
    return deployer_policy(config, Home("*", region))


def test_the_page_says_how_long_the_policy_is() -> None:
    said = re.search(r"The policy has ([\d,]+) to ([\d,]+) characters", PAGE)
    assert said is not None
    least, most = (int(figure.replace(",", "")) for figure in said.groups())
    sizes = [characters(policy()), characters(policy(**ALL, redis="managed"))]
    assert sizes == [pytest.approx(least, abs=100), pytest.approx(most, abs=100)]


@pytest.mark.parametrize("redis", [{}, {"redis": "managed"}, SECRET_REDIS])
@pytest.mark.parametrize("others", [{}, ALL])
@pytest.mark.parametrize("stack", ["gimel", "s" * 32])
def test_it_fits_into_a_role_and_in_halves_into_two_managed_policies(
    redis: dict[str, Any], others: dict[str, Any], stack: str
) -> None:
    whole = policy("ap-southeast-3", **redis, **others, stack=stack)
    assert characters(whole) <= ROLE_POLICY
    (cut,) = {int(number) for number in re.findall(r"\.\[:?(\d+):?\]", PAGE)}
    for half in (whole["Statement"][:cut], whole["Statement"][cut:]):
        assert characters({**whole, "Statement": half}) <= MANAGED_POLICY


def test_with_a_boundary_no_role_without_it_can_be_made_or_changed() -> None:
    statements = policy(permissions_boundary=BOUNDARY)["Statement"]
    condition = {"StringEquals": {"iam:PermissionsBoundary": [BOUNDARY]}}
    bounded = [each for each in statements if each.get("Condition") == condition]
    (limited,) = bounded
    of_role = [each for each in statements if limited["Resource"] == each["Resource"]]
    free = {action for each in of_role if each not in bounded for action in each["Action"]}
    assert free == {
        *("iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies"),
        *("iam:ListRolePolicies", "iam:PassRole", "iam:TagRole", "iam:UpdateAssumeRolePolicy"),
    }
    assert set(limited["Action"]) == {
        *("iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy"),
        *("iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"),
    }
    plain = {action for each in policy()["Statement"] for action in each["Action"]}
    assert "iam:DeleteRolePermissionsBoundary" in plain
    assert "iam:PutRolePermissionsBoundary" not in plain


def test_a_service_linked_role_is_that_of_its_service() -> None:
    found = {
        tuple(statement["Condition"]["StringEquals"]["iam:AWSServiceName"]): statement["Resource"]
        for statement in policy(redis="managed", domain=DOMAIN, alarm_email="ana@shop.example")[
            "Statement"
        ]
        if statement["Action"] == ["iam:CreateServiceLinkedRole"]
    }
    roles = "arn:aws:iam::*:role/aws-service-role"
    assert found == {
        (host,): [f"{roles}/{host}/AWSServiceRoleFor{service}*"]
        for host, service in (
            ("elasticache.amazonaws.com", "ElastiCache"),
            ("events.amazonaws.com", "CloudWatchEvents"),
            ("ops.apigateway.amazonaws.com", "APIGateway"),
        )
    }


def test_the_policy_lets_keys_be_listed_under_their_path_only() -> None:
    statements = policy(stack="shop")["Statement"]
    found = {
        action: statement["Resource"]
        for statement in statements
        for action in statement["Action"]
        if action == "ssm:GetParametersByPath"
    }
    arn = f"arn:aws:ssm:eu-west-1:*:parameter{Names('shop').keys}"
    assert found == {"ssm:GetParametersByPath": [arn]}
