"""config.json -> typed, validated settings.

The file is the first of: --config, $GIMEL_CONFIG, ./config.json, ~/.gimel/config.json. A mistake in
it is reported with its place, an unknown key with the nearest known one.
"""

import difflib
import json
import os
import re
import ssl
from functools import cached_property
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NamedTuple
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from redis.connection import parse_url

from gimel.config_stack import (
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
from gimel.counters import DEFAULT_SHARDS
from gimel.gimel import ROUTES
from gimel.limits import DEFAULT_LIMITS

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_NO_CERTIFICATE = "holds no certificate: -----BEGIN CERTIFICATE----- …"
# All variables of a function together take 4 KB at most.
_LARGEST_CA = 3000


class ConfigError(Exception):
    """The configuration is missing or wrong: `mistakes` holds a line for each reason."""

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


def _edited(value: object) -> object:
    """Refuse what a template left to be filled in."""
    if isinstance(value, str) and (value.startswith("ENTER YOUR") or "PASSWORD@HOST" in value):
        raise ValueError("still says what the template says: put your own value here")
    return value


def _certificates(given: str | None) -> str | None:
    """The certificates in PEM text, or in the file of that name, without what stands around."""
    if given is None:
        return None
    if "-----BEGIN" not in given:
        try:
            given = Path(given).expanduser().read_text("utf-8")
        except OSError as error:
            # Not the name: it may be a password, put into the wrong line.
            raise ValueError(f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(_NO_CERTIFICATE) from None
        except (ValueError, RuntimeError):
            raise ValueError("is neither a certificate nor the path of a file") from None
    found = "\n".join(_CERTIFICATE.findall(given))
    if len(found) > _LARGEST_CA:
        raise ValueError(f"holds over {_LARGEST_CA} bytes: leave the issuer of the server alone")
    try:
        # Without any, the context would be the system's.
        ssl.create_default_context(cadata=found or "-")
    except (ssl.SSLError, ValueError):
        raise ValueError(_NO_CERTIFICATE) from None
    return found


def _host(given: str | None) -> str | None:
    """A host's name, or an IP address without brackets."""
    if given is None or re.fullmatch(r"\w([\w.-]{0,251}\w)?\.?", given):
        return given
    try:
        if re.fullmatch(r"[\da-fA-F:.]+(%\w+)?", given):
            ip_address(given)
            return given
    except ValueError:
        pass
    raise ValueError(
        "must be a host's name or an IP address alone; a whole URL goes into redis.url"
    )


def _whole(text: object) -> object:
    """Refuse half of a surrogate pair, which JSON can write and nothing can send."""
    if isinstance(text, str) and re.search("[\ud800-\udfff]", text):
        raise ValueError(r"holds half a character, written as \ud800 to \udfff")
    return text


class RedisSettings(Strict):
    """Where the counters are: `url`, or the parts that gimel 1.x took.

    `cluster`: it is one server of a Redis or Valkey Cluster. `ca`: the certificate of a private
    authority, PEM, or the path of a file that holds it.
    """

    url: Annotated[SecretStr | None, BeforeValidator(_whole), BeforeValidator(_edited)] = None
    host: Annotated[str | None, AfterValidator(_host), BeforeValidator(_edited)] = None
    port: int = Field(6379, ge=1, le=65535)
    username: Annotated[str, BeforeValidator(_whole)] = ""
    password: Annotated[SecretStr, BeforeValidator(_whole)] = SecretStr("")
    ssl: bool = False
    db: int = Field(0, ge=0)
    cluster: bool = False
    ca: Annotated[str | None, AfterValidator(_certificates)] = None

    @model_validator(mode="after")
    def _one_address(self) -> "RedisSettings":
        if (self.url is None) == (self.host is None):
            raise ValueError('give either "url" or "host" (with "port", "password", …)')
        if self.url is not None:
            _check_url(self.url.get_secret_value())
        return self

    @cached_property
    def address(self) -> str:
        """The URL for redis-py. It holds the password: never print it."""
        if self.url is not None:
            return self.url.get_secret_value()
        scheme = "rediss" if self.ssl else "redis"
        user, password = self.username, self.password.get_secret_value()
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
        host = f"[{self.host}]" if ":" in str(self.host) else self.host
        return f"{scheme}://{login}{host}:{self.port}/{self.db}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell a function all of it. They hold the password."""
        found = {"GIMEL_REDIS_URL": self.address}
        if self.cluster:
            found["GIMEL_REDIS_CLUSTER"] = "1"
        if self.ca:
            found["GIMEL_REDIS_CA"] = self.ca
        return found


# Of redis-py's options, those that a text can set and that a kept connection takes.
_OPTIONS = {
    *("client_name", "db", "health_check_interval", "max_connections", "password", "protocol"),
    *("retry_on_timeout", "socket_connect_timeout", "socket_keepalive", "socket_timeout"),
    "username",
}
_TLS_OPTIONS = {
    *("ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname"),
    *("ssl_ciphers", "ssl_keyfile", "ssl_password"),
}
# Nothing of the URL is quoted: what cannot be taken apart may be the password.
_NOT_APART = (
    "url cannot be taken apart: is the port a number, is the database one, and are / # ? [ ] @ in "
    "the password written as %2F %23 %3F %5B %5D %40?"
)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_NOT_APART) from None
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError("url must start with redis:// or, for TLS, rediss://")
    if not host:
        raise ValueError("url names no host: redis://[user:password@]host[:port][/db]")
    # A password that begins with digits looks like a port up to its first / # or ?
    if "#" in url or "@" in parts.query or not re.fullmatch(r"(/[0-9]{0,9})?", parts.path):
        raise ValueError(_NOT_APART)
    _check_options(parts)
    parse_url(url)  # type: ignore[no-untyped-call]  # raises ValueError on a bad option


def _check_options(parts: SplitResult) -> None:
    known = _OPTIONS | _TLS_OPTIONS if parts.scheme == "rediss" else _OPTIONS
    for name, _ in parse_qsl(parts.query, keep_blank_values=True):
        if name in _TLS_OPTIONS - known:
            raise ValueError(f'url has the option "{name}", which is for TLS: rediss://')
        if name not in known:
            raise ValueError(f'url has the option "{name}", which Gimel does not know')


class LimitSettings(Strict):
    """How much the open endpoint may create: see `gimel.limits`."""

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


class Source(NamedTuple):
    """A config file that was read: where it is, and what it says."""

    path: Path
    config: Config


def locate(given: Path | None = None) -> Path:
    """The config file to use: the one given or, of the usual places, the first that exists."""
    named = given or (Path(os.environ["GIMEL_CONFIG"]) if os.environ.get("GIMEL_CONFIG") else None)
    if named:
        return named
    here = Path("config.json").resolve()
    return here if here.exists() else Path.home() / ".gimel" / "config.json"


def load(given: Path | None = None) -> Source:
    """Read and check the config file. Raises ConfigError."""
    path = locate(given)
    try:
        # Some editors of Windows put a byte order mark first.
        text = path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"{path} does not exist: `gimel configure` makes one") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} cannot be read: it is not UTF-8 text") from None
    return Source(path, parse(text, str(path)))


def parse(text: str, place: str = "config.json") -> Config:
    """Check the text of a config file. Raises ConfigError with a line for each mistake."""
    try:
        content = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{place}:{error.lineno}:{error.colno}: not JSON here: {error.msg}"
        ) from None
    except (RecursionError, ValueError):
        raise ConfigError(f"{place}: is nested too deep, or holds too long a number") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{place}: must hold one JSON object, {{…}}")
    try:
        return Config.model_validate(content)
    except ValidationError as error:
        raise ConfigError(
            *(_explain(place, details) for details in error.errors(include_url=False))
        ) from None


# Where pydantic speaks of its own parts.
_MESSAGES = {
    "dict_type": "must be an object, {…}",
    "list_type": "must be a list, […]",
    "missing": "missing",
    "model_type": "must be an object, {…}",
    "too_short": "must not be empty",
}


def _explain(place: str, details: ErrorDetails) -> str:
    """One mistake in one line: file, key, what is wrong with it."""
    # A URL in the place of a key holds a password.
    where = ".".join("…" if re.search("://|@", str(step)) else str(step) for step in details["loc"])
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        message = "unknown key" + _nearest(details["loc"])
    else:
        message = _MESSAGES.get(details["type"], message)
    return f"{place}: {where}: {message}"


def _nearest(loc: tuple[int | str, ...]) -> str:
    sections: dict[str, type[BaseModel]] = {
        "redis": RedisSettings,
        "aws": AwsSettings,
        "timeouts": Timeouts,
        "reserved_concurrency": Concurrency,
        "throttle": Throttle,
        "vpc": Vpc,
        "domain": Domain,
        "limits": LimitSettings,
    }
    model = sections.get(str(loc[0]), Config) if len(loc) > 1 else Config
    close = difflib.get_close_matches(str(loc[-1]), model.model_fields, n=1)
    return f'; did you mean "{close[0]}"?' if close else ""


def write_template(path: Path, redis_url: str | None = None) -> bool:
    """Write a new config file, readable by its owner only, from the template.

    An existing file is left alone. Returns whether one was written. Raises ConfigError.
    """
    if path.exists():
        return False
    content = json.loads((files("gimel") / "config.json.template").read_text("utf-8"))
    if redis_url is not None:
        content["redis"] = {"url": redis_url}
        parse(json.dumps(content), "--redis-url")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(json.dumps(content, indent=4) + "\n")
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    return True
