"""The connection to AWS: one class for all calls, with bounded retries and errors that give advice.

A jmespath query selects the part of an answer that the caller needs. AWS refuses some calls only
temporarily, for example while Lambda cannot assume a new role yet or while an update is running.
Such a call is repeated until a deadline. When AWS has accepted a call, boto3's waiters wait until
AWS has carried it out.
"""

import random
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Any

import boto3
import jmespath
from botocore.config import Config as BotoConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
    WaiterError,
)

from gimel.backend.errors import GimelError
from gimel.stack import trace
from gimel.stack.change import OPEN_VARIABLES

SERVICES = (
    *("apigateway", "apigatewayv2", "cloudwatch", "iam", "lambda", "logs", "sns", "sqs", "ssm"),
    "sts",
)

# Seconds until a temporary refusal counts as final. A new role takes about 10 s.
_RETRY_TIMEOUT = 90.0
# Seconds between a waiter's polls. Some of boto3's waiters poll every 5 s by default.
_WAITER_DELAY = 0.5

_NOT_FOUND = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchEntity",
        "NotFound",
        "NotFoundException",
        "ParameterNotFound",
        "QueueDoesNotExist",
        "ResourceNotFound",
        "ResourceNotFoundException",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_KEY = frozenset(
    {"InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException"}
)
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
)
_THROTTLED = frozenset(
    {
        *("Throttled", "Throttling", "ThrottlingException", "TooManyRequestsException"),
        "RequestLimitExceeded",
    }
)
# Error codes of refusals that may be temporary. A refusal is temporary if the pattern matches the
# error's message.
_TEMPORARY = {
    "ConcurrentModification": "",
    "ConflictException": "concurrent modification",
    "InvalidParameterValueException": "cannot be assumed by lambda|not have permissions to call",
    "OperationAbortedException": "",
    # A queue of this name was deleted within the last minute.
    "AWS.SimpleQueueService.QueueDeletedRecently": "",
    "QueueDeletedRecently": "",
    "ResourceConflictException": "cannot be performed at this time|event source mapping",
    "ResourceInUseException": "",
}


class AwsError(GimelError):
    """A call to AWS failed. The message is one line with advice; `code` is AWS's error code.

    `is_temporary` means that the same call may succeed a moment later.
    """

    def __init__(self, message: str, code: str = "", *, is_temporary: bool = False) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
        self.is_temporary = is_temporary


class NotFoundError(AwsError):
    """AWS has no such resource."""


@dataclass(frozen=True)
class Home:
    """The place where a stack lives: an account and a region."""

    account: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """Return the ARN of a resource in this account and region. IAM's ARNs have no region."""
        region = self.region if regional else ""
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{resource}"


class _Clients(dict[str, Any]):
    """boto3's clients by service, each created on first use: creating one takes about 50 ms."""

    def __init__(self, session: boto3.Session, settings: BotoConfig) -> None:
        super().__init__()
        self._session, self._settings = session, settings
        self._lock = Lock()

    def __missing__(self, service: str) -> Any:
        # A boto3 session may create only one client at a time.
        with self._lock:
            if service not in self:
                create: Any = self._session.client
                self[service] = create(service, config=self._settings)
                trace.watch(self[service])
        return self[service]


class Aws:
    """One account in one region. Every method raises AwsError. Threads may share an instance."""

    def __init__(self, region: str | None = None, profile: str | None = None) -> None:
        settings = BotoConfig(
            retries={"mode": "standard", "total_max_attempts": 5},
            connect_timeout=5,
            read_timeout=60,
        )
        try:
            session = boto3.Session(region_name=region, profile_name=profile)
        except BotoCoreError as error:
            raise _error_without_answer(error) from None
        if session.region_name is None:
            raise _error_without_answer(NoRegionError())
        self.region: str = session.region_name
        self.clients = _Clients(session, settings)

    def call(
        self, service: str, operation: str, query: str | None = None, /, **arguments: Any
    ) -> Any:
        """Make a call. Return AWS's answer, or the part that the jmespath query selects."""
        try:
            answer = getattr(self.clients[service], operation)(**arguments)
        except ClientError as error:
            raise _error_of_answer(service, error, arguments) from None
        except BotoCoreError as error:
            raise _error_without_answer(error, self.region) from None
        return jmespath.search(query, answer) if query else answer

    def find(self, service: str, operation: str, query: str, /, **arguments: Any) -> Any:
        """Make a call as `call` does, but return None if the resource does not exist."""
        try:
            return self.call(service, operation, query, **arguments)
        except NotFoundError:
            return None

    def pages(self, service: str, operation: str, query: str, /, **arguments: Any) -> list[Any]:
        """Fetch all pages of an answer. Return the items that the jmespath query selects."""
        paginator = self.clients[service].get_paginator(operation)
        try:
            return list(paginator.paginate(**arguments).search(query))
        except ClientError as error:
            raise _error_of_answer(service, error, arguments) from None
        except BotoCoreError as error:
            raise _error_without_answer(error, self.region) from None

    def call_until_accepted(self, service: str, operation: str, /, **arguments: Any) -> Any:
        """Make a call as `call` does, and repeat it while AWS refuses it temporarily."""
        for is_last in backoff(_RETRY_TIMEOUT):
            try:
                return self.call(service, operation, **arguments)
            except AwsError as error:
                if is_last or not error.is_temporary:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def wait(self, waiter: str, /, **arguments: Any) -> None:
        """Wait until a function is ready. `waiter` is the name of one of boto3's Lambda waiters."""
        try:
            self.clients["lambda"].get_waiter(waiter).wait(
                WaiterConfig={"Delay": _WAITER_DELAY, "MaxAttempts": 600}, **arguments
            )
        except WaiterError as error:
            reason = jmespath.search("StateReason || LastUpdateStatusReason", error.last_response)
            name = arguments["FunctionName"]
            raise AwsError(f"function {name} did not become ready: {reason or error}") from None
        except BotoCoreError as error:
            raise _error_without_answer(error, self.region) from None

    def home(self) -> Home:
        """Return the account and region that the calls go to."""
        arn = self.call("sts", "get_caller_identity", "Arn").split(":")
        return Home(account=arn[4], region=self.region, partition=arn[1])


def backoff(timeout: float) -> Iterator[bool]:
    """Pace the attempts of a loop: yield before each attempt whether it is the last one.

    The pauses between attempts grow and are jittered. The last attempt comes after `timeout`
    seconds.
    """
    deadline = time.monotonic() + timeout
    pause = 0.1
    while (left := deadline - time.monotonic()) > 0:
        yield False
        time.sleep(min(left, random.uniform(pause / 2, pause)))  # noqa: S311
        pause = min(2 * pause, 5.0)
    yield True


def _error_of_answer(service: str, error: ClientError, arguments: Mapping[str, Any]) -> AwsError:
    """Return the error for a call that AWS answered with an error."""
    code = error.response["Error"]["Code"]
    message = _redact(error.response["Error"].get("Message", ""), arguments)
    if code in _NOT_FOUND:
        return NotFoundError(f"AWS has no such resource: {message}", code)
    if code in _EXPIRED:
        return AwsError(
            "the AWS credentials have expired: log in again, e.g. `aws sso login`", code
        )
    if code in _UNKNOWN_KEY:
        return AwsError("AWS does not know these credentials: see `aws configure list`", code)
    if code in _DENIED:
        found = re.search(r"not authorized to perform: ([\w:]+)", message)
        action = found[1] if found else f"{service}:{error.operation_name}"
        return AwsError(
            f"these AWS credentials are not allowed to call {action}: ask for a policy that "
            "allows it",
            code,
        )
    if code in _THROTTLED:
        return AwsError("AWS is throttling this account's calls: try again in a minute", code)
    pattern = _TEMPORARY.get(code)
    is_temporary = pattern is not None and re.search(pattern, message.lower()) is not None
    text = f"AWS refused {service}:{error.operation_name}: {code}: {message}"
    return AwsError(text, code, is_temporary=is_temporary)


def _redact(message: str, arguments: Mapping[str, Any]) -> str:
    """Return the message without the call's secrets: AWS quotes the values that it refuses."""
    variables = arguments.get("Environment", {}).get("Variables", {})
    secrets = [value for name, value in variables.items() if name not in OPEN_VARIABLES]
    for secret in [*secrets, arguments.get("Value")]:
        if secret:
            message = message.replace(secret, "***")
    return message


def _error_without_answer(error: BotoCoreError, region: str | None = None) -> AwsError:
    """Return the error for a call that AWS did not answer."""
    if isinstance(error, NoRegionError):
        return AwsError('no AWS region: set "aws": {"region": "…"} in config.json or AWS_REGION')
    if isinstance(error, ProfileNotFound):
        return AwsError(f"{error}: see `aws configure list-profiles`")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return AwsError(
            "no AWS credentials: run `aws configure` or `aws sso login`, "
            "or set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, SSOError | TokenRetrievalError | CredentialRetrievalError):
        return AwsError("the AWS login has expired: log in again, e.g. `aws sso login`")
    if isinstance(error, ParamValidationError):
        # botocore's message quotes the argument's value, which may be a secret.
        names = ", ".join(re.findall(r"parameter:? ([\w.\[\]]+)", str(error)))
        return AwsError(f"AWS cannot be called: botocore refuses {names or 'an argument'}")
    if isinstance(error, ConnectionError | HTTPClientError):
        return AwsError(
            f"AWS does not answer in region {region}: check the region's spelling and the network "
            "connection"
        )
    return AwsError(f"AWS cannot be called: {error}")
