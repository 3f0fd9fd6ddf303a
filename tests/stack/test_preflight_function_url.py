"""Regions without function URLs, where Lambda knows no call about them.

Lambda's answer there, as users saw it: https://github.com/zappa/Zappa/issues/1425
"""

import json
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse

from gimel import deploy
from gimel.config.settings import Config
from gimel.stack.aws import AwsError
from gimel.stack.preflight.function_url import check_function_url
from tests.support.aws_account import RecordingAws, new_stack, stack_config
from tests.support.deployments import silent

pytestmark = pytest.mark.slow

UNKNOWN = "Unable to determine service/operation name to be authorized"
DENIED = "User: arn:aws:iam::1:user/x is not authorized to perform: lambda:GetFunctionUrlConfig"


def refusing(message: str) -> RecordingAws:
    """AWS, but for function URLs, where it gives this answer. No emulator has such a region."""

    def refuse(request: Any, **_: Any) -> AWSResponse:
        code = {"x-amzn-errortype": "AccessDeniedException"}
        response = AWSResponse(request.url, 403, code, None)
        response._content = json.dumps({"Message": message}).encode()
        return response

    aws = RecordingAws()
    for verb in ("Create", "Delete", "Get", "Update"):
        aws.on(f"before-send.lambda.{verb}FunctionUrlConfig", refuse)
    return aws


@pytest.fixture
def by_url(aws_endpoint: str, redis_url: str) -> Config:
    return stack_config(redis_url, stack=new_stack(), events="function-url")


def test_preflight_asks_aws(by_url: Config) -> None:
    (check,) = check_function_url(by_url, refusing(UNKNOWN))
    assert (check.name, check.state) == ("Events", "failed")
    assert check.found == (
        'region eu-west-1 has no function URLs: set "events": "api", or choose another region'
    )
    (check,) = check_function_url(by_url, RecordingAws())
    assert (check.state, check.found) == ("ok", "region eu-west-1 has function URLs")
    # The check of the permissions names what is missing.
    assert list(check_function_url(by_url, refusing(DENIED))) == []
    assert (
        list(check_function_url(by_url.model_copy(update={"events": "api"}), refusing("?"))) == []
    )


@pytest.mark.slow
def test_a_deploy_there_needs_none(by_url: Config) -> None:
    by_api, aws = by_url.model_copy(update={"events": "api"}), refusing(UNKNOWN)
    deploy.deploy(by_api, silent, aws)
    aws.operations.clear()
    deploy.deploy(by_api, silent, aws)
    assert aws.writes == []
    said = (
        r"^AWS does not offer lambda:CreateFunctionUrlConfig in this region: choose another region"
    )
    with pytest.raises(AwsError, match=said) as error:
        deploy.deploy(by_url, silent, aws)
    assert "\n" not in str(error.value)
    # Nothing stays in the way.
    deploy.deploy(by_api, silent, aws)
