"""The logins to Redis whose password is not in the environment.

A managed Redis accepts a token that is signed with AWS credentials; a Redis of the user's own may
have its password in Secrets Manager or the Parameter Store. The credentials are those of the
environment: the functions' role on Lambda, the user's own elsewhere.
"""

import json
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.credentials import CredentialProvider

from gimel.backend.aws_service import Service
from gimel.backend.redis.errors import SecretError
from gimel.backend.redis.transport import seconds_for_a_step
from gimel.backend.signing import presigned_query

# The user that every ElastiCache cache with a public endpoint has:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/connecting-public-endpoint.html
_USER = "default.iam-user"
# The longest life of a token. ElastiCache checks it only when a connection logs in:
# https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
_TOKEN_SECONDS = 900


class Login(CredentialProvider):
    """A user and a password that redis-py asks for at each connection.

    `options` are redis-py's options that a connection with this login needs.
    """

    options: Mapping[str, Any] = {}

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the password, or the user and the password. Raises redis.RedisError."""
        raise NotImplementedError

    def renew(self) -> bool:
        """Return whether Redis may accept a second login, after it refused the first."""
        return False


class IamLogin(Login):
    """The login to a cache of ElastiCache Serverless: each connection gets a new token."""

    # What a public endpoint requires
    options: Mapping[str, Any] = {"ssl_min_version": ssl.TLSVersion.TLSv1_3}

    def __init__(self, cache: str, environ: Mapping[str, str]) -> None:
        self._cache = cache.lower()
        self._environ = environ

    def get_credentials(self) -> tuple[str, str]:
        """Return the user, and a token that is valid for 15 minutes."""
        query = {"Action": "connect", "User": _USER, "ResourceType": "ServerlessCache"}
        region = self._environ.get("AWS_REGION", "")
        signed = presigned_query(
            "elasticache", region, self._cache, query, _TOKEN_SECONDS, self._environ
        )
        return _USER, f"{self._cache}/?{signed}"


class SecretLogin(Login):
    """The login with a secret of Secrets Manager, or a parameter of SSM.

    The process reads it at its first connection. Its text is the password, or a JSON object with
    `password` and maybe `username`.
    """

    def __init__(self, arn: str, user: str, environ: Mapping[str, str]) -> None:
        self._arn = arn
        self._user = user
        self._service = Service(arn, environ)
        self._credentials: tuple[str] | tuple[str, str] | None = None

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Return the password, or the user and the password. Raises redis.RedisError."""
        if self._credentials is None:
            self._credentials = self._parse(self._read())
        return self._credentials

    def renew(self) -> bool:
        """Read the secret again, and return whether it changed. Raises redis.RedisError."""
        before, self._credentials = self._credentials, None
        return self.get_credentials() != before

    def _read(self) -> str:
        try:
            if self._service.name == "ssm":
                arguments = {"Name": self._arn, "WithDecryption": True}
                return str(self._call("GetParameter", arguments)["Parameter"]["Value"])
            return str(self._call("GetSecretValue", {"SecretId": self._arn})["SecretString"])
        except (KeyError, TypeError):
            raise SecretError(f"{self._service.name} returned no text") from None

    def _call(self, action: str, arguments: Mapping[str, Any]) -> Any:
        """Return the answer. Each step on the socket ends as soon as a step to Redis would."""
        from http.client import HTTPException

        connection = self._service.connection()
        try:
            status, body = self._service.call(connection, action, arguments, seconds_for_a_step)
            answer = json.loads(body)
        except (OSError, HTTPException, ValueError) as error:
            raise SecretError(f"{self._service.name}: {type(error).__name__}") from None
        finally:
            connection.close()
        if status != 200:
            kind = answer.get("__type") if isinstance(answer, dict) else None
            raise SecretError(f"{self._service.name} answered {str(kind or status).split('#')[-1]}")
        return answer

    def _parse(self, text: str) -> tuple[str] | tuple[str, str]:
        user, password = self._user, text.rstrip("\r\n")
        try:
            fields = json.loads(text)
        except ValueError:
            fields = None
        if isinstance(fields, dict):
            user, password = fields.get("username", user), fields.get("password", "")
        if not isinstance(password, str) or not password:
            raise SecretError("the secret has no password")
        return (user, password) if user else (password,)


def login(environ: Mapping[str, str]) -> tuple[str, Login]:
    """Return the URL without its user, and the login that GIMEL_REDIS_IAM or …_SECRET names."""
    url = environ["GIMEL_REDIS_URL"]
    if cache := environ.get("GIMEL_REDIS_IAM"):
        return url, IamLogin(cache, environ)
    scheme, _, address = url.partition("://")
    user = unquote(urlsplit(url).username or "")
    return (
        f"{scheme}://{address.rpartition('@')[2]}",
        SecretLogin(environ["GIMEL_REDIS_SECRET"], user, environ),
    )
