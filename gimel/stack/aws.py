"""The connection to AWS: one class for all calls, with bounded retries and errors that give advice.

A jmespath query selects the part of an answer that the caller needs. AWS refuses some calls only
temporarily (see `gimel.stack.refusals`). Such a call is repeated until a deadline. When AWS has
accepted a call, boto3's waiters wait until AWS has carried it out.
"""

import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from threading import Lock
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
import jmespath
from botocore.config import Config as BotoConfig
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    HTTPClientError,
    NoRegionError,
    ParamValidationError,
    WaiterError,
)

from gimel.backend.errors import GimelError
from gimel.stack import trace
from gimel.stack.change import OPEN_VARIABLES
from gimel.stack.login import advice, log_in, renewal
from gimel.stack.refusals import THROTTLED, Refusal, find_refusal

NO_REGION = 'no AWS region: set "aws": {"region": "…"} in config.json or AWS_DEFAULT_REGION'

# Seconds until a temporary refusal counts as final. A new role takes about 10 s, in some
# accounts more than a minute, and in a few more than five:
# https://github.com/hashicorp/terraform-provider-aws/issues/8248 and issue 44517 there.
_RETRY_TIMEOUT = 300.0
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
        "ServerlessCacheNotFoundFault",
    }
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_UNKNOWN_KEY = frozenset(
    {"InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException"}
)
_DENIED = frozenset(
    {"AccessDenied", "AccessDeniedException", "AuthorizationError", "UnauthorizedOperation"}
)
# How Lambda refuses a call about function URLs in a region that has none:
# https://github.com/zappa/Zappa/issues/1425
_UNKNOWN_OPERATION = "unable to determine service/operation name"

# Receives a temporary refusal and the seconds since the first attempt. Returns whether to repeat.
KeepsTrying = Callable[[Refusal, float], bool]


class AwsError(GimelError):
    """A call to AWS failed. The message is one line with advice; `code` is AWS's error code.

    With a `refusal`, the same call may succeed later.
    """

    def __init__(self, message: str, code: str = "", refusal: Refusal | None = None) -> None:
        super().__init__(" ".join(message.split()))
        self.code = code
        self.refusal = refusal


class NotFoundError(AwsError):
    """AWS has no such resource."""


class NotOfferedError(NotFoundError):
    """AWS does not offer such resources in this region."""


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
                try:
                    client = create(service, config=self._settings)
                    # botocore would check the port only when it signs a request.
                    _ = urlsplit(client.meta.endpoint_url).port
                except BotoCoreError:
                    raise
                except ValueError:
                    raise AwsError(_advice_on_endpoint()) from None
                trace.watch(client)
                self[service] = client
        return self[service]


class Aws:
    """One account in one region. Every method raises AwsError. Threads may share an instance."""

    def __init__(self, region: str | None = None, profile: str | None = None) -> None:
        settings = BotoConfig(
            retries={"mode": "standard", "total_max_attempts": 5},
            connect_timeout=5,
            read_timeout=60,
        )
        self.region = region or ""
        self._session = botocore.session.get_session()
        try:
            session = boto3.Session(
                botocore_session=self._session, region_name=region, profile_name=profile
            )
            if session.region_name is None:
                raise NoRegionError
            self.region = session.region_name
            log_in(self._session)
        except (ClientError, BotoCoreError) as error:
            raise self._error("sts:assume_role", error) from None
        self.clients = _Clients(session, settings)

    def call(
        self, service: str, operation: str, query: str | None = None, /, **arguments: Any
    ) -> Any:
        """Make a call. Return AWS's answer, or the part that the jmespath query selects."""
        try:
            answer = getattr(self.clients[service], operation)(**arguments)
        except (ClientError, BotoCoreError) as error:
            raise self._error(f"{service}:{operation}", error, arguments) from None
        # It differs in every answer: an unchanged resource would seem to have changed.
        answer.pop("ResponseMetadata", None)
        return jmespath.search(query, answer) if query else answer

    def find(self, service: str, operation: str, query: str, /, **arguments: Any) -> Any:
        """Make a call as `call` does, but return None if the resource does not exist."""
        try:
            return self.call(service, operation, query, **arguments)
        except NotFoundError:
            return None

    def pages(self, service: str, operation: str, query: str, /, **arguments: Any) -> list[Any]:
        """Fetch all pages of an answer. Return the items that the jmespath query selects."""
        try:
            paginator = self.clients[service].get_paginator(operation)
            return list(paginator.paginate(**arguments).search(query))
        except (ClientError, BotoCoreError) as error:
            raise self._error(f"{service}:{operation}", error, arguments) from None

    def call_until_accepted(
        self,
        service: str,
        operation: str,
        keeps_trying: KeepsTrying = lambda *_: True,
        /,
        **arguments: Any,
    ) -> Any:
        """Make a call as `call` does, and repeat it while AWS refuses it temporarily.

        `keeps_trying` is asked after each refusal.
        """
        return _until_accepted(lambda: self.call(service, operation, **arguments), keeps_trying)

    def wait(self, waiter: str, /, **arguments: Any) -> None:
        """Wait until a function is ready. `waiter` is the name of one of boto3's Lambda waiters."""
        _until_accepted(lambda: self._wait(waiter, arguments))

    def environment(self) -> dict[str, str]:
        """Return the environment variables with credentials and region that a function has."""
        try:
            # A role's credentials may have expired since the login.
            keys = log_in(self._session)
        except (ClientError, BotoCoreError) as error:
            raise self._error("sts:assume_role", error) from None
        variables = {
            "AWS_ACCESS_KEY_ID": keys.access_key,
            "AWS_SECRET_ACCESS_KEY": keys.secret_key,
            "AWS_SESSION_TOKEN": keys.token,
            "AWS_REGION": self.region,
            "AWS_ENDPOINT_URL": os.environ.get("AWS_ENDPOINT_URL"),
        }
        return {name: value for name, value in variables.items() if value}

    def home(self) -> Home:
        """Return the account and region that the calls go to."""
        arn = self.call("sts", "get_caller_identity", "Arn").split(":")
        return Home(account=arn[4], region=self.region, partition=arn[1])

    def _wait(self, waiter: str, arguments: Mapping[str, Any]) -> None:
        try:
            self.clients["lambda"].get_waiter(waiter).wait(
                WaiterConfig={"Delay": _WAITER_DELAY, "MaxAttempts": 600}, **arguments
            )
        except WaiterError as error:
            raise _error_of_waiter(waiter, error, arguments) from None
        except BotoCoreError as error:
            raise self._error(f"lambda:{waiter}", error) from None

    def _error(
        self,
        call: str,
        error: ClientError | BotoCoreError,
        arguments: Mapping[str, Any] = MappingProxyType({}),
    ) -> AwsError:
        """Return the error for a call that AWS refused or did not answer."""
        if isinstance(error, BotoCoreError):
            text = advice(error, self._session) or _advice_without_answer(error, self.region)
            return AwsError(text)
        if error.response["Error"]["Code"] in _EXPIRED:
            text = f"the AWS credentials have expired: {renewal(self._session)}"
            return AwsError(text, error.response["Error"]["Code"])
        return _error_of_answer(call, error, arguments)


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


def _until_accepted(attempt: Callable[[], Any], keeps_trying: KeepsTrying = lambda *_: True) -> Any:
    """Repeat an attempt while AWS refuses it temporarily. Return its result."""
    started = time.monotonic()
    for is_last in backoff(_RETRY_TIMEOUT):
        try:
            return attempt()
        except AwsError as error:
            seconds = time.monotonic() - started
            if error.refusal is None or not (is_last or keeps_trying(error.refusal, seconds)):
                raise
            if is_last:
                text = f"{error} (for {seconds:.0f} s): run the same command again to continue"
                raise type(error)(text, error.code, error.refusal) from None
    raise AssertionError("the last attempt returns or raises")


def _error_of_answer(call: str, error: ClientError, arguments: Mapping[str, Any]) -> AwsError:
    """Return the error for a call that AWS answered with an error."""
    code = error.response["Error"]["Code"]
    message = _redact(error.response["Error"].get("Message", ""), arguments)
    refusal = find_refusal(call, code, message)
    # A login makes calls of its own.
    service = {"AssumeRole": "sts", "GetRoleCredentials": "sso"}.get(
        error.operation_name, call.split(":")[0]
    )
    if code in _NOT_FOUND:
        return NotFoundError(f"AWS has no such resource: {message}", code, refusal)
    if code in _UNKNOWN_KEY:
        return AwsError("AWS does not know these credentials: see `aws configure list`", code)
    if "MultiFactorAuthentication failed" in message:
        return AwsError(
            f"{message.rstrip('. ')}: run the command again with the next MFA code", code
        )
    if code in _DENIED and _UNKNOWN_OPERATION in message.lower():
        text = f"AWS does not offer {service}:{error.operation_name} in this region"
        return NotOfferedError(f"{text}: choose another region, or a setting that does not need it")
    if code in _DENIED:
        found = re.search(r"not authorized to perform: ([\w:]+)", message)
        action = found[1] if found else f"{service}:{error.operation_name}"
        return AwsError(
            f"these AWS credentials are not allowed to call {action}: ask for a policy that "
            "allows it",
            code,
        )
    if refusal is THROTTLED:
        text = "AWS is throttling this account's calls: try again in a minute"
    else:
        text = f"AWS refused {service}:{error.operation_name}: {code}: {message}"
    return AwsError(text, code, refusal)


def _error_of_waiter(waiter: str, error: WaiterError, arguments: Mapping[str, Any]) -> AwsError:
    """Return the error for a function that did not become ready, or that AWS does not list yet."""
    refused = error.last_response.get("Error", {})
    refusal = find_refusal(f"lambda:{waiter}", refused.get("Code", ""), refused.get("Message", ""))
    reason = jmespath.search("StateReason || LastUpdateStatusReason", error.last_response)
    name = arguments["FunctionName"]
    return AwsError(f"function {name} did not become ready: {reason or error}", refusal=refusal)


def _redact(message: str, arguments: Mapping[str, Any]) -> str:
    """Return the message without the call's secrets: AWS quotes the values that it refuses."""
    variables = arguments.get("Environment", {}).get("Variables", {})
    secrets = [value for name, value in variables.items() if name not in OPEN_VARIABLES]
    for secret in [*secrets, arguments.get("Value")]:
        if secret:
            message = message.replace(secret, "***")
    return message


def _advice_on_endpoint() -> str:
    """Return the message for an endpoint that is no URL. Its value is not quoted."""
    names = sorted(name for name in os.environ if name.startswith("AWS_ENDPOINT_URL"))
    where = ", ".join(names) or "endpoint_url of the AWS profile"
    return f"{where} must be a URL such as http://127.0.0.1:4566: correct it, or unset it"


def _advice_without_answer(error: BotoCoreError, region: str) -> str:
    """Return the message for a call that AWS did not answer."""
    if isinstance(error, NoRegionError):
        return NO_REGION
    if isinstance(error, ParamValidationError):
        # botocore's message quotes the argument's value, which may be a secret.
        names = ", ".join(re.findall(r"parameter:? ([\w.\[\]]+)", str(error)))
        if names == "TokenCode":
            return "an MFA code has six digits: run the command again"
        return f"AWS cannot be called: botocore refuses {names or 'an argument'}"
    if isinstance(error, ConnectionError | HTTPClientError):
        return (
            f"AWS does not answer in region {region}: check the region's spelling and the network "
            "connection"
        )
    return f"AWS cannot be called: {error}"
