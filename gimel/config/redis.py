"""The section `redis` of config.json: where the counters are, and how to connect to them."""

import re
import ssl
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from redis.connection import ConnectionPool
from redis.exceptions import RedisError, TimeoutError

from gimel.backend.redis.errors import has_needless_password, trouble
from gimel.config.stack import ARN, Section, matching

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_NO_CERTIFICATE = "contains no certificate (-----BEGIN CERTIFICATE----- …)"
# Bytes. Lambda limits all variables of a function together to 4 KB.
_MAX_CA = 3000


def _refuse_placeholder(value: object) -> object:
    """Return the value. Raises ValueError if it is a placeholder of a template."""
    if isinstance(value, str) and (value.startswith("ENTER YOUR") or "PASSWORD@HOST" in value):
        raise ValueError("still holds the placeholder of the template: enter your own value")
    return value


def _extract_certificates(text: str | None) -> str | None:
    """Return only the certificates of a PEM text, or of the file at that path.

    Raises ValueError.
    """
    if text is None:
        return None
    if "-----BEGIN" not in text:
        try:
            text = Path(text).expanduser().read_text("utf-8")
        except OSError as error:
            # The message does not quote the path: it may be a password in the wrong line.
            raise ValueError(f"cannot be read: {error.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(_NO_CERTIFICATE) from None
        except (ValueError, RuntimeError):
            raise ValueError("is neither a certificate nor the path of a file") from None
    certificates = "\n".join(_CERTIFICATE.findall(text))
    if len(certificates) > _MAX_CA:
        raise ValueError(
            f"is over {_MAX_CA} bytes: keep only the certificate that signed the server's"
        )
    try:
        # An empty cadata would load the system's certificates instead.
        ssl.create_default_context(cadata=certificates or "-")
    except (ssl.SSLError, ValueError):
        raise ValueError(_NO_CERTIFICATE) from None
    return certificates


def _check_host(host: str | None) -> str | None:
    """Return the host. Raises ValueError unless it is a name, or an IP address without brackets."""
    if host is None or re.fullmatch(r"\w([\w.-]{0,251}\w)?\.?", host):
        return host
    try:
        if re.fullmatch(r"[\da-fA-F:.]+(%\w+)?", host):
            ip_address(host)
            return host
    except ValueError:
        pass
    raise ValueError("must be only a host name or an IP address; put a whole URL into redis.url")


def _refuse_lone_surrogate(text: object) -> object:
    """Return the text. Raises ValueError on half of a surrogate pair.

    JSON can contain one, but UTF-8 cannot encode it.
    """
    if isinstance(text, str) and re.search("[\ud800-\udfff]", text):
        raise ValueError(r"contains an incomplete character, written as \ud800 to \udfff")
    return text


class ManagedRedis(Section):
    """The Redis that `gimel deploy` creates: an ElastiCache Serverless cache.

    `gigabytes` and `ecpu` (ElastiCache's processing units a second) are the maximum that it may
    hold and do, which limits its cost. `snapshot_days`: how long its daily snapshots are kept; 0
    makes none. The bounds are AWS's: https://docs.aws.amazon.com/cdk/api/v2/docs/aws-elasticache-alpha-readme.html
    """

    gigabytes: int = Field(1, ge=1, le=5000)
    ecpu: int = Field(10_000, ge=1000, le=15_000_000)
    snapshot_days: int = Field(7, ge=0, le=35)


_SECRET = (
    ARN + r"(secretsmanager:[a-z0-9-]+:\d{12}:secret:[\w/+=.@!-]+-\w{6}"
    r"|ssm:[a-z0-9-]+:\d{12}:parameter/[\w./-]+)"
)


class RedisSettings(Section):
    """The address of Redis: `url`, or the separate fields that gimel 1.x had; or `managed`.

    `cluster`: the server belongs to a Redis or Valkey Cluster. `ca`: the certificate of a private
    authority, as PEM text or as the path of a PEM file. `secret`: the ARN of the Secrets Manager
    secret or SSM parameter that holds the password.
    """

    url: Annotated[
        SecretStr | None,
        BeforeValidator(_refuse_lone_surrogate),
        BeforeValidator(_refuse_placeholder),
    ] = None
    host: Annotated[
        str | None, AfterValidator(_check_host), BeforeValidator(_refuse_placeholder)
    ] = None
    port: int = Field(6379, ge=1, le=65535)
    username: Annotated[str, BeforeValidator(_refuse_lone_surrogate)] = ""
    password: Annotated[SecretStr, BeforeValidator(_refuse_lone_surrogate)] = SecretStr("")
    ssl: bool = False
    db: int = Field(0, ge=0)
    cluster: bool = False
    ca: Annotated[str | None, AfterValidator(_extract_certificates)] = None
    secret: (
        Annotated[
            str,
            matching(
                _SECRET,
                "arn:aws:secretsmanager:eu-west-1:123456789012:secret:redis-a1B2c3, or "
                "arn:aws:ssm:eu-west-1:123456789012:parameter/redis",
            ),
        ]
        | None
    ) = None
    managed: ManagedRedis | None = None

    @model_validator(mode="before")
    @classmethod
    def _expand_managed(cls, content: object) -> object:
        if isinstance(content, str) and content != "managed":
            raise ValueError('must be "managed" or an object, {…}')
        return {"managed": {}} if content == "managed" else content

    @model_validator(mode="after")
    def _check_address(self) -> "RedisSettings":
        if self.managed:
            if others := self.model_fields_set - {"managed"}:
                raise ValueError(
                    f'"managed" needs no other key: remove {", ".join(sorted(others))}'
                )
            return self
        if (self.url is None) == (self.host is None):
            raise ValueError(
                'give either "url" or "host" (with "port", "password", …), or write "managed"'
            )
        if self.url is not None:
            check_url(self.url.get_secret_value(), has_secret=self.secret is not None)
        if self.secret and self.password.get_secret_value():
            raise ValueError('"secret" holds the password: remove "password"')
        return self

    @cached_property
    def address(self) -> str:
        """The URL for redis-py. It contains the password: never print it.

        Raises LookupError for a managed Redis: only AWS knows its address.
        """
        if self.managed:
            raise LookupError("config.json does not hold the address of a managed Redis")
        if self.url is not None:
            return self.url.get_secret_value()
        scheme = "rediss" if self.ssl else "redis"
        user, password = self.username, self.password.get_secret_value()
        login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
        host = f"[{self.host}]" if ":" in str(self.host) else self.host
        return f"{scheme}://{login}{host}:{self.port}/{self.db}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of a function. They contain the password, unless `secret`."""
        variables = {"GIMEL_REDIS_URL": self.address}
        if self.cluster:
            variables["GIMEL_REDIS_CLUSTER"] = "1"
        if self.ca:
            variables["GIMEL_REDIS_CA"] = self.ca
        if self.secret:
            variables["GIMEL_REDIS_SECRET"] = self.secret
        return variables


def managed_environment(name: str, address: str) -> dict[str, str]:
    """Return the environment variables of a function that uses a managed Redis.

    `name` is that of the cache, `address` its host and port.
    """
    return {"GIMEL_REDIS_URL": f"rediss://{address}/0", "GIMEL_REDIS_IAM": name}


# The options of redis-py that a URL can set and that fit a connection that is kept open.
_URL_OPTIONS = {
    *("client_name", "db", "health_check_interval", "max_connections", "password", "protocol"),
    *("retry_on_timeout", "socket_connect_timeout", "socket_keepalive", "socket_timeout"),
    "username",
}
_TLS_OPTIONS = {
    *("ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname"),
    *("ssl_ciphers", "ssl_keyfile", "ssl_password"),
}
# Seconds. The operating system refuses some larger timeouts.
_MAX_TIMEOUT = 1e6
# The message quotes nothing of the URL: what cannot be parsed may be the password.
_UNPARSABLE = (
    "url cannot be parsed: port and database must be numbers, and / # ? [ ] @ in the password must "
    "be written as %2F %23 %3F %5B %5D %40"
)


def check_url(url: str, *, has_secret: bool = False) -> None:
    """Raise ValueError unless the URL can lead to a Redis. The message quotes no secret."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError(_UNPARSABLE) from None
    if parts.scheme not in ("redis", "rediss"):
        raise ValueError("url must start with redis:// or, for TLS, rediss://")
    if not host:
        raise ValueError(
            "url has no host: it must look like redis://[user:password@]host[:port][/db]"
        )
    # Up to its first / # or ?, a password that begins with digits looks like a port.
    if "#" in url or "@" in parts.query or not re.fullmatch(r"(/[0-9]{0,9})?", parts.path):
        raise ValueError(_UNPARSABLE)
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError("url has a host that is no valid name") from None
    _check_options(parts)
    try:
        pool = ConnectionPool.from_url(url)
        pool.make_connection()
    except (ValueError, RedisError) as error:
        # redis-py's message names the option, not its value.
        raise ValueError(f"url has an option that is not valid: {error}") from None
    _check_timeouts(pool)
    if has_secret and (pool.connection_kwargs.get("password") or "username" in parts.query):
        raise ValueError('url may name only the user, before the host: "secret" holds the password')


def _check_options(parts: SplitResult) -> None:
    known = _URL_OPTIONS | _TLS_OPTIONS if parts.scheme == "rediss" else _URL_OPTIONS
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in _TLS_OPTIONS - known:
            raise ValueError(
                f'url has the option "{name}", which needs TLS: start the URL with rediss://'
            )
        if name not in known:
            raise ValueError(f'url has the unknown option "{name}"')
        # At some other values, redis-py raises errors that are not caught below.
        if name == "protocol" and value not in ("2", "3"):
            raise ValueError('url has the option "protocol", which must be 2 or 3')


def _check_timeouts(pool: ConnectionPool) -> None:
    for name in ("socket_timeout", "socket_connect_timeout"):
        seconds = pool.connection_kwargs.get(name)
        if seconds is not None and not 0 < seconds < _MAX_TIMEOUT:
            raise ValueError(
                f'url has the option "{name}", which must be a number of seconds above 0'
            )


_ADVICE = {
    "password": (
        "Redis refuses the login: correct redis.password, the password in redis.url, or the secret "
        "that redis.secret names. A managed Redis needs the permission elasticache:Connect"
    ),
    "secret": (
        "the secret with Redis's password cannot be read: check redis.secret, and that your AWS "
        "credentials may read it ({text})"
    ),
    "acl": "the Redis user lacks a permission that counting needs: {text}",
    "busy": "Redis accepts no new connections at present: try again in a minute ({text})",
    "tls": "TLS fails: if the server has no TLS, start the URL with redis:// ({text})",
    "network": "cannot connect: check host and port; a TLS port needs rediss:// ({text})",
    "other": "Redis answers with an error: {text}",
}


def advice(error: RedisError) -> str:
    """Return one line that says what is wrong with Redis and what to do."""
    if has_needless_password(error):
        return (
            "Redis has no password, but the configuration gives one: remove it there, or set it "
            "in Redis"
        )
    if isinstance(error, TimeoutError):
        return (
            "Redis does not answer: check that this machine can reach the port. A TLS port needs "
            "rediss:// (or ssl: true), any other port redis:// (or ssl: false)"
        )
    return _ADVICE[trouble(error)].format(text=error)
