"""IAM policies: what the functions may do, the minimal policy for deploying, and its simulation.

`functions_policy` lists the actions that the functions' role allows, `trust_policy` the services
that may assume the role. `deployer_policy` is the policy that `gimel policy` prints.

A test holds the deployer's policy equal to the calls that the commands make. An action has the name
of the call, except at API Gateway, where the actions are HTTP methods. AWS requires some further
actions. Where no other source is given, the source is
https://docs.aws.amazon.com/service-authorization/latest/reference/.

- Tags in a creation require `TagResource` or a similar action. API Gateway's action is in no list,
  but is required: https://github.com/aws-amplify/amplify-cli/issues/12316.
- `lambda:ListTags`: without it, GetFunction omits the tags
  (https://docs.aws.amazon.com/lambda/latest/api/API_GetFunction.html).
- `iam:PassRole`, for the functions' role.
- For functions in a VPC, the actions that describe its subnets and security groups
  (https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html).

A certificate requires nothing: API Gateway reads it with a service-linked role, which it creates
itself
(https://docs.aws.amazon.com/apigateway/latest/developerguide/using-service-linked-roles.html).
GetCallerIdentity requires nothing either: no policy can deny it.
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
_KEYS = ("AddTagsToResource", "DeleteParameter", "ListTagsForResource", "PutParameter")
_QUEUES = (
    *("CreateQueue", "DeleteMessage", "DeleteQueue", "GetQueueAttributes", "GetQueueUrl"),
    *("ListQueueTags", "ReceiveMessage", "SendMessage", "SetQueueAttributes", "TagQueue"),
)
_NETWORK = ("DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs")
_API = ("DELETE", "GET", "PATCH", "POST")

# Actions that `gimel deploy` does not need, but other commands do.
OPTIONAL_FOR_DEPLOY = frozenset(
    {
        *("cloudwatch:GetMetricData", "iam:DeleteRole", "iam:DetachRolePolicy"),
        *("iam:SimulatePrincipalPolicy", "logs:DeleteLogGroup", "logs:FilterLogEvents"),
        *("sqs:DeleteMessage", "sqs:DeleteQueue", "sqs:ReceiveMessage", "sqs:SendMessage"),
        *("lambda:DeleteEventSourceMapping", "ssm:DeleteParameter"),
    }
)


def trust_policy(legacy: bool = False) -> dict[str, Any]:
    """Return the policy that lets Lambda assume the functions' role.

    With `legacy`, API Gateway may assume it too, for the REST API of gimel 1.x.
    """
    services = ["lambda.amazonaws.com", *(["apigateway.amazonaws.com"] if legacy else [])]
    return _policy(
        *(
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
            for service in services
        )
    )


def functions_policy(
    names: Names, home: Home, vpc: Vpc | None = None, legacy: bool = False
) -> dict[str, Any]:
    """Return the policy of the functions' role: all IAM actions that the functions have.

    The functions write to their own log groups and use their own queues. In a VPC, Lambda manages
    network interfaces for them. With `legacy`, the REST API of gimel 1.x may invoke them.
    """
    groups = map(log_group, names.functions)
    # The ARN of a log stream is the ARN of its group and the stream's name, hence `:*`.
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
    dead_letters = {
        "Effect": "Allow",
        "Action": ["sqs:SendMessage"],
        "Resource": [home.arn("sqs", names.dead_letters)],
    }
    statements = [logs, queue, dead_letters, *(_vpc_statements(names, home) if vpc else [])]
    if legacy:
        aliases = [alias_arn(home, name) for name in names.functions]
        statements.append(
            {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": aliases}
        )
    return _policy(*statements)


def _vpc_statements(names: Names, home: Home) -> list[dict[str, Any]]:
    """Return what Lambda needs for a function in a VPC, and deny the same to the function's code.

    EC2 has no narrower resource for describing network interfaces, and Lambda requires the right to
    delete any of them: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html.
    """
    describing = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    changing = [
        *("ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface"),
        *("ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"),
    ]
    functions = [home.arn("lambda", f"function:{name}") for name in names.functions]
    return [
        {"Effect": "Allow", "Action": describing, "Resource": "*"},
        {"Effect": "Allow", "Action": changing, "Resource": home.arn("ec2", "*/*")},
        {
            "Effect": "Deny",
            "Action": [*describing, *changing],
            "Resource": "*",
            "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": functions}},
        },
    ]


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def deployer_policy(config: Config, home: Home) -> dict[str, Any]:
    """Return the minimal policy for running all commands on one stack in one region."""
    names = Names(config.stack)
    role = home.arn("iam", f"role/{names.role}", regional=False)
    groups = [home.arn("logs", f"log-group:{log_group(name)}") for name in names.functions]
    functions = [home.arn("lambda", f"function:{name}") for name in names.functions]
    keys = home.arn("ssm", f"parameter{names.keys}")
    queues = [home.arn("sqs", name) for name in (names.queue, names.dead_letters)]
    statements = [
        _allow("Functions", "lambda", _LAMBDA, _with_children(functions)),
        _allow("Role", "iam", _ROLE, [role]),
        {
            **_allow("RoleOfFunctions", "iam", ("PassRole",), [role]),
            "Condition": {"StringEquals": {"iam:PassedToService": ["lambda.amazonaws.com"]}},
        },
        _allow("Logs", "logs", _LOGS, _with_children(groups)),
        _allow("MainKey", "ssm", _PARAMETER, [home.arn("ssm", f"parameter{names.parameter}")]),
        _allow("Keys", "ssm", _KEYS, [f"{keys}/*"]),
        _allow("KeyPath", "ssm", ("GetParametersByPath",), [keys]),
        _allow("Queues", "sqs", _QUEUES, queues),
        *_mapping_statements(names, home),
        *_api_statements(names, home),
        # AWS has no narrower resource for these actions.
        _allow("Account", "lambda", ("GetAccountSettings",), ["*"]),
        _allow("Figures", "cloudwatch", ("GetMetricData",), ["*"]),
        _allow("Groups", "logs", ("DescribeLogGroups",), ["*"]),
        _allow("Preflight", "iam", ("SimulatePrincipalPolicy",), ["*"]),
    ]
    if config.vpc:
        statements.append(_allow("Network", "ec2", _NETWORK, ["*"]))
    return {"Version": "2012-10-17", "Statement": statements}


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
    yield _allow("Mappings", "lambda", ("ListEventSourceMappings",), ["*"])


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
    """An action that IAM's simulation does not allow.

    `unknown` are the keys of conditions whose values the simulation does not know.
    """

    action: str
    unknown: tuple[str, ...]


def find_refusals(aws: Aws, caller: str, policy: Mapping[str, Any]) -> list[Refusal]:
    """Simulate the policy for the ARN of a caller. Return the actions that IAM refuses.

    One simulation is made for each statement: AWS documents no maximum number of actions and
    resources, so both stay small. Raises AwsError.
    """
    principal = _principal(aws, caller)
    with ThreadPoolExecutor(4) as pool:
        answers = pool.map(partial(_simulate, aws, principal), policy["Statement"])
        return [refusal for answer in answers for refusal in answer]


def _principal(aws: Aws, caller: str) -> str:
    """Return the ARN that IAM can simulate: for the session of a role, the ARN of the role.

    The session's ARN lacks the role's path. If AWS does not show the role, this assumes that it has
    no path.
    """
    _, partition, _, _, account, resource = caller.split(":", 5)
    kind, _, rest = resource.partition("/")
    if kind != "assumed-role":
        return caller
    role = rest.split("/")[0]
    try:
        return str(aws.call("iam", "get_role", "Role.Arn", RoleName=role))
    except AwsError:
        return f"arn:{partition}:iam::{account}:role/{role}"


def _simulate(aws: Aws, principal: str, statement: Mapping[str, Any]) -> list[Refusal]:
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
