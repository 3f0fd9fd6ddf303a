"""The plan of the rule that calls for snapshots."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from gimel.stack.observed import Observed, ObservedRule
from gimel.stack.plan.plan import plan
from gimel.stack.plan.schedule import plan_rule_removal
from gimel.stack.wanted import DeployError, Names
from tests.support.planning import HOME, NOTHING, done, function, lines, wanted

READS = "gimel-all-experiments"
RULE = HOME.arn("events", "rule/gimel-snapshots")


def rule(seen: Observed) -> ObservedRule:
    assert seen.rule
    return seen.rule


def changed(settings: Any = (), target: Any = (), targets: Any = ()) -> Observed:
    """The stack with another rule."""
    seen = done(wanted())
    found = rule(seen)
    own = {"gimel": {**found.targets["gimel"], **dict(target)}}
    other = replace(
        found,
        settings={**found.settings, **dict(settings)},
        targets={**own, **dict(targets)},
    )
    return replace(seen, rule=other)


def test_the_rule_calls_the_reading_functions_alias_with_a_constant() -> None:
    (create,) = [each for each in plan(wanted(), NOTHING) if each.what == "rule gimel-snapshots"]
    put_rule, put_targets = create.calls
    assert put_rule.arguments["ScheduleExpression"] == "rate(1 hour)"
    (target,) = put_targets.arguments["Targets"]
    assert target["Arn"] == HOME.arn("lambda", f"function:{READS}:live")
    assert target["Input"] == '{"gimel": "snapshot"}'


def test_that_rule_alone_may_invoke_the_alias() -> None:
    (permit,) = [
        call.arguments
        for change in plan(wanted(), NOTHING)
        for call in change.calls
        if call.operation == "add_permission"
        and call.arguments["Principal"] == "events.amazonaws.com"
    ]
    assert (permit["FunctionName"], permit["Qualifier"]) == (READS, "live")
    assert permit["SourceArn"] == RULE
    seen = done(wanted())
    invokers = seen.functions[READS].invokers
    own = invokers["live", "gimel-snapshots"]
    for other in ({"Condition": {}}, {"Condition": {"ArnLike": {"AWS:SourceArn": RULE + "x"}}}):
        spoilt = {**invokers, ("live", "gimel-snapshots"): {**own, **other}}
        assert lines(wanted(), function(seen, READS, invokers=spoilt)) == [
            f"replace permission to invoke function {READS}: for this stack's rule only"
        ]


@pytest.mark.parametrize(
    ("seen", "expected", "operations"),
    [
        (changed(), [], []),
        (
            changed(settings={"State": "DISABLED"}),
            ["update rule gimel-snapshots: State"],
            ["put_rule"],
        ),
        (
            changed(settings={"EventPattern": '{"source": ["x"]}', "RoleArn": "arn:role"}),
            ["update rule gimel-snapshots: EventPattern, RoleArn"],
            ["put_rule"],
        ),
        (
            changed(target={"Input": '{"gimel": "redis"}'}),
            ["update target of rule gimel-snapshots: Input"],
            ["put_targets"],
        ),
        (
            changed(target={"Input": '{"gimel":"snapshot"}', "RetryPolicy": {}}),
            ["update target of rule gimel-snapshots: RetryPolicy"],
            ["put_targets"],
        ),
        (
            changed(targets={"other": {"Id": "other", "Arn": "arn:x"}}),
            ["delete other targets of rule gimel-snapshots: other"],
            ["remove_targets"],
        ),
        (
            replace(done(wanted()), rule=replace(rule(done(wanted())), targets={})),
            ["create target of rule gimel-snapshots: does not exist yet"],
            ["put_targets"],
        ),
        (
            replace(done(wanted()), rule=replace(rule(done(wanted())), tags=wanted().names.tags)),
            [],
            [],
        ),
    ],
)
def test_what_differs_is_set_right(
    seen: Observed, expected: list[str], operations: list[str]
) -> None:
    changes = plan(wanted(), seen)
    assert list(map(str, changes)) == expected
    made = Counter(call.operation for change in changes for call in change.calls)
    assert made == Counter(operations)


def test_an_updated_rule_is_written_as_a_whole() -> None:
    """EventBridge removes what the call leaves out."""
    (change,) = plan(wanted(), changed(settings={"State": "DISABLED"}))
    (call,) = change.calls
    assert call.arguments.keys() == {"Name", "ScheduleExpression", "State", "Description"}


def test_a_rule_of_others_with_the_name_is_left_alone() -> None:
    seen = done(wanted())
    foreign = replace(seen, rule=replace(rule(seen), tags={"gimel:stack": "other"}))
    with pytest.raises(DeployError, match=r"another stack made these resources.*rule gimel-snap"):
        plan(wanted(), foreign)
    unknown = replace(seen, rule=replace(rule(seen), tags={}))
    with pytest.raises(DeployError, match=r"did not make these resources.*rule gimel-snapshots"):
        plan(wanted(), unknown)
    assert lines(wanted(), unknown, adopt=True) == ["tag rule gimel-snapshots: taken over"]
    assert list(plan_rule_removal(Names("gimel"), foreign, "x")) == []


def test_the_targets_are_removed_before_the_rule() -> None:
    (removal,) = plan_rule_removal(Names("gimel"), done(wanted()), "the stack is deleted")
    assert [call.operation for call in removal.calls] == ["remove_targets", "delete_rule"]
    assert removal.calls[0].arguments["Ids"] == ["gimel"]
    seen = replace(done(wanted()), rule=replace(rule(done(wanted())), targets={}))
    (removal,) = plan_rule_removal(Names("gimel"), seen, "the stack is deleted")
    assert [call.operation for call in removal.calls] == ["delete_rule"]
    assert list(plan_rule_removal(Names("gimel"), NOTHING, "the stack is deleted")) == []
