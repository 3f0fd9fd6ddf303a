"""Who is allowed what, at the least: the functions' role and the one who deploys. Pure functions.

A test holds the deployer's policy equal to the calls that the commands make. IAM's names of actions
are those of the calls, but for API Gateway, whose actions are HTTP methods, and for what AWS asks
for besides: tags given at a creation, and the role passed to a function
(https://docs.aws.amazon.com/service-authorization/latest/reference/).
"""

from typing import Any

from gimel.aws import Home
from gimel.config_stack import Vpc
from gimel.stack import DEFAULT_STACK, Names, alias_arn, log_group

_LAMBDA = (
    *("AddPermission", "CreateAlias", "CreateFunction", "DeleteFunction"),
    *("DeleteFunctionConcurrency", "GetAlias", "GetFunction", "GetPolicy", "InvokeFunction"),
    *("ListVersionsByFunction", "PublishVersion", "PutFunctionConcurrency", "RemovePermission"),
    *("TagResource", "UpdateAlias", "UpdateFunctionCode", "UpdateFunctionConfiguration"),
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
_API = ("DELETE", "GET", "PATCH", "POST", "PUT", "TagResource")


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


def deployer_policy(names: Names, home: Home) -> dict[str, Any]:
    """The policy for all commands on one stack in one region.

    API Gateway numbers its APIs, so what is allowed there cannot be told by the stack's name.
    """
    role = home.arn("iam", f"role/{names.role}", regional=False)
    functions = [home.arn("lambda", f"function:{name}") for name in names.functions]
    groups = [home.arn("logs", f"log-group:{log_group(name)}") for name in names.functions]
    apigateway = f"arn:{home.partition}:apigateway:{home.region}::"
    paths = ["/apis", "/apis/*", "/domainnames", "/domainnames/*", "/tags/*"]
    if names.stack == DEFAULT_STACK:
        paths += ["/restapis", "/restapis/*", "/apikeys", "/apikeys/*"]
    statements = [
        _allow(
            "Functions", "lambda", _LAMBDA, [arn + end for arn in functions for end in ("", ":*")]
        ),
        _allow("Role", "iam", _ROLE, [role]),
        {
            **_allow("RoleOfFunctions", "iam", ("PassRole",), [role]),
            "Condition": {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}},
        },
        _allow("Logs", "logs", _LOGS, [arn + end for arn in groups for end in ("", ":*")]),
        _allow("ReadKey", "ssm", _PARAMETER, [home.arn("ssm", f"parameter{names.parameter}")]),
        _allow("Api", "apigateway", _API, [apigateway + path for path in paths]),
        # These know no narrower resource.
        _allow("Account", "lambda", ("GetAccountSettings",), ["*"]),
        _allow("Figures", "cloudwatch", ("GetMetricData",), ["*"]),
        _allow("Groups", "logs", ("DescribeLogGroups",), ["*"]),
        _allow("Who", "sts", ("GetCallerIdentity",), ["*"]),
        _allow("Preflight", "iam", ("SimulatePrincipalPolicy",), ["*"]),
    ]
    return {"Version": "2012-10-17", "Statement": statements}


def _allow(
    sid: str, service: str, actions: tuple[str, ...], resources: list[str]
) -> dict[str, Any]:
    return {
        "Sid": f"Gimel{sid}",
        "Effect": "Allow",
        "Action": [f"{service}:{action}" for action in actions],
        "Resource": resources,
    }
