"""The meaning of Redis's errors. Only this module reads an error's text to classify it."""

import socket
import ssl
from typing import Literal

from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    NoPermissionError,
    ReadOnlyError,
    RedisError,
    TimeoutError,
    TryAgainError,
)

Trouble = Literal["network", "tls", "password", "secret", "acl", "busy", "other"]

# The connection broke, or Redis did not reply in time.
AWAY = (ConnectionError, TimeoutError)
# A server of a cluster says: ask another server, or ask later. MOVED is an AskError too.
ELSEWHERE = (AskError, ClusterDownError, TryAgainError)
# Another server has the keys now: READONLY after a failover, MOVED or ASK from a cluster.
MOVED = (ReadOnlyError, AskError)

# What Redis and Valkey say of a key of another type, of a broken one, and of one that the user of
# GIMEL_REDIS_URL may not touch, as redis-py words it.
_ONE_KEY = (
    "WRONGTYPE",
    "INVALIDOBJ",
    "No permissions to access a key",
    "this user has no permissions to access one of the keys",
)


# What ElastiCache Serverless says to a new connection while it cannot check its token, as redis-py
# words it: https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html
_NO_LOGIN_NOW = (
    "service is not available",
    "IAM Authentication service is not available",
    "Exceeded limit of IAM Authentication requests",
)


class SecretError(ConnectionError):
    """The secret with Redis's password cannot be read. The message quotes nothing of it."""


def is_away_for_now(error: Exception) -> bool:
    """Return whether a server that refuses a login will accept it later."""
    return str(error).startswith(_NO_LOGIN_NOW)


def is_wrong_type(error: Exception) -> bool:
    """Return whether the key holds a value of another type."""
    return str(error).startswith("WRONGTYPE")


def is_about_one_key(error: Exception) -> bool:
    """Return whether the error concerns one key alone; the server is in order then."""
    return str(error).startswith(_ONE_KEY)


def has_needless_password(error: RedisError) -> bool:
    """Return whether the client sent a password to a Redis that has none."""
    return "without any password configured" in str(error)


def trouble(error: RedisError) -> Trouble:
    """Return what stands between this process and Redis."""
    text = str(error)
    if isinstance(error, SecretError):
        return "secret"
    if isinstance(error, NoPermissionError) or "NOPERM" in text:
        return "acl"
    if isinstance(error, AuthenticationError) or "WRONGPASS" in text or "NOAUTH" in text:
        return "password"
    if is_away_for_now(error):
        return "busy"
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ssl.SSLError) or "SSL" in text:
        return "tls"
    if isinstance(error, AWAY) or isinstance(cause, socket.gaierror):
        return "network"
    return "other"
