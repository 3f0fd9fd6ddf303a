"""Whose a thing is: tags, and what gimel 1.x, which tagged nothing, is recognised by."""

from collections.abc import Iterator

from gimel.stack import DEFAULT_STACK, LATEST, TAG, DeployError, Seen, Tags, Wanted, log_group

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
    if seen.role and OLD_POLICY in seen.role.policies:
        yield f"role {wanted.names.role}"
    for name, function in seen.functions.items():
        old = function.versions[LATEST]["Handler"] in _OLD_HANDLERS
        if old:
            yield f"function {name}"
        # Lambda made the log groups of gimel 1.x's functions.
        if old or TAG in function.tags:
            yield f"log group {log_group(name)}"


def missing_tags(wanted: Tags, seen: Tags) -> dict[str, str]:
    """Those to be set. What else a thing is tagged with is left alone."""
    return {name: value for name, value in wanted.items() if seen.get(name) != value}


def why_tagged(seen: Tags, missing: Tags) -> str:
    """The reason, for people."""
    return f"tags {', '.join(missing)}" if TAG in seen else "taken over"


def listed(tags: Tags) -> list[dict[str, str]]:
    """Tags as IAM and the Parameter Store want them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
