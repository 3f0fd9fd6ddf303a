"""All settings of config.json, typed and checked. Each except `redis` has a default."""

import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from gimel.backend.counting.hyperloglog import DEFAULT_SHARDS
from gimel.backend.limits import DEFAULT_LIMITS
from gimel.config.redis import RedisSettings
from gimel.config.stack import (
    Architecture,
    Concurrency,
    Domain,
    Email,
    EventPath,
    KmsKey,
    Origin,
    PathPart,
    PolicyArn,
    Runtime,
    Section,
    StackName,
    StackTags,
    Throttle,
    Timeouts,
    Vpc,
    Webhook,
    matching,
    refuse_taken_path,
)


class LimitSettings(Section):
    """The maximum that events may create: see `gimel.backend.limits`."""

    namespaces: int = Field(DEFAULT_LIMITS.namespaces, ge=1, le=10_000)
    experiments: int = Field(DEFAULT_LIMITS.experiments, ge=1, le=10_000)
    variants: int = Field(DEFAULT_LIMITS.variants, ge=1, le=1000)
    goals: int = Field(DEFAULT_LIMITS.goals, ge=1, le=1000)
    memory: int = Field(DEFAULT_LIMITS.memory, ge=0, le=1_000_000)


class AwsSettings(Section):
    """The account and region of the stack. The default of each is AWS's own configuration."""

    region: Annotated[str, matching(r"[a-z]{2,4}(-[a-z]+)+-\d", "eu-west-1")] | None = None
    profile: str | None = None


class _WiringPart(BaseModel):
    """A part of a route in the format of gimel 1.x. Keys that Gimel does not read are ignored."""

    model_config = ConfigDict(frozen=True)


class _Function(_WiringPart):
    name: Literal["gimel-track"] = Field(alias="FunctionName")


class _Method(_WiringPart):
    verb: Literal["GET", "POST"] = Field(alias="httpMethod")


class _Gateway(_WiringPart):
    path: PathPart = Field(alias="pathPart")
    method: _Method

    @field_validator("path")
    @classmethod
    def _check_path(cls, path: str) -> str:
        return refuse_taken_path(path)


class Wiring(_WiringPart):
    """An additional route for events, in the format of gimel 1.x."""

    function: _Function = Field(alias="lambda")
    gateway: _Gateway = Field(alias="api_gateway")

    @property
    def route(self) -> str:
        """The key of the route, e.g. `GET /my_endpoint`."""
        return f"{self.gateway.method.verb} /{self.gateway.path}"


def in_other_region(arn: str, region: str) -> str | None:
    """Return what is wrong with an ARN of another region than the stack's, or None.

    API Gateway and Lambda take certificates and keys of their own region only:
    https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-regional-api-custom-domain-create.html
    """
    found = arn.split(":")[3]
    if found == region:
        return None
    return f"is in region {found}, but the stack is in {region}: AWS needs one in {region}"


def is_cache_name(stack: str) -> bool:
    """Return whether ElastiCache accepts the name of a stack as the name of a cache.

    https://github.com/aws/developer-toolkit-elasticache has the pattern.
    """
    return re.fullmatch("[a-z][a-z0-9]*(-[a-z0-9]+)*", stack) is not None


class Config(Section):
    """All settings of one stack."""

    redis: RedisSettings
    aws: AwsSettings = AwsSettings()
    stack: StackName = "gimel"
    shards: int = Field(DEFAULT_SHARDS, ge=1, le=1024)
    counting: Literal["hyperloglog", "exact"] = "hyperloglog"
    accept: Literal["all", "declared"] = "all"
    bots: Literal["ignore", "count"] = "ignore"
    runtime: Runtime | None = None
    memory: int = Field(256, ge=128, le=10240)
    log_retention_days: Literal[1, 3, 5, 7, 14, 30, 60, 90, 180, 365] = 30
    extra_wiring: list[Wiring] = Field(default_factory=list)
    architecture: Architecture = "arm64"
    timeouts: Timeouts = Timeouts()
    reserved_concurrency: Concurrency = Concurrency()
    throttle: Throttle = Throttle()
    allowed_origins: list[Origin] = Field(["*"], min_length=1, max_length=100)
    event_path: EventPath = "e"
    events: Literal["api", "function-url"] = "api"
    vpc: Vpc | None = None
    domain: Domain | None = None
    tags: StackTags = Field(default_factory=dict)
    permissions_boundary: PolicyArn | None = None
    alarm_email: Email | None = None
    notify: Webhook | None = None
    alarm_dollars_per_day: float = Field(5, gt=0, le=1_000_000)
    kms_key: KmsKey | None = None
    limits: LimitSettings = LimitSettings()

    @property
    def known_limits(self) -> LimitSettings:
        """The limits. The memory of a managed Redis is known even if Redis does not report it."""
        if self.redis.managed is None or self.limits.memory:
            return self.limits
        return self.limits.model_copy(update={"memory": self.redis.managed.gigabytes * 1000})

    @field_validator("stack")
    @classmethod
    def _check_cache_name(cls, stack: str, info: ValidationInfo) -> str:
        redis = info.data.get("redis")
        if redis and redis.managed and not is_cache_name(stack):
            raise ValueError('with a managed Redis, must not hold "--" or end with "-"')
        return stack

    @property
    def regional_arns(self) -> dict[str, str]:
        """The ARNs, by setting, of what must be in the stack's region."""
        certificate = self.domain and self.domain.certificate
        found = {"domain.certificate": certificate, "kms_key": self.kms_key}
        return {name: arn for name, arn in found.items() if arn}

    @field_validator("domain", "kms_key")
    @classmethod
    def _check_region(
        cls, value: Domain | str | None, others: ValidationInfo
    ) -> Domain | str | None:
        aws = others.data.get("aws")
        if value and aws and aws.region:
            arn = value.certificate if isinstance(value, Domain) else value
            if mistake := in_other_region(arn, aws.region):
                raise ValueError(f"{'certificate ' if arn != value else ''}{mistake}")
        return value

    @field_validator("events")
    @classmethod
    def _check_bound(cls, events: str, others: ValidationInfo) -> str:
        concurrency = others.data.get("reserved_concurrency")
        if events == "function-url" and concurrency and concurrency.track is None:
            raise ValueError(
                '"function-url" needs a number in reserved_concurrency.track: nothing else limits '
                "how many events run at once"
            )
        return events
