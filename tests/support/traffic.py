"""The commands and round trips that code sends to Redis, counted."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from redis.connection import AbstractConnection


@contextmanager
def counting_sends() -> Iterator[list[int]]:
    """Count the round trips of every client in this process: each begins with one send."""
    sends: list[int] = []
    real = AbstractConnection.send_packed_command

    def counted(self: AbstractConnection, command: Any, check_health: bool = True) -> None:
        sends.append(1)
        real(self, command, check_health)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AbstractConnection, "send_packed_command", counted)
        yield sends


class Traffic:
    """Commands and round trips between two moments."""

    commands: dict[str, int]
    round_trips: int


@contextmanager
def traffic(client: redis.Redis) -> Iterator[Traffic]:
    """What the code inside sends to this Redis, by the server's own statistics."""
    seen = Traffic()
    before = _commands(client)
    with counting_sends() as sends:
        yield seen
    seen.round_trips = len(sends)
    seen.commands = dict(_commands(client) - before)


def _commands(client: redis.Redis) -> Counter[str]:
    statistics = client.info("commandstats")
    counted = Counter(
        {name.removeprefix("cmdstat_"): of["calls"] for name, of in statistics.items()}
    )
    del counted["info"]
    return counted
