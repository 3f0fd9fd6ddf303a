"""The plan of `gimel destroy`: pure functions from the observed stack to the deletions.

A resource that refers to another one is deleted first. A deletion succeeds if the resource is
already missing, so a destroy that was stopped can run again.
"""

from collections.abc import Iterator
from typing import Any

from gimel.stack.change import Call, Change
from gimel.stack.keys import parameter_of
from gimel.stack.observed import Observed, ObservedLegacy, ObservedRole
from gimel.stack.plan.alarms import plan_alarm_removal
from gimel.stack.plan.api import domain_deletion
from gimel.stack.plan.queue import plan_queue_removal
from gimel.stack.wanted import Names, Tags

_WHY = "the stack is deleted"


def plan_teardown(names: Names, region: str, observed: Observed) -> list[Change]:
    """Return the deletions that leave nothing of the stack in the region.

    Only resources with the stack's tag are deleted. The role stays while a stack of the same name
    in another region uses it.
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
    changes += plan_queue_removal(names, observed, _WHY)
    changes += [
        _delete(
            f"function {name} with its versions", "lambda", "delete_function", FunctionName=name
        )
        for name, function in observed.functions.items()
        if own.items() <= function.tags.items()
    ]
    changes += [
        _delete(f"log group {name}", "logs", "delete_log_group", logGroupName=name)
        for name, group in observed.log_groups.items()
        if own.items() <= group.tags.items()
    ]
    if observed.role and own.items() <= observed.role.tags.items():
        changes += _role_deletions(names, region, observed.role)
    for key in observed.keys:
        name = parameter_of(names.keys, key)
        changes.append(_delete(f"key {name}", "ssm", "delete_parameter", Name=name))
    if observed.parameter and own.items() <= observed.parameter.tags.items():
        name = names.parameter
        changes.append(_delete(f"key {name}", "ssm", "delete_parameter", Name=name))
    return changes


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
