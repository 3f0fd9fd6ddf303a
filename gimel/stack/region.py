"""The region of a stack, found without credentials and without a call to AWS."""

import boto3
from botocore.exceptions import BotoCoreError

from gimel.config.settings import Config
from gimel.stack.aws import NO_REGION, AwsError, Home


def default_region(profile: str | None = None) -> str:
    """Return the region that AWS's own tools would use. Raises AwsError if there is none."""
    try:
        region = boto3.Session(profile_name=profile).region_name
    except BotoCoreError as error:
        raise AwsError(f"{error}: see `aws configure list-profiles`") from None
    if region is None:
        raise AwsError(NO_REGION)
    return region


def home_in_any_account(config: Config) -> Home:
    """Return the stack's region in any account, for policies. Raises AwsError.

    IAM's policies accept a wildcard as the account of an ARN, in resources and in conditions:
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html and
    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    # A configured region makes the profile needless, and CI may not have it.
    region = config.aws.region or default_region(config.aws.profile)
    try:
        partition = boto3.Session().get_partition_for_region(region)
    except BotoCoreError as error:
        raise AwsError(f"region {region}: {error}") from None
    return Home("*", region, partition)
