"""AWS as Gimel calls it: one class, bounded retries, errors that say what to do.

Answers are cut down by jmespath queries. A call that AWS refuses only for the moment (a new role
that Lambda cannot assume yet, an update still going on) is repeated within a deadline; what AWS
does by itself afterwards is awaited by boto3's waiters.
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
    *("apigateway", "apigatewayv2", "cloudwatch", "iam", "lambda", "logs", "sqs", "ssm", "sts"),
)

# Seconds until a refusal "for the moment" counts as a refusal; new roles take about 10.
_PATIENCE = 90.0
# Seconds between a waiter's questions; left alone, some would ask every 5 s.
_WAIT = 0.5

_NOT_FOUND = frozenset(
    {
        "AWS.SimpleQueueService.NonExistentQueue",
        "NoSuchEntity",
        "NotFoundException",
        "ParameterNotFound",
        "QueueDoesNotExist",
        "ResourceNotFoundException",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_KEY = frozenset(
    {"InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException"}
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})
_THROTTLED = frozenset(
    {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}
)
# Error code -> a pattern of those of its messages that say that it will pass.
_PASSING = {
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
    """A call to AWS failed; the message is one line that says what to do. `code` is AWS's own."""

    def __init__(self, message: str, code: str = "", *, passing: bool = False) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
        self.passing = passing


class NotFoundError(AwsError):
    """What was asked for does not exist."""


@dataclass(frozen=True)
class Home:
    """Where a stack lives."""

    account: str
    region: str
    partition: str = "aws"

    def arn(self, service: str, resource: str, *, regional: bool = True) -> str:
        """The ARN of a resource here; IAM's name no region."""
        region = self.region if regional else ""
        return f"arn:{self.partition}:{service}:{region}:{self.account}:{resource}"


class _Clients(dict[str, Any]):
    """boto3's clients by service. Each takes some 50 ms to make: it is made when first used."""

    def __init__(self, session: boto3.Session, settings: BotoConfig) -> None:
        super().__init__()
        self._session, self._settings = session, settings
        self._lock = Lock()

    def __missing__(self, service: str) -> Any:
        # A session's clients must be made one at a time.
        with self._lock:
            if service not in self:
                make: Any = self._session.client
                self[service] = make(service, config=self._settings)
                trace.watch(self[service])
        return self[service]


class Aws:
    """One account in one region. All its methods raise AwsError; several threads may use it."""

    def __init__(self, region: str | None = None, profile: str | None = None) -> None:
        settings = BotoConfig(
            retries={"mode": "standard", "total_max_attempts": 5},
            connect_timeout=5,
            read_timeout=60,
        )
        try:
            session = boto3.Session(region_name=region, profile_name=profile)
        except BotoCoreError as error:
            raise _explained(error) from None
        if session.region_name is None:
            raise _explained(NoRegionError())
        self.region: str = session.region_name
        self.clients = _Clients(session, settings)

    def call(
        self, service: str, operation: str, query: str | None = None, /, **arguments: Any
    ) -> Any:
        """AWS's answer, or what the jmespath query finds in it."""
        try:
            answer = getattr(self.clients[service], operation)(**arguments)
        except ClientError as error:
            raise _refusal(service, error, arguments) from None
        except BotoCoreError as error:
            raise _explained(error, self.region) from None
        return jmespath.search(query, answer) if query else answer

    def find(self, service: str, operation: str, query: str, /, **arguments: Any) -> Any:
        """Like `call`, but None for what does not exist."""
        try:
            return self.call(service, operation, query, **arguments)
        except NotFoundError:
            return None

    def pages(self, service: str, operation: str, query: str, /, **arguments: Any) -> list[Any]:
        """What the query finds in all pages of an answer."""
        paginator = self.clients[service].get_paginator(operation)
        try:
            return list(paginator.paginate(**arguments).search(query))
        except ClientError as error:
            raise _refusal(service, error, arguments) from None
        except BotoCoreError as error:
            raise _explained(error, self.region) from None

    def settle(self, service: str, operation: str, /, **arguments: Any) -> Any:
        """Like `call`, but repeated while AWS says that it can't be done at this moment."""
        for last in attempts(_PATIENCE):
            try:
                return self.call(service, operation, **arguments)
            except AwsError as error:
                if last or not error.passing:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def wait(self, waiter: str, /, **arguments: Any) -> None:
        """Wait until Lambda has done what was asked: the names are those of boto3's waiters."""
        try:
            self.clients["lambda"].get_waiter(waiter).wait(
                WaiterConfig={"Delay": _WAIT, "MaxAttempts": 600}, **arguments
            )
        except WaiterError as error:
            reason = jmespath.search("StateReason || LastUpdateStatusReason", error.last_response)
            name = arguments["FunctionName"]
            raise AwsError(f"function {name} did not become ready: {reason or error}") from None
        except BotoCoreError as error:
            raise _explained(error, self.region) from None

    def home(self) -> Home:
        """Which account this is."""
        arn = self.call("sts", "get_caller_identity", "Arn").split(":")
        return Home(account=arn[4], region=self.region, partition=arn[1])


def attempts(patience: float) -> Iterator[bool]:
    """Attempts with growing, jittered pauses; True with the last one, after `patience` seconds."""
    deadline = time.monotonic() + patience
    pause = 0.1
    while (left := deadline - time.monotonic()) > 0:
        yield False
        time.sleep(min(left, random.uniform(pause / 2, pause)))  # noqa: S311
        pause = min(2 * pause, 5.0)
    yield True


def _refusal(service: str, error: ClientError, arguments: Mapping[str, Any]) -> AwsError:
    """The error for a call that AWS answered with one."""
    code = error.response["Error"]["Code"]
    message = _redacted(error.response["Error"].get("Message", ""), arguments)
    if code in _NOT_FOUND:
        return NotFoundError(f"AWS has no such thing: {message}", code)
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
            f"these AWS credentials may not do {action}: ask for a policy that allows it", code
        )
    if code in _THROTTLED:
        return AwsError("AWS is throttling this account's calls: try again in a minute", code)
    passing = code in _PASSING and re.search(_PASSING[code], message.lower()) is not None
    text = f"AWS refused {service}:{error.operation_name}: {code}: {message}"
    return AwsError(text, code, passing=passing)


def _redacted(message: str, arguments: Mapping[str, Any]) -> str:
    """The message without the secrets that went out with the call: AWS quotes what it refuses."""
    variables = arguments.get("Environment", {}).get("Variables", {})
    secrets = [value for name, value in variables.items() if name not in OPEN_VARIABLES]
    for secret in [*secrets, arguments.get("Value")]:
        if secret:
            message = message.replace(secret, "***")
    return message


def _explained(error: BotoCoreError, region: str | None = None) -> AwsError:
    """The error for a call that did not get as far as an answer."""
    if isinstance(error, NoRegionError):
        return AwsError('no AWS region: set "aws": {"region": "…"} in config.json or AWS_REGION')
    if isinstance(error, ProfileNotFound):
        return AwsError(f"{error}: see `aws configure list-profiles`")
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return AwsError(
            "no AWS credentials: run `aws configure` or `aws sso login`, "
            "or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    if isinstance(error, SSOError | TokenRetrievalError | CredentialRetrievalError):
        return AwsError("the AWS login has expired: log in again, e.g. `aws sso login`")
    if isinstance(error, ParamValidationError):
        # Its own words quote what was given, which may be a secret.
        names = ", ".join(re.findall(r"parameter:? ([\w.\[\]]+)", str(error)))
        return AwsError(f"AWS cannot be called: botocore refuses {names or 'an argument'}")
    if isinstance(error, ConnectionError | HTTPClientError):
        return AwsError(
            f"AWS does not answer in region {region}: is it spelt right, is there a net?"
        )
    return AwsError(f"AWS cannot be called: {error}")
