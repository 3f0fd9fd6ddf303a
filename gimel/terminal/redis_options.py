"""The Redis that a command uses directly: the option that chooses it, and the connection to it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from redis.exceptions import RedisError

from gimel.backend.redis.connection import Connection
from gimel.config.file import load
from gimel.config.redis import ManagedRedis, RedisSettings, advice, check_url
from gimel.config.settings import Config
from gimel.terminal.text import plain

redis_url_option = click.option("--redis-url", help="Use this Redis instead of the configured one.")


def connect_redis(config_file: Path | None, redis_url: str | None) -> Connection:
    """Return a connection to the Redis at the URL or, without one, to the configured one."""
    if redis_url is not None:
        return connect_url(redis_url, "--redis-url")
    return Connection.from_environment(_environment(load(config_file).config))


def connect_url(url: str, option: str) -> Connection:
    """Return a connection to the Redis that an option names. Raises click.BadParameter."""
    # Only this machine has the socket of a unix:// URL, so config.json allows none.
    if not url.startswith("unix://"):
        try:
            check_url(url)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint=option) from None
    return Connection(url)


def connect_managed(config_file: Path | None) -> Connection:
    """Return a connection to the stack's managed Redis, which config.json need not name."""
    config = load(config_file).config
    if not config.redis.managed:
        config = config.model_copy(update={"redis": RedisSettings(managed=ManagedRedis())})
    return Connection.from_environment(_environment(config))


def _environment(config: Config) -> dict[str, str]:
    if not config.redis.secret and not config.redis.managed:
        return config.redis.environment
    # boto3 is slow to import.
    from gimel.stack.cache import redis_environment
    from gimel.stack.deployed import connect

    return redis_environment(config, connect(config))


@contextmanager
def redis_errors() -> Iterator[None]:
    """Turn an error of Redis in the block into one line. Raises click.ClickException."""
    try:
        yield
    except RedisError as error:
        raise click.ClickException(f"cannot use Redis: {plain(advice(error))}") from None
