"""The plan for the role and its policies."""

import json
from dataclasses import replace

import pytest

from gimel.stack.observed import ObservedLegacy
from gimel.stack.permissions.functions import functions_policy, trust_policy
from gimel.stack.plan.api import LEGACY_DEPLOYMENT
from gimel.stack.plan.plan import notes, plan
from gimel.stack.teardown import plan_legacy_teardown
from gimel.stack.wanted import (
    DeployError,
    Names,
    alias_arn,
)
from tests.support.planning import HOME, NOTHING, VPC, done, function, lines, wanted


def test_while_the_old_rest_api_serves_it_may_take_the_role_and_invoke() -> None:
    legacy = ObservedLegacy("rest1", ("key1",), (), LEGACY_DEPLOYMENT)
    seen = replace(done(wanted()), legacy=legacy)
    (trust, permissions) = plan(wanted(), seen)
    assert "apigateway.amazonaws.com" in trust.calls[0].arguments["PolicyDocument"]
    policy = json.loads(permissions.calls[0].arguments["PolicyDocument"])
    assert policy["Statement"][-1] == {
        "Effect": "Allow",
        "Action": ["lambda:InvokeFunction"],
        "Resource": [alias_arn(HOME, name) for name in Names("gimel").functions],
    }
    assert [str(change) for change in plan_legacy_teardown(seen.legacy)] == [
        "delete API key key1: made by gimel 1.x; pages with the old URL lose their events",
        "delete REST API rest1: made by gimel 1.x; pages with the old URL lose their events",
    ]


def test_the_role_of_gimel_1_in_another_region_is_left_alone() -> None:
    seen, other = done(wanted()), {"policies": ("gimel-eu-west-1", "gimel-us-east-1")}
    assert seen.role is not None
    old = replace(seen.role, tags={}, policies=("gimel",))
    with pytest.raises(DeployError, match=r"eu-west-1 has nothing else.*to that region first"):
        plan(wanted(), replace(NOTHING, role=old))
    assert "tag role gimel: taken over" in lines(wanted(), replace(NOTHING, role=old), adopt=True)
    # Taken over there, it is needed as it is: REST APIs may take it.
    trusting = replace(seen.role, trust=trust_policy(legacy=True))
    assert lines(wanted(), replace(seen, role=replace(trusting, **other))) == []
    assert lines(wanted(), replace(seen, role=trusting)) == [
        "update role gimel: its trust policy differs"
    ]


def test_the_role_may_have_network_interfaces_only_in_a_vpc() -> None:
    names = Names("shop")
    assert "ec2:" not in json.dumps(functions_policy(names, HOME))
    policy = functions_policy(names, HOME, is_in_vpc=True)
    *_, looking, changing, denied = policy["Statement"]
    assert looking["Action"] == ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    assert changing["Resource"] == "arn:aws:ec2:eu-west-1:123456789012:*/*"
    # The code in the functions has none of it.
    assert (denied["Effect"], len(denied["Action"])) == ("Deny", 6)


def test_the_role_keeps_its_permissions_until_the_interfaces_are_released() -> None:
    """A version in the VPC can be rolled back to, and each of them holds the interface."""
    inside, seen = done(wanted(vpc=VPC)), done(wanted())
    assert "policy of role gimel" not in "".join(lines(wanted(), inside))
    old = inside.functions["gimel-track"].versions["3"]
    versions = {**seen.functions["gimel-track"].versions, "2": old}
    left = replace(function(seen, "gimel-track", versions=versions), role=inside.role)
    held = replace(seen, role=inside.role, interfaces=("eni-1",))
    for waiting in (left, held):
        assert lines(wanted(), waiting) == []
        (note,) = notes(wanted(), waiting)
        assert "keeps its permissions for network interfaces" in note
    released = replace(held, interfaces=())
    assert lines(wanted(), released) == [
        "update policy of role gimel: allows its own logs and queues"
    ]
    assert notes(wanted(), released) == notes(wanted(vpc=VPC), inside) == []
