"""A deploy: observe what there is, plan, apply, and see with an event that it works."""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

from gimel.aws import Aws, NotFoundError, attempts
from gimel.bundle import build
from gimel.change import Change, Later
from gimel.client import BackendError, Client
from gimel.config import Config
from gimel.limits import PROBE_NAMESPACE
from gimel.plan import plan
from gimel.stack import (
    ALIAS,
    STAGE,
    TAG,
    TRACK,
    DeployError,
    Names,
    Seen,
    SeenApi,
    SeenFunction,
    SeenLogGroup,
    SeenParameter,
    SeenRole,
    log_group,
    wanted,
)

Say = Callable[[str], None]

# Seconds that a new endpoint may take until it answers. Redis gets less: a function that runs and
# does not reach it will not learn to.
_PROBE_PATIENCE = 30.0
_REDIS_PATIENCE = 6.0

_VERSION = (
    "[].[Version, {Handler: Handler, Runtime: Runtime, Timeout: Timeout, MemorySize: MemorySize,"
    " Role: Role, Environment: {Variables: Environment.Variables || `{}`},"
    " CodeSha256: CodeSha256, Architectures: Architectures}]"
)


@dataclass(frozen=True)
class Backend:
    """A deployed stack, as a client needs it."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Deployed(Backend):
    """What a deploy came to: `changes` made, in order; `key_is_new`: made by this deploy."""

    changes: tuple[Change, ...]
    key_is_new: bool
    seconds: float


def connect(config: Config) -> Aws:
    """AWS as the configuration says. Raises AwsError."""
    return Aws(config.aws.region, config.aws.profile)


def deploy(config: Config, say: Say = print, aws: Aws | None = None) -> Deployed:
    """Bring the stack to what the configuration wants, and verify it with an event.

    `say` gets a line for each step. Raises AwsError and DeployError; doing it again goes on from
    whatever stands.
    """
    started = time.monotonic()
    aws = aws or connect(config)
    names = Names(config.stack)
    say(f"looking at stack {names.stack} in {aws.region}")
    with ThreadPoolExecutor(2) as pool:
        building = pool.submit(build, config.runtime)
        home = pool.submit(aws.home)
        seen = observe(aws, names)
    bundle = building.result()
    if not bundle.compiled:
        say(f"no {bundle.runtime} on the PATH: without bytecode, cold starts take 0.2 s longer")
    key = seen.parameter.key if seen.parameter else secrets.token_urlsafe(32)
    changes = plan(wanted(config, home.result(), key, bundle), seen)
    if not changes:
        say("nothing to change")
    api = apply(aws, changes, seen, say)
    url = _public_url(aws, *api)
    say(f"sending a probe event through {url}/e")
    probe(Client(url, key), names)
    return Deployed(url, key, tuple(changes), seen.parameter is None, time.monotonic() - started)


def find(config: Config, aws: Aws | None = None) -> Backend:
    """The deployed stack's URL and read key. Raises AwsError, and DeployError if there is none."""
    aws = aws or connect(config)
    names = Names(config.stack)
    apis = _apis(aws, names)
    parameter = _parameter(aws, names)
    if not apis or parameter is None:
        raise DeployError(
            f"no stack called {names.stack} in region {aws.region}: `gimel deploy` makes it"
        )
    return Backend(_public_url(aws, apis[0]["ApiId"], apis[0]["ApiEndpoint"]), parameter.key)


def observe(aws: Aws, names: Names) -> Seen:
    """What there is of the stack; the questions are asked side by side. Raises AwsError."""
    with ThreadPoolExecutor(8) as pool:
        functions = {name: pool.submit(_function, aws, name) for name in names.functions}
        apis = pool.submit(lambda: tuple(_api(aws, found) for found in _apis(aws, names)))
        groups = pool.submit(_log_groups, aws, names)
        parameter = pool.submit(_parameter, aws, names)
        role = pool.submit(_role, aws, names)
        return Seen(
            parameter=parameter.result(),
            role=role.result(),
            functions=_existing(functions),
            log_groups=groups.result(),
            apis=apis.result(),
        )


def _existing(functions: Mapping[str, Future[SeenFunction | None]]) -> dict[str, SeenFunction]:
    results = {name: function.result() for name, function in functions.items()}
    return {name: function for name, function in results.items() if function}


def _parameter(aws: Aws, names: Names) -> SeenParameter | None:
    name = names.parameter
    key = aws.find("ssm", "get_parameter", "Parameter.Value", Name=name, WithDecryption=True)
    if key is None:
        return None
    tags = aws.call(
        "ssm", "list_tags_for_resource", "TagList", ResourceType="Parameter", ResourceId=name
    )
    return SeenParameter(_tags(tags), key)


def _tags(listed: list[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed or []}


def _role(aws: Aws, names: Names) -> SeenRole | None:
    role = aws.find("iam", "get_role", "Role", RoleName=names.role)
    if role is None:
        return None
    permissions = aws.find(
        "iam",
        "get_role_policy",
        "PolicyDocument",
        RoleName=names.role,
        PolicyName=names.policy(aws.region),
    )
    return SeenRole(_tags(role.get("Tags")), role["AssumeRolePolicyDocument"], permissions)


def _log_groups(aws: Aws, names: Names) -> dict[str, SeenLogGroup]:
    found = aws.pages(
        "logs",
        "describe_log_groups",
        "logGroups[].[logGroupName, logGroupArn || arn, retentionInDays]",
        logGroupNamePrefix=log_group(f"{names.stack}-"),
    )
    own = {log_group(function) for function in names.functions}
    groups = {}
    for name, arn, days in found:
        if name in own:
            arn = arn.removesuffix(":*")
            tags = aws.call("logs", "list_tags_for_resource", "tags", resourceArn=arn)
            groups[name] = SeenLogGroup(arn, tags, days)
    return groups


def _function(aws: Aws, name: str) -> SeenFunction | None:
    found = aws.find("lambda", "get_function", "{Tags: Tags}", FunctionName=name)
    if found is None:
        return None
    versions = aws.pages(
        "lambda", "list_versions_by_function", f"Versions{_VERSION}", FunctionName=name
    )
    live = aws.find("lambda", "get_alias", "FunctionVersion", FunctionName=name, Name=ALIAS)
    policy = aws.find("lambda", "get_policy", "Policy", FunctionName=name, Qualifier=ALIAS)
    return SeenFunction(found["Tags"] or {}, dict(versions), live, _invokers(policy))


def _invokers(policy: str | None) -> dict[str, str | None]:
    """Statement ids of a function's policy and the source that each lets call."""
    statements = json.loads(policy)["Statement"] if policy else []
    sources = {}
    for statement in statements:
        condition = statement.get("Condition", {}).get("ArnLike", {})
        sources[statement["Sid"]] = next(iter(condition.values()), None)
    return sources


def _apis(aws: Aws, names: Names) -> list[dict[str, Any]]:
    """The APIs with the stack's tag, the oldest first."""
    found = aws.pages("apigatewayv2", "get_apis", "Items[]")
    own = [api for api in found if api.get("Tags", {}).get(TAG) == names.stack]
    return sorted(own, key=lambda api: (api["CreatedDate"], api["ApiId"]))


def _api(aws: Aws, found: Mapping[str, Any]) -> SeenApi:
    id = found["ApiId"]
    integrations = aws.pages(
        "apigatewayv2", "get_integrations", "Items[].[IntegrationId, IntegrationUri]", ApiId=id
    )
    routes = aws.pages(
        "apigatewayv2", "get_routes", "Items[].[RouteKey, RouteId, Target]", ApiId=id
    )
    stage = aws.find("apigatewayv2", "get_stage", "{auto: AutoDeploy}", ApiId=id, StageName=STAGE)
    return SeenApi(
        id=id,
        endpoint=found["ApiEndpoint"],
        cors=found.get("CorsConfiguration"),
        integrations=dict(integrations),
        routes={
            key: (route, str(target).removeprefix("integrations/")) for key, route, target in routes
        },
        auto_deploys=bool(stage["auto"]) if stage else None,
    )


def apply(aws: Aws, changes: list[Change], seen: Seen, say: Say) -> tuple[str, str]:
    """Make the changes, lanes side by side. Returns the API's id and endpoint. Raises AwsError."""
    known: dict[str, str] = {}
    if seen.apis:
        known = {"api": seen.apis[0].id, "endpoint": seen.apis[0].endpoint}
    one_at_a_time = Lock()

    def tell(line: str) -> None:
        with one_at_a_time:
            say(line)

    for _, neighbours in groupby(changes, key=lambda change: bool(change.lane)):
        lanes: dict[str, list[Change]] = {}
        for change in neighbours:
            lanes.setdefault(change.lane, []).append(change)
        with ThreadPoolExecutor(len(lanes)) as pool:
            list(pool.map(partial(_make, aws, known, tell), lanes.values()))
    return known["api"], known["endpoint"]


def _make(aws: Aws, known: dict[str, str], say: Say, changes: list[Change]) -> None:
    """Make one lane's changes. What the answers tell is added to what is known."""
    for change in changes:
        say(str(change))
        for call in change.calls:
            arguments = {name: _filled(value, known) for name, value in call.arguments.items()}
            try:
                answer = aws.settle(call.service, call.operation, **arguments)
            except NotFoundError:
                if call.if_exists:
                    continue
                raise
            known.update({name: answer[place] for name, place in call.saves.items()})
            if call.waiter:
                function = arguments["FunctionName"]
                aws.wait(call.waiter, FunctionName=function, Qualifier=answer["Version"])


def _filled(value: Any, known: Mapping[str, str]) -> Any:
    return value.format_map(known) if isinstance(value, Later) else value


def _public_url(aws: Aws, api: str, endpoint: str) -> str:
    """Where the API answers.

    An emulator's endpoint is a name under .localhost, which browsers resolve and other programs
    may not; it serves the same under a path of its own address.
    """
    if str(urlsplit(endpoint).hostname).endswith(".localhost"):
        return f"{aws.clients['apigatewayv2'].meta.endpoint_url}/_aws/execute-api/{api}/{STAGE}"
    return f"{endpoint}/{STAGE}"


def probe(client: Client, names: Names) -> None:
    """Send an event, read it back, delete it. Raises DeployError with what was seen instead.

    A new endpoint answers 403, 404 or 5xx for some seconds, so each failure is tried again.
    """
    name = f"probe-{secrets.token_hex(8)}"
    started = time.monotonic()
    for last in attempts(_PROBE_PATIENCE):
        try:
            return _probe_once(client, name)
        except BackendError as error:
            redis_is_away = error.status == 503 and time.monotonic() - started > _REDIS_PATIENCE
            if last or redis_is_away:
                raise DeployError(_diagnosis(error, names)) from None


def _probe_once(client: Client, name: str) -> None:
    client.track(name, "probe", "participate", name, PROBE_NAMESPACE)
    try:
        found = client.experiment(name, PROBE_NAMESPACE)
    except BackendError:
        with contextlib.suppress(BackendError):
            client.delete(name, PROBE_NAMESPACE)
        raise
    client.delete(name, PROBE_NAMESPACE)
    trials = [variant["trials"] for variant in found["variants"]]
    if trials != [1]:
        raise BackendError(f"one event was sent, but the counts are {trials}")


def _diagnosis(error: BackendError, names: Names) -> str:
    hints = {
        403: "is the read key in the functions the one in the Parameter Store?",
        404: "the API does not know its routes",
        429: "`gimel results` lists the namespaces, `gimel delete` makes room",
        503: (
            "the functions run but do not reach Redis. Is its address in config.json open to AWS, "
            "is it TLS (rediss://) or not (redis://), are user and password right?"
        ),
    }
    logs = log_group(names.function(TRACK))
    hint = hints.get(error.status or 0, f"the functions' logs say more, e.g. {logs}")
    return f"deployed, but the probe event did not come through: {error}: {hint}"
