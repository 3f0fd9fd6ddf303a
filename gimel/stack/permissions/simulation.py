"""IAM's simulation of a policy: which of its actions a caller may not take."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from gimel.stack.aws import Aws, AwsError


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
        {
            "ContextKeyName": key,
            "ContextKeyType": "boolean" if operator == "Bool" else "string",
            "ContextKeyValues": [values] if operator == "Bool" else values[:1],
        }
        for operator, keys in statement.get("Condition", {}).items()
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
