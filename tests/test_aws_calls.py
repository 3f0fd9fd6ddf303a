"""AWS's own model of its calls: the tests refuse what it refuses, as no emulator does."""

from typing import Any

import botocore.session
import pytest

from tests.support.aws_account import REGION, RecordingAws
from tests.support.aws_model import violations

FUNCTION = {
    "FunctionName": "shop",
    "Role": "arn:aws:iam::123456789012:role/shop",
    "Code": {"ZipFile": b"zip"},
    "Timeout": 3,
    "Runtime": "python3.13",
}


@pytest.mark.parametrize(
    ("changed", "broken"),
    [
        ({"Runtime": "python4"}, ".Runtime: 'python4' is not one of"),
        ({"Timeout": 0}, ".Timeout: 0 is not from 1"),
        ({"Role": "gimel"}, ".Role: 'gimel' does not match"),
        ({"Architectures": ["mips"]}, ".Architectures[0]: 'mips'"),
        ({"Environment": {"Variables": {"a b": ""}}}, ".Environment.Variables.a b: 'a b' does not"),
        ({"FileSystemConfigs": [{"Arn": "x"}]}, ".FileSystemConfigs[0]: {'LocalMountPath'} miss"),
    ],
)
def test_what_the_model_refuses(changed: dict[str, Any], broken: str) -> None:
    model = botocore.session.get_session().get_service_model("lambda")
    shape = model.operation_model("CreateFunction").input_shape
    assert list(violations(shape, FUNCTION)) == []
    assert next(violations(shape, FUNCTION | changed)).startswith(broken)


def test_every_call_of_the_tests_is_held_against_the_model(aws_endpoint: str) -> None:
    aws = RecordingAws(REGION)
    with pytest.raises(AssertionError, match="is not one of"):
        aws.call("ssm", "put_parameter", Name="/a", Value="b", Type="Text")
    with pytest.raises(AssertionError, match="does not match"):
        aws.call("lambda", "get_function", FunctionName="a b")
