"""The deployer's policy fits into IAM's limits in the way that docs/deploying.md says."""

import json
import re
from typing import Any

import pytest

from gimel.config.file import parse
from gimel.stack.aws import Home
from gimel.stack.permissions.deployer import MANAGED_POLICY, characters, deployer_policy
from tests.support.documented_examples import DOCS
from tests.support.planning import DOMAIN, VPC

PAGE = (DOCS / "deploying.md").read_text("utf-8")
ROLE_POLICY = 10_240
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/redis-a1B2c3"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab"
ALL: dict[str, Any] = {
    "vpc": VPC,
    "domain": DOMAIN,
    "kms_key": KEY,
    "permissions_boundary": "arn:aws:iam::123456789012:policy/teams/limits",
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
