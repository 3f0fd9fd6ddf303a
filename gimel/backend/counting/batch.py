"""State shared by the registrations of one call, and the check of Redis's memory before them."""

from typing import Any

from gimel.backend.counting.conversation import Attempt, Conversation
from gimel.backend.counting.keys import ExperimentName
from gimel.backend.counting.memory import Memory
from gimel.backend.limits import Limits
from gimel.backend.log import log_metric

# Share of Redis's memory above which strangers may create no more counters
_SHORT = 0.7
# Share above which the deployed functions report it, for an alarm
_NEARLY_FULL = 0.8


class Batch:
    """State shared by the registrations of one call.

    It holds the settings for new experiments, and the new experiments so far (`begun`).
    `is_closed`: undeclared experiments do not count. `memory_is_short`: strangers may create no
    more counters. `firsts`: the salt, method and shards of the experiments that the process knows.
    `Counters.forget` keeps them: if Redis restarts empty, or a server of a cluster lost an
    experiment's settings, the experiment gets those that it had. So an event that is added twice
    counts once.
    """

    def __init__(
        self,
        limits: Limits,
        shards: int,
        counting: str,
        firsts: Memory[ExperimentName, dict[str, str]],
        *,
        is_closed: bool = False,
    ) -> None:
        self.limits = limits
        self.shards = shards
        self.counting = counting
        self.firsts = firsts
        self.is_closed = is_closed
        self.memory_is_short = False
        self.begun: list[Any] = []


def check_memory(batch: Batch) -> Conversation[None]:
    """Find out whether Redis's memory is short. If the host does not report it, it is not short."""
    (report,) = yield Attempt([("INFO", "memory")])
    if not isinstance(report, bytes):
        return
    lines = (line.partition(":") for line in report.decode().splitlines())
    figures = {name: int(text) for name, _, text in lines if text.isdecimal()}
    most = figures.get("maxmemory", 0) or batch.limits.memory * 1_000_000
    share = figures.get("used_memory", 0) / most if most else 0
    batch.memory_is_short = share > _SHORT
    if share > _NEARLY_FULL:
        log_metric("redis_percent_full", round(100 * share))
