"""The observation of the functions, their log groups and their role."""

import json
from typing import Any

from gimel.stack.aws import Aws
from gimel.stack.observe.tags import tags_of
from gimel.stack.observed import ObservedFunction, ObservedLogGroup, ObservedRole
from gimel.stack.wanted import ALIAS, Names, log_group

_VERSION = (
    "[].[Version, {Description: Description, Handler: Handler, Runtime: Runtime, Timeout: Timeout,"
    " MemorySize: MemorySize, Role: Role, Environment: {Variables: Environment.Variables || `{}`},"
    " EnvironmentError: Environment.Error.ErrorCode, KMSKeyArn: KMSKeyArn || '',"
    " LoggingConfig: LoggingConfig.{LogFormat: LogFormat,"
    " ApplicationLogLevel: ApplicationLogLevel, SystemLogLevel: SystemLogLevel,"
    " LogGroup: LogGroup},"
    " VpcConfig: {SubnetIds: sort(VpcConfig.SubnetIds || `[]`),"
    " SecurityGroupIds: sort(VpcConfig.SecurityGroupIds || `[]`)},"
    " DeadLetterConfig: DeadLetterConfig, EphemeralStorage: EphemeralStorage,"
    " FileSystemConfigs: FileSystemConfigs, Layers: Layers[].Arn,"
    " SnapStart: SnapStart.{ApplyOn: ApplyOn}, TracingConfig: TracingConfig.{Mode: Mode},"
    " CodeSha256: CodeSha256, Architectures: Architectures}]"
)


def observe_function(aws: Aws, name: str) -> ObservedFunction | None:
    """Return the function with its versions, if it exists."""
    found = aws.find(
        "lambda",
        "get_function",
        "{tags: Tags, reserved: Concurrency.ReservedConcurrentExecutions}",
        FunctionName=name,
    )
    if found is None:
        return None
    versions = aws.pages(
        "lambda", "list_versions_by_function", f"Versions{_VERSION}", FunctionName=name
    )
    query = "[FunctionVersion, RoutingConfig.AdditionalVersionWeights]"
    alias = aws.find("lambda", "get_alias", query, FunctionName=name, Name=ALIAS)
    live, weights = alias or (None, None)
    return ObservedFunction(
        found["tags"] or {},
        dict(versions),
        live,
        _observe_invokers(aws, name),
        found["reserved"],
        weights or {},
    )


def _observe_invokers(aws: Aws, name: str) -> dict[tuple[str, str], Any]:
    """Return the statements of the policies of the function and of its alias.

    The policies of single versions are not looked at: Lambda answers 15 GetPolicy a second
    (https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html).
    """
    statements = {}
    qualifiers: tuple[dict[str, str], ...] = ({}, {"Qualifier": ALIAS})
    for qualifier in qualifiers:
        policy = aws.find("lambda", "get_policy", "Policy", FunctionName=name, **qualifier)
        for statement in json.loads(policy)["Statement"] if policy else []:
            # Not every emulator keeps the policies of a function and of its alias apart.
            place = statement["Resource"].partition(f":function:{name}")[2].removeprefix(":")
            statements[place, statement["Sid"]] = statement
    return statements


def observe_log_groups(aws: Aws, names: Names) -> dict[str, ObservedLogGroup]:
    """Return the functions' log groups by name."""
    found = aws.pages(
        "logs",
        "describe_log_groups",
        "logGroups[].[logGroupName, logGroupArn || arn, retentionInDays]",
        logGroupNamePrefix=log_group(f"{names.stack}-"),
    )
    own = {log_group(function) for function in names.functions}
    groups = {}
    for name, arn, days in found:
        if name in own:
            arn = arn.removesuffix(":*")
            tags = aws.call("logs", "list_tags_for_resource", "tags", resourceArn=arn)
            groups[name] = ObservedLogGroup(arn, tags, days)
    return groups


def observe_role(aws: Aws, names: Names) -> ObservedRole | None:
    """Return the functions' role, if it exists."""
    role = aws.find("iam", "get_role", "Role", RoleName=names.role)
    if role is None:
        return None
    target = {"RoleName": names.role}
    policies = aws.pages("iam", "list_role_policies", "PolicyNames[]", **target)
    own, permissions = names.policy(aws.region), None
    if own in policies:
        permissions = aws.find("iam", "get_role_policy", "PolicyDocument", **target, PolicyName=own)
    attached = aws.pages(
        "iam", "list_attached_role_policies", "AttachedPolicies[].PolicyArn", **target
    )
    return ObservedRole(
        tags_of(role.get("Tags")),
        role["AssumeRolePolicyDocument"],
        permissions,
        tuple(policies),
        tuple(attached),
        role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
    )
