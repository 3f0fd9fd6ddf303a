"""The permissions to read Redis's secret, and to use a KMS key of the user's own.

An AWS managed key needs no permission. A secret under a customer managed key needs kms:Decrypt
besides; the condition allows it for this secret alone:
https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html
https://docs.aws.amazon.com/systems-manager/latest/userguide/secure-string-parameter-kms-encryption.html

With `kms_key`, Lambda needs the deployer's permission to create a grant on the key for the
functions' role: https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html.
The grant dies with the role that it was made for, so the role's own policy allows kms:Decrypt too.
The deployer may make a grant only through an AWS service, and none for another principal itself:
https://docs.aws.amazon.com/kms/latest/developerguide/conditions-kms.html
"""

from collections.abc import Iterator
from typing import Any

# The action that reads, and what KMS knows the secret by
_READING = {
    "secretsmanager": ("GetSecretValue", "SecretARN"),
    "ssm": ("GetParameter", "PARAMETER_ARN"),
}


def secret_statements(
    secret: str | None, kms_key: str | None, *, encrypts: bool = False
) -> Iterator[dict[str, Any]]:
    """Yield the statements for the ARN of Redis's secret, and of the environment's key, if any.

    `encrypts` adds what the deployer needs and the functions do not.
    """
    if secret:
        _, partition, service, region, account, _ = secret.split(":", 5)
        action, context = _READING[service]
        yield _allow("Secret", f"{service}:{action}", resource=secret)
        yield {
            **_allow(
                "SecretKey", "kms:Decrypt", resource=f"arn:{partition}:kms:{region}:{account}:key/*"
            ),
            "Condition": {"StringEquals": {f"kms:EncryptionContext:{context}": [secret]}},
        }
    if kms_key:
        encrypting = ["kms:Encrypt"] if encrypts else []
        yield _allow("EnvironmentKey", "kms:Decrypt", *encrypting, resource=kms_key)
    if kms_key and encrypts:
        yield {
            **_allow("EnvironmentGrant", "kms:CreateGrant", resource=kms_key),
            "Condition": {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        }


def _allow(sid: str, *actions: str, resource: str) -> dict[str, Any]:
    return {
        "Sid": f"Gimel{sid}",
        "Effect": "Allow",
        "Action": list(actions),
        "Resource": [resource],
    }
