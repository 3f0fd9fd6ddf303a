"""Where Redis is: the `redis` section of config.json."""

import re
import ssl
from functools import cached_property
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import SplitResult, parse_qsl, quote, urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, model_validator
from redis.connection import parse_url
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,
    NoPermissionError,
    RedisError,
    TimeoutError,
)

from gimel.config.stack import Strict

_CERTIFICATE = re.compile("-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----")
_NO_CERTIFICATE = "holds no certificate: -----BEGIN CERTIFICATE----- …"
# All variables of a function together take 4 KB at most.
_LARGEST_CA = 3000


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


def advice(error: RedisError) -> str:
    """What a Redis that does not answer as it should asks of its owner, in a line."""
    text = str(error)
    if "without any password configured" in text:
        return "it has no password, but the configuration gives one: leave it out, or set it there"
    if isinstance(error, AuthenticationError) or "WRONGPASS" in text or "NOAUTH" in text:
        return "it refuses the password: correct redis.password (or the one in redis.url)"
    if isinstance(error, NoPermissionError):
        return f"this user may not do what counting needs: {text}"
    if isinstance(error, TimeoutError):
        return (
            "no answer: is the port open to this machine? A TLS port needs rediss://, any other "
            "redis:// (or ssl: true, ssl: false)"
        )
    if "SSL" in text:
        return f"TLS fails: without TLS the URL starts with redis:// ({text})"
    if isinstance(error, ConnectionError):
        return f"cannot connect: check host and port; a TLS port needs rediss:// ({text})"
    return f"it answers with an error: {text}"
