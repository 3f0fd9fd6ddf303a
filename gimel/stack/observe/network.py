"""The observation of the network interfaces that Lambda made for functions in a VPC."""

import re

from gimel.stack.aws import Aws
from gimel.stack.wanted import Names

# Lambda describes an interface by the function that it was made for, and gives it a UUID:
# https://github.com/hashicorp/terraform-provider-aws/issues/32130
_DESCRIPTION = "AWS Lambda VPC ENI-"
_UUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


def observe_interfaces(aws: Aws, names: Names) -> tuple[str, ...]:
    """Return the ids of the network interfaces that Lambda has yet to release. Raises AwsError."""
    found = aws.pages(
        "ec2",
        "describe_network_interfaces",
        "NetworkInterfaces[].[NetworkInterfaceId, Description]",
        Filters=[
            {
                "Name": "description",
                "Values": [f"{_DESCRIPTION}{name}*" for name in names.functions],
            }
        ],
    )
    own = re.compile(f"{_DESCRIPTION}({'|'.join(names.functions)})(-{_UUID})?")
    return tuple(sorted(id for id, description in found if own.fullmatch(description or "")))
