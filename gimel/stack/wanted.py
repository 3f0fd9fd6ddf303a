"""The wanted stack: the names and settings of all resources, derived from the configuration.

All functions are pure. The names follow from the stack's name alone, so no state file is needed.
`gimel.stack.plan.queue` holds the settings of the queues, `gimel.stack.permissions` those of the
role.
"""

import hmac
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gimel import __version__, gimel
from gimel.backend.counting.keys import DATA_MODEL
from gimel.backend.errors import GimelError
from gimel.backend.wire import CORS_EXPOSED, CORS_HEADERS, CORS_MAX_AGE, CORS_METHODS
from gimel.config.redis import ManagedRedis, managed_environment
from gimel.config.settings import Config
from gimel.config.stack import Domain, Throttle, Vpc
from gimel.stack.aws import Home
from gimel.stack.bundle import Bundle
from gimel.stack.change import Template, fill, saved_value
from gimel.stack.keys import Key, accepted_hashes

DEFAULT_STACK = "gimel"
STAGE = "prod"
ALIAS = "live"
# The id of the statement that lets the HTTP API invoke a function.
INVOKER = "gimel-http-api"
TAG = "gimel:stack"
VERSIONS_KEPT = 5

TRACK, READS, DELETE = "track", "all-experiments", "delete-experiment"
REPLAY = "replay"
_HANDLERS = {
    TRACK: "gimel.aws_lambda.track",
    READS: "gimel.aws_lambda.reads",
    DELETE: "gimel.aws_lambda.delete",
    REPLAY: "gimel.aws_lambda.replay",
}
# The id of the statement that lets the rule for snapshots invoke the reading function.
RULE_INVOKER = "gimel-snapshots"
# What the alarms are about: see `gimel.stack.alarms`.
_ALARMS = ("errors", "refused", "dead-letters", "queue", "redis", "charges")
# Seconds that the replay function may take.
REPLAY_TIMEOUT = 30
# Gimel's timeouts do not cover the lookup of a host name, and glibc waits 10 s by default.
RESOLVER = "timeout:1 attempts:1"
# The names in config.json of the functions that answer requests.
_CONFIG_NAMES = {TRACK: "track", READS: "reads", DELETE: "delete"}
# No START, END and REPORT lines: logging them costs more than running an event. With WARN, Lambda
# logs a line of its own only after a failure. Lambda treats the lines that Gimel prints, which have
# no timestamp, as INFO.
LOGGING = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"}
LATEST = "$LATEST"
# The name under which the creation of the managed Redis saves its address.
CACHE_ADDRESS = "address of the cache"
_REGION_SUFFIX = r"-[a-z]{2,4}(-[a-z]+)+-\d"
# AWS refuses a reservation that leaves the account fewer unreserved executions than this.
MIN_UNRESERVED = 100
# Bytes that Lambda allows for all variables of a function together.
_MAX_ENVIRONMENT = 4096
Tags = Mapping[str, str]

_SERVED_BY = {**dict.fromkeys(gimel.BY_TRACK, TRACK), gimel.delete: DELETE}


class DeployError(GimelError):
    """A deploy is impossible or failed. The message is one line."""


@dataclass(frozen=True)
class Names:
    """The names of a stack's resources."""

    stack: str

    @property
    def role(self) -> str:
        """The role of the functions."""
        return self.stack

    def policy(self, region: str) -> str:
        """Return the name of the role's policy for a region.

        IAM is global, so one role serves the stacks of this name in all regions.
        """
        return f"{self.stack}-{region}"

    @property
    def api(self) -> str:
        """The HTTP API."""
        return self.stack

    @property
    def parameter(self) -> str:
        """The parameter that holds the main key. Earlier versions had no other key."""
        return f"/{self.stack}/read-key"

    @property
    def keys(self) -> str:
        """The path of the parameters that hold all other keys."""
        return f"/{self.stack}/keys"

    @property
    def lock(self) -> str:
        """The parameter that a command holds while it changes the stack."""
        return f"/{self.stack}/changing"

    @property
    def queue(self) -> str:
        """The queue for events that could not be written to Redis."""
        return f"{self.stack}-events"

    @property
    def dead_letters(self) -> str:
        """The queue for messages that could not be replayed."""
        return f"{self.stack}-events-dead"

    @property
    def queues(self) -> tuple[str, str]:
        """The names of both queues, in the order in which they are created."""
        return self.dead_letters, self.queue

    @property
    def rule(self) -> str:
        """The EventBridge rule that calls for snapshots."""
        return f"{self.stack}-snapshots"

    @property
    def topic(self) -> str:
        """The SNS topic that mails the alarms."""
        return f"{self.stack}-alarms"

    def alarm(self, subject: str) -> str:
        """Return the name of the alarm about a subject."""
        return f"{self.stack}-{subject}"

    @property
    def alarms(self) -> tuple[str, ...]:
        """The names of all alarms."""
        return tuple(map(self.alarm, _ALARMS))

    @property
    def cache(self) -> str:
        """The managed Redis, a cache of ElastiCache Serverless."""
        return self.stack

    def function(self, purpose: str) -> str:
        """Return the name of the function for a purpose: TRACK, READS, DELETE or REPLAY."""
        return f"{self.stack}-{purpose}"

    @property
    def functions(self) -> tuple[str, ...]:
        """The names of all functions."""
        return tuple(map(self.function, _HANDLERS))

    def policies_elsewhere(self, region: str, policies: Collection[str]) -> list[str]:
        """Return those of the role's policies that belong to the stack in other regions."""
        pattern = re.escape(self.stack) + _REGION_SUFFIX
        return [
            name for name in policies if re.fullmatch(pattern, name) and name != self.policy(region)
        ]

    @property
    def tags(self) -> dict[str, str]:
        """The tag that marks every resource of the stack."""
        return {TAG: self.stack}


def log_group(function: str) -> str:
    """Return the log group that Lambda writes a function's output to."""
    return f"/aws/lambda/{function}"


@dataclass(frozen=True)
class Wanted:
    """The stack that the configuration describes.

    `configurations` holds each function's settings, in Lambda's terms. `concurrency` holds each
    function's reserved concurrency, and None means that nothing is reserved. `routes` maps a route
    key to the function that serves it. `has_function_url`: events also come through a function URL.
    Without `alarm_email` there are no alarms. `mails_news`: the functions publish to the topic.
    """

    names: Names
    home: Home
    key: str = field(repr=False)
    bundle: Bundle = field(repr=False)
    architecture: str
    configurations: Mapping[str, Mapping[str, Any]] = field(repr=False)
    concurrency: Mapping[str, int | None]
    log_retention_days: int
    routes: Mapping[str, str]
    throttle: Throttle
    cors: Mapping[str, Any]
    event_path: str
    has_function_url: bool
    managed: ManagedRedis | None
    vpc: Vpc | None
    domain: Domain | None
    tags: Tags
    boundary: str | None
    alarm_email: str | None
    mails_news: bool
    alarm_dollars_per_day: float
    secret: str | None
    kms_key: str | None

    @property
    def code(self) -> dict[str, Any]:
        """The settings of a version that belong to its code."""
        return {"CodeSha256": self.bundle.sha256, "Architectures": [self.architecture]}


def wanted_stack(
    config: Config,
    home: Home,
    key: str,
    bundle: Bundle,
    keys: Collection[Key] = (),
    cache_address: str | None = None,
) -> Wanted:
    """Return the stack that the configuration describes, in this account and with this main key.

    The functions accept `keys` besides the main key. `cache_address` is the managed Redis's host
    and port, if it exists. Raises DeployError if there are too many keys.
    """
    names = Names(config.stack)
    configurations = _configurations(config, home, bundle, key, keys)
    if cache_address:
        configurations = fill(configurations, {CACHE_ADDRESS: cache_address})
    _refuse_long(configurations)
    return Wanted(
        names=names,
        home=home,
        key=key,
        bundle=bundle,
        architecture=config.architecture,
        configurations=configurations,
        # The queue's mapping limits how many replays run at once.
        concurrency={
            names.function(REPLAY): None,
            **{
                names.function(purpose): getattr(config.reserved_concurrency, setting)
                for purpose, setting in _CONFIG_NAMES.items()
            },
        },
        log_retention_days=config.log_retention_days,
        routes=_routes(config, names),
        throttle=config.throttle,
        cors=cors(config.allowed_origins),
        event_path=config.event_path,
        has_function_url=config.events == "function-url",
        managed=config.redis.managed,
        vpc=config.vpc,
        domain=config.domain,
        tags={**config.tags, **names.tags},
        boundary=config.permissions_boundary,
        alarm_email=config.alarm_email,
        mails_news=config.alarm_email is not None and config.notify is None,
        alarm_dollars_per_day=config.alarm_dollars_per_day,
        secret=config.redis.secret,
        kms_key=config.kms_key,
    )


def _refuse_long(configurations: Mapping[str, Any]) -> None:
    """Raise DeployError if the variables are too long for Lambda, which measures compact JSON."""
    # All functions have the same variables.
    variables = next(iter(configurations.values()))["Environment"]["Variables"]
    size = len(json.dumps(variables, separators=(",", ":"), ensure_ascii=False).encode())
    if size > _MAX_ENVIRONMENT:
        raise DeployError(
            f"the functions' variables would take {size:,} bytes, and Lambda allows "
            f"{_MAX_ENVIRONMENT:,}. Each key takes about 70, and redis.ca counts too. Make room: "
            "`gimel key revoke`"
        )


def _environment(config: Config, home: Home, key: str, keys: Collection[Key]) -> dict[str, str]:
    variables = {
        "GIMEL_ACCEPT": config.accept,
        "GIMEL_BOTS": config.bots,
        "GIMEL_COUNTING": config.counting,
        "GIMEL_KEY_SHA256": accepted_hashes(key, keys),
        "GIMEL_LIMITS": config.known_limits.model_dump_json(),
        "GIMEL_QUEUE": home.arn("sqs", Names(config.stack).queue),
        "GIMEL_SHARDS": str(config.shards),
        **_redis_variables(config),
        **_news_variables(config, home),
        "RES_OPTIONS": RESOLVER,
    }
    if config.events == "function-url" and (further := _further_event_routes(config)):
        variables["GIMEL_EVENT_ROUTES"] = ",".join(further)
    return variables


def _redis_variables(config: Config) -> dict[str, str]:
    """Return the variables that lead to Redis. The managed Redis has no address until it exists."""
    if not config.redis.managed:
        return config.redis.environment
    variables = managed_environment(Names(config.stack).cache, saved_value(CACHE_ADDRESS))
    return {name: Template(value) for name, value in variables.items()}


def _news_variables(config: Config, home: Home) -> dict[str, str]:
    """Return the variables that say where news go: to the webhook, else to the alarms' topic."""
    if config.notify:
        url, form = config.notify.webhook.get_secret_value(), config.notify.form
        return {"GIMEL_NOTIFY": url, "GIMEL_NOTIFY_FORM": form}
    if config.alarm_email:
        return {"GIMEL_NOTIFY": home.arn("sns", Names(config.stack).topic)}
    return {}


def _configurations(
    config: Config, home: Home, bundle: Bundle, key: str, keys: Collection[Key]
) -> dict[str, dict[str, Any]]:
    names, vpc = Names(config.stack), config.vpc
    environment = _environment(config, home, key, keys)
    configurations: dict[str, dict[str, Any]] = {
        names.function(purpose): {
            "Handler": handler,
            "Runtime": bundle.runtime,
            "Timeout": _timeout(config, purpose),
            "MemorySize": config.memory,
            "Role": home.arn("iam", f"role/{names.role}", regional=False),
            "Environment": {"Variables": environment},
            # An empty text stands for Lambda's own key.
            "KMSKeyArn": config.kms_key or "",
            "LoggingConfig": {**LOGGING, "LogGroup": log_group(names.function(purpose))},
            "VpcConfig": {
                "SubnetIds": sorted(vpc.subnets) if vpc else [],
                "SecurityGroupIds": sorted(vpc.security_groups) if vpc else [],
            },
        }
        for purpose, handler in _HANDLERS.items()
    }
    # A change of one function makes a new release of all: a rollback restores a whole release.
    # An address in a template is not known yet, and no part of the release.
    content = json.dumps([configurations, bundle.sha256, config.architecture], sort_keys=True)
    release = hmac.new(key.encode(), content.encode(), "sha256").hexdigest()[:8]
    for configuration in configurations.values():
        configuration["Description"] = f"gimel {__version__}, data {DATA_MODEL}, release {release}"
    return configurations


def _timeout(config: Config, purpose: str) -> int:
    if purpose == REPLAY:
        return REPLAY_TIMEOUT
    return int(getattr(config.timeouts, _CONFIG_NAMES[purpose]))


def _routes(config: Config, names: Names) -> dict[str, str]:
    routes = {
        route: names.function(_SERVED_BY.get(handler, READS))
        for route, handler in gimel.ROUTES.items()
    }
    return routes | dict.fromkeys(_further_event_routes(config), names.function(TRACK))


def _further_event_routes(config: Config) -> list[str]:
    """Return the routes for events that only the configuration adds."""
    routes = [f"{verb} /{config.event_path}" for verb in ("GET", "POST")]
    routes += [wiring.route for wiring in config.extra_wiring]
    return [route for route in dict.fromkeys(routes) if route not in gimel.ROUTES]


def routed_functions(wanted: Wanted) -> list[str]:
    """Return the names of the functions that the API calls."""
    return [name for name in wanted.names.functions if name in wanted.routes.values()]


def alias_arn(home: Home, function: str) -> str:
    """Return the ARN of a function's alias, which the API and the queue invoke."""
    return home.arn("lambda", f"function:{function}:{ALIAS}")


def cors(origins: Collection[str]) -> dict[str, Any]:
    """Return the CORS settings: pages of these origins may call the API from a browser.

    `allowed_origins` in config.json names all pages by default, since the routes that need
    protection ask for a key. MaxAge is in seconds.
    """
    return {
        "AllowOrigins": list(origins),
        "AllowMethods": list(CORS_METHODS),
        "AllowHeaders": list(CORS_HEADERS),
        "ExposeHeaders": list(CORS_EXPOSED),
        "MaxAge": CORS_MAX_AGE,
    }
