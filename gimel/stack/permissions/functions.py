"""The policies of the functions' role: what the functions may do, and what may assume the role."""

from collections.abc import Sequence
from typing import Any

from gimel.stack.aws import Home
from gimel.stack.permissions.secrets import secret_statements
from gimel.stack.wanted import Names, alias_arn, log_group


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
    names: Names,
    home: Home,
    is_in_vpc: bool = False,
    legacy: bool = False,
    *,
    secret: str | None = None,
    kms_key: str | None = None,
    managed: bool = False,
    mails_news: bool = False,
) -> dict[str, Any]:
    """Return the policy of the functions' role: all IAM actions that the functions have.

    The functions write to their own log groups and use their own queues. In a VPC, Lambda manages
    network interfaces for them. With `legacy`, the REST API of gimel 1.x may invoke them. `secret`
    and `kms_key` are the ARNs of Redis's secret and of the environment's key. With `managed`, the
    functions may connect to the managed Redis, with `mails_news` publish to the alarms' topic.
    """
    groups = map(log_group, names.functions)
    sending = ("sqs:GetQueueAttributes", "sqs:ReceiveMessage", "sqs:SendMessage")
    counting = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", *sending)
    statements = [
        # The ARN of a log stream is the ARN of its group and the stream's name, hence `:*`.
        _allow(
            ("logs:CreateLogStream", "logs:PutLogEvents"),
            [home.arn("logs", f"log-group:{group}:*") for group in groups],
        ),
        _allow(counting, [home.arn("sqs", names.queue)]),
        _allow(sending, [home.arn("sqs", names.dead_letters)]),
        *(_vpc_statements(names, home) if is_in_vpc else []),
        *secret_statements(secret, kms_key),
    ]
    if managed:
        statements.append(_allow(("elasticache:Connect",), cache_connection(names, home)))
    if mails_news:
        statements.append(_allow(("sns:Publish",), [home.arn("sns", names.topic)]))
    if legacy:
        aliases = [alias_arn(home, name) for name in names.functions]
        statements.append(_allow(("lambda:InvokeFunction",), aliases))
    return _policy(*statements)


def _allow(actions: Sequence[str], resources: Sequence[str]) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": [*actions], "Resource": [*resources]}


def cache_connection(names: Names, home: Home) -> list[str]:
    """Return the ARNs that a connection to the managed Redis involves: the cache and its user.

    https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
    """
    resources = (f"serverlesscache:{names.cache}", "user:default.iam-user")
    return [home.arn("elasticache", resource) for resource in resources]


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
