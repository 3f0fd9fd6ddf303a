"""Ownership: which stack, or gimel 1.x, made a resource.

The tag `gimel:stack` names a resource's stack. Gimel 1.x set no tags, so its resources are
recognised by settings that only gimel 1.x used.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gimel.stack.observed import Observed, ObservedFunction, ObservedRole
from gimel.stack.wanted import DEFAULT_STACK, LATEST, TAG, DeployError, Tags, Wanted, log_group

# The handlers of gimel 1.x's functions, and the name of its role's policy.
_LEGACY_HANDLERS = frozenset({"gimel.track", "gimel.all", "gimel.delete"})
LEGACY_POLICY = "gimel"


def refuse_foreign(wanted: Wanted, observed: Observed, adopt: bool) -> None:
    """Raise DeployError if a resource with one of the stack's names does not belong to the stack.

    `adopt` permits the resources without a stack's tag.
    """
    stack, resources = wanted.names.stack, list(_named_resources(wanted, observed))
    others = [what for what, tags in resources if tags.get(TAG) not in (None, stack)]
    if others:
        raise DeployError(
            f"another stack made these resources, so they are left alone: {', '.join(others)}. "
            'Choose another "stack" in config.json'
        )
    if stack == DEFAULT_STACK and not adopt:
        _refuse_role_of_other_region(wanted, observed)
    legacy = set(_legacy_resources(wanted, observed))
    unknown = [what for what, tags in resources if TAG not in tags and what not in legacy]
    if unknown and not adopt:
        raise DeployError(
            f"stack {stack} did not make these resources, so they are left alone: "
            f"{', '.join(unknown)}. "
            'Choose another "stack" in config.json, delete the resources, or take them over: '
            "deploy with --adopt"
        )


def _refuse_role_of_other_region(wanted: Wanted, observed: Observed) -> None:
    """Raise DeployError if gimel 1.x uses the role in another region, and is not in this one."""
    is_here = observed.legacy or any(map(_is_legacy_function, observed.functions.values()))
    if _is_legacy_role(observed.role) and not is_here:
        raise DeployError(
            f"role {wanted.names.role} belongs to gimel 1.x, and region {wanted.home.region} has "
            "nothing else of gimel 1.x: in its own region, gimel 1.x would lose its permissions. "
            'Deploy to that region first, or choose another "stack" in config.json. If gimel 1.x '
            "is deleted everywhere, deploy with --adopt"
        )


def _named_resources(wanted: Wanted, observed: Observed) -> Iterator[tuple[str, Tags]]:
    """Yield each resource that has one of the stack's names, and its tags."""
    names = wanted.names
    kinds: dict[str, Mapping[str, Any]] = {
        "function": observed.functions,
        "log group": observed.log_groups,
        "queue": observed.queues,
    }
    for kind, resources in kinds.items():
        for name, resource in resources.items():
            yield f"{kind} {name}", resource.tags
    if observed.mapping:
        yield f"mapping of queue {names.queue}", observed.mapping.tags
    for domain in observed.domains:
        yield f"domain name {domain.name}", domain.tags
    if wanted.managed and observed.cache:
        yield f"cache {names.cache}", observed.cache.tags
    yield from _alarm_resources(wanted, observed)
    single = {
        f"role {names.role}": observed.role,
        f"rule {names.rule}": observed.rule,
        f"parameter {names.parameter}": observed.parameter,
    }
    yield from ((what, found.tags) for what, found in single.items() if found)


def _alarm_resources(wanted: Wanted, observed: Observed) -> Iterator[tuple[str, Tags]]:
    if wanted.alarm_email is None:
        return
    if observed.topic:
        yield f"topic {wanted.names.topic}", observed.topic.tags
    for name, alarm in observed.alarms.items():
        yield f"alarm {name}", alarm.tags


def _legacy_resources(wanted: Wanted, observed: Observed) -> Iterator[str]:
    """Yield the resources that gimel 1.x certainly made: they have a setting that only it used."""
    if wanted.names.stack != DEFAULT_STACK:
        return
    if _is_legacy_role(observed.role):
        yield f"role {wanted.names.role}"
    for name, function in observed.functions.items():
        is_legacy = _is_legacy_function(function)
        if is_legacy:
            yield f"function {name}"
        # Lambda itself created the log groups of gimel 1.x's functions.
        if is_legacy or TAG in function.tags:
            yield f"log group {log_group(name)}"


def _is_legacy_role(role: ObservedRole | None) -> bool:
    return role is not None and TAG not in role.tags and LEGACY_POLICY in role.policies


def _is_legacy_function(function: ObservedFunction) -> bool:
    return function.versions[LATEST]["Handler"] in _LEGACY_HANDLERS


def missing_tags(wanted: Tags, observed: Tags) -> dict[str, str]:
    """Return the wanted tags that a resource lacks. Its other tags stay."""
    return {name: value for name, value in wanted.items() if observed.get(name) != value}


def tag_reason(observed: Tags, missing: Tags) -> str:
    """Return the reason for setting the missing tags, for the user."""
    return f"tags {', '.join(missing)}" if TAG in observed else "taken over"


def tag_list(tags: Tags) -> list[dict[str, str]]:
    """Return the tags in the form that IAM and the Parameter Store require."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
