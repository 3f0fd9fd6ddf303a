"""Who is allowed what, at the least: the functions' role, the one who deploys; and is it so?

A test holds the deployer's policy equal to the calls that the commands make. IAM's names of actions
are those of the calls, but for API Gateway, whose actions are HTTP methods. AWS asks for some
besides, by
https://docs.aws.amazon.com/service-authorization/latest/reference/ where no other source is named:

- tags given at a creation: `TagResource` and its like. API Gateway's is in no list of actions, but
  is asked for: https://github.com/aws-amplify/amplify-cli/issues/12316;
- `lambda:ListTags`: without it GetFunction leaves the tags out
  (https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html);
- `iam:PassRole`, for the role that the functions get;
- for functions in a VPC, a look at its subnets and security groups
  (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html).

Nothing is needed for a certificate: API Gateway looks it up by its service-linked role, which it
makes itself
(https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html). Nor
is anything for GetCallerIdentity, which nobody can be denied.
"""

from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from gimel.config.settings import Config
from gimel.config.stack import Vpc
from gimel.stack.aws import Aws, AwsError, Home
from gimel.stack.wanted import DEFAULT_STACK, REPLAY, Names, alias_arn, log_group

_LAMBDA = (
    *("AddPermission", "CreateAlias", "CreateFunction", "DeleteFunction"),
    *("DeleteFunctionConcurrency", "GetAlias", "GetFunction", "GetFunctionConfiguration"),
    *("GetPolicy", "InvokeFunction", "ListTags", "ListVersionsByFunction", "PublishVersion"),
    *("PutFunctionConcurrency", "RemovePermission", "TagResource", "UpdateAlias"),
    *("UpdateFunctionCode", "UpdateFunctionConfiguration"),
)
_ROLE = (
    *("CreateRole", "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy"),
    *("DetachRolePolicy", "GetRole", "GetRolePolicy", "ListAttachedRolePolicies"),
    *("ListRolePolicies", "PutRolePermissionsBoundary", "PutRolePolicy", "TagRole"),
    "UpdateAssumeRolePolicy",
)
_LOGS = (
    *("CreateLogGroup", "DeleteLogGroup", "FilterLogEvents", "ListTagsForResource"),
    *("PutRetentionPolicy", "TagResource"),
)
_PARAMETER = (
    *("AddTagsToResource", "DeleteParameter", "GetParameter", "ListTagsForResource"),
    "PutParameter",
)
_QUEUES = (
    *("CreateQueue", "DeleteMessage", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl"),
    *("ListQueueTags", "ReceiveMessage", "SendMessage", "SetQueueAttributes", "TagQueue"),
)
_NETWORK = ("DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs")
_API = ("DELETE", "GET", "PATCH", "POST")

# What a deploy does without: only other commands call it.
ELSEWHERE = frozenset(
    {
        *("cloudwatch:GetMetricData", "iam:DeleteRole", "iam:DetachRolePolicy"),
        *("iam:SimulatePrincipalPolicy", "logs:DeleteLogGroup", "logs:FilterLogEvents"),
        *("sqs:DeleteMessage", "sqs:DeleteQueue", "sqs:ReceiveMessage", "sqs:SendMessage"),
        *("lambda:DeleteEventSourceMapping", "ssm:DeleteParameter"),
    }
)


def trust_policy(legacy: bool = False) -> dict[str, Any]:
    """Who may take the role: Lambda, nobody else; but the REST API of gimel 1.x takes it too."""
    services = ["lambda.amazonaws.com", *(["apigateway.amazonaws.com"] if legacy else [])]
    return _policy(
        *(
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
            for service in services
        )
    )


def permissions_policy(
    names: Names, home: Home, vpc: Vpc | None = None, legacy: bool = False
) -> dict[str, Any]:
    """What the functions may do: their own logs, their own queue; in a VPC, network interfaces.

    A log stream's ARN is its group's, followed by its name: hence `:*`.
    """
    groups = map(log_group, names.functions)
    logs = {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": [home.arn("logs", f"log-group:{group}:*") for group in groups],
    }
    queue = {
        "Effect": "Allow",
        "Action": [
            *("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes"),
            *("sqs:ReceiveMessage", "sqs:SendMessage"),
        ],
        "Resource": [home.arn("sqs", names.queue)],
    }
    aside = {
        "Effect": "Allow",
        "Action": ["sqs:SendMessage"],
        "Resource": [home.arn("sqs", names.dead_letters)],
    }
    statements = [logs, queue, aside, *(_network(names, home) if vpc else [])]
    if legacy:
        aliases = [alias_arn(home, name) for name in names.functions]
        statements.append(
            {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": aliases}
        )
    return _policy(*statements)


def _network(names: Names, home: Home) -> list[dict[str, Any]]:
    """What Lambda, with the role, needs for a function in a VPC; not what its code may do.

    EC2 knows no narrower resource for looking at interfaces, and Lambda asks for the right to
    delete any: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html.
    """
    looking = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    changing = [
        *("ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface"),
        *("ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"),
    ]
    functions = [home.arn("lambda", f"function:{name}") for name in names.functions]
    return [
        {"Effect": "Allow", "Action": looking, "Resource": "*"},
        {"Effect": "Allow", "Action": changing, "Resource": home.arn("ec2", "*/*")},
        {
            "Effect": "Deny",
            "Action": [*looking, *changing],
            "Resource": "*",
            "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": functions}},
        },
    ]


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def deployer_policy(config: Config, home: Home) -> dict[str, Any]:
    """The policy for all commands on one stack in one region."""
    names = Names(config.stack)
    role = home.arn("iam", f"role/{names.role}", regional=False)
    groups = [home.arn("logs", f"log-group:{log_group(name)}") for name in names.functions]
    functions = [home.arn("lambda", f"function:{name}") for name in names.functions]
    queues = [home.arn("sqs", name) for name in (names.queue, names.dead_letters)]
    statements = [
        _allow("Functions", "lambda", _LAMBDA, _and_parts(functions)),
        _allow("Role", "iam", _ROLE, [role]),
        {
            **_allow("RoleOfFunctions", "iam", ("PassRole",), [role]),
            "Condition": {"StringEquals": {"iam:PassedToService": ["lambda.amazonaws.com"]}},
        },
        _allow("Logs", "logs", _LOGS, _and_parts(groups)),
        _allow("ReadKey", "ssm", _PARAMETER, [home.arn("ssm", f"parameter{names.parameter}")]),
        _allow("Queues", "sqs", _QUEUES, queues),
        *_mapping(names, home),
        *_api(names, home),
        # These know no narrower resource.
        _allow("Account", "lambda", ("GetAccountSettings",), ["*"]),
        _allow("Figures", "cloudwatch", ("GetMetricData",), ["*"]),
        _allow("Groups", "logs", ("DescribeLogGroups",), ["*"]),
        _allow("Preflight", "iam", ("SimulatePrincipalPolicy",), ["*"]),
    ]
    if config.vpc:
        statements.append(_allow("Network", "ec2", _NETWORK, ["*"]))
    return {"Version": "2012-10-17", "Statement": statements}


def _and_parts(arns: Collection[str]) -> list[str]:
    """Functions and their versions, log groups and their streams."""
    return [arn + end for arn in arns for end in ("", ":*")]


def _mapping(names: Names, home: Home) -> Iterator[dict[str, Any]]:
    """Lambda numbers what leads a queue to a function; it is told by the function."""
    replay = _and_parts([home.arn("lambda", f"function:{names.function(REPLAY)}")])
    of_replay = {"Condition": {"ArnLike": {"lambda:FunctionArn": replay}}}
    any_mapping = [home.arn("lambda", "event-source-mapping:*")]
    changing = ("DeleteEventSourceMapping", "UpdateEventSourceMapping")
    yield {**_allow("NewMapping", "lambda", ("CreateEventSourceMapping",), ["*"]), **of_replay}
    yield {**_allow("Mapping", "lambda", changing, any_mapping), **of_replay}
    yield _allow("MappingTags", "lambda", ("ListTags", "TagResource"), any_mapping)
    yield _allow("Mappings", "lambda", ("ListEventSourceMappings",), ["*"])


def _api(names: Names, home: Home) -> Iterator[dict[str, Any]]:
    """API Gateway numbers its APIs, so what is allowed cannot be told by the stack's name."""
    prefix = f"arn:{home.partition}:apigateway:{home.region}::"
    own = [prefix + path for path in ("/apis", "/apis/*", "/domainnames", "/domainnames/*")]
    yield _allow("Api", "apigateway", _API, own)
    yield _allow("ApiTags", "apigateway", ("GET", "POST"), [f"{prefix}/tags/*"])
    yield _allow("ApiTagsAtCreation", "apigateway", ("TagResource",), own)
    if names.stack == DEFAULT_STACK:
        old = [f"{prefix}/{kind}{end}" for kind in ("restapis", "apikeys") for end in ("", "/*")]
        yield _allow("OldApi", "apigateway", ("DELETE", "GET", "POST", "PUT"), old)


def _allow(
    sid: str, service: str, actions: tuple[str, ...], resources: list[str]
) -> dict[str, Any]:
    return {
        "Sid": f"Gimel{sid}",
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions],
        "Resource": resources,
    }


@dataclass(frozen=True)
class Refusal:
    """An action that IAM's simulation did not allow; `unknown` are conditions it could not know."""

    action: str
    unknown: tuple[str, ...]


def refusals(aws: Aws, who: str, policy: Mapping[str, Any]) -> list[Refusal]:
    """What of the policy the caller `who` may not do, in the policy's order. Raises AwsError.

    A statement is a question: AWS names no limit to actions and resources, this keeps both small.
    """
    principal = _principal(aws, who)
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(partial(_refused, aws, principal), policy["Statement"])
        return [refusal for answer in answers for refusal in answer]


def _principal(aws: Aws, who: str) -> str:
    """Whom IAM can simulate: for a session of a role that role, whose path the session leaves out.

    Without leave to look at the role, it is taken to have no path.
    """
    _, partition, _, _, account, resource = who.split(":", 5)
    kind, _, rest = resource.partition("/")
    if kind != "assumed-role":
        return who
    role = rest.split("/")[0]
    try:
        return str(aws.call("iam", "get_role", "Role.Arn", RoleName=role))
    except AwsError:
        return f"arn:{partition}:iam::{account}:role/{role}"


def _refused(aws: Aws, principal: str, statement: Mapping[str, Any]) -> list[Refusal]:
    context = [
        {"ContextKeyName": key, "ContextKeyType": "string", "ContextKeyValues": values[:1]}
        for keys in statement.get("Condition", {}).values()
        for key, values in keys.items()
    ]
    results = aws.pages(
        "iam",
        "simulate_principal_policy",
        "EvaluationResults[].[EvalActionName, EvalDecision, MissingContextValues,"
        " ResourceSpecificResults[].EvalResourceDecision]",
        PolicySourceArn=principal,
        ActionNames=statement["Action"],
        ResourceArns=statement["Resource"],
        ContextEntries=context,
    )
    unknown: dict[str, set[str]] = {}
    for action, decision, missing, each in results:
        if set(each or [decision]) != {"allowed"}:
            unknown.setdefault(action, set()).update(missing or ())
    return [Refusal(action, tuple(sorted(keys))) for action, keys in unknown.items()]
