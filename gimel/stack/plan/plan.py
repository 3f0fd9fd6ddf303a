"""From (wanted, seen) to the list of changes: pure functions, no call to AWS."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gimel.stack.change import Call, Change, later
from gimel.stack.observed import Seen, SeenFunction, SeenLogGroup
from gimel.stack.plan.api import domains, http_api, invoker, old_api, spare_apis
from gimel.stack.plan.ownership import OLD_POLICY, listed, missing_tags, refuse_foreign, why_tagged
from gimel.stack.plan.queue import mapping, queues
from gimel.stack.plan.role import role
from gimel.stack.wanted import ALIAS, LATEST, UNRESERVED, VERSIONS_KEPT, Wanted, called, log_group


def plan(wanted: Wanted, seen: Seen, adopt: bool = False) -> list[Change]:
    """What has to be done, in order; empty when all is as wanted.

    Raises DeployError when something that is not of the stack bears one of its names, unless it
    bears no stack's tag and `adopt` says to take it over.
    """
    refuse_foreign(wanted, seen, adopt)
    names, functions = wanted.names.functions, seen.functions
    changes = [*_parameter(wanted, seen), *queues(wanted, seen), *role(wanted, seen)]
    for name in names:
        changes += _in_lane(name, _log_group(wanted, name, seen.log_groups.get(log_group(name))))
        changes += _in_lane(name, _function(wanted, name, functions.get(name)))
        changes += _in_lane(name, _concurrency(wanted, name, seen))
    changes += http_api(wanted, seen.apis[0] if seen.apis else None)
    changes += domains(wanted, seen)
    changes += spare_apis(seen)
    changes += mapping(wanted, seen)
    for name in names:
        if name in called(wanted):
            changes += _in_lane(name, invoker(wanted, name, seen))
        changes += _in_lane(name, _old_versions(wanted, name, functions.get(name)))
    changes += old_api(seen)
    return changes


def notes(wanted: Wanted, seen: Seen) -> list[str]:
    """What the account cannot give, and what somebody added that no plan takes away."""
    found = []
    if not _can_reserve(wanted, seen):
        found.append(
            f"reserved concurrency stays as it is: the account has {seen.unreserved} executions "
            f"left, and AWS keeps {UNRESERVED} of them free. Ask for more (Service Quotas, Lambda, "
            "concurrent executions), or set what should be reserved to null"
        )
    if more := _policies_of_others(wanted, seen):
        found.append(f"role {wanted.names.role} has more rights than Gimel gave: {', '.join(more)}")
    if seen.eaters:
        found.append(
            f"events that wait in queue {wanted.names.queue} are also handed to "
            f"{', '.join(seen.eaters)}: those are lost"
        )
    return found


def _policies_of_others(wanted: Wanted, seen: Seen) -> list[str]:
    if seen.role is None:
        return []
    names, policies = wanted.names, seen.role.policies
    region = wanted.home.region
    known = {names.policy(region), OLD_POLICY, *names.policies_elsewhere(region, policies)}
    return [*seen.role.attached, *(policy for policy in policies if policy not in known)]


def _in_lane(lane: str, changes: Iterable[Change]) -> list[Change]:
    return [replace(change, lane=lane) for change in changes]


def _can_reserve(wanted: Wanted, seen: Seen) -> bool:
    """AWS leaves a part of the account's executions to functions that reserve none."""
    more = sum(
        (number or 0) - (seen.functions[name].concurrency or 0 if name in seen.functions else 0)
        for name, number in wanted.concurrency.items()
    )
    return more <= 0 or seen.unreserved - more >= UNRESERVED


def _concurrency(wanted: Wanted, name: str, seen: Seen) -> Iterator[Change]:
    number = wanted.concurrency[name]
    found = seen.functions[name].concurrency if name in seen.functions else None
    what, named = f"reserved concurrency of function {name}", {"FunctionName": name}
    if number is None and found is not None:
        call = Call("lambda", "delete_function_concurrency", named)
        yield Change("delete", what, f"{found} → none", (call,))
    elif number is not None and number != found and _can_reserve(wanted, seen):
        arguments = {**named, "ReservedConcurrentExecutions": number}
        before = {**named, **({"ReservedConcurrentExecutions": found} if found else {})}
        call = Call("lambda", "put_function_concurrency", arguments, before=before)
        why = f"{found if found is not None else 'none'} → {number}"
        yield Change("update" if found else "create", what, why, (call,))


def _parameter(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    name = wanted.names.parameter
    what = f"read key {name}"
    if seen.parameter is None:
        arguments = {
            "Name": name,
            "Description": "The key that reads this Gimel's results",
            "Value": wanted.key,
            "Type": "SecureString",
            "Tags": listed(wanted.tags),
        }
        yield Change("create", what, "not there yet", (Call("ssm", "put_parameter", arguments),))
        return
    if seen.parameter.key != wanted.key:
        secret = {"Name": name, "Value": wanted.key, "Type": "SecureString", "Overwrite": True}
        call = Call("ssm", "put_parameter", secret)
        yield Change("update", what, "somebody else chose it: a new one", (call,))
    if missing := missing_tags(wanted.tags, seen.parameter.tags):
        named = {"ResourceType": "Parameter", "ResourceId": name}
        call = Call("ssm", "add_tags_to_resource", {**named, "Tags": listed(missing)})
        yield Change("tag", what, why_tagged(seen.parameter.tags, missing), (call,))


def _log_group(wanted: Wanted, function: str, group: SeenLogGroup | None) -> Iterator[Change]:
    name, days = log_group(function), wanted.log_retention_days
    calls: list[Call] = []
    reasons: list[str] = []
    if group is None:
        reasons.append("not there yet")
        arguments = {"logGroupName": name, "tags": wanted.tags}
        calls.append(Call("logs", "create_log_group", arguments))
    elif missing := missing_tags(wanted.tags, group.tags):
        reasons.append(why_tagged(group.tags, missing))
        calls.append(Call("logs", "tag_resource", {"resourceArn": group.arn, "tags": missing}))
    if group is None or group.retention_days != days:
        reasons.append(f"kept for {days} days")
        retention = {"logGroupName": name, "retentionInDays": days}
        found = group.retention_days if group else None
        before = {"logGroupName": name, **({"retentionInDays": found} if found else {})}
        calls.append(Call("logs", "put_retention_policy", retention, before=before))
    if calls:
        verb = "update" if group else "create"
        yield Change(verb, f"log group {name}", ", ".join(reasons), tuple(calls))


def _function(wanted: Wanted, name: str, seen: SeenFunction | None) -> Iterator[Change]:
    if seen is None:
        yield _new_function(wanted, name)
        yield alias(name, None, later(f"version of {name}"), "the first version")
        return
    if missing := missing_tags(wanted.tags, seen.tags):
        arguments = {"Resource": wanted.home.arn("lambda", f"function:{name}"), "Tags": missing}
        call = Call("lambda", "tag_resource", arguments)
        yield Change("tag", f"function {name}", why_tagged(seen.tags, missing), (call,))
    yield from _updates(wanted, name, seen.versions[LATEST])
    fitting = _fitting(wanted, name, seen)
    if not fitting:
        version = later(f"version of {name}")
        yield _publish(name, "no version has these settings and this code")
        yield alias(name, seen.live, version, "the version just published")
    elif seen.live not in fitting:
        yield alias(name, seen.live, fitting[0], f"version {fitting[0]} is as wanted")


def _fitting(wanted: Wanted, name: str, seen: SeenFunction) -> list[str]:
    """The published versions that are as wanted, the newest first."""
    settings = {**wanted.configurations[name], **wanted.code}
    return newest_first(
        number for number, found in seen.versions.items() if number != LATEST and found == settings
    )


def _new_function(wanted: Wanted, name: str) -> Change:
    arguments = {
        "FunctionName": name,
        **wanted.configurations[name],
        "Architectures": wanted.code["Architectures"],
        "Code": {"ZipFile": wanted.bundle.content},
        "Publish": True,
        "Tags": wanted.tags,
    }
    saves = {f"version of {name}": "Version"}
    call = Call("lambda", "create_function", arguments, saves, "published_version_active")
    return Change("create", f"function {name}", "not there yet", (call,))


def _updates(wanted: Wanted, name: str, latest: Mapping[str, Any]) -> Iterator[Change]:
    configuration = wanted.configurations[name]
    different = [field for field in configuration if configuration[field] != latest[field]]
    if different:
        arguments = {"FunctionName": name, **{key: configuration[key] for key in different}}
        before = {"FunctionName": name, **{key: latest[key] for key in different}}
        waiter = "function_updated_v2"
        operation = "update_function_configuration"
        call = Call("lambda", operation, arguments, waiter=waiter, before=before)
        why = ", ".join(
            _difference(key, latest[key], configuration[key])
            for key in different
            if key != "Description" or len(different) == 1
        )
        yield Change("update", f"function {name}", why, (call,))
    if any(latest[key] != value for key, value in wanted.code.items()):
        arguments = {
            "FunctionName": name,
            "ZipFile": wanted.bundle.content,
            "Architectures": wanted.code["Architectures"],
        }
        before = {"FunctionName": name, "Architectures": latest["Architectures"]}
        waiter = "function_updated_v2"
        call = Call("lambda", "update_function_code", arguments, waiter=waiter, before=before)
        yield Change("update", f"function {name}", "its code is another", (call,))


def _difference(name: str, seen: Any, wanted: Any) -> str:
    """A setting's change in words; of the environment, which holds secrets, only the names."""
    if name == "Environment":
        before, after = seen.get("Variables", {}), wanted["Variables"]
        changed = sorted(key for key in before | after if before.get(key) != after.get(key))
        return f"{name} ({', '.join(changed)})"
    return name if isinstance(wanted, dict) else f"{name} {seen} → {wanted}"


def _publish(name: str, why: str) -> Change:
    saves = {f"version of {name}": "Version"}
    call = Call(
        "lambda", "publish_version", {"FunctionName": name}, saves, "published_version_active"
    )
    return Change("publish", f"function {name}", why, (call,))


def alias(function: str, live: str | None, version: str, why: str) -> Change:
    """Point the alias that the API invokes to a version."""
    arguments = {"FunctionName": function, "Name": ALIAS, "FunctionVersion": version}
    verb, operation = ("update", "update_alias") if live else ("create", "create_alias")
    before = {"FunctionName": function, "Name": ALIAS, "FunctionVersion": live} if live else {}
    call = Call("lambda", operation, arguments, before=before)
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
