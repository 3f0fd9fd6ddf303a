"""The plan of the permissions to invoke the functions, and the alarm about open ones.

The reading function trusts its caller: it answers a direct invocation without asking for a key. So
does the rule's call for snapshots, which no request through the API can imitate.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gimel.stack.change import Call, Change, Template, saved_value
from gimel.stack.observed import Observed, ObservedLegacy
from gimel.stack.plan.difference import comparable
from gimel.stack.wanted import (
    ALIAS,
    INVOKER,
    READS,
    RULE_INVOKER,
    STAGE,
    TRACK,
    Wanted,
    routed_functions,
)

# The condition that Lambda writes into a statement for an argument of AddPermission:
# https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html and urls-auth.html
_CONDITIONS = {
    "FunctionUrlAuthType": ("StringEquals", "lambda:FunctionUrlAuthType"),
    "InvokedViaFunctionUrl": ("Bool", "lambda:InvokedViaFunctionUrl"),
    "SourceArn": ("ArnLike", "AWS:SourceArn"),
}
# Since October 2025 the public needs two permissions to call a function URL. Both are limited to
# calls through the URL: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
_URL_PERMISSIONS: dict[tuple[str, str], Mapping[str, Any]] = {
    (ALIAS, "gimel-function-url"): {
        "Action": "lambda:InvokeFunctionUrl",
        "Principal": "*",
        "FunctionUrlAuthType": "NONE",
    },
    (ALIAS, "gimel-function-url-invoke"): {
        "Action": "lambda:InvokeFunction",
        "Principal": "*",
        "InvokedViaFunctionUrl": True,
    },
}
# Conditions that limit the way of a call, and not the caller.
_WAYS = frozenset({"lambda:FunctionUrlAuthType", "lambda:InvokedViaFunctionUrl"})

_WHY = {
    "*": "for anyone, through its URL",
    "apigateway.amazonaws.com": "for this API only",
    "events.amazonaws.com": "for this stack's rule only",
}

Permissions = Mapping[tuple[str, str], Mapping[str, Any]]


def _wanted_permissions(wanted: Wanted, name: str, observed: Observed) -> Permissions:
    """Return the arguments of AddPermission by qualifier and statement id.

    Only the API's stage may invoke a function, and only through the alias. The stack's rule may
    invoke the reading function. Anyone may call the tracking function through its URL, if it has
    one.
    """
    if name not in routed_functions(wanted):
        return {}
    api = observed.apis[0].id if observed.apis else saved_value("api")
    invoker = {
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": Template(wanted.home.arn("execute-api", f"{api}/{STAGE}/*")),
    }
    has_url = wanted.has_function_url and name == wanted.names.function(TRACK)
    permissions: dict[tuple[str, str], Mapping[str, Any]] = {(ALIAS, INVOKER): invoker}
    if name == wanted.names.function(READS):
        permissions[ALIAS, RULE_INVOKER] = {
            "Action": "lambda:InvokeFunction",
            "Principal": "events.amazonaws.com",
            "SourceArn": wanted.home.arn("events", f"rule/{wanted.names.rule}"),
        }
    return {**permissions, **(_URL_PERMISSIONS if has_url else {})}


def plan_permissions(wanted: Wanted, name: str, observed: Observed) -> Iterator[Change]:
    """Plan the permissions to invoke a function: those that Gimel wants, and no other."""
    function, expected = observed.functions.get(name), _wanted_permissions(wanted, name, observed)
    found = function.invokers if function else {}
    unwanted = _unwanted(found, expected, observed.legacy)
    for key, statement in unwanted.items():
        if key in expected:
            continue
        why = "anybody may invoke it" if _is_open(statement) else "Gimel did not add it"
        what = f"permission {key[1]} to invoke {_target_name(name, key[0])}"
        yield Change("delete", what, why, (_removal(name, *key),))
    for key, arguments in expected.items():
        if key in found and key not in unwanted:
            continue
        calls = [Call("lambda", "add_permission", {**_target(name, *key), **arguments})]
        # AWS shows no permission for a deleted alias, but the permission may return with the alias.
        if key in found or (function and function.live is None):
            calls.insert(0, _removal(name, *key))
        verb = "replace" if key in found else "create"
        what = f"permission to invoke function {name}"
        yield Change(verb, what, _WHY[arguments["Principal"]], tuple(calls))


def open_permissions(wanted: Wanted, observed: Observed) -> list[str]:
    """Return a line for each permission that lets anybody invoke a function.

    The URL of the tracking function is open to anybody, also while its deletion is due.
    """
    with_url = replace(wanted, has_function_url=True)
    return [
        f"anybody may invoke {_target_name(name, qualifier)} (permission {sid}): "
        "run `gimel deploy`, which deletes the permission"
        for name, function in observed.functions.items()
        for (qualifier, sid), statement in _unwanted(
            function.invokers, _wanted_permissions(with_url, name, observed), observed.legacy
        ).items()
        if _is_open(statement)
    ]


def _unwanted(
    found: Permissions, expected: Permissions, legacy: ObservedLegacy | None
) -> Permissions:
    """Return the statements that neither Gimel nor gimel 1.x's REST API needs."""
    api = f":{legacy.api}/" if legacy else None
    return {
        key: statement
        for key, statement in found.items()
        if not (key in expected and _is_same(expected[key], statement))
        and not (api and api in str(statement.get("Condition")))
    }


def _is_same(arguments: Mapping[str, Any], statement: Mapping[str, Any]) -> bool:
    """Return whether AddPermission with these arguments makes this statement."""
    principal = arguments["Principal"]
    made = {
        "Effect": "Allow",
        "Action": arguments["Action"],
        "Principal": principal if principal == "*" else {"Service": principal},
        "Condition": {
            operator: {key: arguments[name]}
            for name, (operator, key) in _CONDITIONS.items()
            if name in arguments
        },
    }
    found = {name: statement.get(name) for name in made}
    return bool(comparable(made) == comparable(found))


def _is_open(statement: Mapping[str, Any]) -> bool:
    """Return whether the statement lets callers of any AWS account invoke the function.

    A service without a condition acts for any account too.
    """
    principal = statement.get("Principal", {})
    kinds = principal if isinstance(principal, Mapping) else {"AWS": principal}
    conditions = statement.get("Condition", {}).values()
    is_limited = any(key not in _WAYS for tests in conditions for key in tests)
    return not is_limited and ("Service" in kinds or "*" in kinds.values())


def _removal(name: str, qualifier: str, sid: str) -> Call:
    return Call("lambda", "remove_permission", _target(name, qualifier, sid), if_exists=True)


def _target(name: str, qualifier: str, sid: str) -> dict[str, str]:
    target = {"FunctionName": name, "StatementId": sid}
    return {**target, "Qualifier": qualifier} if qualifier else target


def _target_name(name: str, qualifier: str) -> str:
    return f"alias {qualifier} of function {name}" if qualifier else f"function {name}"
