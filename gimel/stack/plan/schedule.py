"""The plan of the EventBridge rule that calls the reading function for snapshots, once an hour.

EventBridge has two ways to call a function on a schedule. AWS recommends the newer one, the
Scheduler, whose schedules need a role of their own. A rule needs none: the function's alias lets
that rule alone invoke it. Both are free at one call an hour.
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-rule-schedule.html
"""

from collections.abc import Iterator
from typing import Any

from gimel.stack.change import Call, Change
from gimel.stack.observed import Observed
from gimel.stack.plan.difference import differences
from gimel.stack.plan.ownership import missing_tags, tag_list, tag_reason
from gimel.stack.wanted import READS, Names, Wanted, alias_arn

_TARGET = "gimel"
# Without these, EventBridge sends what `Input` says, and with no role.
_TARGET_DEFAULTS = {"InputPath": "", "InputTransformer": {}, "RoleArn": ""}
_RULE_DEFAULTS = {"EventPattern": "", "RoleArn": ""}
# EventBridge answers 200 even if it has not taken the target.
_TAKEN = "FailedEntryCount == `0`"


def rule_settings(wanted: Wanted) -> dict[str, Any]:
    """Return the settings of the rule."""
    return {
        "ScheduleExpression": "rate(1 hour)",
        "State": "ENABLED",
        "Description": f"Snapshots of the counts of Gimel's stack {wanted.names.stack}",
    }


def rule_target(wanted: Wanted) -> dict[str, Any]:
    """Return the rule's target: the reading function, and the event that asks for snapshots.

    After an hour the next call is due, so an older one is not repeated any more.
    """
    return {
        "Id": _TARGET,
        "Arn": alias_arn(wanted.home, wanted.names.function(READS)),
        "Input": '{"gimel": "snapshot"}',
        "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 5},
    }


def plan_rule(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the rule and its target, and no target but that."""
    name, found, settings = wanted.names.rule, observed.rule, rule_settings(wanted)
    what, target = f"rule {name}", rule_target(wanted)
    put = Call("events", "put_targets", {"Rule": name, "Targets": [target]}, until=_TAKEN)
    if found is None:
        arguments = {"Name": name, **settings, "Tags": tag_list(wanted.tags)}
        calls = (Call("events", "put_rule", arguments), put)
        yield Change("create", what, "does not exist yet", calls)
        return
    if missing := missing_tags(wanted.tags, found.tags):
        arguments = {"ResourceARN": found.arn, "Tags": tag_list(missing)}
        call = Call("events", "tag_resource", arguments)
        yield Change("tag", what, tag_reason(found.tags, missing), (call,))
    if changed := differences(settings, found.settings, _RULE_DEFAULTS):
        # What a call leaves out, EventBridge removes.
        before = {"Name": name, **{key: found.settings.get(key) for key in settings}}
        call = Call("events", "put_rule", {"Name": name, **settings}, before=before)
        yield Change("update", what, ", ".join(changed), (call,))
    present = found.targets.get(_TARGET)
    if present is None:
        yield Change("create", f"target of {what}", "does not exist yet", (put,))
    elif changed := differences(target, present, _TARGET_DEFAULTS):
        yield Change("update", f"target of {what}", ", ".join(changed), (put,))
    if others := [id for id in found.targets if id != _TARGET]:
        call = _target_removal(name, others)
        yield Change("delete", f"other targets of {what}", ", ".join(others), (call,))


def plan_rule_removal(names: Names, observed: Observed, why: str) -> Iterator[Change]:
    """Plan the deletion of the rule, if it bears the stack's tag. Its targets go first."""
    found = observed.rule
    if found and names.tags.items() <= found.tags.items():
        calls = [_target_removal(names.rule, list(found.targets))] if found.targets else []
        calls.append(Call("events", "delete_rule", {"Name": names.rule}, if_exists=True))
        yield Change("delete", f"rule {names.rule}", why, tuple(calls))


def _target_removal(rule: str, ids: list[str]) -> Call:
    arguments = {"Rule": rule, "Ids": ids}
    return Call("events", "remove_targets", arguments, if_exists=True, until=_TAKEN)
