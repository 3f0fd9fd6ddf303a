"""The role's part of the plan: pure functions, like all of it."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gimel.stack.change import Call, Change
from gimel.stack.observed import Seen, SeenRole
from gimel.stack.permissions import permissions_policy, trust_policy
from gimel.stack.plan.ownership import OLD_POLICY, listed, missing_tags, why_tagged
from gimel.stack.wanted import DEFAULT_STACK, Wanted


def role(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    """The role that the functions have, and what it may do in this region."""
    found, what = seen.role, f"role {wanted.names.role}"
    trust = trust_policy(legacy=seen.legacy is not None or _needed_elsewhere(wanted, found))
    if found is None:
        arguments: dict[str, Any] = {
            "AssumeRolePolicyDocument": json.dumps(trust),
            "Tags": listed(wanted.tags),
        }
        if wanted.boundary:
            arguments["PermissionsBoundary"] = wanted.boundary
        yield Change("create", what, "not there yet", (_iam(wanted, "create_role", arguments),))
    else:
        yield from _existing(wanted, found, trust)
    yield from _permissions(wanted, seen)


def _needed_elsewhere(wanted: Wanted, found: SeenRole | None) -> bool:
    """Whether gimel 1.x's REST API of another region may need the trust that the role shows."""
    if found is None or found.trust != trust_policy(legacy=True):
        return False
    return bool(wanted.names.policies_elsewhere(wanted.home.region, found.policies))


def _existing(wanted: Wanted, found: SeenRole, trust: Mapping[str, Any]) -> Iterator[Change]:
    what = f"role {wanted.names.role}"
    if missing := missing_tags(wanted.tags, found.tags):
        call = _iam(wanted, "tag_role", {"Tags": listed(missing)})
        yield Change("tag", what, why_tagged(found.tags, missing), (call,))
    if found.trust != trust:
        call = _iam(
            wanted,
            "update_assume_role_policy",
            {"PolicyDocument": json.dumps(trust)},
            {"PolicyDocument": json.dumps(found.trust)},
        )
        yield Change("update", what, "who may take it was otherwise", (call,))
    if found.boundary != wanted.boundary:
        if wanted.boundary:
            arguments = {"PermissionsBoundary": wanted.boundary}
            before = {"PermissionsBoundary": found.boundary} if found.boundary else {}
            call = _iam(wanted, "put_role_permissions_boundary", arguments, before)
        else:
            call = _iam(wanted, "delete_role_permissions_boundary", {})
        why = f"{found.boundary or 'none'} → {wanted.boundary or 'none'}"
        yield Change("update", f"permissions boundary of {what}", why, (call,))


def _permissions(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    names, found, what = wanted.names, seen.role, f"policy of role {wanted.names.role}"
    permissions = permissions_policy(names, wanted.home, wanted.vpc, seen.legacy is not None)
    if found is None or found.permissions != permissions:
        known = {"PolicyName": names.policy(wanted.home.region)}
        before = {}
        if found and found.permissions:
            before = {**known, "PolicyDocument": json.dumps(found.permissions)}
        arguments = {**known, "PolicyDocument": json.dumps(permissions)}
        call = _iam(wanted, "put_role_policy", arguments, before)
        why = "for its own logs and its own queue"
        if wanted.vpc:
            why += ", and to be in the VPC"
        yield Change("update" if before else "create", what, why, (call,))
    if found and names.stack == DEFAULT_STACK and OLD_POLICY in found.policies:
        call = _iam(wanted, "delete_role_policy", {"PolicyName": OLD_POLICY})
        yield Change("delete", f"policy {OLD_POLICY} of role {names.role}", "gimel 1.x's", (call,))


def _iam(
    wanted: Wanted,
    operation: str,
    arguments: Mapping[str, Any],
    before: Mapping[str, Any] | None = None,
) -> Call:
    named = {"RoleName": wanted.names.role}
    known = {**named, **before} if before else {}
    return Call("iam", operation, {**named, **arguments}, before=known)
