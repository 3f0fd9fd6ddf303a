"""The check of the caller's permissions, with IAM's simulation."""

from collections.abc import Iterator

from gimel.config.settings import Config
from gimel.stack.aws import Aws, AwsError, Home
from gimel.stack.permissions.deployer import OPTIONAL_FOR_DEPLOY, deployer_policy
from gimel.stack.permissions.simulation import Refusal, find_refusals
from gimel.stack.preflight.check import Check

_POLICY = "`gimel policy` prints the policy to ask for"


def check_permissions(settings: Config, aws: Aws, caller: str) -> Iterator[Check]:
    """Check with IAM's simulation that the caller may do everything that the commands need."""
    if caller.endswith(":root"):
        yield Check("Permissions", "ok", "the account's root user may do everything")
        return
    _, partition, _, _, account, _ = caller.split(":", 5)
    policy = deployer_policy(settings, Home(account, aws.region, partition))
    try:
        refusals = find_refusals(aws, caller, policy)
    except AwsError as error:
        yield Check("Permissions", "warning", f"cannot be checked: {error}. {_POLICY}")
        return
    if not refusals:
        actions = sum(len(statement["Action"]) for statement in policy["Statement"])
        yield Check("Permissions", "ok", f"all {actions} actions that the commands need")
    for refusal in refusals:
        yield _refused(refusal)


def _refused(refusal: Refusal) -> Check:
    missing = f"{refusal.action} is not allowed"
    if refusal.action in OPTIONAL_FOR_DEPLOY:
        return Check("Permissions", "warning", f"{missing}: deploying does not need it. {_POLICY}")
    if refusal.action == "iam:CreateServiceLinkedRole":
        need = "an account's first cache, alarm or custom domain name needs it"
        return Check("Permissions", "warning", f"{missing}: {need}. {_POLICY}")
    if refusal.unknown:
        condition = f"unless a policy's condition on {', '.join(refusal.unknown)} is met"
        return Check("Permissions", "warning", f"{missing}, {condition}. {_POLICY}")
    return Check("Permissions", "failed", f"{missing}. {_POLICY}")
