"""Whose a thing is: tags, and what gimel 1.x, which tagged nothing, is recognised by."""

from collections.abc import Iterator

from gimel.stack.observed import Seen, SeenFunction, SeenRole
from gimel.stack.wanted import DEFAULT_STACK, LATEST, TAG, DeployError, Tags, Wanted, log_group

# The handlers of gimel 1.x's functions, and the name of its role's policy.
_OLD_HANDLERS = frozenset({"gimel.track", "gimel.all", "gimel.delete"})
OLD_POLICY = "gimel"


def refuse_foreign(wanted: Wanted, seen: Seen, adopt: bool) -> None:
    """Raise DeployError when a thing of the stack's names is somebody else's."""
    stack = wanted.names.stack
    others = [what for what, tags in _named(wanted, seen) if tags.get(TAG) not in (None, stack)]
    if others:
        raise DeployError(
            f"made by another stack, so left alone: {', '.join(others)}. "
            'Choose another "stack" in config.json'
        )
    is_here = seen.legacy or any(map(_has_old_handler, seen.functions.values()))
    if stack == DEFAULT_STACK and _is_old(seen.role) and not is_here and not adopt:
        raise DeployError(
            f"role {wanted.names.role} is gimel 1.x's, of which nothing else is in "
            f"{wanted.home.region}: in the region where it stands, it would lose its rights. "
            'Deploy there first, or choose another "stack" in config.json; if it is gone, deploy '
            "with --adopt"
        )
    old = set(_left_by_gimel_1(wanted, seen))
    strangers = [what for what, tags in _named(wanted, seen) if TAG not in tags and what not in old]
    if strangers and not adopt:
        raise DeployError(
            f"not made by stack {stack}, so left alone: {', '.join(strangers)}. "
            'Choose another "stack" in config.json, remove what stands there, or, to make it the '
            "stack's own, deploy with --adopt"
        )


def _named(wanted: Wanted, seen: Seen) -> Iterator[tuple[str, Tags]]:
    """All that bears one of the stack's names, and its tags."""
    names = wanted.names
    for name, function in seen.functions.items():
        yield f"function {name}", function.tags
    for name, group in seen.log_groups.items():
        yield f"log group {name}", group.tags
    for name, queue in seen.queues.items():
        yield f"queue {name}", queue.tags
    if seen.mapping:
        yield f"mapping of queue {names.queue}", seen.mapping.tags
    for domain in seen.domains:
        yield f"domain name {domain.name}", domain.tags
    if seen.role:
        yield f"role {names.role}", seen.role.tags
    if seen.parameter:
        yield f"parameter {names.parameter}", seen.parameter.tags


def _left_by_gimel_1(wanted: Wanted, seen: Seen) -> Iterator[str]:
    """What is gimel 1.x's for certain: its names, and something in it that only it had."""
    if wanted.names.stack != DEFAULT_STACK:
        return
    if _is_old(seen.role):
        yield f"role {wanted.names.role}"
    for name, function in seen.functions.items():
        old = _has_old_handler(function)
        if old:
            yield f"function {name}"
        # Lambda made the log groups of gimel 1.x's functions.
        if old or TAG in function.tags:
            yield f"log group {log_group(name)}"


def _is_old(role: SeenRole | None) -> bool:
    return role is not None and TAG not in role.tags and OLD_POLICY in role.policies


def _has_old_handler(function: SeenFunction) -> bool:
    return function.versions[LATEST]["Handler"] in _OLD_HANDLERS


def missing_tags(wanted: Tags, seen: Tags) -> dict[str, str]:
    """Those to be set. What else a thing is tagged with is left alone."""
    return {name: value for name, value in wanted.items() if seen.get(name) != value}


def why_tagged(seen: Tags, missing: Tags) -> str:
    """The reason, for people."""
    return f"tags {', '.join(missing)}" if TAG in seen else "taken over"


def listed(tags: Tags) -> list[dict[str, str]]:
    """Tags as IAM and the Parameter Store want them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
