"""All settings of config.json, typed and checked; each but `redis` has a default."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from gimel.backend.counting.hyperloglog import DEFAULT_SHARDS
from gimel.backend.limits import DEFAULT_LIMITS
from gimel.config.redis import RedisSettings
from gimel.config.stack import (
    Architecture,
    Concurrency,
    Domain,
    EventPath,
    Origin,
    PathPart,
    PolicyArn,
    Runtime,
    StackTags,
    Strict,
    Throttle,
    Timeouts,
    Vpc,
    like,
)
from gimel.gimel import ROUTES


class LimitSettings(Strict):
    """How much the open endpoint may create: see `gimel.backend.limits`."""

    namespaces: int = Field(DEFAULT_LIMITS.namespaces, ge=1, le=10_000)
    experiments: int = Field(DEFAULT_LIMITS.experiments, ge=1, le=10_000)
    variants: int = Field(DEFAULT_LIMITS.variants, ge=1, le=1000)
    goals: int = Field(DEFAULT_LIMITS.goals, ge=1, le=1000)


class AwsSettings(Strict):
    """Which account and region; what is left out comes from AWS's own settings."""

    region: Annotated[str, like(r"[a-z]{2}(-[a-z]+)+-\d", "eu-west-1")] | None = None
    profile: str | None = None


class _Named(BaseModel):
    """A part of gimel 1.x's wiring: what is read has its name there, the rest is left alone."""

    model_config = ConfigDict(frozen=True)


class _Function(_Named):
    name: Literal["gimel-track"] = Field(alias="FunctionName")


class _Method(_Named):
    verb: Literal["GET", "POST"] = Field(alias="httpMethod")


class _Gateway(_Named):
    path: PathPart = Field(alias="pathPart")
    method: _Method

    @field_validator("path")
    @classmethod
    def _is_free(cls, path: str) -> str:
        if any(route.endswith(f" /{path}") for route in ROUTES):
            raise ValueError("is a path that Gimel has already")
        return path


class Wiring(_Named):
    """One more route for events, as gimel 1.x wrote it."""

    function: _Function = Field(alias="lambda")
    gateway: _Gateway = Field(alias="api_gateway")

    @property
    def route(self) -> str:
        """The route key, e.g. `GET /my_endpoint`."""
        return f"{self.gateway.method.verb} /{self.gateway.path}"


class Config(Strict):
    """All settings of one stack."""

    redis: RedisSettings
    aws: AwsSettings = AwsSettings()
    stack: Annotated[
        str, like(r"[a-z][a-z0-9-]{0,31}", "shop-2: 1 to 32 small letters, digits and -")
    ] = "gimel"
    shards: int = Field(DEFAULT_SHARDS, ge=1, le=1024)
    counting: Literal["hyperloglog", "exact"] = "hyperloglog"
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
    vpc: Vpc | None = None
    domain: Domain | None = None
    tags: StackTags = Field(default_factory=dict)
    permissions_boundary: PolicyArn | None = None
    limits: LimitSettings = LimitSettings()
