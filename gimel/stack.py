"""What a stack is made of: names, settings and JSON documents, all pure functions.

Names follow from the stack's name alone, so AWS itself is the only state.
"""

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from gimel import __version__, gimel
from gimel.aws import Home
from gimel.bundle import Bundle
from gimel.config import Config
from gimel.config_stack import Domain, Throttle, Vpc

DEFAULT_STACK = "gimel"
STAGE = "prod"
ALIAS = "live"
INVOKER = "gimel-http-api"
TAG = "gimel:stack"
VERSIONS_KEPT = 5

TRACK, READS, DELETE = "track", "all-experiments", "delete-experiment"
_HANDLERS = {
    TRACK: "gimel.direct.track",
    READS: "gimel.direct.reads",
    DELETE: "gimel.direct.delete",
}
# How config.json calls the functions.
SETTINGS_OF = {TRACK: "track", READS: "reads", DELETE: "delete"}
LATEST = "$LATEST"
# Executions that AWS keeps for functions that reserve none.
UNRESERVED = 100
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
        return tuple(map(self.function, _HANDLERS))

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


def wanted(
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
        concurrency={
            names.function(purpose): getattr(config.reserved_concurrency, setting)
            for purpose, setting in SETTINGS_OF.items()
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
        "GIMEL_REDIS_URL": config.redis.address,
        "GIMEL_SHARDS": str(config.shards),
    }
    configurations: dict[str, dict[str, Any]] = {
        names.function(purpose): {
            "Handler": handler,
            "Runtime": bundle.runtime,
            "Timeout": getattr(config.timeouts, SETTINGS_OF[purpose]),
            "MemorySize": config.memory,
            "Role": home.arn("iam", f"role/{names.role}", regional=False),
            "Environment": {"Variables": environment},
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


def _routes(config: Config, names: Names) -> dict[str, str]:
    routes = {
        route: names.function(_SERVED_BY.get(handler, READS))
        for route, handler in gimel.ROUTES.items()
    }
    own = [f"{verb} /{config.event_path}" for verb in ("GET", "POST")]
    own += [wiring.route for wiring in config.extra_wiring]
    return routes | dict.fromkeys(own, names.function(TRACK))


@dataclass(frozen=True)
class SeenRole:
    """The role as it is: `permissions` is this region's policy, `policies` the names of all."""

    tags: Tags
    trust: Any
    permissions: Any
    policies: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    boundary: str | None = None


@dataclass(frozen=True)
class SeenFunction:
    """A function as it is: settings by version ($LATEST too), its alias, who may call that.

    `concurrency` is what is reserved for it.
    """

    tags: Tags
    versions: Mapping[str, Mapping[str, Any]] = field(repr=False)
    live: str | None
    invokers: Mapping[str, str | None]
    concurrency: int | None = None


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
    tags: Tags = field(default_factory=dict)
    throttle: Throttle | None = None


@dataclass(frozen=True)
class SeenDomain:
    """A domain name: `target` is what its DNS record points to; `mappings` id -> (API, stage)."""

    name: str
    tags: Tags
    certificate: str | None
    target: str
    mappings: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class SeenLegacy:
    """What gimel 1.x left that nothing takes over: its REST API and the keys made for that."""

    api: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Seen:
    """What there is of a stack. `apis` are those that bear its tag, the oldest first.

    `unreserved` is how many executions the account has left to reserve from.
    """

    parameter: SeenParameter | None
    role: SeenRole | None
    functions: Mapping[str, SeenFunction]
    log_groups: Mapping[str, SeenLogGroup]
    apis: tuple[SeenApi, ...]
    domains: tuple[SeenDomain, ...] = ()
    legacy: SeenLegacy | None = None
    unreserved: int = 1000


def alias_arn(home: Home, function: str) -> str:
    """What the API invokes."""
    return home.arn("lambda", f"function:{function}:{ALIAS}")


def trust_policy(legacy: bool = False) -> dict[str, Any]:
    """Who may take the role: Lambda, nobody else; but the REST API of gimel 1.x takes it too."""
    services = ["lambda.amazonaws.com", *(["apigateway.amazonaws.com"] if legacy else [])]
    return _policy(
        *(
            {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
            for service in services
        )
    )


def permissions_policy(
    names: Names, home: Home, vpc: Vpc | None = None, legacy: bool = False
) -> dict[str, Any]:
    """What the functions may do: write to their own logs; in a VPC, have their network interfaces.

    A log stream's ARN is its group's, followed by its name: hence `:*`.
    """
    groups = map(log_group, names.functions)
    logs = {
        "Effect": "Allow",
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": [home.arn("logs", f"log-group:{group}:*") for group in groups],
    }
    statements = [logs, *(_network(names, home) if vpc else [])]
    if legacy:
        aliases = [alias_arn(home, name) for name in names.functions]
        statements.append(
            {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": aliases}
        )
    return _policy(*statements)


def _network(names: Names, home: Home) -> list[dict[str, Any]]:
    """What Lambda, with the role, needs for a function in a VPC; not what its code may do.

    EC2 knows no narrower resource for looking at interfaces, and Lambda asks for the right to
    delete any: https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html.
    """
    looking = ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    changing = [
        *("ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface"),
        *("ec2:DeleteNetworkInterface", "ec2:UnassignPrivateIpAddresses"),
    ]
    functions = [home.arn("lambda", f"function:{name}") for name in names.functions]
    return [
        {"Effect": "Allow", "Action": looking, "Resource": "*"},
        {"Effect": "Allow", "Action": changing, "Resource": home.arn("ec2", "*/*")},
        {
            "Effect": "Deny",
            "Action": [*looking, *changing],
            "Resource": "*",
            "Condition": {"ArnEquals": {"lambda:SourceFunctionArn": functions}},
        },
    ]


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def cors(origins: Collection[str] = ("*",)) -> dict[str, Any]:
    """Who may call from a browser: any page, as AlephBet does; a key is asked for where it counts.

    MaxAge is in seconds.
    """
    return {
        "AllowOrigins": list(origins),
        "AllowMethods": ["GET", "POST", "DELETE", "OPTIONS"],
        "AllowHeaders": ["content-type", "x-api-key"],
        "MaxAge": 86400,
    }
