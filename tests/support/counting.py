"""Counters on a test's server, and events to count."""

from collections.abc import Iterable

import redis

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.hyperloglog import HyperLogLogs
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.servers import url_of

# of every experiment under the fixture `fixed_salt`
SALT = bytes(range(16))


def salt_of(store: redis.Redis) -> bytes:
    """The salt of the experiment "e"."""
    return bytes.fromhex(str(store.hget("alephbet:e:settings", "salt")))


def salted_shard_of(uuid: str, shards: int = 64) -> int:
    """The shard of a uuid under the fixture `fixed_salt`."""
    ((_, key, _),) = HyperLogLogs(shards, SALT).additions("", event(uuid=uuid))
    return int(key.removeprefix("#") or 0)


def counters_of(store: redis.Redis, shards: int = 64) -> Counters:
    return Counters(Connection(url_of(store)), shards)


def exact_counters_of(store: redis.Redis) -> Counters:
    """Counters whose new experiments count exactly: the numbers of a test have no error."""
    return Counters(Connection(url_of(store)), counting="exact")


def counters_of_proxy(port: int) -> Counters:
    return Counters(Connection(f"redis://127.0.0.1:{port}"))


def event(**fields: str) -> Event:
    usual = {"namespace": "alephbet", "experiment": "e", "goal": "participate", "variant": "a"}
    return Event(**(usual | {"uuid": "1"} | fields))


def events(uuids: Iterable[object], **fields: str) -> list[Event]:
    return [event(uuid=str(each), **fields) for each in uuids]


def full_experiment(store: redis.Redis, **fields: str) -> Counters:
    """Count 150 visitors and conversions of two variants. Return the counters."""
    counters = counters_of(store)
    for goal in ("participate", "signup"):
        for variant in "ab":
            counters.add(events(range(150), goal=goal, variant=variant, **fields))
    return counters


def track_1x(store: redis.Redis, namespace: str, experiment: str, goal: str, variant: str,
             *uuids: str) -> None:  # fmt: skip
    """Send the four commands of gimel 1.5.0's `track`."""
    key = f"{namespace}:counters:{experiment}:{goal}:{variant}"
    store.sadd(f"{namespace}:experiments", experiment)
    store.sadd(f"{namespace}:counter_keys", key)
    store.sadd(f"{namespace}:{experiment}:counter_keys", key)
    store.pfadd(key, *uuids)
