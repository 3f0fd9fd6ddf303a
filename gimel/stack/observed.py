"""The observed stack: plain data about what exists on AWS, as `observe` finds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gimel.stack.keys import Key
from gimel.stack.wanted import Tags


@dataclass(frozen=True)
class ObservedRole:
    """The functions' role as it exists.

    `permissions` is the document of this region's policy. `policies` are the names of all inline
    policies, `attached` the ARNs of all attached ones.
    """

    tags: Tags
    trust: Any
    permissions: Any
    policies: tuple[str, ...] = ()
    attached: tuple[str, ...] = ()
    boundary: str | None = None


@dataclass(frozen=True)
class ObservedFunction:
    """A function as it exists.

    `versions` holds the settings of each version, $LATEST included. `live` is the version that the
    alias points to. `invokers` are the statements that say who may invoke the function, by
    qualifier ("" for the function itself) and statement id. `concurrency` is the function's
    reserved concurrency. `weights` are the shares of calls that the alias sends to other versions.
    """

    tags: Tags
    versions: Mapping[str, Mapping[str, Any]] = field(repr=False)
    live: str | None
    invokers: Mapping[tuple[str, str], Mapping[str, Any]]
    concurrency: int | None = None
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_in_vpc(self) -> bool:
        """Whether a version of the function uses a VPC."""
        return any(each["VpcConfig"]["SubnetIds"] for each in self.versions.values())


@dataclass(frozen=True)
class ObservedLogGroup:
    """A log group as it exists."""

    arn: str
    tags: Tags
    retention_days: int | None


@dataclass(frozen=True)
class ObservedParameter:
    """The parameter that holds the main key, as it exists."""

    tags: Tags
    key: str = field(repr=False)


@dataclass(frozen=True)
class ObservedApi:
    """An HTTP API as it exists.

    `settings` and `stage` are what AWS returns for the API and its stage. `stage` is None if there
    is no stage. `integrations` maps an id, and `routes` a route key, to what AWS returns for it.
    """

    id: str
    endpoint: str
    settings: Mapping[str, Any]
    integrations: Mapping[str, Mapping[str, Any]]
    routes: Mapping[str, Mapping[str, Any]]
    stage: Mapping[str, Any] | None
    tags: Tags = field(default_factory=dict)


@dataclass(frozen=True)
class ObservedDomain:
    """A custom domain name as it exists.

    `target` is what its DNS record must point to. `mappings` maps an id to an API and a stage.
    """

    name: str
    tags: Tags
    certificate: str | None
    target: str
    mappings: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class ObservedMethod:
    """A method of gimel 1.x's REST API that receives events.

    `statuses` are the statuses that it may answer, `failure` its status for a failed function.
    """

    resource: str
    verb: str
    statuses: frozenset[str]
    failure: str | None


@dataclass(frozen=True)
class ObservedLegacy:
    """The resources of gimel 1.x that a deploy does not take over: a REST API and its API keys.

    `deployment` is the description of the deployment that the API's stage serves.
    """

    api: str
    keys: tuple[str, ...]
    methods: tuple[ObservedMethod, ...]
    deployment: str | None


@dataclass(frozen=True)
class ObservedQueue:
    """An SQS queue as it exists."""

    url: str
    attributes: Mapping[str, str]
    tags: Tags

    @property
    def waiting(self) -> int:
        """The approximate number of messages in the queue: SQS gives no exact number."""
        return int(self.attributes.get("ApproximateNumberOfMessages", 0)) + int(
            self.attributes.get("ApproximateNumberOfMessagesNotVisible", 0)
        )


@dataclass(frozen=True)
class ObservedMapping:
    """An event source mapping, which feeds the queue's messages to the replay function."""

    uuid: str
    arn: str
    settings: Mapping[str, Any]
    tags: Tags


@dataclass(frozen=True)
class ObservedRule:
    """An EventBridge rule as it exists, with its targets by id."""

    arn: str
    tags: Tags
    settings: Mapping[str, Any]
    targets: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class ObservedTopic:
    """An SNS topic as it exists.

    `addresses` maps each e-mail address, in lower case, to the ARN of its subscription, or to None
    while AWS waits for the click on the link in its mail.
    """

    arn: str
    tags: Tags
    policy: Any
    addresses: Mapping[str, str | None]


@dataclass(frozen=True)
class ObservedAlarm:
    """A CloudWatch alarm as it exists. `settings` is AWS's whole description of it."""

    tags: Tags
    settings: Mapping[str, Any]

    @property
    def is_raised(self) -> bool:
        """Whether what the alarm is about is happening now."""
        return bool(self.settings["StateValue"] == "ALARM")


@dataclass(frozen=True)
class ObservedFunctionUrl:
    """The URL of the tracking function's alias, as it exists."""

    url: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class ObservedCache:
    """A cache of ElastiCache Serverless as it exists.

    `status` is creating, available, modifying, deleting or create-failed. `address` is a host and a
    port.
    """

    status: str
    address: str | None
    settings: Mapping[str, Any]
    arn: str
    tags: Tags
    created: datetime

    @property
    def is_lost(self) -> bool:
        """Whether AWS could not create the cache, or is deleting it."""
        return self.status in ("create-failed", "deleting")


@dataclass(frozen=True)
class Observed:
    """All that exists of a stack on AWS.

    `keys` are the keys besides the main key, whose parameters have the stack's tag. `apis` are the
    HTTP APIs with the stack's tag, the oldest first. `unreserved` is the account's unreserved
    concurrency. `other_consumers` are the ARNs of functions outside the stack that also receive the
    queue's messages. `interfaces` are the network interfaces that Lambda has yet to release.
    """

    parameter: ObservedParameter | None
    role: ObservedRole | None
    functions: Mapping[str, ObservedFunction]
    log_groups: Mapping[str, ObservedLogGroup]
    apis: tuple[ObservedApi, ...]
    keys: tuple[Key, ...] = ()
    domains: tuple[ObservedDomain, ...] = ()
    legacy: ObservedLegacy | None = None
    unreserved: int = 1000
    queues: Mapping[str, ObservedQueue] = field(default_factory=dict)
    mappings: tuple[ObservedMapping, ...] = ()
    other_consumers: tuple[str, ...] = ()
    rule: ObservedRule | None = None
    topic: ObservedTopic | None = None
    alarms: Mapping[str, ObservedAlarm] = field(default_factory=dict)
    interfaces: tuple[str, ...] = ()
    function_url: ObservedFunctionUrl | None = None
    cache: ObservedCache | None = None

    @property
    def mapping(self) -> ObservedMapping | None:
        """The mapping that the stack keeps: any further one is a duplicate."""
        return self.mappings[0] if self.mappings else None

    @property
    def needs_network(self) -> bool:
        """Whether Lambda still needs the role's permissions for network interfaces."""
        return bool(self.interfaces) or any(each.is_in_vpc for each in self.functions.values())

    @property
    def cache_address(self) -> str | None:
        """The address of the managed Redis, if it is ready."""
        if self.cache and self.cache.status in ("available", "modifying"):
            return self.cache.address
        return None
