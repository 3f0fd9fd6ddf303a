"""The plan of a whole stack, and of its main key, log groups, functions and versions."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from gimel.stack.change import Call, Change, saved_value
from gimel.stack.observed import Observed, ObservedFunction, ObservedLogGroup
from gimel.stack.plan.alarms import confirmation_note, plan_alarms
from gimel.stack.plan.api import (
    plan_api,
    plan_domains,
    plan_duplicate_apis,
    plan_legacy_api,
)
from gimel.stack.plan.cache import cache_notes, plan_cache, plan_cache_address
from gimel.stack.plan.difference import differences
from gimel.stack.plan.function_url import events_url, function_url_notes, plan_function_url
from gimel.stack.plan.ownership import (
    LEGACY_POLICY,
    missing_tags,
    refuse_foreign,
    tag_list,
    tag_reason,
)
from gimel.stack.plan.permission import plan_permissions
from gimel.stack.plan.queue import plan_mapping, plan_queues
from gimel.stack.plan.role import plan_role
from gimel.stack.plan.schedule import plan_rule
from gimel.stack.wanted import (
    ALIAS,
    LATEST,
    MIN_UNRESERVED,
    VERSIONS_KEPT,
    DeployError,
    Wanted,
    log_group,
)

# What Lambda sets by itself:
# https://docs.aws.amazon.com/lambda/latest/api/API_FunctionConfiguration.html, and as read on AWS:
# https://github.com/go-to-k/cdk-real-drift/tree/main/tests/corpus
_FUNCTION_DEFAULTS = {
    "DeadLetterConfig": {"TargetArn": ""},
    "EphemeralStorage": {"Size": 512},
    "FileSystemConfigs": [],
    "Layers": [],
    "SnapStart": {"ApplyOn": "None"},
    "TracingConfig": {"Mode": "PassThrough"},
}


def plan(wanted: Wanted, observed: Observed, adopt: bool = False) -> list[Change]:
    """Return the changes that turn the observed stack into the wanted one, in order.

    Raises DeployError if a resource with one of the stack's names does not belong to the stack.
    `adopt` takes over such a resource if it has no stack's tag.
    """
    refuse_foreign(wanted, observed, adopt)
    _refuse_unread_environments(wanted, observed)
    names, functions = wanted.names.functions, observed.functions
    changes = [
        *plan_cache(wanted, observed),
        *_plan_parameter(wanted, observed),
        *plan_queues(wanted, observed),
        *plan_role(wanted, observed),
        *plan_cache_address(wanted, observed),
    ]
    for name in names:
        group = observed.log_groups.get(log_group(name))
        changes += _in_lane(name, _plan_log_group(wanted, name, group))
        changes += _in_lane(name, _plan_function(wanted, name, functions.get(name)))
        changes += _in_lane(name, _plan_concurrency(wanted, name, observed))
    changes += plan_function_url(wanted, observed)
    url = events_url(wanted, observed)
    changes += plan_api(wanted, observed.apis[0] if observed.apis else None, url)
    changes += plan_domains(wanted, observed)
    changes += plan_duplicate_apis(observed)
    changes += plan_mapping(wanted, observed)
    for name in names:
        changes += _in_lane(name, plan_permissions(wanted, name, observed))
        changes += _in_lane(name, _plan_old_versions(wanted, name, functions.get(name)))
    changes += plan_rule(wanted, observed)
    changes += plan_alarms(wanted, observed)
    changes += plan_legacy_api(observed)
    return changes


def _refuse_unread_environments(wanted: Wanted, observed: Observed) -> None:
    """Raise DeployError if AWS does not show a function's environment, which then looks empty.

    That is so if the caller may not decrypt it, or if its key is disabled:
    https://docs.aws.amazon.com/lambda/latest/api/API_EnvironmentError.html. A deploy that changes
    the key writes the whole environment, whatever was in it.
    """
    for name, function in observed.functions.items():
        latest = function.versions[LATEST]
        is_kept = latest["KMSKeyArn"] == wanted.configurations[name]["KMSKeyArn"]
        if is_kept and (code := latest.get("EnvironmentError")):
            raise DeployError(
                f"AWS does not show the environment of function {name} ({code}): these credentials "
                "need kms:Decrypt with the key that encrypts it, and the key must be enabled"
            )


def notes(wanted: Wanted, observed: Observed) -> list[str]:
    """Return notes on what a plan cannot change: limits of the account, others' additions."""
    found = [*cache_notes(wanted, observed), *function_url_notes(wanted, observed)]
    if not _can_reserve(wanted, observed):
        found.append(
            "reserved concurrency stays as it is: the account has "
            f"{observed.unreserved} unreserved executions, and AWS does not reserve the last "
            f"{MIN_UNRESERVED} of them. Ask for more (Service Quotas, Lambda, concurrent "
            "executions), or set the values of reserved_concurrency to null"
        )
    if extra := _extra_policies(wanted, observed):
        found.append(
            f"role {wanted.names.role} has policies that Gimel did not add: {', '.join(extra)}"
        )
    if observed.needs_network and wanted.vpc is None:
        found.append(
            f"role {wanted.names.role} keeps its permissions for network interfaces as long as "
            "versions use the VPC and Lambda has not released the interfaces: a later deploy "
            "deletes the permissions"
        )
    if observed.other_consumers:
        found.append(
            f"other functions also receive events of queue {wanted.names.queue}, and those events "
            f"are not counted: {', '.join(observed.other_consumers)}"
        )
    if note := confirmation_note(wanted, observed):
        found.append(note)
    return found


def _extra_policies(wanted: Wanted, observed: Observed) -> list[str]:
    if observed.role is None:
        return []
    names, policies = wanted.names, observed.role.policies
    region = wanted.home.region
    known = {names.policy(region), LEGACY_POLICY, *names.policies_elsewhere(region, policies)}
    return [*observed.role.attached, *(policy for policy in policies if policy not in known)]


def _in_lane(lane: str, changes: Iterable[Change]) -> list[Change]:
    return [replace(change, lane=lane) for change in changes]


def _can_reserve(wanted: Wanted, observed: Observed) -> bool:
    """Return whether the account has enough unreserved executions for the wanted reservations."""
    increase = sum(
        (number or 0)
        - (observed.functions[name].concurrency or 0 if name in observed.functions else 0)
        for name, number in wanted.concurrency.items()
    )
    return increase <= 0 or observed.unreserved - increase >= MIN_UNRESERVED


def _plan_concurrency(wanted: Wanted, name: str, observed: Observed) -> Iterator[Change]:
    number = wanted.concurrency[name]
    found = observed.functions[name].concurrency if name in observed.functions else None
    what, target = f"reserved concurrency of function {name}", {"FunctionName": name}
    if number is None and found is not None:
        call = Call("lambda", "delete_function_concurrency", target)
        yield Change("delete", what, f"{found} → none", (call,))
    elif number is not None and number != found and _can_reserve(wanted, observed):
        arguments = {**target, "ReservedConcurrentExecutions": number}
        before = {**target, **({} if found is None else {"ReservedConcurrentExecutions": found})}
        call = Call("lambda", "put_function_concurrency", arguments, before=before)
        verb, present = ("create", "none") if found is None else ("update", found)
        yield Change(verb, what, f"{present} → {number}", (call,))


def _plan_parameter(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    name = wanted.names.parameter
    what = f"key {name}"
    if observed.parameter is None:
        arguments = {
            "Name": name,
            "Description": "The main key of this Gimel",
            "Value": wanted.key,
            "Type": "SecureString",
            "Tags": tag_list(wanted.tags),
        }
        yield Change(
            "create", what, "does not exist yet", (Call("ssm", "put_parameter", arguments),)
        )
        return
    if observed.parameter.key != wanted.key:
        secret = {"Name": name, "Value": wanted.key, "Type": "SecureString", "Overwrite": True}
        call = Call("ssm", "put_parameter", secret)
        yield Change("update", what, "the stack did not create it, so it is replaced", (call,))
    if missing := missing_tags(wanted.tags, observed.parameter.tags):
        target = {"ResourceType": "Parameter", "ResourceId": name}
        call = Call("ssm", "add_tags_to_resource", {**target, "Tags": tag_list(missing)})
        yield Change("tag", what, tag_reason(observed.parameter.tags, missing), (call,))


def _plan_log_group(
    wanted: Wanted, function: str, group: ObservedLogGroup | None
) -> Iterator[Change]:
    name, days = log_group(function), wanted.log_retention_days
    calls: list[Call] = []
    reasons: list[str] = []
    if group is None:
        reasons.append("does not exist yet")
        arguments = {"logGroupName": name, "tags": wanted.tags}
        calls.append(Call("logs", "create_log_group", arguments))
    elif missing := missing_tags(wanted.tags, group.tags):
        reasons.append(tag_reason(group.tags, missing))
        calls.append(Call("logs", "tag_resource", {"resourceArn": group.arn, "tags": missing}))
    if group is None or group.retention_days != days:
        reasons.append(f"keeps logs for {days} days")
        retention = {"logGroupName": name, "retentionInDays": days}
        found = group.retention_days if group else None
        before = {"logGroupName": name, **({"retentionInDays": found} if found else {})}
        calls.append(Call("logs", "put_retention_policy", retention, before=before))
    if calls:
        verb = "update" if group else "create"
        yield Change(verb, f"log group {name}", ", ".join(reasons), tuple(calls))


def _plan_function(
    wanted: Wanted, name: str, observed: ObservedFunction | None
) -> Iterator[Change]:
    if observed is None:
        yield _new_function(wanted, name)
        yield point_alias(name, None, saved_value(f"version of {name}"), "the first version")
        return
    if missing := missing_tags(wanted.tags, observed.tags):
        arguments = {"Resource": wanted.home.arn("lambda", f"function:{name}"), "Tags": missing}
        call = Call("lambda", "tag_resource", arguments)
        yield Change("tag", f"function {name}", tag_reason(observed.tags, missing), (call,))
    yield from _plan_updates(wanted, name, observed.versions[LATEST])
    matching = _matching_versions(wanted, name, observed)
    if not matching:
        version = saved_value(f"version of {name}")
        yield _publish(name, "no version has these settings and this code")
        yield point_alias(name, observed.live, version, "the version just published")
    elif observed.live not in matching:
        why = f"version {matching[0]} has these settings and this code"
        yield point_alias(name, observed.live, matching[0], why)
    elif observed.weights:
        why = f"other versions answer some calls: {', '.join(observed.weights)}"
        yield point_alias(name, observed.live, observed.live, why)


def _matching_versions(wanted: Wanted, name: str, observed: ObservedFunction) -> list[str]:
    """Return the published versions with the wanted settings and code, the newest first."""
    settings = {**wanted.configurations[name], **wanted.code}
    return newest_first(
        number
        for number, found in observed.versions.items()
        if number != LATEST and not differences(settings, found, _FUNCTION_DEFAULTS)
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
    return Change("create", f"function {name}", "does not exist yet", (call,))


def _plan_updates(wanted: Wanted, name: str, latest: Mapping[str, Any]) -> Iterator[Change]:
    configuration = wanted.configurations[name]
    if changed := differences(configuration, latest, _FUNCTION_DEFAULTS):
        arguments = {"FunctionName": name, **changed}
        before = {"FunctionName": name, **{key: latest.get(key) for key in changed}}
        waiter = "function_updated_v2"
        operation = "update_function_configuration"
        call = Call("lambda", operation, arguments, waiter=waiter, before=before)
        why = ", ".join(
            _difference(key, latest.get(key), value)
            for key, value in changed.items()
            if key != "Description" or len(changed) == 1
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
        yield Change("update", f"function {name}", "the code changed", (call,))


def _difference(name: str, observed: Any, wanted: Any) -> str:
    """Describe the change of a setting. The environment holds secrets, so only names are shown."""
    if name == "Environment":
        before, after = observed.get("Variables", {}), wanted["Variables"]
        changed = sorted(key for key in before | after if before.get(key) != after.get(key))
        return f"{name} ({', '.join(changed)})"
    if isinstance(wanted, dict | list):
        return name
    return f"{name} {observed or 'none'} → {wanted or 'none'}"


def _publish(name: str, why: str) -> Change:
    saves = {f"version of {name}": "Version"}
    call = Call(
        "lambda", "publish_version", {"FunctionName": name}, saves, "published_version_active"
    )
    return Change("publish", f"function {name}", why, (call,))


def point_alias(function: str, live: str | None, version: str, why: str) -> Change:
    """Return the change that points the alias, which the API invokes, to a version."""
    target = {"FunctionName": function, "Name": ALIAS}
    arguments: dict[str, Any] = {**target, "FunctionVersion": version}
    if live is None:
        call = Call("lambda", "create_alias", arguments)
    else:
        # The version answers every call:
        # https://docs.aws.amazon.com/lambda/latest/dg/configuring-alias-routing.html
        arguments["RoutingConfig"] = {"AdditionalVersionWeights": {}}
        before = {**target, "FunctionVersion": live}
        call = Call("lambda", "update_alias", arguments, before=before)
    verb = "create" if live is None else "update"
    return Change(verb, f"alias {ALIAS} of function {function}", why, (call,))


def newest_first(versions: Iterable[str]) -> list[str]:
    """Sort the numbers of published versions, the highest first."""
    return sorted(versions, key=int, reverse=True)


def _plan_old_versions(
    wanted: Wanted, name: str, observed: ObservedFunction | None
) -> Iterator[Change]:
    """Plan the deletion of old versions.

    The alias is moved earlier in the plan, so it points to a matching version by then.
    """
    if observed is None:
        return
    matching = _matching_versions(wanted, name, observed)
    live = observed.live if observed.live in matching else next(iter(matching), None)
    numbers = newest_first(number for number in observed.versions if number != LATEST)
    for number in numbers[VERSIONS_KEPT if matching else VERSIONS_KEPT - 1 :]:
        if number != live:
            arguments = {"FunctionName": name, "Qualifier": number}
            call = Call("lambda", "delete_function", arguments)
            why = f"{VERSIONS_KEPT} versions are kept"
            yield Change("delete", f"version {number} of function {name}", why, (call,))
