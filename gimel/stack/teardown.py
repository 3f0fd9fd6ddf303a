"""From what there is of a stack to the changes of `gimel destroy`: pure functions.

Deleting goes backwards: what leads to a thing goes before it. Each deletion may find its work done.
"""

from collections.abc import Iterator
from typing import Any

from gimel.stack.change import Call, Change
from gimel.stack.observed import Seen, SeenLegacy, SeenRole
from gimel.stack.plan.api import remove_domain
from gimel.stack.plan.queue import removals
from gimel.stack.wanted import Names, Tags

_WHY = "the stack goes"


def teardown(names: Names, region: str, seen: Seen) -> list[Change]:
    """What has to be deleted so that nothing of the stack is left in the region.

    Only what bears the stack's tag goes. The role stays while a stack of the same name in another
    region has it.
    """

    own: Tags = names.tags
    changes = [
        remove_domain(domain, _WHY) for domain in seen.domains if own.items() <= domain.tags.items()
    ]
    changes += [
        _delete(f"HTTP API {api.id}", "apigatewayv2", "delete_api", ApiId=api.id)
        for api in seen.apis
    ]
    changes += removals(names, seen, _WHY)
    changes += [
        _delete(
            f"function {name} with its versions", "lambda", "delete_function", FunctionName=name
        )
        for name, function in seen.functions.items()
        if own.items() <= function.tags.items()
    ]
    changes += [
        _delete(f"log group {name}", "logs", "delete_log_group", logGroupName=name)
        for name, group in seen.log_groups.items()
        if own.items() <= group.tags.items()
    ]
    if seen.role and own.items() <= seen.role.tags.items():
        changes += _role(names, region, seen.role)
    if seen.parameter and own.items() <= seen.parameter.tags.items():
        name = names.parameter
        changes.append(_delete(f"read key {name}", "ssm", "delete_parameter", Name=name))
    return changes


def legacy_teardown(legacy: SeenLegacy | None) -> list[Change]:
    """What gimel 1.x left and the stack does not need: the old URL, and the keys to it."""
    if legacy is None:
        return []
    why = "gimel 1.x's; pages with the old URL lose their events"
    # The API goes last: by it the keys are found.
    keys = [
        Change(
            "delete", f"API key {key}", why, (_call("apigateway", "delete_api_key", apiKey=key),)
        )
        for key in legacy.keys
    ]
    call = _call("apigateway", "delete_rest_api", restApiId=legacy.api)
    return [*keys, Change("delete", f"REST API {legacy.api}", why, (call,))]


def _role(names: Names, region: str, role: SeenRole) -> Iterator[Change]:
    named, what = {"RoleName": names.role}, f"role {names.role}"
    own = names.policy(region)
    elsewhere = names.policies_elsewhere(region, role.policies)
    going = [own] if elsewhere else list(role.policies)
    for policy in going:
        if policy in role.policies:
            title = f"policy {policy} of {what}"
            yield _delete(title, "iam", "delete_role_policy", **named, PolicyName=policy)
    if elsewhere:
        return
    for arn in role.attached:
        call = _call("iam", "detach_role_policy", **named, PolicyArn=arn)
        yield Change("detach", f"policy {arn} of {what}", _WHY, (call,))
    yield _delete(what, "iam", "delete_role", **named)


def _delete(what: str, service: str, operation: str, **arguments: Any) -> Change:
    return Change("delete", what, _WHY, (_call(service, operation, **arguments),))


def _call(service: str, operation: str, **arguments: Any) -> Call:
    return Call(service, operation, arguments, if_exists=True)
