"""A deploy: observe what there is, plan, apply, and see with an event that it works."""

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from gimel.apply import Say, apply
from gimel.aws import Aws, AwsError, attempts
from gimel.bundle import begin
from gimel.change import Change
from gimel.client import BackendError, Client
from gimel.config import Config
from gimel.limits import PROBE_NAMESPACE
from gimel.observe import find_apis, observe, parameter
from gimel.plan import notes, plan
from gimel.seen import Seen
from gimel.stack import (
    ALIAS,
    READS,
    STAGE,
    TAG,
    TRACK,
    DeployError,
    Names,
    Wanted,
    log_group,
    wanted,
)

# Seconds that a new endpoint may take until it answers. Redis gets less: a function that runs and
# does not reach it will not learn to.
_PROBE_PATIENCE = 30.0
_REDIS_PATIENCE = 6.0
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


@dataclass(frozen=True)
class Backend:
    """A deployed stack, as a client needs it: `event_path` is where a page sends its events."""

    url: str
    key: str = field(repr=False)
    event_path: str = "e"


@dataclass(frozen=True)
class Deployed(Backend):
    """What a deploy came to: `changes` made, in order; `key_is_new`: made by this deploy.

    `domain`: the stack's own name, and what a DNS record has to lead it to.
    """

    changes: tuple[Change, ...] = ()
    key_is_new: bool = False
    seconds: float = 0
    domain: tuple[str, str] | None = None


def connect(config: Config) -> Aws:
    """AWS as the configuration says. Raises AwsError."""
    return Aws(config.aws.region, config.aws.profile)


@dataclass(frozen=True)
class Planned:
    """What a deploy would do: `key` is the read key that there is, or would be."""

    wanted: Wanted = field(repr=False)
    seen: Seen = field(repr=False)
    changes: list[Change]
    notes: list[str]


def prepare(
    config: Config,
    say: Say,
    aws: Aws,
    *,
    adopt: bool = False,
    also: Collection[str] = (),
) -> Planned:
    """Observe and plan; nothing is written. Raises AwsError and DeployError.

    `also`: read keys that are good beside the one that is kept.
    """
    names = Names(config.stack)
    say(f"looking at stack {names.stack} in {aws.region}")
    building = begin(config.runtime)
    with ThreadPoolExecutor(1) as pool:
        home = pool.submit(aws.home)
        seen = observe(aws, names, config.domain.name if config.domain else None)
    bundle = building.result()
    if not bundle.compiled:
        say(f"no {bundle.runtime} on the PATH: without bytecode, cold starts take 0.2 s longer")
    # A key that somebody else chose may be known or short.
    is_own = seen.parameter is not None and TAG in seen.parameter.tags
    kept = seen.parameter.key if seen.parameter and is_own else secrets.token_urlsafe(32)
    asked = wanted(config, home.result(), kept, bundle, also)
    return Planned(asked, seen, plan(asked, seen, adopt), notes(asked, seen))


def deploy(config: Config, say: Say = print, aws: Aws | None = None, **options: Any) -> Deployed:
    """Bring the stack to what the configuration wants, and verify it with an event.

    `say` gets a line for each step; `options` are those of `prepare`. Raises AwsError and
    DeployError; doing it again goes on from whatever stands.
    """
    started = time.monotonic()
    aws = aws or connect(config)
    planned = prepare(config, say, aws, **options)
    seen, names = planned.seen, planned.wanted.names
    for line in [*planned.notes, *([] if planned.changes else ["nothing to change"])]:
        say(line)
    known = {"api": seen.apis[0].id, "endpoint": seen.apis[0].endpoint} if seen.apis else {}
    known = dict(apply(aws, planned.changes, known, say))
    url = _public_url(aws, known["api"], known["endpoint"])
    say(f"sending a probe event through {url}/e")
    key = planned.wanted.key
    probe(Client(url, key), names, partial(look_inside, aws, names))
    return Deployed(
        url=url,
        key=key,
        event_path=config.event_path,
        changes=tuple(planned.changes),
        key_is_new=seen.parameter is None or seen.parameter.key != key,
        seconds=time.monotonic() - started,
        domain=_domain_target(aws, config),
    )


def verify(config: Config, aws: Aws) -> None:
    """Send a probe event through the deployed stack. Raises AwsError and DeployError."""
    names, backend = Names(config.stack), find(config, aws)
    probe(Client(backend.url, backend.key), names, partial(look_inside, aws, names))


def _domain_target(aws: Aws, config: Config) -> tuple[str, str] | None:
    """The domain name and what its DNS record has to point to."""
    if config.domain is None:
        return None
    query = "DomainNameConfigurations[0].ApiGatewayDomainName"
    name = config.domain.name
    return name, aws.call("apigatewayv2", "get_domain_name", query, DomainName=name)


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
    url = _public_url(aws, apis[0]["ApiId"], apis[0]["ApiEndpoint"])
    return Backend(url, kept.key, config.event_path)


def _public_url(aws: Aws, api: str, endpoint: str) -> str:
    """Where the API answers.

    An emulator's endpoint is a name under .localhost, which browsers resolve and other programs
    may not; it serves the same under a path of its own address.
    """
    if str(urlsplit(endpoint).hostname).endswith(".localhost"):
        return f"{aws.clients['apigatewayv2'].meta.endpoint_url}/_aws/execute-api/{api}/{STAGE}"
    return f"{endpoint}/{STAGE}"


def probe(client: Client, names: Names, look: Callable[[], dict[str, Any]]) -> None:
    """Send an event, read it back, delete it. Raises DeployError with what was seen instead.

    A new endpoint answers 403, 404 or 5xx for some seconds, so each failure is tried again. When
    Redis stays away, `look` asks the function why.
    """
    started = time.monotonic()
    for last in attempts(_PROBE_PATIENCE):
        try:
            # Each time another name: a warm function remembers what it registered, and the attempt
            # before may have deleted that.
            return _probe_once(client, f"probe-{secrets.token_hex(8)}")
        except BackendError as error:
            redis_is_away = error.status == 503 and time.monotonic() - started > _REDIS_PATIENCE
            if last or redis_is_away:
                why = _trouble(look) if error.status == 503 else None
                raise DeployError(_diagnosis(error, names, why)) from None


def _trouble(look: Callable[[], dict[str, Any]]) -> str | None:
    """What stands between the functions and Redis, as far as it can be asked."""
    with contextlib.suppress(AwsError):
        trouble = look().get("trouble")
        return REDIS_TROUBLE.get(str(trouble))
    return None


def _probe_once(client: Client, name: str) -> None:
    if client.track(name, "probe", "participate", name, PROBE_NAMESPACE):
        raise BackendError("the probe event was queued, not counted", 503)
    try:
        found = client.experiment(name, PROBE_NAMESPACE)
    except BackendError:
        with contextlib.suppress(BackendError):
            client.delete(name, PROBE_NAMESPACE, forget=True)
        raise
    client.delete(name, PROBE_NAMESPACE, forget=True)
    trials = [variant["trials"] for variant in found["variants"]]
    if trials != [1]:
        raise BackendError(f"one event was sent, but the counts are {trials}")


def _diagnosis(error: BackendError, names: Names, trouble: str | None) -> str:
    hints = {
        403: "is the read key in the functions the one in the Parameter Store?",
        404: "the API does not know its routes",
        429: "`gimel results` lists the namespaces, `gimel delete` makes room",
        503: f"the functions run but do not reach Redis: {trouble or 'they could not say why'}",
    }
    logs = log_group(names.function(TRACK))
    hint = hints.get(error.status or 0, f"the functions' logs say more, e.g. {logs}")
    return f"deployed, but the probe event did not come through: {error}: {hint}"
