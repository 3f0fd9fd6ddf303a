"""What a stack is made of: names, settings and JSON documents, all pure functions.

Names follow from the stack's name alone, so AWS itself is the only state.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gimel import __version__, gimel
from gimel.backend.errors import GimelError
from gimel.backend.wire import CORS_HEADERS, CORS_MAX_AGE, CORS_METHODS
from gimel.config.settings import Config
from gimel.config.stack import Domain, Throttle, Vpc
from gimel.stack.aws import Home
from gimel.stack.bundle import Bundle

DEFAULT_STACK = "gimel"
STAGE = "prod"
ALIAS = "live"
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
REPLAY_SECONDS = 30
# A look-up of a name is the one step that no timeout of ours ends: by itself glibc waits for 10 s.
RESOLVER = "timeout:1 attempts:1"
# How config.json calls the functions that answer requests.
SETTINGS_OF = {TRACK: "track", READS: "reads", DELETE: "delete"}
# Without START, END and REPORT, which cost more than an event's time: a system line only where
# something failed. What Gimel prints has no timestamp, and counts as INFO for Lambda.
LOGGING = {"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "WARN"}
LATEST = "$LATEST"
_REGION = r"-[a-z]{2}(-[a-z]+)+-\d"
# Executions that AWS keeps for functions that reserve none.
UNRESERVED = 100
Tags = Mapping[str, str]

_SERVED_BY = {gimel.track: TRACK, gimel.delete: DELETE}


class DeployError(GimelError):
    """A deploy cannot be done, or did not come out right; the message is one line."""


@dataclass(frozen=True)
class Names:
    """The names of all that belongs to a stack."""

    stack: str

    @property
    def role(self) -> str:
        """The role of the functions."""
        return self.stack

    def policy(self, region: str) -> str:
        """The role's policy for a region: IAM is global, one role serves the stack in all."""
        return f"{self.stack}-{region}"

    @property
    def api(self) -> str:
        """The HTTP API."""
        return self.stack

    @property
    def parameter(self) -> str:
        """The parameter that holds the read key."""
        return f"/{self.stack}/read-key"

    @property
    def queue(self) -> str:
        """The queue of the events that Redis did not take."""
        return f"{self.stack}-events"

    @property
    def dead_letters(self) -> str:
        """The queue of the messages that could not be replayed."""
        return f"{self.stack}-events-dead"

    def function(self, purpose: str) -> str:
        """The function for a purpose: TRACK, READS, DELETE or REPLAY."""
        return f"{self.stack}-{purpose}"

    @property
    def functions(self) -> tuple[str, ...]:
        """All functions."""
        return tuple(map(self.function, _HANDLERS))

    def policies_elsewhere(self, region: str, policies: Collection[str]) -> list[str]:
        """Those of the role's policies by which the stack lives in other regions."""
        pattern = re.escape(self.stack) + _REGION
        return [
            name for name in policies if re.fullmatch(pattern, name) and name != self.policy(region)
        ]

    @property
    def tags(self) -> dict[str, str]:
        """What everything of the stack is tagged with."""
        return {TAG: self.stack}


def log_group(function: str) -> str:
    """The log group that Lambda writes a function's output to."""
    return f"/aws/lambda/{function}"


@dataclass(frozen=True)
class Wanted:
    """The stack as the configuration wants it.

    `configurations` are Lambda's, by function; `routes` say which function serves a route key;
    `concurrency` is what is reserved, by function.
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
    vpc: Vpc | None
    domain: Domain | None
    tags: Tags
    boundary: str | None

    @property
    def code(self) -> dict[str, Any]:
        """The part of a function's settings that goes with its code."""
        return {"CodeSha256": self.bundle.sha256, "Architectures": [self.architecture]}


def wanted_stack(
    config: Config, home: Home, key: str, bundle: Bundle, also: Collection[str] = ()
) -> Wanted:
    """What the configuration asks for, in this account and region, with this read key.

    `also`: other keys that are good for the moment.
    """
    names = Names(config.stack)
    return Wanted(
        names=names,
        home=home,
        key=key,
        bundle=bundle,
        architecture=config.architecture,
        configurations=_configurations(config, home, bundle, (key, *also)),
        # The queue bounds how often the replay runs at once.
        concurrency={
            names.function(REPLAY): None,
            **{
                names.function(purpose): getattr(config.reserved_concurrency, setting)
                for purpose, setting in SETTINGS_OF.items()
            },
        },
        log_retention_days=config.log_retention_days,
        routes=_routes(config, names),
        throttle=config.throttle,
        cors=cors(config.allowed_origins),
        vpc=config.vpc,
        domain=config.domain,
        tags={**config.tags, **names.tags},
        boundary=config.permissions_boundary,
    )


def key_hash(keys: Collection[str]) -> str:
    """The keys as the functions know them."""
    return ",".join(hashlib.sha256(key.encode()).hexdigest() for key in keys)


def _configurations(
    config: Config, home: Home, bundle: Bundle, keys: tuple[str, ...]
) -> dict[str, dict[str, Any]]:
    names, vpc = Names(config.stack), config.vpc
    environment = {
        "GIMEL_COUNTING": config.counting,
        "GIMEL_KEY_SHA256": key_hash(keys),
        "GIMEL_LIMITS": config.limits.model_dump_json(),
        "GIMEL_QUEUE": home.arn("sqs", names.queue),
        "GIMEL_SHARDS": str(config.shards),
        **config.redis.environment,
        "RES_OPTIONS": RESOLVER,
    }
    configurations: dict[str, dict[str, Any]] = {
        names.function(purpose): {
            "Handler": handler,
            "Runtime": bundle.runtime,
            "Timeout": _timeout(config, purpose),
            "MemorySize": config.memory,
            "Role": home.arn("iam", f"role/{names.role}", regional=False),
            "Environment": {"Variables": environment},
            "LoggingConfig": LOGGING,
            "VpcConfig": {
                "SubnetIds": sorted(vpc.subnets) if vpc else [],
                "SecurityGroupIds": sorted(vpc.security_groups) if vpc else [],
            },
        }
        for purpose, handler in _HANDLERS.items()
    }
    # All functions change together, so that a rollback finds what belongs together.
    content = json.dumps([configurations, bundle.sha256, config.architecture], sort_keys=True)
    release = hmac.new(keys[0].encode(), content.encode(), "sha256").hexdigest()[:8]
    for configuration in configurations.values():
        configuration["Description"] = f"gimel {__version__}, release {release}"
    return configurations


def _timeout(config: Config, purpose: str) -> int:
    return REPLAY_SECONDS if purpose == REPLAY else getattr(config.timeouts, SETTINGS_OF[purpose])


def _routes(config: Config, names: Names) -> dict[str, str]:
    routes = {
        route: names.function(_SERVED_BY.get(handler, READS))
        for route, handler in gimel.ROUTES.items()
    }
    own = [f"{verb} /{config.event_path}" for verb in ("GET", "POST")]
    own += [wiring.route for wiring in config.extra_wiring]
    return routes | dict.fromkeys(own, names.function(TRACK))


def called(wanted: Wanted) -> list[str]:
    """The functions that the API calls."""
    return [name for name in wanted.names.functions if name in wanted.routes.values()]


def alias_arn(home: Home, function: str) -> str:
    """What the API invokes."""
    return home.arn("lambda", f"function:{function}:{ALIAS}")


def cors(origins: Collection[str] = ("*",)) -> dict[str, Any]:
    """Who may call from a browser: any page, as AlephBet does; a key is asked for where it counts.

    MaxAge is in seconds.
    """
    return {
        "AllowOrigins": list(origins),
        "AllowMethods": list(CORS_METHODS),
        "AllowHeaders": list(CORS_HEADERS),
        "MaxAge": CORS_MAX_AGE,
    }
