"""Calls to AWS that are refused, and credentials that are missing: what to do, in one line."""

import json
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack.aws import Aws, AwsError
from tests.support.aws_account import REGION, RecordingAws
from tests.support.deployments import silent
from tests.support.servers import free_port


def _refusing(aws: RecordingAws, operation: str, code: str, message: str, times: int) -> None:
    """Have AWS refuse an operation some times, as it does: a fault that can't be had otherwise."""
    left = [times]

    def refuse(request: Any, **_: Any) -> Any:
        if left[0] == 0:
            return None
        left[0] -= 1
        response = AWSResponse(request.url, 400, {"x-amzn-errortype": code}, None)
        response._content = json.dumps({"__type": code, "message": message}).encode()
        return response

    aws.on(f"before-send.*.{operation}", refuse)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("operation", "code", "message"),
    [
        (
            "CreateFunction",
            "InvalidParameterValueException",
            "The role defined for the function cannot be assumed by Lambda.",
        ),
        (
            "CreateAlias",
            "ResourceConflictException",
            "The operation cannot be performed at this time. An update is in progress",
        ),
    ],
)
def test_refusals_for_the_moment_are_tried_again(
    own_settings: Config, operation: str, code: str, message: str
) -> None:
    aws = RecordingAws()
    _refusing(aws, operation, code, message, times=3)
    deploy.deploy(own_settings, silent, aws)
    assert aws.operations.count(operation) == 7


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
    _refusing(
        aws, "CreateFunction", code, message.format(secret=own_settings.redis.address), times=99
    )
    with pytest.raises(AwsError, match=said) as error:
        deploy.deploy(own_settings, silent, aws)
    assert "\n" not in str(error.value)
    # Once a function; those whose turn had not come are not tried.
    assert 1 <= aws.operations.count("CreateFunction") <= 4


def test_no_credentials(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(AwsError, match="no AWS credentials: run `aws configure`"):
        Aws(REGION).home()


def test_no_region(aws_endpoint: str) -> None:
    with pytest.raises(AwsError, match=r"no AWS region: set .* in config.json"):
        Aws()


def test_unknown_profile(aws_endpoint: str) -> None:
    with pytest.raises(AwsError, match=r"nowhere.*list-profiles"):
        Aws(REGION, "nowhere")


@pytest.mark.slow
def test_a_region_that_does_not_answer(aws_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(AwsError, match="does not answer in region eu-west-1"):
        Aws(REGION).home()
