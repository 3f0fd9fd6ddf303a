"""The choice of the method that counts a goal: HyperLogLogs, sets of integers, or amounts."""

from collections.abc import Mapping
from typing import Protocol

from gimel.backend.counting.admission import Rule
from gimel.backend.counting.exact import EXACT, IntegerSets
from gimel.backend.counting.hyperloglog import HyperLogLogs
from gimel.backend.counting.keys import Generation
from gimel.backend.redis.connection import Addition
from gimel.backend.wire import Event


class Method(Protocol):
    """The counting method of a counter: `HyperLogLogs`, `IntegerSets` or `Amounts`."""

    def additions(self, target: str, event: Event, /) -> list[Addition]:
        """Return the commands that count an event. `target`: the counter's key or prefix."""


def method_of(
    settings: Mapping[str, str], rule: Rule, salt: bytes, generation: Generation | None
) -> Method:
    """Return how a goal is counted. `generation`: that of an exact counter, otherwise None."""
    shards = int(settings.get("shards", 1))
    if rule.cap is not None:
        # Imported here: few experiments count amounts.
        from gimel.backend.counting.amounts import Amounts

        hashed = 8 if settings.get("counting") == EXACT else 4
        return Amounts(shards, rule.cap, salt, hashed)
    if generation:
        return IntegerSets(generation, salt, rule.counts_events)
    return HyperLogLogs(shards, salt, rule.counts_events)
