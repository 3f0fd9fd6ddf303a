"""What the one who deploys has to be allowed: the least IAM policy, a pure function.

A test holds it equal to the calls that the commands make. IAM's names of actions are those of the
calls, but for API Gateway, whose actions are HTTP methods, and for what AWS asks for besides: tags
given at a creation, and the role passed to a function
(https://docs.aws.amazon.com/service-authorization/latest/reference/).
"""

from typing import Any

from gimel.aws import Home
from gimel.stack import DEFAULT_STACK, Names, log_group

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
