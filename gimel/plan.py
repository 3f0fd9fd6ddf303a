"""From (wanted, seen) to the list of changes: pure functions, no call to AWS."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gimel.change import Call, Change, later
from gimel.plan_api import http_api, invoker, spare_apis
from gimel.stack import (
    ALIAS,
    DEFAULT_STACK,
    LATEST,
    TAG,
    VERSIONS_KEPT,
    DeployError,
    Seen,
    SeenFunction,
    SeenLogGroup,
    Tags,
    Wanted,
    code,
    log_group,
    permissions_policy,
    trust_policy,
)


def plan(wanted: Wanted, seen: Seen) -> list[Change]:
    """What has to be done, in order; empty when all is as wanted.

    Raises DeployError when something that is not of the stack bears one of its names.
    """
    _refuse_foreign(wanted, seen)
    names, functions = wanted.names.functions, seen.functions
    changes = [*_parameter(wanted, seen), *_role(wanted, seen)]
    for name in names:
        changes += _in_lane(name, _log_group(wanted, name, seen.log_groups.get(log_group(name))))
        changes += _in_lane(name, _function(wanted, name, functions.get(name)))
    changes += http_api(wanted, seen.apis[0] if seen.apis else None)
    changes += spare_apis(seen)
    for name in names:
        changes += _in_lane(name, invoker(wanted, name, seen))
        changes += _in_lane(name, _old_versions(wanted, name, functions.get(name)))
    return changes


def _in_lane(lane: str, changes: Iterable[Change]) -> list[Change]:
    return [replace(change, lane=lane) for change in changes]


def _refuse_foreign(wanted: Wanted, seen: Seen) -> None:
    """Gimel 1.x tagged nothing: the default stack takes over what bears the names that it used."""
    names = wanted.names
    found = [(f"function {name}", function.tags) for name, function in seen.functions.items()]
    found += [(f"log group {name}", group.tags) for name, group in seen.log_groups.items()]
    found += [(f"role {names.role}", seen.role.tags)] if seen.role else []
    strangers = [
        what
        for what, tags in found
        if tags.get(TAG) != names.stack and (TAG in tags or names.stack != DEFAULT_STACK)
    ]
    if seen.parameter and seen.parameter.tags.get(TAG) != names.stack:
        strangers.append(f"parameter {names.parameter}")
    if strangers:
        raise DeployError(
            f"not made by stack {names.stack}, so left alone: {', '.join(strangers)}. "
            'Choose another "stack" in config.json, or remove what stands there'
        )


def _listed(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _parameter(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    if seen.parameter is None:
        arguments = {
            "Name": wanted.names.parameter,
            "Description": "The key that reads this Gimel's results",
            "Value": wanted.key,
            "Type": "SecureString",
            "Tags": _listed(wanted.names.tags),
        }
        what = f"read key {wanted.names.parameter}"
        yield Change("create", what, "not there yet", (Call("ssm", "put_parameter", arguments),))


def _role(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    names, role = wanted.names, seen.role
    what = f"role {names.role}"
    trust = json.dumps(trust_policy())
    if role is None:
        arguments = {"AssumeRolePolicyDocument": trust, "Tags": _listed(names.tags)}
        yield _iam("create", what, "not there yet", "create_role", names.role, arguments)
    elif role.trust != trust_policy():
        arguments = {"PolicyDocument": trust}
        why = "someone else may take it, or Lambda may not"
        yield _iam("update", what, why, "update_assume_role_policy", names.role, arguments)
    if role is not None and TAG not in role.tags:
        arguments = {"Tags": _listed(names.tags)}
        yield _iam("tag", what, "taken over from gimel 1.x", "tag_role", names.role, arguments)
    permissions = permissions_policy(names, wanted.home)
    if role is None or role.permissions != permissions:
        verb = "update" if role and role.permissions else "create"
        arguments = {
            "PolicyName": names.policy(wanted.home.region),
            "PolicyDocument": json.dumps(permissions),
        }
        why = "to write its own logs and nothing else"
        yield _iam(verb, f"policy of {what}", why, "put_role_policy", names.role, arguments)


def _iam(
    verb: str, what: str, why: str, operation: str, role: str, arguments: Mapping[str, Any]
) -> Change:
    return Change(verb, what, why, (Call("iam", operation, {"RoleName": role, **arguments}),))


def _log_group(wanted: Wanted, function: str, group: SeenLogGroup | None) -> Iterator[Change]:
    name, days = log_group(function), wanted.log_retention_days
    calls: list[Call] = []
    reasons: list[str] = []
    if group is None:
        reasons.append("not there yet")
        arguments = {"logGroupName": name, "tags": wanted.names.tags}
        calls.append(Call("logs", "create_log_group", arguments))
    elif TAG not in group.tags:
        reasons.append("taken over from gimel 1.x")
        arguments = {"resourceArn": group.arn, "tags": wanted.names.tags}
        calls.append(Call("logs", "tag_resource", arguments))
    if group is None or group.retention_days != days:
        reasons.append(f"kept for {days} days")
        retention = {"logGroupName": name, "retentionInDays": days}
        calls.append(Call("logs", "put_retention_policy", retention))
    if calls:
        verb = "update" if group else "create"
        yield Change(verb, f"log group {name}", ", ".join(reasons), tuple(calls))


def _function(wanted: Wanted, name: str, seen: SeenFunction | None) -> Iterator[Change]:
    if seen is None:
        yield _new_function(wanted, name)
        yield _alias(name, None, later(f"version of {name}"), "the first version")
        return
    if TAG not in seen.tags:
        arguments = {"Resource": wanted.home.arn("lambda", f"function:{name}")}
        call = Call("lambda", "tag_resource", {**arguments, "Tags": wanted.names.tags})
        yield Change("tag", f"function {name}", "taken over from gimel 1.x", (call,))
    yield from _updates(wanted, name, seen.versions[LATEST])
    fitting = _fitting(wanted, name, seen)
    if not fitting:
        version = later(f"version of {name}")
        yield _publish(name, "no version has these settings and this code")
        yield _alias(name, seen.live, version, "the version just published")
    elif seen.live not in fitting:
        yield _alias(name, seen.live, fitting[0], f"version {fitting[0]} is as wanted")


def _fitting(wanted: Wanted, name: str, seen: SeenFunction) -> list[str]:
    """The published versions that are as wanted, the newest first."""
    settings = {**wanted.configurations[name], **code(wanted.bundle)}
    return newest_first(
        number for number, found in seen.versions.items() if number != LATEST and found == settings
    )


def _new_function(wanted: Wanted, name: str) -> Change:
    arguments = {
        "FunctionName": name,
        **wanted.configurations[name],
        "Architectures": code(wanted.bundle)["Architectures"],
        "Code": {"ZipFile": wanted.bundle.content},
        "Publish": True,
        "Tags": wanted.names.tags,
    }
    saves = {f"version of {name}": "Version"}
    call = Call("lambda", "create_function", arguments, saves, "published_version_active")
    return Change("create", f"function {name}", "not there yet", (call,))


def _updates(wanted: Wanted, name: str, latest: Mapping[str, Any]) -> Iterator[Change]:
    configuration = wanted.configurations[name]
    different = [field for field in configuration if configuration[field] != latest[field]]
    if different:
        arguments = {"FunctionName": name, **{key: configuration[key] for key in different}}
        call = Call("lambda", "update_function_configuration", arguments, {}, "function_updated_v2")
        why = ", ".join(_difference(key, latest[key], configuration[key]) for key in different)
        yield Change("update", f"function {name}", why, (call,))
    if any(latest[key] != value for key, value in code(wanted.bundle).items()):
        arguments = {
            "FunctionName": name,
            "ZipFile": wanted.bundle.content,
            "Architectures": code(wanted.bundle)["Architectures"],
        }
        call = Call("lambda", "update_function_code", arguments, {}, "function_updated_v2")
        yield Change("update", f"function {name}", "its code is another", (call,))


def _difference(name: str, seen: Any, wanted: Any) -> str:
    """A setting's change in words; of the environment, which holds secrets, only the names."""
    if name != "Environment":
        return f"{name} {seen} → {wanted}"
    before, after = seen.get("Variables", {}), wanted["Variables"]
    changed = sorted(key for key in before | after if before.get(key) != after.get(key))
    return f"{name} ({', '.join(changed)})"


def _publish(name: str, why: str) -> Change:
    saves = {f"version of {name}": "Version"}
    call = Call(
        "lambda", "publish_version", {"FunctionName": name}, saves, "published_version_active"
    )
    return Change("publish", f"function {name}", why, (call,))


def _alias(function: str, live: str | None, version: str, why: str) -> Change:
    arguments = {"FunctionName": function, "Name": ALIAS, "FunctionVersion": version}
    verb, operation = ("update", "update_alias") if live else ("create", "create_alias")
    call = Call("lambda", operation, arguments)
    return Change(verb, f"alias {ALIAS} of function {function}", why, (call,))


def newest_first(versions: Iterable[str]) -> list[str]:
    """Numbers of published versions, the highest first."""
    return sorted(versions, key=int, reverse=True)


def _old_versions(wanted: Wanted, name: str, seen: SeenFunction | None) -> Iterator[Change]:
    """Versions over the number kept. By now the alias is on one that fits, the newest that does."""
    if seen is None:
        return
    fitting = _fitting(wanted, name, seen)
    live = seen.live if seen.live in fitting else next(iter(fitting), None)
    numbers = newest_first(number for number in seen.versions if number != LATEST)
    for number in numbers[VERSIONS_KEPT if fitting else VERSIONS_KEPT - 1 :]:
        if number != live:
            arguments = {"FunctionName": name, "Qualifier": number}
            call = Call("lambda", "delete_function", arguments)
            why = f"{VERSIONS_KEPT} are kept"
            yield Change("delete", f"version {number} of function {name}", why, (call,))
