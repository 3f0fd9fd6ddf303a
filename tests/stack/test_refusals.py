"""Refusals that AWS lifts by itself are repeated; all others end a command at once."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from botocore import xform_name

from gimel.stack.apply import apply
from gimel.stack.aws import Aws, AwsError, NotFoundError
from gimel.stack.change import Call, Change
from gimel.stack.refusals import TEMPORARY, THROTTLED, Refusal, find_refusal
from tests.support.aws_account import REGION, environment
from tests.support.refusals import answer

OK = (200, "", "")
# What botocore's own attempts hide of a throttled call, of which there are five.
ATTEMPTS = 5

FUNCTION: dict[str, Any] = {"FunctionName": "f", "Role": "arn:aws:iam::1:role/r", "Code": {}}
ALIAS: dict[str, Any] = {"FunctionName": "f", "Name": "live", "FunctionVersion": "1"}
MAPPING: dict[str, Any] = {"FunctionName": "f", "EventSourceArn": "arn:aws:sqs:eu-west-1:1:q"}
PERMISSION: dict[str, Any] = {
    "FunctionName": "f",
    "StatementId": "s",
    "Action": "lambda:InvokeFunction",
    "Principal": "apigateway.amazonaws.com",
}
POLICY: dict[str, Any] = {"RoleName": "r", "PolicyName": "p", "PolicyDocument": "{}"}
ROLE: dict[str, Any] = {"RoleName": "r", "AssumeRolePolicyDocument": "{}"}
TAGS: dict[str, Any] = {"QueueUrl": "https://sqs/q", "Tags": {}}
PARAMETER: dict[str, Any] = {"Name": "/p", "Value": "v"}
QUEUE: dict[str, Any] = {"QueueName": "q"}
ROUTE: dict[str, Any] = {"ApiId": "a", "RouteKey": "GET /e"}
SUBSCRIPTION: dict[str, Any] = {"TopicArn": "arn:aws:sns:eu-west-1:1:t", "Protocol": "email"}
URL: dict[str, Any] = {"FunctionName": "f", "Qualifier": "live", "AuthType": "NONE"}
CACHE: dict[str, Any] = {"ServerlessCacheName": "c"}
VALKEY: dict[str, Any] = {**CACHE, "Engine": "valkey"}
DOMAIN: dict[str, Any] = {"DomainName": "d"}
RULE: dict[str, Any] = {"Name": "r"}
TARGETS: dict[str, Any] = {"Rule": "r", "Targets": [{"Id": "i", "Arn": "arn:aws:lambda:x"}]}

SQS = "AWS.SimpleQueueService."
NO_RULE_WITH_TARGETS = "Rule can't be deleted since it has targets."
NO_DEAD_LETTERS = (
    'Value {"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:1:dead","maxReceiveCount":3} for parameter'
    " RedrivePolicy is invalid. Reason: Dead letter target does not exist."
)


class Sample(NamedTuple):
    """A refusal as AWS words it, of a call that Gimel makes."""

    service: str
    operation: str
    arguments: dict[str, Any]
    code: str
    message: str

    @property
    def call(self) -> str:
        return f"{self.service}:{xform_name(self.operation)}"

    @property
    def entry(self) -> Refusal:
        entry = find_refusal(self.call, self.code, self.message)
        assert entry is not None, f"{self} is not in the table"
        return entry


def _lambda(operation: str, arguments: dict[str, Any], code: str, message: str) -> Sample:
    return Sample("lambda", operation, arguments, code, message)


INVALID = "InvalidParameterValueException"
CONFLICT = "ResourceConflictException"
MISSING = "ResourceNotFoundException"
NO_FUNCTION = "Function not found: arn:aws:lambda:eu-west-1:1:function:f"

SAMPLES = [
    Sample("elasticache", "ModifyServerlessCache", CACHE, "InvalidServerlessCacheStateFault", "…"),
    Sample("elasticache", "CreateServerlessCache", VALKEY, "ServiceLinkedRoleNotFoundFault", "…"),
    _lambda(
        "CreateFunction",
        FUNCTION,
        INVALID,
        "The role defined for the function cannot be assumed by Lambda.",
    ),
    _lambda(
        "CreateEventSourceMapping", MAPPING, INVALID, "Please add Lambda as a Trusted Entity for r"
    ),
    _lambda(
        "CreateEventSourceMapping",
        MAPPING,
        INVALID,
        "The provided execution role does not have permissions to call ReceiveMessage on SQS",
    ),
    *(
        _lambda(
            operation,
            FUNCTION if operation == "CreateFunction" else {"FunctionName": "f"},
            INVALID,
            "Lambda was unable to configure access to your environment variables because the KMS "
            "key is invalid for CreateGrant. Please check your KMS key settings. KMS Exception: "
            "InvalidArnException KMS Message: ARN does not refer to a valid principal: "
            "arn:aws:sts::1:assumed-role/r/f",
        )
        for operation in ("CreateFunction", "UpdateFunctionConfiguration")
    ),
    _lambda(
        "CreateFunction",
        FUNCTION,
        INVALID,
        "Your request has been throttled by EC2, please make sure you have enough API rate limit. "
        "EC2 Error Code: RequestLimitExceeded. EC2 Error Message: Request limit exceeded.",
    ),
    _lambda("CreateEventSourceMapping", MAPPING, INVALID, "Function does not exist"),
    _lambda(
        "CreateEventSourceMapping",
        MAPPING,
        INVALID,
        "Error occurred while ReceiveMessage. SQS Error Code: "
        "AWS.SimpleQueueService.NonExistentQueue. SQS Error Message: The specified queue does not "
        "exist or you do not have access to it.",
    ),
    _lambda("CreateAlias", ALIAS, MISSING, f"{NO_FUNCTION}:1"),
    _lambda("UpdateAlias", ALIAS, MISSING, f"{NO_FUNCTION}:1"),
    _lambda("AddPermission", PERMISSION, MISSING, "Cannot find alias arn: arn:aws:lambda:x"),
    _lambda("CreateEventSourceMapping", MAPPING, MISSING, NO_FUNCTION),
    _lambda("CreateFunctionUrlConfig", URL, MISSING, f"{NO_FUNCTION}:live"),
    _lambda(
        "PutFunctionConcurrency",
        {"FunctionName": "f", "ReservedConcurrentExecutions": 1},
        MISSING,
        NO_FUNCTION,
    ),
    _lambda(
        "PublishVersion",
        {"FunctionName": "f"},
        CONFLICT,
        "The operation cannot be performed at this time. An update is in progress for resource: f",
    ),
    _lambda(
        "AddPermission",
        PERMISSION,
        CONFLICT,
        "The function could not be updated due to a concurrent update operation.",
    ),
    _lambda(
        "CreateEventSourceMapping",
        MAPPING,
        CONFLICT,
        'An event source mapping with SQS arn (" q ") and function (" f ") already exists. Please '
        "update or delete the existing mapping with UUID 1",
    ),
    _lambda(
        "DeleteEventSourceMapping",
        {"UUID": "7d6a9d0e-1f2b-4c3d-8e5f-6a7b8c9d0e1f"},
        "ResourceInUseException",
        "Cannot delete the event source mapping because it is in use.",
    ),
    *(
        Sample(
            "sqs",
            "CreateQueue",
            QUEUE,
            code,
            "You must wait 60 seconds after deleting a queue before you can create another with "
            "the same name.",
        )
        for code in (f"{SQS}QueueDeletedRecently", "QueueDeletedRecently")
    ),
    *(
        Sample("sqs", "CreateQueue", QUEUE, code, NO_DEAD_LETTERS)
        for code in ("InvalidParameterValue", "InvalidAttributeValue")
    ),
    *(
        Sample("sqs", "TagQueue", TAGS, code, "The specified queue does not exist.")
        for code in (f"{SQS}NonExistentQueue", "QueueDoesNotExist")
    ),
    *(
        Sample("sns", "Subscribe", SUBSCRIPTION, code, "Topic does not exist")
        for code in ("NotFound", "NotFoundException")
    ),
    Sample("iam", "PutRolePolicy", POLICY, "NoSuchEntity", "The role with name r cannot be found."),
    Sample(
        "iam",
        "CreateRole",
        ROLE,
        "MalformedPolicyDocument",
        'Invalid principal in policy: "AWS":"arn:aws:iam::1:role/other"',
    ),
    *(
        Sample("iam", "DeleteRole", {"RoleName": "r"}, "DeleteConflict", f"Cannot delete {reason}.")
        for reason in (
            "entity, must delete policies first",
            "entity, must detach all policies first",
        )
    ),
    Sample("iam", "CreateRole", ROLE, "ConcurrentModification", "simultaneously"),
    Sample(
        "apigatewayv2",
        "CreateRoute",
        ROUTE,
        "ConflictException",
        "Unable to complete operation due to concurrent modification. Please try again later.",
    ),
    Sample(
        "logs",
        "CreateLogGroup",
        {"logGroupName": "g"},
        "OperationAbortedException",
        "A conflicting operation is currently in progress against this resource.",
    ),
    Sample("events", "PutTargets", TARGETS, MISSING, "Rule r does not exist on EventBus default."),
    Sample("events", "PutRule", RULE, "ConcurrentModificationException", "…"),
    Sample("events", "DeleteRule", RULE, "ValidationException", NO_RULE_WITH_TARGETS),
    Sample("ssm", "PutParameter", PARAMETER, "TooManyUpdates", ""),
    *(
        Sample("apigatewayv2", "CreateDomainName", DOMAIN, code, "Too Many Requests")
        for code in THROTTLED.codes
    ),
]


@pytest.fixture(scope="module")
def aws() -> Iterator[Aws]:
    """AWS out of reach: an operation answers only what a test has it answer. Nobody waits."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment("http://127.0.0.1:9").items():
            patch.setenv(name, value)
        patch.setattr("gimel.stack.aws.random.uniform", lambda low, high: 0.0)
        delay = "botocore.retries.standard.ExponentialBackoff.delay_amount"
        patch.setattr(delay, lambda self, context: 0)
        yield Aws(REGION)


def refused(
    aws: Aws, sample: Sample, message: str | None = None, times: int = 2
) -> Callable[[], int]:
    """Have AWS refuse a call so many times and then accept it. Returns how often it was asked."""
    hidden = ATTEMPTS if sample.code in THROTTLED.codes else 1
    refusal = (400, sample.code, sample.message if message is None else message)
    count = answer(aws, sample.service, sample.operation, [refusal] * times * hidden + [OK])
    return lambda: -(-count() // hidden)


def make(aws: Aws, sample: Sample) -> Any:
    service, operation = sample.call.split(":")
    return aws.call_until_accepted(service, operation, **sample.arguments)


def test_each_entry_has_a_sample_for_each_code() -> None:
    sampled = {(sample.entry, sample.code) for sample in SAMPLES}
    assert sampled == {(entry, code) for entry in TEMPORARY for code in entry.codes}


def test_each_entry_has_its_source() -> None:
    for entry in TEMPORARY:
        assert entry.source.startswith("https://")
        assert entry.reason[-1] not in ".!"


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: f"{sample.call}-{sample.code}")
def test_a_temporary_refusal_is_repeated(aws: Aws, sample: Sample) -> None:
    attempts = refused(aws, sample)
    make(aws, sample)
    assert attempts() == 3


@pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if sample.entry.pattern],
    ids=lambda sample: f"{sample.call}-{sample.code}",
)
def test_the_same_code_with_another_message_is_final(aws: Aws, sample: Sample) -> None:
    attempts = refused(aws, sample, message="no")
    with pytest.raises(AwsError, match="no"):
        make(aws, sample)
    assert attempts() == 1


@pytest.mark.parametrize(
    "sample",
    [sample for sample in SAMPLES if sample.entry.calls],
    ids=lambda sample: f"{sample.call}-{sample.code}",
)
def test_the_same_message_to_another_call_is_final(aws: Aws, sample: Sample) -> None:
    other = {
        "events": ("DescribeRule", RULE),
        "iam": ("UpdateAssumeRolePolicy", {"RoleName": "r", "PolicyDocument": "{}"}),
        "lambda": ("DeleteFunction", {"FunctionName": "f"}),
        "sns": ("DeleteTopic", {"TopicArn": "arn:aws:sns:eu-west-1:1:t"}),
        "sqs": ("DeleteQueue", {"QueueUrl": "https://sqs/q"}),
    }
    operation, arguments = other[sample.service]
    sample = sample._replace(operation=operation, arguments=arguments)
    attempts = refused(aws, sample)
    with pytest.raises(AwsError):
        make(aws, sample)
    assert attempts() == 1


def test_what_is_missing_is_looked_for_once(aws: Aws) -> None:
    attempts = answer(aws, "lambda", "GetAlias", [(404, MISSING, f"{NO_FUNCTION}:live")] * 9)
    assert aws.find("lambda", "get_alias", "Name", FunctionName="f", Name="live") is None
    assert attempts() == 1


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "code", "message"),
    [
        (
            "iam",
            "DeleteRole",
            {"RoleName": "r"},
            "NoSuchEntity",
            "The role with name r cannot be found.",
        ),
        ("lambda", "DeleteFunction", {"FunctionName": "f"}, MISSING, NO_FUNCTION),
        ("sqs", "DeleteQueue", {"QueueUrl": "https://sqs/q"}, f"{SQS}NonExistentQueue", "no queue"),
    ],
)
def test_what_is_missing_is_deleted_at_once(
    aws: Aws, service: str, operation: str, arguments: dict[str, Any], code: str, message: str
) -> None:
    attempts = answer(aws, service, operation, [(404, code, message)] * 9)
    call = Call(service, xform_name(operation), arguments, if_exists=True)
    apply(aws, [Change("delete", "it", "why", (call,))], {}, lambda line: None)
    assert attempts() == 1


def test_a_new_version_that_lambda_does_not_list_yet_is_waited_for(aws: Aws) -> None:
    missing = (404, MISSING, f"{NO_FUNCTION}:1")
    attempts = answer(aws, "lambda", "GetFunctionConfiguration", [missing, missing, OK])
    # An empty answer has no state.
    aws.clients["lambda"].meta.events.register_first(
        "after-call.lambda.GetFunctionConfiguration",
        lambda parsed, **_: parsed.setdefault("State", "Active"),
    )
    aws.wait("published_version_active", FunctionName="f", Qualifier="1")
    assert attempts() == 3


def test_a_refusal_that_lasts_says_to_run_the_command_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.stack.aws._RETRY_TIMEOUT", 0.1)
    sample = next(each for each in SAMPLES if each.operation == "CreateAlias")
    refused(aws, sample, times=100_000)
    with pytest.raises(NotFoundError, match=r"run the same command again to continue$"):
        make(aws, sample)


def test_a_long_wait_says_once_what_it_is_for(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gimel.stack.apply._SILENT_WAIT", 0.0)
    sample = next(each for each in SAMPLES if each.operation == "CreateFunction")
    refused(aws, sample, times=3)
    call = Call("lambda", "create_function", sample.arguments)
    lines: list[str] = []
    apply(aws, [Change("create", "f", "new", (call,))], {}, lines.append)
    assert lines == ["create f: new", "waiting: Lambda does not know the new role yet"]


def test_a_short_wait_says_nothing(aws: Aws) -> None:
    sample = next(each for each in SAMPLES if each.operation == "CreateFunction")
    refused(aws, sample)
    call = Call("lambda", "create_function", sample.arguments)
    lines: list[str] = []
    apply(aws, [Change("create", "f", "new", (call,))], {}, lines.append)
    assert lines == ["create f: new"]


@pytest.mark.parametrize("failing_first", [True, False])
def test_a_lane_that_fails_ends_the_waits_of_the_others(aws: Aws, failing_first: bool) -> None:
    waiting, failing = (
        next(each for each in SAMPLES if each.operation == operation)
        for operation in ("CreateAlias", "PublishVersion")
    )
    attempts = refused(aws, waiting, times=1_000_000)

    def fail(**_: Any) -> None:
        deadline = time.monotonic() + 30
        while attempts() < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    aws.clients["lambda"].meta.events.register_first("before-send.*.PublishVersion", fail)
    refused(aws, failing, message="a final refusal")
    changes = [
        Change("a", "b", "c", (Call(*each.call.split(":"), each.arguments),), lane=each.operation)
        for each in ((failing, waiting) if failing_first else (waiting, failing))
    ]
    started = time.monotonic()
    with pytest.raises(AwsError, match="a final refusal"):
        apply(aws, changes, {}, lambda line: None)
    assert time.monotonic() - started < 60
