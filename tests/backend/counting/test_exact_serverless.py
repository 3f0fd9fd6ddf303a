"""Exact counting on ElastiCache Serverless, which takes fewer arguments than Redis."""

import redis

from gimel.backend.counting.exact import count_sets
from gimel.backend.counting.keys import Generation
from gimel.backend.redis.connection import Connection
from tests.support.serverless_cache import serverless_cache
from tests.support.servers import port_of

COUNTER = "alephbet:counters:e:participate:a"


def test_a_set_that_grew_far_too_large_is_moved(store: redis.Redis) -> None:
    first, second = Generation(64), Generation(256)
    key = first.key(first.prefix(COUNTER), 0)
    store.sadd(key, *range(0, 64 * 9000, 64))
    with serverless_cache(port_of(store)) as cache:
        connection = Connection.from_environment(cache.environ)
        assert sum(count_sets(connection, {COUNTER: [first, second]})[COUNTER]) == 9000
    assert store.exists(key) == 0
