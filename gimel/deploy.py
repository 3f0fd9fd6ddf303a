"""A deploy: observe what there is, plan, apply, and see with an event that it works."""

import contextlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gimel.backend.limits import PROBE_NAMESPACE
from gimel.client import Backend, BackendError, Client
from gimel.config.settings import Config
from gimel.stack.apply import Say, apply
from gimel.stack.aws import Aws, AwsError, attempts
from gimel.stack.change import Change
from gimel.stack.deployed import REDIS_TROUBLE, connect, find, look_inside, public_url
from gimel.stack.prepare import prepare
from gimel.stack.wanted import TRACK, DeployError, Names, log_group

# Seconds that a new endpoint may take until it answers. Redis gets less: a function that runs and
# does not reach it will not learn to.
_PROBE_PATIENCE = 30.0
_REDIS_PATIENCE = 6.0


@dataclass(frozen=True)
class Deployed(Backend):
    """What a deploy came to: `changes` made, in order; `key_is_new`: made by this deploy.

    `domain`: the stack's own name, and what a DNS record has to lead it to.
    """

    changes: tuple[Change, ...] = ()
    key_is_new: bool = False
    seconds: float = 0
    domain: tuple[str, str] | None = None


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
    url = public_url(aws, known["api"], known["endpoint"])
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


def rotate_key(config: Config, aws: Aws, say: Say) -> Deployed:
    """Draw another read key. The old one is good until the new one is in place everywhere.

    First the functions learn the new key beside the old one, then it is kept, then they forget the
    old one. Stopped between: the key that is kept is good, and the next deploy puts the rest right.
    """
    names = Names(config.stack)
    old, new = find(config, aws).key, secrets.token_urlsafe(32)
    say("1 of 3: the functions take both keys")
    deploy(config, say, aws, also=(new,))
    say("2 of 3: the new key is kept")
    aws.call("ssm", "put_parameter", Name=names.parameter, Value=new, Overwrite=True)
    say("3 of 3: the functions forget the old key")
    deployed = deploy(config, say, aws)
    if deployed.key == old:
        raise DeployError("the Parameter Store still gives the old key: run it again")
    return deployed
