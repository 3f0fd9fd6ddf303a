"""The deployed stack as the commands find it: where it answers, its read key, how it sees Redis."""

import json
from typing import Any
from urllib.parse import urlsplit

from gimel.client import Backend
from gimel.config.settings import Config
from gimel.stack.aws import Aws
from gimel.stack.observe import find_apis, parameter
from gimel.stack.wanted import ALIAS, READS, STAGE, DeployError, Names

REDIS_TROUBLE = {
    "network": (
        "network: no connection. Is its address right, is it open to AWS (or, for ElastiCache, is "
        '"vpc" set and does its security group let the functions in), and does a TLS port have '
        "rediss://?"
    ),
    "tls": "TLS: it fails. Without TLS the URL starts with redis://, with TLS with rediss://",
    "password": "password: it refuses the user or the password in config.json",
    "acl": "ACL: this user may not do what counting needs (see `gimel preflight`)",
    "other": "it answers with an error; the functions' logs name its kind",
}


def connect(config: Config) -> Aws:
    """AWS as the configuration says. Raises AwsError."""
    return Aws(config.aws.region, config.aws.profile)


def find(config: Config, aws: Aws | None = None) -> Backend:
    """The deployed stack's URL and read key. Raises AwsError, and DeployError if there is none."""
    aws = aws or connect(config)
    names = Names(config.stack)
    apis = find_apis(aws, names)
    kept = parameter(aws, names)
    if not apis or kept is None:
        raise DeployError(
            f"no stack called {names.stack} in region {aws.region}: `gimel deploy` makes it"
        )
    url = public_url(aws, apis[0]["ApiId"], apis[0]["ApiEndpoint"])
    return Backend(url, kept.key, config.event_path)


def public_url(aws: Aws, api: str, endpoint: str) -> str:
    """Where the API answers.

    An emulator's endpoint is a name under .localhost, which browsers resolve and other programs
    may not; it serves the same under a path of its own address.
    """
    if str(urlsplit(endpoint).hostname).endswith(".localhost"):
        return f"{aws.clients['apigatewayv2'].meta.endpoint_url}/_aws/execute-api/{api}/{STAGE}"
    return f"{endpoint}/{STAGE}"


def redis_of(aws: Aws, names: Names) -> str:
    """The URL, password and all, of the Redis that the deployed functions have."""
    query = "Environment.Variables.GIMEL_REDIS_URL"
    named = {"FunctionName": names.function(READS), "Qualifier": ALIAS}
    return str(aws.call("lambda", "get_function_configuration", query, **named))


def look_inside(aws: Aws, names: Names) -> dict[str, Any]:
    """How Redis looks from where the functions are: see `direct.look_at_redis`."""
    answer = aws.call(
        "lambda",
        "invoke",
        FunctionName=names.function(READS),
        Qualifier=ALIAS,
        Payload=json.dumps({"gimel": "redis"}).encode(),
    )
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return found
