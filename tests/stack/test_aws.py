"""Calls to AWS that are refused during a deploy: what is repeated, and what to do in one line."""

import pytest

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack.aws import Aws, AwsError
from tests.support.aws_account import REGION, RecordingAws
from tests.support.deployments import silent
from tests.support.refusals import answer
from tests.support.servers import free_port


@pytest.mark.parametrize("url", ["localhost:4566", "http://[::1", "http://h:99999", "http://a b"])
def test_an_endpoint_that_is_no_url(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    with pytest.raises(AwsError) as error:
        Aws(REGION).home()
    assert str(error.value) == (
        "AWS_ENDPOINT_URL must be a URL such as http://127.0.0.1:4566: correct it, or unset it"
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("service", "operation", "code", "message", "calls"),
    [
        (
            "lambda",
            "CreateFunction",
            "InvalidParameterValueException",
            "The KMS key is invalid for CreateGrant. ARN does not refer to a valid principal",
            4,
        ),
        (
            "lambda",
            "CreateAlias",
            "ResourceConflictException",
            "The operation cannot be performed at this time. An update is in progress",
            4,
        ),
        ("sqs", "CreateQueue", "InvalidParameterValue", "Dead letter target does not exist.", 2),
        ("iam", "PutRolePolicy", "NoSuchEntity", "The role with name gimel cannot be found.", 1),
    ],
)
def test_a_deploy_outlives_temporary_refusals(
    own_settings: Config, service: str, operation: str, code: str, message: str, calls: int
) -> None:
    aws = RecordingAws()
    answer(aws, service, operation, [(400, code, message)] * 3)
    deploy.deploy(own_settings, silent, aws)
    assert aws.operations.count(operation) == calls + 3


@pytest.mark.slow
@pytest.mark.parametrize(
    ("code", "message", "said"),
    [
        ("ExpiredTokenException", "The security token is expired", "expired: log in again"),
        ("UnrecognizedClientException", "The token is invalid", "does not know these cred"),
        (
            "AccessDeniedException",
            "User: arn:aws:iam::1:user/x is not authorized to perform: lambda:CreateFunction on y",
            "not allowed to call lambda:CreateFunction:",
        ),
        ("AccessDeniedException", "no", "not allowed to call lambda:CreateFunction:"),
        ("InvalidParameterValueException", "bad variable {secret}", r"bad variable \*\*\*"),
    ],
)
def test_refusals_say_what_to_do(own_settings: Config, code: str, message: str, said: str) -> None:
    aws = RecordingAws()
    message = message.format(secret=own_settings.redis.address)
    answer(aws, "lambda", "CreateFunction", [(400, code, message)] * 99)
    with pytest.raises(AwsError, match=said) as error:
        deploy.deploy(own_settings, silent, aws)
    assert "\n" not in str(error.value)
    # Once a function; those whose turn had not come are not tried.
    assert 1 <= aws.operations.count("CreateFunction") <= 4


@pytest.mark.slow
def test_a_region_that_does_not_answer(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(AwsError, match="does not answer in region eu-west-1"):
        Aws(REGION).home()
