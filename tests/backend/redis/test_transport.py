"""The socket: what is sent and received step by step, in time."""

import socket
import time

import pytest
import redis

from gimel.backend.redis.connection import Connection, Series
from tests.support.proxy import proxy_of


@pytest.mark.slow
def test_a_series_longer_than_what_is_taken_in_one_step(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    series = Series("STRLEN", "k", tuple(f"#{n:01000}" for n in range(8000)))
    with proxy_of(store) as slow:
        slow._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        take = slow._meter
        monkeypatch.setattr(slow, "_meter", lambda data: (time.sleep(0.01), take(data))[1])
        (lengths,) = Connection(f"redis://127.0.0.1:{slow.port}").ask([series])
    assert lengths == [0] * 8000
