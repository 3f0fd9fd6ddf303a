"""Redis's secret may be read, and the environment's key used: nothing else of the kind."""

import json
import warnings
from typing import Any

import pytest

from gimel.config.file import parse
from gimel.stack.permissions.deployer import deployer_policy
from gimel.stack.permissions.functions import functions_policy
from gimel.stack.plan.plan import plan
from gimel.stack.wanted import Names
from tests.support.planning import HOME, done, lines, wanted

with warnings.catch_warnings():
    # It imports pkg_resources, and leaves files open.
    warnings.simplefilter("ignore")
    import parliament

SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/redis-a1B2c3"
PARAMETER = "arn:aws:ssm:us-east-1:210987654321:parameter/shop/redis"
KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab"
AS_SECRET = {"redis": {"host": "h", "secret": SECRET}}


def functions(**arns: str) -> list[dict[str, Any]]:
    plain = functions_policy(Names("shop"), HOME)["Statement"]
    policy = functions_policy(Names("shop"), HOME, **arns)["Statement"]
    return [statement for statement in policy if statement not in plain]


def deployer(**settings: Any) -> list[dict[str, Any]]:
    def statements(**settings: Any) -> list[dict[str, Any]]:
        content = {"redis": {"host": "h"}, **settings}
        found: list[dict[str, Any]] = deployer_policy(parse(json.dumps(content)), HOME)["Statement"]
        return found

    plain = statements()
    return [statement for statement in statements(**settings) if statement not in plain]


@pytest.mark.parametrize(
    ("arn", "action", "context", "keys"),
    [
        (SECRET, "secretsmanager:GetSecretValue", "SecretARN",
         "arn:aws:kms:eu-west-1:123456789012:key/*"),
        (PARAMETER, "ssm:GetParameter", "PARAMETER_ARN",
         "arn:aws:kms:us-east-1:210987654321:key/*"),
    ],
)  # fmt: skip
def test_functions_and_deployer_read_this_secret_alone(
    arn: str, action: str, context: str, keys: str
) -> None:
    reading, decrypting = functions(secret=arn)
    assert (reading["Action"], reading["Resource"]) == ([action], [arn])
    assert (decrypting["Action"], decrypting["Resource"]) == (["kms:Decrypt"], [keys])
    only_it = {"StringEquals": {f"kms:EncryptionContext:{context}": [arn]}}
    assert decrypting["Condition"] == only_it
    assert deployer(redis={"host": "h", "secret": arn}) == [reading, decrypting]


def test_the_deployer_uses_the_key_and_the_functions_decrypt_with_it() -> None:
    (of_functions,), (of_deployer, granting) = functions(kms_key=KEY), deployer(kms_key=KEY)
    assert of_functions["Action"] == ["kms:Decrypt"]
    assert of_deployer["Action"] == ["kms:Decrypt", "kms:Encrypt"]
    assert granting["Action"] == ["kms:CreateGrant"]
    # The deployer itself can make no grant: a service does, for the functions.
    assert granting["Condition"] == {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    for statement in (of_functions, of_deployer, granting):
        assert statement["Resource"] == [KEY]


@pytest.mark.parametrize("secret", [SECRET, PARAMETER])
def test_a_linter_finds_nothing(secret: str) -> None:
    both = {"redis": {"host": "h", "secret": secret}, "kms_key": KEY}
    for statements in (functions(secret=secret, kms_key=KEY), deployer(**both)):
        policy = {"Version": "2012-10-17", "Statement": statements}
        found = parliament.analyze_policy_string(json.dumps(policy)).findings
        assert [(finding.issue, finding.detail) for finding in found] == []


def test_a_secret_changes_the_policy_before_the_functions() -> None:
    said = lines(wanted(**AS_SECRET), done(wanted()))
    assert said[0] == (
        "update policy of role gimel: allows its own logs and queues, and Redis's secret"
    )
    assert said[1] == (
        "update function gimel-track: Environment (GIMEL_REDIS_SECRET, GIMEL_REDIS_URL)"
    )


def test_a_key_is_set_and_taken_away() -> None:
    with_key = wanted(kms_key=KEY)
    assert lines(with_key, done(with_key)) == []
    for old, new, why in (
        (wanted(), with_key, f"KMSKeyArn none → {KEY}"),
        (with_key, wanted(), f"KMSKeyArn {KEY} → none"),
    ):
        policy, function, *_ = plan(new, done(old))
        assert str(policy).startswith("update policy of role gimel: ")
        assert function.why == why
        arguments = function.calls[0].arguments
        assert arguments["KMSKeyArn"] == new.configurations["gimel-track"]["KMSKeyArn"]
