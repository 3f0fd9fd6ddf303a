"""A deploy from end to end, its verification with a probe event, and the changes of keys.

A deploy observes the stack, plans, applies the plan, and sends a probe event through the result.
There is no state file. A deploy that is killed half-way leaves behind what it has already changed;
the next deploy observes those changes and plans only the remaining ones.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from gimel.backend.access import Scope
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.limits import PROBE_NAMESPACE
from gimel.client import Backend, BackendClient, BackendError
from gimel.config.settings import Config
from gimel.stack.apply import apply
from gimel.stack.aws import Aws, AwsError, backoff
from gimel.stack.cache import offer
from gimel.stack.change import Change
from gimel.stack.deployed import (
    REDIS_TROUBLE,
    api_url,
    connect,
    find,
    find_keys,
    inspect_redis,
    reachable_function_url,
)
from gimel.stack.keys import MAIN, NAME_TAG, Key, new_key, parameter_of
from gimel.stack.lock import exclusive
from gimel.stack.plan.alarms import subscribes
from gimel.stack.plan.cache import creates_cache
from gimel.stack.plan.ownership import tag_list
from gimel.stack.prepare import Planned, prepare
from gimel.stack.progress import Say, silent, step
from gimel.stack.wanted import TRACK, DeployError, Names, log_group

# Seconds until a new endpoint must answer. Redis gets less time: a function that runs without
# reaching Redis will not reach it later either.
_PROBE_TIMEOUT = 30.0
_REDIS_TIMEOUT = 6.0


@dataclass(frozen=True)
class Deployed(Backend):
    """The result of a deploy: the backend's address and main key, and the changes that were made.

    `is_new` says that this deploy created the API. `keys` are the other keys that the functions
    accept. `dns_target` is the target of the DNS record that the custom domain name needs.
    `email_to_confirm` is the address for alarms, if this deploy subscribed it.
    """

    changes: tuple[Change, ...] = ()
    is_new: bool = False
    keys: tuple[Key, ...] = field(default=(), repr=False)
    seconds: float = 0
    dns_target: str | None = None
    email_to_confirm: str | None = None


def deploy(
    config: Config,
    say: Say = print,
    aws: Aws | None = None,
    *,
    adopt: bool = False,
    extra_keys: Collection[Key] = (),
    may_create_cache: bool = False,
) -> Deployed:
    """Change the stack into the one that the configuration describes, and verify it with an event.

    `say` receives one line for each step, and may be a `Progress`. `adopt` takes over resources
    that bear the stack's names but no tag. The functions accept `extra_keys` besides the keys of
    the Parameter Store. `may_create_cache` agrees to the price of a managed Redis.

    Raises AwsError and DeployError. After a failure, Ctrl-C or a kill, the changes made so far
    stay; the next call makes the remaining ones.
    """
    started = time.monotonic()
    aws = aws or connect(config)

    def observing(say: Say) -> Planned:
        planned = prepare(config, say, aws, adopt=adopt, extra_keys=extra_keys)
        if not may_create_cache:
            _refuse_creation(planned)
        return planned

    planned, saved = _change(aws, observing, say)
    url, function_url = _send_probe(aws, planned, saved, say)
    observed, key = planned.observed, planned.wanted.key
    if planned.changes:
        _restore_queues(aws, planned.wanted.names, observing, say)
    return Deployed(
        url=url,
        key=key,
        event_path=config.event_path,
        domain=config.domain.name if config.domain else None,
        function_url=function_url,
        changes=tuple(planned.changes),
        is_new=not observed.apis,
        keys=observed.keys,
        seconds=time.monotonic() - started,
        dns_target=_dns_target(aws, config),
        email_to_confirm=config.alarm_email if subscribes(planned.changes) else None,
    )


def _send_probe(
    aws: Aws, planned: Planned, saved: Mapping[str, str], say: Say
) -> tuple[str, str | None]:
    """Verify the stack with an event. Return its URL, and its function URL if it has one."""
    url = api_url(aws, saved["api"], saved["endpoint"])
    function_url = None
    if planned.wanted.has_function_url:
        function_url = reachable_function_url(aws, saved["function_url"], saved["endpoint"])
    names = planned.wanted.names
    with step(say, f"sending a probe event through {function_url or url}/e"):
        client = BackendClient(url, planned.wanted.key, function_url)
        probe(client, names, partial(inspect_redis, aws, names))
    return url, function_url


def _refuse_creation(planned: Planned) -> None:
    """Raise DeployError if the plan creates a managed Redis: nobody has agreed to its price."""
    wanted = planned.wanted
    if wanted.managed and creates_cache(wanted, planned.observed):
        text = offer(wanted.names, wanted.managed)
        raise DeployError(f"{text}. Run `gimel deploy` first, which asks before it does so")


def _change(
    aws: Aws, observing: Callable[[Say], Planned], say: Say
) -> tuple[Planned, Mapping[str, str]]:
    """Plan, and make the changes while no other command changes the stack.

    Return the plan, and the values that its calls saved.
    """
    planned = observing(say)
    if not planned.changes:
        return planned, _announce(planned, say)
    with exclusive(aws, planned.wanted.names, say) as lock:
        # Another command may have held the lock and changed the stack since the first look.
        planned = observing(say if lock.has_waited else silent)
        saved = _announce(planned, say)
        return planned, apply(aws, planned.changes, saved, say, lock.confirm)


def _announce(planned: Planned, say: Say) -> Mapping[str, str]:
    """Say the plan's notes. Return the values that earlier deploys saved."""
    for note in planned.notes:
        say(note)
    apis = planned.observed.apis
    saved = {"api": apis[0].id, "endpoint": apis[0].endpoint} if apis else {}
    if planned.observed.function_url:
        saved["function_url"] = planned.observed.function_url.url
    return saved


def _restore_queues(aws: Aws, names: Names, observing: Callable[[Say], Planned], say: Say) -> None:
    """Create the queues again that have disappeared since the deploy began.

    SQS may answer for a queue for 60 s after its deletion:
    https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteQueue.html
    """
    for _ in range(3):
        missing = [
            queue
            for queue in names.queues
            if aws.find("sqs", "get_queue_url", "QueueUrl", QueueName=queue) is None
        ]
        if not missing:
            return
        say(f"SQS has completed an earlier deletion of {', '.join(missing)}: deploying again")
        _change(aws, observing, say)
    raise DeployError("SQS has not kept the stack's queues: run `gimel deploy` again in a minute")


def verify(config: Config, aws: Aws) -> None:
    """Send a probe event through the deployed stack. Raises AwsError and DeployError."""
    names, backend = Names(config.stack), find(config, aws)
    client = BackendClient(backend.url, backend.key, backend.function_url)
    probe(client, names, partial(inspect_redis, aws, names))


def _dns_target(aws: Aws, config: Config) -> str | None:
    """Return the target of the custom domain's DNS record, or None if there is no domain."""
    if config.domain is None:
        return None
    query = "DomainNameConfigurations[0].ApiGatewayDomainName"
    name = config.domain.name
    return str(aws.call("apigatewayv2", "get_domain_name", query, DomainName=name))


def probe(client: BackendClient, names: Names, inspect: Callable[[], dict[str, Any]]) -> None:
    """Send a probe event, read it back and delete it. Raises DeployError with a diagnosis.

    A new endpoint answers 403, 404 or 5xx for some seconds, so a failed probe is repeated. If Redis
    stays unreachable, `inspect` asks the functions for the reason.
    """
    started = time.monotonic()
    for is_last in backoff(_PROBE_TIMEOUT):
        try:
            # Each attempt uses a new name. A warm function remembers the names that it has
            # registered, and the previous attempt may have deleted its name.
            return _probe_once(client, f"probe-{secrets.token_hex(8)}")
        except BackendError as error:
            waited = time.monotonic() - started
            if is_last or (error.status == 503 and waited > _REDIS_TIMEOUT):
                trouble = _redis_trouble(inspect) if error.status == 503 else None
                raise DeployError(_diagnosis(error, names, trouble)) from None


def _redis_trouble(inspect: Callable[[], dict[str, Any]]) -> str | None:
    """Return what keeps the functions from using Redis, or None if they cannot be asked."""
    with contextlib.suppress(AwsError):
        return REDIS_TROUBLE.get(str(inspect().get("trouble")))
    return None


def _probe_once(client: BackendClient, name: str) -> None:
    if "queued" in client.track(name, "probe", PARTICIPATE, name, PROBE_NAMESPACE):
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
        403: "check that the functions have the main key of the Parameter Store",
        404: "the API does not know its routes",
        429: "`gimel results` lists the namespaces, and `gimel delete` makes room",
        503: f"the functions run but do not reach Redis: {trouble or 'the reason is unknown'}",
    }
    logs = log_group(names.function(TRACK))
    hint = hints.get(error.status or 0, f"see the functions' logs, e.g. {logs}")
    return f"deployed, but the probe event did not come through: {error}: {hint}"


def rotate_key(config: Config, aws: Aws, say: Say) -> Deployed:
    """Replace the main key. The old key works until every function has the new one.

    First the functions accept both keys, then the Parameter Store receives the new key, then the
    functions forget the old key. If the rotation stops in between, the key in the Parameter Store
    works, and the next deploy removes the other one.
    """
    names = Names(config.stack)
    old, new = find(config, aws).key, new_key("owner")
    say("1 of 3: the functions accept both keys")
    deploy(config, say, aws, extra_keys=(new,))
    say("2 of 3: the Parameter Store receives the new key")
    parameter = {"Name": names.parameter, "Value": new.value, "Overwrite": True}
    aws.call_until_accepted("ssm", "put_parameter", **parameter)
    say("3 of 3: the functions forget the old key")
    deployed = deploy(config, say, aws)
    if deployed.key == old:
        raise DeployError("the Parameter Store still returns the old key: run the command again")
    return deployed


def create_key(config: Config, aws: Aws, scope: Scope, name: str, say: Say) -> str:
    """Create a key besides the main key. Return it when the functions accept it.

    First the Parameter Store receives the key, then the functions accept it. If the creation stops
    in between, the next deploy completes it. Raises AwsError and DeployError.
    """
    find(config, aws)
    names, new = Names(config.stack), new_key(scope, name)
    # The plan fails if Lambda has no room for another hash. Nothing is changed by then.
    planned = prepare(config, say, aws, extra_keys=(new,))
    say(f"1 of 2: the Parameter Store receives key {new.id}")
    aws.call_until_accepted(
        "ssm",
        "put_parameter",
        Name=parameter_of(names.keys, new),
        Description="A key of this Gimel",
        Value=new.value,
        Type="SecureString",
        Tags=tag_list({**planned.wanted.tags, **({NAME_TAG: name} if name else {})}),
    )
    say(f"2 of 2: the functions accept key {new.id}. If this stops, `gimel deploy` completes it")
    if new not in deploy(config, say, aws).keys:
        raise DeployError(f"the Parameter Store does not list key {new.id} yet: run `gimel deploy`")
    return new.value


def revoke_key(config: Config, aws: Aws, id: str, say: Say) -> None:
    """Delete a key. It works until every function has forgotten it.

    First the Parameter Store deletes the key, then the functions forget it. If the revocation stops
    in between, the next deploy completes it. Raises AwsError and DeployError.
    """
    if id == MAIN:
        raise DeployError("the main key cannot be revoked: `gimel key rotate` replaces it")
    key = next((key for key in find_keys(config, aws) if key.id == id), None)
    if key is None:
        raise DeployError(
            f"there is no key {id}: `gimel key list` lists the keys. If a revocation was stopped, "
            "`gimel deploy` completes it"
        )
    say(f"1 of 2: the Parameter Store deletes key {id}")
    aws.call("ssm", "delete_parameter", Name=parameter_of(Names(config.stack).keys, key))
    say(f"2 of 2: the functions forget key {id}. If this stops, `gimel deploy` completes it")
    if key in deploy(config, say, aws).keys:
        raise DeployError(f"the Parameter Store still lists key {id}: run `gimel deploy`")
