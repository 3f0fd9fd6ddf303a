"""What there is of a stack on AWS, as `observe` finds it: data, and nothing of how it was found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gimel.config.stack import Throttle
from gimel.stack.wanted import Tags


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
class SeenMethod:
    """A method of gimel 1.x's REST API by which events come.

    `statuses` are those that it may answer, `failure` the one for a function that failed.
    """

    resource: str
    verb: str
    statuses: frozenset[str]
    failure: str | None


@dataclass(frozen=True)
class SeenLegacy:
    """What gimel 1.x left that nothing takes over: its REST API and the keys made for that.

    `deployment` describes what the API's stage serves.
    """

    api: str
    keys: tuple[str, ...]
    methods: tuple[SeenMethod, ...]
    deployment: str | None


@dataclass(frozen=True)
class SeenQueue:
    """A queue as it is."""

    url: str
    attributes: Mapping[str, str]
    tags: Tags

    @property
    def waiting(self) -> int:
        """About how many messages are in it: SQS counts roughly."""
        return int(self.attributes.get("ApproximateNumberOfMessages", 0)) + int(
            self.attributes.get("ApproximateNumberOfMessagesNotVisible", 0)
        )


@dataclass(frozen=True)
class SeenMapping:
    """What hands the queue's messages to the replay function, as it is."""

    uuid: str
    arn: str
    settings: Mapping[str, Any]
    tags: Tags


@dataclass(frozen=True)
class Seen:
    """What there is of a stack. `apis` are those that bear its tag, the oldest first.

    `unreserved` is how many executions the account has left to reserve from. `eaters` are functions
    that somebody else hands the queue's messages to.
    """

    parameter: SeenParameter | None
    role: SeenRole | None
    functions: Mapping[str, SeenFunction]
    log_groups: Mapping[str, SeenLogGroup]
    apis: tuple[SeenApi, ...]
    domains: tuple[SeenDomain, ...] = ()
    legacy: SeenLegacy | None = None
    unreserved: int = 1000
    queues: Mapping[str, SeenQueue] = field(default_factory=dict)
    mappings: tuple[SeenMapping, ...] = ()
    eaters: tuple[str, ...] = ()

    @property
    def mapping(self) -> SeenMapping | None:
        """The one mapping that there should be."""
        return self.mappings[0] if self.mappings else None
