"""What `gimel destroy` takes away, as a plan."""

from dataclasses import replace

from gimel.stack.keys import Key
from gimel.stack.observed import Observed, ObservedLogGroup
from gimel.stack.teardown import plan_teardown
from gimel.stack.wanted import Names
from tests.support.planning import DOMAIN, VPC, done, function, wanted


def test_nothing_but_the_stack_goes() -> None:
    keys = (Key("0a1b2c3d", "read", "r"), Key("4e5f6a7b", "send", "s"))
    seen = replace(done(wanted(domain=DOMAIN)), keys=keys)
    said = [str(change) for change in plan_teardown(Names("gimel"), "eu-west-1", seen)]
    assert [line.removesuffix(": the stack is deleted") for line in said] == [
        "delete domain name ab.shop.example",
        "delete HTTP API api1",
        "delete rule gimel-snapshots",
        "delete mapping of queue gimel-events",
        "delete queue gimel-events-dead",
        "delete queue gimel-events",
        "delete function gimel-track with its versions",
        "delete function gimel-all-experiments with its versions",
        "delete function gimel-delete-experiment with its versions",
        "delete function gimel-replay with its versions",
        "delete log group /aws/lambda/gimel-track",
        "delete log group /aws/lambda/gimel-all-experiments",
        "delete log group /aws/lambda/gimel-delete-experiment",
        "delete log group /aws/lambda/gimel-replay",
        "delete policy gimel-eu-west-1 of role gimel",
        "delete role gimel",
        "delete key /gimel/keys/read/0a1b2c3d",
        "delete key /gimel/keys/send/4e5f6a7b",
        "delete key /gimel/read-key",
    ]
    assert seen.role is not None
    assert seen.parameter is not None
    strange = function(seen, "gimel-track", tags={})
    strange = replace(strange, parameter=replace(seen.parameter, tags={"gimel:stack": "other"}))
    left = {str(change) for change in plan_teardown(Names("gimel"), "eu-west-1", strange)}
    assert set(said) - left == {
        "delete function gimel-track with its versions: the stack is deleted",
        "delete key /gimel/read-key: the stack is deleted",
    }
    shared = replace(seen, role=replace(seen.role, policies=("gimel-eu-west-1", "gimel-us-east-1")))
    left = {str(change) for change in plan_teardown(Names("gimel"), "eu-west-1", shared)}
    assert set(said) - left == {"delete role gimel: the stack is deleted"}


def test_a_role_with_policies_of_others_goes_all_the_same() -> None:
    seen = done(wanted())
    assert seen.role is not None
    role = replace(seen.role, policies=("gimel-eu-west-1", "gimel-debugging"))
    said = [
        str(change)
        for change in plan_teardown(Names("gimel"), "eu-west-1", replace(seen, role=role))
    ]
    assert "delete role gimel: the stack is deleted" in said
    assert "delete policy gimel-debugging of role gimel: the stack is deleted" in said


def test_what_is_missing_by_then_stops_nothing() -> None:
    seen = done(wanted(domain=DOMAIN, vpc=VPC, alarm_email="ana@shop.example"))
    left = replace(seen, functions={})
    calls = {
        call.operation: call.if_exists
        for each in (seen, left)
        for change in plan_teardown(Names("gimel"), "eu-west-1", each)
        for call in change.calls
    }
    assert {"delete_domain_name", "update_function_configuration", "delete_topic"} <= set(calls)
    assert [operation for operation, if_exists in calls.items() if not if_exists] == []


def teardown(seen: Observed, deleted: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """What is deleted, and by which calls."""
    changes = plan_teardown(Names("gimel"), "eu-west-1", seen, deleted)
    return {change.what: [call.operation for call in change.calls] for change in changes}


def test_functions_leave_their_vpc_and_the_role_waits() -> None:
    """Every version holds the interface, and Lambda needs the role to release it."""
    seen = done(wanted(vpc=VPC))
    found = teardown(seen)
    for name in seen.functions:
        assert found[f"function {name} with its versions"] == [
            "delete_alias",
            "delete_function",
            "update_function_configuration",
            "delete_function",
        ]
    assert found["role gimel"] == []
    assert "policy gimel-eu-west-1 of role gimel" not in found
    left = replace(seen, functions={}, interfaces=("eni-1", "eni-2"))
    assert teardown(left)["role gimel"] == []
    assert teardown(replace(left, interfaces=()))["role gimel"] == ["delete_role"]


def test_only_a_version_in_the_vpc() -> None:
    seen = done(wanted())
    old = done(wanted(vpc=VPC)).functions["gimel-track"].versions["3"]
    versions = {**seen.functions["gimel-track"].versions, "2": old}
    found = teardown(function(seen, "gimel-track", versions=versions))
    assert len(found["function gimel-track with its versions"]) == 5
    assert len(found["function gimel-replay with its versions"]) == 1


def test_a_log_group_that_came_back_without_its_tag() -> None:
    name = "/aws/lambda/gimel-track"
    seen = replace(done(wanted()), log_groups={name: ObservedLogGroup("arn", {}, None)})
    assert f"log group {name}" not in teardown(seen)
    assert f"log group {name}" in teardown(seen, (f"log group {name}",))
