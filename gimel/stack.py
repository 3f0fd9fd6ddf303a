"""What a stack is made of: names, settings and JSON documents, all pure functions.

Names follow from the stack's name alone, so AWS itself is the only state.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gimel import gimel
from gimel.aws import Home
from gimel.bundle import Bundle
from gimel.config import Config

DEFAULT_STACK = "gimel"
STAGE = "prod"
ALIAS = "live"
INVOKER = "gimel-http-api"
TAG = "gimel:stack"
VERSIONS_KEPT = 5

TRACK, READS, DELETE = "track", "all-experiments", "delete-experiment"
# Seconds. Reads end before API Gateway, which waits for 30, gives up.
_FUNCTIONS = {
    TRACK: ("gimel.gimel.track", 5),
    READS: ("gimel.gimel.handle", 29),
    DELETE: ("gimel.gimel.delete", 29),
}
LATEST = "$LATEST"
Tags = Mapping[str, str]

_SERVED_BY = {gimel.track: TRACK, gimel.delete: DELETE}


class DeployError(Exception):
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

    def function(self, purpose: str) -> str:
        """The function for a purpose: TRACK, READS or DELETE."""
        return f"{self.stack}-{purpose}"

    @property
    def functions(self) -> tuple[str, ...]:
        """All functions."""
        return tuple(map(self.function, _FUNCTIONS))

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

    `configurations` are Lambda's, by function; `routes` say which function serves a route key.
    """

    names: Names
    home: Home
    key: str = field(repr=False)
    bundle: Bundle = field(repr=False)
    configurations: Mapping[str, Mapping[str, Any]] = field(repr=False)
    log_retention_days: int
    routes: Mapping[str, str]


def wanted(config: Config, home: Home, key: str, bundle: Bundle) -> Wanted:
    """What the configuration asks for, in this account and region, with this read key."""
    names = Names(config.stack)
    environment = {
        "GIMEL_COUNTING": config.counting,
        "GIMEL_KEY_SHA256": hashlib.sha256(key.encode()).hexdigest(),
        "GIMEL_REDIS_URL": config.redis.address,
        "GIMEL_SHARDS": str(config.shards),
    }
    return Wanted(
        names=names,
        home=home,
        key=key,
        bundle=bundle,
        configurations={
            names.function(purpose): {
                "Handler": handler,
                "Runtime": bundle.runtime,
                "Timeout": timeout,
                "MemorySize": config.memory,
                "Role": home.arn("iam", f"role/{names.role}", regional=False),
                "Environment": {"Variables": environment},
            }
            for purpose, (handler, timeout) in _FUNCTIONS.items()
        },
        log_retention_days=config.log_retention_days,
        routes={
            route: names.function(_SERVED_BY.get(handler, READS))
            for route, handler in gimel.ROUTES.items()
        }
        | {wiring.route: names.function(TRACK) for wiring in config.extra_wiring},
    )


@dataclass(frozen=True)
class SeenRole:
    """The role as it is."""

    tags: Tags
    trust: Any
    permissions: Any


@dataclass(frozen=True)
class SeenFunction:
    """A function as it is: settings by version ($LATEST too), its alias, who may call that."""

    tags: Tags
    versions: Mapping[str, Mapping[str, Any]] = field(repr=False)
    live: str | None
    invokers: Mapping[str, str | None]


@dataclass(frozen=True)
class SeenLogGroup:
    """A log group as it is."""

    arn: str
    tags: Tags
    retention_days: int | None


@dataclass(frozen=True)
class SeenParameter:
    """The read key as it is kept."""

    tags: Tags
    key: str = field(repr=False)


@dataclass(frozen=True)
class SeenApi:
    """An API of the stack: `integrations` id -> URI, `routes` key -> (id, integration's id)."""

    id: str
    endpoint: str
    cors: Mapping[str, Any] | None
    integrations: Mapping[str, str]
    routes: Mapping[str, tuple[str, str]]
    auto_deploys: bool | None


@dataclass(frozen=True)
class Seen:
    """What there is of a stack. `apis` are those that bear its tag, the oldest first."""

    parameter: SeenParameter | None
    role: SeenRole | None
    functions: Mapping[str, SeenFunction]
    log_groups: Mapping[str, SeenLogGroup]
    apis: tuple[SeenApi, ...]


def code(bundle: Bundle) -> dict[str, Any]:
    """The part of a function's settings that goes with its code."""
    return {"CodeSha256": bundle.sha256, "Architectures": ["arm64"]}


def alias_arn(home: Home, function: str) -> str:
    """What the API invokes."""
    return home.arn("lambda", f"function:{function}:{ALIAS}")


def trust_policy() -> dict[str, Any]:
    """Who may take the role: Lambda, nobody else."""
    return _policy(
        {
            "Effect": "Allow",
            "Principal": {"Service": "lambda.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    )


def permissions_policy(names: Names, home: Home) -> dict[str, Any]:
    """What the functions may do: write to their own logs.

    A log stream's ARN is its group's, followed by its name: hence `:*`.
    """
    groups = map(log_group, names.functions)
    return _policy(
        {
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": [home.arn("logs", f"log-group:{group}:*") for group in groups],
        }
    )


def _policy(statement: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": [statement]}


def cors() -> dict[str, Any]:
    """Who may call from a browser: any page, as AlephBet does; a key is asked for where it counts.

    MaxAge is in seconds.
    """
    return {
        "AllowOrigins": ["*"],
        "AllowMethods": ["GET", "POST", "DELETE", "OPTIONS"],
        "AllowHeaders": ["content-type", "x-api-key"],
        "MaxAge": 86400,
    }
