"""The minimal policy for deploying, which `gimel policy` prints."""

import json
from collections.abc import Collection, Iterator
from typing import Any

from gimel.config.settings import Config
from gimel.stack.aws import Home
from gimel.stack.permissions.functions import cache_connection
from gimel.stack.permissions.secrets import secret_statements
from gimel.stack.wanted import DEFAULT_STACK, REPLAY, Names, log_group

_LAMBDA = (
    *("AddPermission", "CreateAlias", "CreateFunction", "CreateFunctionUrlConfig", "DeleteAlias"),
    *("DeleteFunction", "DeleteFunctionConcurrency", "DeleteFunctionUrlConfig", "GetAlias"),
    *("GetFunction", "GetFunctionConfiguration", "GetFunctionUrlConfig", "GetPolicy"),
    *("InvokeFunction", "ListTags", "ListVersionsByFunction", "PublishVersion"),
    *("PutFunctionConcurrency", "RemovePermission", "TagResource", "UpdateAlias"),
    *("UpdateFunctionCode", "UpdateFunctionConfiguration", "UpdateFunctionUrlConfig"),
)
_ROLE = (
    *("DeleteRole", "GetRole", "GetRolePolicy", "ListAttachedRolePolicies", "ListRolePolicies"),
    *("TagRole", "UpdateAssumeRolePolicy"),
)
# IAM can limit these to roles with a boundary.
_BOUNDED_ROLE = ("CreateRole", "DeleteRolePolicy", "DetachRolePolicy", "PutRolePolicy")
_LOGS = (
    *("CreateLogGroup", "DeleteLogGroup", "FilterLogEvents", "ListTagsForResource"),
    *("PutRetentionPolicy", "TagResource"),
)
_PARAMETER = (
    *("AddTagsToResource", "DeleteParameter", "GetParameter", "ListTagsForResource"),
    "PutParameter",
)
_KEYS = ("AddTagsToResource", "DeleteParameter", "ListTagsForResource", "PutParameter")
_QUEUES = (
    *("CreateQueue", "DeleteMessage", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl"),
    *("ListQueueTags", "ReceiveMessage", "SendMessage", "SetQueueAttributes", "TagQueue"),
)
_RULE = (
    *("DeleteRule", "DescribeRule", "ListTagsForResource", "ListTargetsByRule", "PutRule"),
    *("PutTargets", "RemoveTargets", "TagResource"),
)
# Without alarm_email, a deploy deletes what it finds.
_TOPIC = ("DeleteTopic", "GetTopicAttributes", "ListSubscriptionsByTopic", "ListTagsForResource")
_NEW_TOPIC = ("CreateTopic", "SetTopicAttributes", "Subscribe", "TagResource")
_ALARMS = ("DeleteAlarms", "ListTagsForResource")
_NEW_ALARMS = ("PutMetricAlarm", "TagResource")
_CACHE = (
    *("AddTagsToResource", "CreateServerlessCache", "CreateServerlessCacheSnapshot"),
    *("DeleteServerlessCache", "ModifyServerlessCache"),
)
# AWS has no narrower resource for these actions. The stack may have left a VPC, and Lambda may not
# have released its network interfaces yet.
_ACCOUNT = (
    *("cloudwatch:GetMetricData", "ec2:DescribeNetworkInterfaces", "iam:SimulatePrincipalPolicy"),
    *("lambda:GetAccountSettings", "lambda:ListEventSourceMappings", "logs:DescribeLogGroups"),
)
_ACCOUNT_NETWORK = ("ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs")
_ACCOUNT_CACHE = ("elasticache:DescribeCacheEngineVersions", "elasticache:DescribeEvents")
_API = ("DELETE", "GET", "PATCH", "POST")
# What IAM allows in one managed policy, in characters without whitespace. A role's inline policies
# may have 10,240. Source: IAM's user guide, "IAM and AWS STS quotas".
MANAGED_POLICY = 6_144
# Actions that `gimel deploy` does not need, but other commands do. A deploy describes network
# interfaces only after the stack has left a VPC.
OPTIONAL_FOR_DEPLOY = frozenset(
    {
        "ec2:DescribeNetworkInterfaces",
        *("cloudwatch:GetMetricData", "elasticache:Connect"),
        *("elasticache:CreateServerlessCacheSnapshot", "elasticache:DeleteServerlessCache"),
        *("elasticache:DescribeCacheEngineVersions", "iam:DeleteRole", "iam:DetachRolePolicy"),
        *("iam:SimulatePrincipalPolicy", "logs:DeleteLogGroup", "logs:FilterLogEvents"),
        *("events:DeleteRule", "events:RemoveTargets", "secretsmanager:GetSecretValue"),
        *("sqs:DeleteMessage", "sqs:DeleteQueue", "sqs:ReceiveMessage", "sqs:SendMessage"),
        *("lambda:DeleteAlias", "lambda:DeleteEventSourceMapping"),
    }
)


def deployer_policy(config: Config, home: Home) -> dict[str, Any]:
    """Return the minimal policy for running all commands on one stack in one region."""
    names = Names(config.stack)
    role = home.arn("iam", f"role/{names.role}", regional=False)
    groups = [home.arn("logs", f"log-group:{log_group(name)}") for name in names.functions]
    functions = [home.arn("lambda", f"function:{name}") for name in names.functions]
    keys = home.arn("ssm", f"parameter{names.keys}")
    parameters = [home.arn("ssm", f"parameter{name}") for name in (names.parameter, names.lock)]
    queues = [home.arn("sqs", name) for name in (names.queue, names.dead_letters)]
    statements = [
        _allow("Functions", "lambda", _LAMBDA, _with_children(functions)),
        *_role_statements(config.permissions_boundary, role),
        {
            **_allow("RoleOfFunctions", "iam", ("PassRole",), [role]),
            "Condition": {"StringEquals": {"iam:PassedToService": ["lambda.amazonaws.com"]}},
        },
        _allow("Logs", "logs", _LOGS, _with_children(groups)),
        _allow("MainKey", "ssm", _PARAMETER, parameters),
        _allow("Keys", "ssm", _KEYS, [f"{keys}/*"]),
        _allow("KeyPath", "ssm", ("GetParametersByPath",), [keys]),
        _allow("Queues", "sqs", _QUEUES, queues),
        *_mapping_statements(names, home),
        _allow("Rule", "events", _RULE, [home.arn("events", f"rule/{names.rule}")]),
        *_api_statements(names, home),
        *_alarm_statements(names, home, is_on=config.alarm_email is not None),
        _account_statement(config),
    ]
    statements += secret_statements(config.redis.secret, config.kms_key, encrypts=True)
    statements += _cache_statements(config, names, home)
    if config.domain:
        statements.append(_linked_role("Domain", home, "ops.apigateway", "APIGateway"))
    return {"Version": "2012-10-17", "Statement": statements}


def characters(policy: dict[str, Any]) -> int:
    """Count a policy's characters as IAM does, without whitespace."""
    return len(json.dumps(policy, separators=(",", ":")))


def _role_statements(boundary: str | None, role: str) -> Iterator[dict[str, Any]]:
    """Yield the statements for the functions' role.

    A caller that may write a role's policies has all permissions of the role's boundary. Without a
    boundary, it has all permissions of the account. So a boundary is a condition, and no caller may
    remove it:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/access_policies_boundaries.html
    """
    if boundary is None:
        actions = ("DeleteRolePermissionsBoundary", *_BOUNDED_ROLE, *_ROLE)
        yield _allow("Role", "iam", actions, [role])
        return
    yield _allow("Role", "iam", _ROLE, [role])
    yield {
        **_allow("BoundedRole", "iam", (*_BOUNDED_ROLE, "PutRolePermissionsBoundary"), [role]),
        "Condition": {"StringEquals": {"iam:PermissionsBoundary": [boundary]}},
    }


def _account_statement(config: Config) -> dict[str, Any]:
    """Return the statement for the actions on the whole account."""
    actions = [*_ACCOUNT]
    if config.vpc:
        actions += _ACCOUNT_NETWORK
    if config.redis.managed:
        actions += _ACCOUNT_CACHE
    if config.alarm_email:
        actions.append("sns:Unsubscribe")
    return {"Sid": "GimelAccount", "Effect": "Allow", "Action": actions, "Resource": ["*"]}


def _with_children(arns: Collection[str]) -> list[str]:
    """Add the ARNs of the functions' versions, or of the log groups' streams."""
    return [arn + end for arn in arns for end in ("", ":*")]


def _mapping_statements(names: Names, home: Home) -> Iterator[dict[str, Any]]:
    """Yield the statements for the event source mapping.

    Its ARN holds a random id, so a condition on the function limits the statements.
    """
    replay = _with_children([home.arn("lambda", f"function:{names.function(REPLAY)}")])
    of_replay = {"Condition": {"ArnLike": {"lambda:FunctionArn": replay}}}
    any_mapping = [home.arn("lambda", "event-source-mapping:*")]
    changing = ("DeleteEventSourceMapping", "UpdateEventSourceMapping")
    yield {**_allow("NewMapping", "lambda", ("CreateEventSourceMapping",), ["*"]), **of_replay}
    yield {**_allow("Mapping", "lambda", changing, any_mapping), **of_replay}
    yield _allow("MappingTags", "lambda", ("ListTags", "TagResource"), any_mapping)


def _cache_statements(config: Config, names: Names, home: Home) -> Iterator[dict[str, Any]]:
    """Yield the statements for the managed Redis. Without one, commands look for a leftover."""
    cache, *user = cache_connection(names, home)
    looking = ("DescribeServerlessCaches", "ListTagsForResource")
    if not config.redis.managed:
        yield _allow("Cache", "elasticache", looking, [cache])
    else:
        others = ("usergroup:default.iam-user-group", f"serverlesscachesnapshot:{names.cache}-*")
        resources = [cache, *(home.arn("elasticache", other) for other in others)]
        yield _allow("Cache", "elasticache", (*_CACHE, *looking), resources)
        yield _allow("CacheConnection", "elasticache", ("Connect",), [cache, *user])
        linked = _linked_role("Cache", home, "elasticache", "ElastiCache")
        yield linked
        yield _allow("CacheRole", "iam", ("GetRole",), linked["Resource"])


def _linked_role(sid: str, home: Home, service: str, name: str) -> dict[str, Any]:
    """Return the statement for the service-linked role that a service makes on its first use."""
    host = f"{service}.amazonaws.com"
    path = f"role/aws-service-role/{host}/AWSServiceRoleFor{name}*"
    role = home.arn("iam", path, regional=False)
    return {
        **_allow(f"{sid}LinkedRole", "iam", ("CreateServiceLinkedRole",), [role]),
        "Condition": {"StringEquals": {"iam:AWSServiceName": [host]}},
    }


def _api_statements(names: Names, home: Home) -> Iterator[dict[str, Any]]:
    """Yield the statements for API Gateway.

    The ARN of an API holds a random id, so the statements allow all APIs and domain names of the
    region.
    """
    prefix = f"arn:{home.partition}:apigateway:{home.region}::"
    own = [prefix + path for path in ("/apis", "/apis/*", "/domainnames", "/domainnames/*")]
    yield _allow("Api", "apigateway", _API, own)
    yield _allow("ApiTags", "apigateway", ("GET", "POST"), [f"{prefix}/tags/*"])
    yield _allow("ApiTagsAtCreation", "apigateway", ("TagResource",), own)
    if names.stack == DEFAULT_STACK:
        legacy = [f"{prefix}/{kind}{end}" for kind in ("restapis", "apikeys") for end in ("", "/*")]
        yield _allow("OldApi", "apigateway", ("DELETE", "GET", "POST", "PUT"), legacy)


def _alarm_statements(names: Names, home: Home, *, is_on: bool) -> Iterator[dict[str, Any]]:
    """Yield the statements for the alarms, their topic and its subscription."""
    topic = [home.arn("sns", names.topic)]
    alarms = [home.arn("cloudwatch", f"alarm:{name}") for name in names.alarms]
    yield _allow("Topic", "sns", _TOPIC + (_NEW_TOPIC if is_on else ()), topic)
    yield _allow("Alarms", "cloudwatch", _ALARMS + (_NEW_ALARMS if is_on else ()), alarms)
    every = [home.arn("cloudwatch", "alarm:*")]
    yield _allow("EveryAlarm", "cloudwatch", ("DescribeAlarms",), every)
    if is_on:
        yield _linked_role("Alarm", home, "events", "CloudWatchEvents")


def _allow(
    sid: str, service: str, actions: tuple[str, ...], resources: list[str]
) -> dict[str, Any]:
    return {
        "Sid": f"Gimel{sid}",
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions],
        "Resource": resources,
    }
