"""The plan of `gimel destroy`: pure functions from the observed stack to the deletions.

A resource that refers to another one is deleted first. A deletion succeeds if the resource is
already missing, so a destroy that was stopped can run again.
"""

from collections.abc import Collection, Iterator
from typing import Any

from gimel.stack.change import Call, Change
from gimel.stack.keys import parameter_of
from gimel.stack.observed import Observed, ObservedFunction, ObservedLegacy, ObservedRole
from gimel.stack.plan.alarms import plan_alarm_removal
from gimel.stack.plan.api import domain_deletion
from gimel.stack.plan.function_url import function_url_deletion
from gimel.stack.plan.queue import plan_queue_removal
from gimel.stack.plan.schedule import plan_rule_removal
from gimel.stack.wanted import ALIAS, LATEST, TRACK, Names, Tags

_WHY = "the stack is deleted"


def plan_teardown(
    names: Names, region: str, observed: Observed, deleted: Collection[str] = ()
) -> list[Change]:
    """Return the deletions that leave nothing of the stack in the region.

    Only resources with the stack's tag are deleted. The role stays while a stack of the same name
    in another region uses it. `deleted` names the things that this destroy has deleted: a late
    invocation may have created a log group again, without its tag.
    """
    own: Tags = names.tags
    changes = list(plan_alarm_removal(names, observed, _WHY))
    changes += [
        domain_deletion(domain, _WHY)
        for domain in observed.domains
        if own.items() <= domain.tags.items()
    ]
    changes += [
        _delete(f"HTTP API {api.id}", "apigatewayv2", "delete_api", ApiId=api.id)
        for api in observed.apis
    ]
    changes += plan_rule_removal(names, observed, _WHY)
    changes += plan_queue_removal(names, observed, _WHY)
    track = observed.functions.get(names.function(TRACK))
    if observed.function_url and track and own.items() <= track.tags.items():
        changes.append(function_url_deletion(names, _WHY))
    changes += [
        _function_deletion(name, function)
        for name, function in observed.functions.items()
        if own.items() <= function.tags.items()
    ]
    changes += [
        _delete(_log_group_title(name), "logs", "delete_log_group", logGroupName=name)
        for name, group in observed.log_groups.items()
        if own.items() <= group.tags.items() or _log_group_title(name) in deleted
    ]
    if observed.role and own.items() <= observed.role.tags.items():
        if observed.needs_network:
            changes.append(_role_in_use(names, observed.interfaces))
        else:
            changes += _role_deletions(names, region, observed.role)
    for key in observed.keys:
        name = parameter_of(names.keys, key)
        changes.append(_delete(f"key {name}", "ssm", "delete_parameter", Name=name))
    if observed.parameter and own.items() <= observed.parameter.tags.items():
        name = names.parameter
        changes.append(_delete(f"key {name}", "ssm", "delete_parameter", Name=name))
    return changes


def lock_deletion(names: Names) -> Change:
    """Return the deletion of the stack's lock."""
    return _delete(f"lock {names.lock}", "ssm", "delete_parameter", Name=names.lock)


def plan_legacy_teardown(legacy: ObservedLegacy | None) -> list[Change]:
    """Return the deletions of gimel 1.x's REST API and of its API keys."""
    if legacy is None:
        return []
    why = "made by gimel 1.x; pages with the old URL lose their events"
    # The API is deleted last, because the keys are found through it.
    keys = [
        Change(
            "delete", f"API key {key}", why, (_call("apigateway", "delete_api_key", apiKey=key),)
        )
        for key in legacy.keys
    ]
    call = _call("apigateway", "delete_rest_api", restApiId=legacy.api)
    return [*keys, Change("delete", f"REST API {legacy.api}", why, (call,))]


def _function_deletion(name: str, function: ObservedFunction) -> Change:
    """Return the deletion of a function and its versions, which leaves its VPC first.

    Lambda then takes up to 20 minutes to release the network interfaces. After a mere deletion, it
    has been seen to take more than an hour:
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html and
    https://github.com/hashicorp/terraform-provider-aws/issues/32130
    """
    target = {"FunctionName": name}
    calls = [_call("lambda", "delete_function", **target)]
    if function.is_in_vpc:
        nowhere: dict[str, list[str]] = {"SubnetIds": [], "SecurityGroupIds": []}
        leave = {**target, "VpcConfig": nowhere}
        versions = [number for number in function.versions if number != LATEST]
        calls = [
            # AWS deletes no version that an alias points to.
            _call("lambda", "delete_alias", **target, Name=ALIAS),
            *(_call("lambda", "delete_function", **target, Qualifier=each) for each in versions),
            Call(
                *("lambda", "update_function_configuration", leave),
                waiter="function_updated_v2",
                if_exists=True,
            ),
            *calls,
        ]
    lane = name if function.is_in_vpc else ""
    return Change("delete", f"function {name} with its versions", _WHY, tuple(calls), lane)


def _log_group_title(name: str) -> str:
    return f"log group {name}"


def _role_in_use(names: Names, interfaces: Collection[str]) -> Change:
    """Return a change without calls, for the role's deletion while Lambda needs the role."""
    which = f" {', '.join(interfaces)}" if interfaces else ""
    why = f"when Lambda has released its network interfaces{which}"
    return Change("delete", f"role {names.role}", why, ())


def _role_deletions(names: Names, region: str, role: ObservedRole) -> Iterator[Change]:
    target, what = {"RoleName": names.role}, f"role {names.role}"
    own = names.policy(region)
    elsewhere = names.policies_elsewhere(region, role.policies)
    for policy in [own] if elsewhere else role.policies:
        if policy in role.policies:
            title = f"policy {policy} of {what}"
            yield _delete(title, "iam", "delete_role_policy", **target, PolicyName=policy)
    if elsewhere:
        return
    for arn in role.attached:
        call = _call("iam", "detach_role_policy", **target, PolicyArn=arn)
        yield Change("detach", f"policy {arn} of {what}", _WHY, (call,))
    yield _delete(what, "iam", "delete_role", **target)


def _delete(what: str, service: str, operation: str, **arguments: Any) -> Change:
    return Change("delete", what, _WHY, (_call(service, operation, **arguments),))


def _call(service: str, operation: str, **arguments: Any) -> Call:
    return Call(service, operation, arguments, if_exists=True)
