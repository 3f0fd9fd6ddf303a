"""The deployed stack, as the commands find it: its URL, its keys, and its view of Redis."""

import json
from typing import Any
from urllib.parse import urlsplit

from gimel.client import Backend
from gimel.config.settings import Config
from gimel.stack.aws import Aws, AwsError
from gimel.stack.keys import MAIN, Key
from gimel.stack.observe.api import find_apis
from gimel.stack.observe.function_url import observe_function_url
from gimel.stack.observe.keys import observe_keys, observe_parameter
from gimel.stack.wanted import ALIAS, READS, STAGE, DeployError, Names

# Advice for each kind of trouble that the functions report (see `inspect_redis`).
REDIS_TROUBLE = {
    "network": (
        "network: no connection. Check the address, that Redis accepts connections from AWS (for "
        'ElastiCache: that "vpc" is set and the security group admits the functions), and that '
        "the URL of a TLS port starts with rediss://"
    ),
    "tls": "TLS: the handshake fails. A URL without TLS starts with redis://, with TLS rediss://",
    "password": (
        "password: Redis refuses the user or the password in config.json, or in the secret that "
        "redis.secret names; a managed Redis refuses the functions' role"
    ),
    "secret": (
        "secret: the functions cannot read redis.secret. Check its ARN and the policies of the "
        "secret and its KMS key. Functions in a VPC need an interface endpoint for Secrets Manager "
        "or SSM, or a NAT"
    ),
    "busy": "busy: ElastiCache accepts no new connections at present: try again in a minute",
    "acl": "ACL: this user lacks permissions that counting needs (see `gimel preflight`)",
    "other": "Redis answers with an error; the functions' logs name the error",
}


def connect(config: Config) -> Aws:
    """Connect to the AWS account and region that the configuration names. Raises AwsError."""
    return Aws(config.aws.region, config.aws.profile)


def find(config: Config, aws: Aws | None = None) -> Backend:
    """Return the URL and the main key of the deployed stack.

    Raises AwsError, and DeployError if there is no such stack.
    """
    aws = aws or connect(config)
    names = Names(config.stack)
    apis = find_apis(aws, names)
    main = observe_parameter(aws, names)
    if not apis or main is None:
        raise no_such_stack(names, aws.region)
    endpoint = apis[0]["ApiEndpoint"]
    function_url = observe_function_url(aws, names) if config.events == "function-url" else None
    return Backend(
        api_url(aws, apis[0]["ApiId"], endpoint),
        main.key,
        config.event_path,
        config.domain.name if config.domain else None,
        reachable_function_url(aws, function_url.url, endpoint) if function_url else None,
    )


def find_keys(config: Config, aws: Aws) -> list[Key]:
    """Return the keys of the deployed stack, the main key first.

    Raises AwsError, and DeployError if there is no such stack.
    """
    names = Names(config.stack)
    main = observe_parameter(aws, names)
    if main is None:
        raise no_such_stack(names, aws.region)
    return [Key(MAIN, "owner", main.key), *observe_keys(aws, names)]


def no_such_stack(names: Names, region: str) -> DeployError:
    """Return the error for a command that needs a deployed stack and finds none."""
    return DeployError(
        f"there is no stack {names.stack} in region {region}: create it with `gimel deploy`"
    )


def api_url(aws: Aws, api: str, endpoint: str) -> str:
    """Return the API's own URL, which works before the DNS record of a custom domain exists.

    The endpoint of an emulator is a name under .localhost. Browsers resolve such a name, but other
    programs may not. The emulator serves the API under a path of its own address as well.
    """
    if _is_emulated(endpoint):
        return f"{aws.clients['apigatewayv2'].meta.endpoint_url}/_aws/execute-api/{api}/{STAGE}"
    return f"{endpoint}/{STAGE}"


def reachable_function_url(aws: Aws, url: str, endpoint: str) -> str:
    """Return the function URL as programs can call it, without a path. `endpoint` is the API's.

    On AWS that is the URL itself. An emulator serves it under a path of its own address.
    """
    if _is_emulated(endpoint):
        id = str(urlsplit(url).hostname).partition(".")[0]
        return f"{aws.clients['lambda'].meta.endpoint_url}/_aws/lambda-url/{id}"
    return url.rstrip("/")


def _is_emulated(endpoint: str) -> bool:
    return str(urlsplit(endpoint).hostname).endswith(".localhost")


def deployed_redis_url(aws: Aws, names: Names) -> str:
    """Return the URL, password included, of the Redis that the deployed functions use."""
    query = "Environment.Variables.GIMEL_REDIS_URL"
    target = {"FunctionName": names.function(READS), "Qualifier": ALIAS}
    return str(aws.call("lambda", "get_function_configuration", query, **target))


def own_redis_environment(config: Config, aws: Aws) -> dict[str, str]:
    """Return the environment of a connection from this machine to the user's own Redis.

    If a secret holds the password, the environment holds the user's AWS credentials, to read it.
    Raises AwsError.
    """
    variables = config.redis.environment
    return {**variables, **aws.environment()} if config.redis.secret else variables


def inspect_redis(aws: Aws, names: Names) -> dict[str, Any]:
    """Ask the deployed functions how they see Redis: its memory and clients, or the trouble.

    Raises AwsError, also if the function fails.
    """
    name = names.function(READS)
    answer = aws.call(
        "lambda",
        "invoke",
        FunctionName=name,
        Qualifier=ALIAS,
        Payload=json.dumps({"gimel": "redis"}).encode(),
    )
    if "FunctionError" in answer:
        raise AwsError(f"function {name} fails: `gimel logs` shows why")
    found: dict[str, Any] = json.loads(answer["Payload"].read())
    return found
