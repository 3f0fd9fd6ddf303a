"""All that a Redis holds, as Python values: to compare two of them, or to fill one."""

from typing import Any

import redis
from redis.cluster import RedisCluster

from gimel.backend.counting.keys import SNAPSHOTS, is_generation
from tests.support.servers import port_of


def raw(client: redis.Redis) -> redis.Redis:
    """Return a client of the same server that replies in bytes."""
    return redis.Redis(port=port_of(client))


def content(client: redis.Redis) -> dict[str, tuple[str, Any]]:
    """Each key's type and value. The server is one with everything, not one of a cluster."""
    with raw(client) as plain:
        return _content(plain)


def timeless(found: dict[str, tuple[str, Any]]) -> dict[str, tuple[str, Any]]:
    """Drop the times when sets of exact counters began: a copy has its own times."""
    return {
        key: (
            kind,
            {field: field if is_generation(field.decode()) else value[field] for field in value},
        )
        if kind == "hash"
        else (kind, value)
        for key, (kind, value) in found.items()
    }


def content_of_cluster(port: int) -> dict[str, tuple[str, Any]]:
    with RedisCluster(host="127.0.0.1", port=port) as plain:
        return _content(plain)


def _content(plain: Any) -> dict[str, tuple[str, Any]]:
    keys = sorted(plain.scan_iter(count=1000))
    # Where the next snapshots begin is no part of what a backup or a move takes along.
    return {key.decode(): _value(plain, key) for key in keys if key.decode() != SNAPSHOTS}


def _value(plain: Any, key: bytes) -> tuple[str, Any]:
    kind = plain.type(key).decode()
    if kind == "string":
        return kind, plain.get(key)
    if kind == "set":
        return kind, sorted(plain.smembers(key))
    if kind == "hash":
        return kind, plain.hgetall(key)
    return kind, plain.lrange(key, 0, -1)


def fill(client: redis.Redis, keys: dict[str, tuple[str, Any]]) -> None:
    """Write these keys."""
    with raw(client) as plain:
        for key, (kind, value) in keys.items():
            if kind == "string":
                plain.set(key, value)
            elif kind == "set":
                plain.sadd(key, *value)
            elif kind == "hash":
                plain.hset(key, mapping=value)
            else:
                plain.rpush(key, *value)
