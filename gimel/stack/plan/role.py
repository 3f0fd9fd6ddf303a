"""The plan of the functions' role: its trust policy, its permissions, its permissions boundary.

`gimel.stack.permissions` holds the policies themselves.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gimel.stack.change import Call, Change
from gimel.stack.observed import Observed, ObservedRole
from gimel.stack.permissions.functions import functions_policy, trust_policy
from gimel.stack.plan.ownership import LEGACY_POLICY, missing_tags, tag_list, tag_reason
from gimel.stack.wanted import DEFAULT_STACK, Wanted


def plan_role(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the functions' role and its policy for this region."""
    found, what = observed.role, f"role {wanted.names.role}"
    trust = trust_policy(legacy=observed.legacy is not None or _is_legacy_elsewhere(wanted, found))
    if found is None:
        arguments: dict[str, Any] = {
            "AssumeRolePolicyDocument": json.dumps(trust),
            "Tags": tag_list(wanted.tags),
        }
        if wanted.boundary:
            arguments["PermissionsBoundary"] = wanted.boundary
        yield Change(
            "create", what, "does not exist yet", (_iam(wanted, "create_role", arguments),)
        )
    else:
        yield from _plan_existing(wanted, found, trust)
    yield from _plan_permissions(wanted, observed)


def _is_legacy_elsewhere(wanted: Wanted, found: ObservedRole | None) -> bool:
    """Return whether gimel 1.x's REST API may still assume the role in another region."""
    if found is None or found.trust != trust_policy(legacy=True):
        return False
    return bool(wanted.names.policies_elsewhere(wanted.home.region, found.policies))


def _plan_existing(
    wanted: Wanted, found: ObservedRole, trust: Mapping[str, Any]
) -> Iterator[Change]:
    what = f"role {wanted.names.role}"
    if missing := missing_tags(wanted.tags, found.tags):
        call = _iam(wanted, "tag_role", {"Tags": tag_list(missing)})
        yield Change("tag", what, tag_reason(found.tags, missing), (call,))
    if found.trust != trust:
        call = _iam(
            wanted,
            "update_assume_role_policy",
            {"PolicyDocument": json.dumps(trust)},
            {"PolicyDocument": json.dumps(found.trust)},
        )
        yield Change("update", what, "its trust policy differs", (call,))
    if found.boundary != wanted.boundary:
        if wanted.boundary:
            arguments = {"PermissionsBoundary": wanted.boundary}
            before = {"PermissionsBoundary": found.boundary} if found.boundary else {}
            call = _iam(wanted, "put_role_permissions_boundary", arguments, before)
        else:
            call = _iam(wanted, "delete_role_permissions_boundary", {})
        why = f"{found.boundary or 'none'} → {wanted.boundary or 'none'}"
        yield Change("update", f"permissions boundary of {what}", why, (call,))


def _plan_permissions(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    names, found, what = wanted.names, observed.role, f"policy of role {wanted.names.role}"
    # Without the permissions, Lambda never releases its network interfaces:
    # https://docs.aws.amazon.com/lambda/latest/dg/foundation-networking.html
    is_in_vpc = wanted.vpc is not None or observed.needs_network
    permissions = functions_policy(
        names,
        wanted.home,
        is_in_vpc,
        observed.legacy is not None,
        secret=wanted.secret,
        kms_key=wanted.kms_key,
        managed=wanted.managed is not None,
        mails_news=wanted.mails_news,
    )
    if found is None or found.permissions != permissions:
        target = {"PolicyName": names.policy(wanted.home.region)}
        before = {}
        if found and found.permissions:
            before = {**target, "PolicyDocument": json.dumps(found.permissions)}
        arguments = {**target, "PolicyDocument": json.dumps(permissions)}
        call = _iam(wanted, "put_role_policy", arguments, before)
        why = "allows its own logs and queues"
        if is_in_vpc:
            why += ", and network interfaces in the VPC"
        if wanted.secret:
            why += ", and Redis's secret"
        if wanted.managed:
            why += ", and the connection to its cache"
        if wanted.mails_news:
            why += ", and messages to its topic"
        yield Change("update" if before else "create", what, why, (call,))
    if found and names.stack == DEFAULT_STACK and LEGACY_POLICY in found.policies:
        call = _iam(wanted, "delete_role_policy", {"PolicyName": LEGACY_POLICY})
        yield Change(
            "delete", f"policy {LEGACY_POLICY} of role {names.role}", "made by gimel 1.x", (call,)
        )


def _iam(
    wanted: Wanted,
    operation: str,
    arguments: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> Call:
    target = {"RoleName": wanted.names.role}
    known = {**target, **before} if before else {}
    return Call("iam", operation, {**target, **arguments}, before=known)
