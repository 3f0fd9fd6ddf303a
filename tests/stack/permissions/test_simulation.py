"""IAM's simulation gets the values of the policy's conditions."""

from typing import Any
from urllib.parse import parse_qs

import pytest
from botocore.awsrequest import AWSResponse

from gimel.stack.permissions.secrets import secret_statements
from gimel.stack.permissions.simulation import find_refusals
from tests.support.aws_account import RecordingAws

KEY = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:shop/redis-a1B2c3"


@pytest.mark.slow
def test_each_condition_has_a_value_of_its_type(aws_endpoint: str) -> None:
    """The emulator's simulation does not read them."""
    aws, sent = RecordingAws(), {}

    def answer(request: Any, **_: Any) -> AWSResponse:
        body = {name: value for name, (value,) in parse_qs(request.body).items()}
        place = "ContextEntries.member.1"
        if f"{place}.ContextKeyName" in body:
            entry = [body[f"{place}.ContextKey{part}"] for part in ("Name", "Type")]
            sent[entry[0]] = (entry[1], body[f"{place}.ContextKeyValues.member.1"])
        response = AWSResponse(request.url, 200, {}, None)
        response._content = (
            b"<SimulatePrincipalPolicyResponse><SimulatePrincipalPolicyResult>"
            b"<EvaluationResults/></SimulatePrincipalPolicyResult></SimulatePrincipalPolicyResponse>"
        )
        return response

    aws.on("before-send.iam.SimulatePrincipalPolicy", answer)
    statements = list(secret_statements(SECRET, KEY, encrypts=True))
    assert find_refusals(aws, "arn:aws:iam::1:user/x", {"Statement": statements}) == []
    assert sent == {
        "kms:EncryptionContext:SecretARN": ("string", SECRET),
        "kms:GrantIsForAWSResource": ("boolean", "true"),
    }
