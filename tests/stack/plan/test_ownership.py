"""What belongs to others is left alone, what gimel 1.x left is taken over."""

from dataclasses import replace

import pytest

from gimel import deploy
from gimel.client import BackendClient, BackendError
from gimel.config.settings import AwsSettings, Config
from gimel.deploy import Deployed
from gimel.stack.aws import Aws
from gimel.stack.observe.observe import observe
from gimel.stack.observed import ObservedParameter
from gimel.stack.plan.plan import plan
from gimel.stack.wanted import (
    DeployError,
    Names,
)
from tests.support.aws_account import RecordingAws, stack_config
from tests.support.deployments import (
    is_as_wanted,
    make_stranger,
    silent,
)
from tests.support.planning import done, function, lines, wanted


def test_strangers_are_named() -> None:
    other = wanted(stack="shop")
    seen = done(other)
    assert seen.role is not None
    assert seen.parameter is not None
    strange = replace(seen, role=replace(seen.role, tags={"gimel:stack": "gimel"}))
    for adopt in (False, True):
        with pytest.raises(DeployError, match=r"another stack made .*: role shop\."):
            plan(other, strange, adopt)
    strange = function(seen, "shop-track", tags={})
    strange = replace(strange, parameter=replace(seen.parameter, tags={"team": "x"}))
    with pytest.raises(
        DeployError, match=r"stack shop did not .*: function shop-track, parameter /shop"
    ):
        plan(other, strange)
    adopted = [str(change) for change in plan(other, strange, adopt=True)]
    assert adopted == [
        "tag key /shop/read-key: taken over",
        "tag function shop-track: taken over",
    ]


def test_the_default_stack_takes_over_gimel_1_and_nothing_else() -> None:
    seen = done(wanted())
    assert seen.role is not None
    old = {**seen.functions["gimel-track"].versions["3"], "Handler": "gimel.track"}
    mine = function(seen, "gimel-track", tags={}, versions={"$LATEST": old}, live=None)
    group = replace(seen.log_groups["/aws/lambda/gimel-track"], tags={})
    mine = replace(mine, log_groups={**seen.log_groups, "/aws/lambda/gimel-track": group})
    said = lines(wanted(), replace(mine, role=replace(seen.role, tags={}, policies=("gimel",))))
    assert said[:4] == [
        "tag role gimel: taken over",
        "delete policy gimel of role gimel: made by gimel 1.x",
        "update log group /aws/lambda/gimel-track: taken over",
        "tag function gimel-track: taken over",
    ]
    with pytest.raises(DeployError, match=r"left alone: role gimel\."):
        plan(wanted(), replace(seen, role=replace(seen.role, tags={})))
    with pytest.raises(DeployError, match=r"left alone: function gimel-track\."):
        plan(wanted(), function(seen, "gimel-track", tags={}))


def test_a_queue_of_a_stranger_is_left_alone() -> None:
    other = wanted(stack="shop")
    seen = done(other)
    queue = replace(seen.queues["shop-events"], tags={})
    with pytest.raises(DeployError, match="queue shop-events"):
        plan(other, replace(seen, queues={**seen.queues, "shop-events": queue}))


def test_a_read_key_that_is_adopted_is_drawn_anew() -> None:
    seen = replace(done(wanted()), parameter=ObservedParameter({}, "x"))
    with pytest.raises(DeployError, match="parameter /gimel/read-key"):
        plan(wanted(), seen)
    put, tag = plan(wanted(), seen, adopt=True)
    assert str(put) == "update key /gimel/read-key: the stack did not create it, so it is replaced"
    assert put.calls[0].arguments["Type"] == "SecureString"
    assert str(tag).startswith("tag key")


def test_two_stacks_do_not_touch_each_other(first_deploy: Deployed, own_settings: Config) -> None:
    other = own_settings.model_copy(update={"stack": f"{own_settings.stack}-two", "memory": 512})
    second = deploy.deploy(other, silent)
    assert second.url != first_deploy.url
    with pytest.raises(BackendError, match="403"):
        BackendClient(second.url, first_deploy.key).experiments()
    assert is_as_wanted(own_settings)
    assert is_as_wanted(other)


def test_two_regions_share_the_role_in_peace(first_deploy: Deployed, own_settings: Config) -> None:
    there = own_settings.model_copy(update={"aws": AwsSettings(region="us-east-1")})
    deploy.deploy(there, silent)
    assert is_as_wanted(own_settings)


@pytest.mark.slow
def test_foreign_things_are_left_alone(own_settings: Config, own_names: Names) -> None:
    aws = RecordingAws()
    make_stranger(aws, own_names.function("track"))
    aws.operations.clear()
    with pytest.raises(DeployError, match=f"function {own_names.function('track')}"):
        deploy.deploy(own_settings, silent, aws)
    assert aws.operations
    assert aws.writes == []


@pytest.mark.slow
def test_the_functions_of_gimel_1_are_taken_over(aws_endpoint: str, redis_url: str) -> None:
    settings, names = stack_config(redis_url), Names("gimel")
    elsewhere = settings.model_copy(update={"aws": AwsSettings(region="us-west-2")})
    aws = Aws("us-west-2")
    make_stranger(aws, "gimel-track")
    aws.call("logs", "create_log_group", logGroupName="/aws/lambda/gimel-track")
    deploy.deploy(elsewhere, silent, aws)
    assert is_as_wanted(elsewhere)
    function = observe(aws, names).functions["gimel-track"]
    assert function.tags == {"gimel:stack": "gimel"}
    assert function.versions["$LATEST"]["Architectures"] == ["arm64"]


@pytest.mark.slow
def test_another_stacks_things_are_not_taken_over(redis_url: str, aws_endpoint: str) -> None:
    aws = Aws("ap-south-1")
    elsewhere = stack_config(redis_url, aws={"region": "ap-south-1"})
    tags = {"gimel:stack": "other"}
    aws.call("logs", "create_log_group", logGroupName="/aws/lambda/gimel-track", tags=tags)
    with pytest.raises(DeployError, match="log group /aws/lambda/gimel-track"):
        deploy.deploy(elsewhere, silent, aws)
