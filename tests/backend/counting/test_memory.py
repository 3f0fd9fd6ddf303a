"""A process remembers a bounded number of bytes, whatever names strangers send."""

import tracemalloc
from typing import Any

import pytest
import redis

from gimel.backend.bots import comes_from_bot, is_bot
from gimel.backend.counting import counters as module
from gimel.backend.counting.admission import NO_EXPERIMENT
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.memory import Memory, bytes_of
from gimel.backend.counting.tally import Tally
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from tests.support.counting import event
from tests.support.servers import url_of
from tests.support.traffic import traffic

MOST = 1_000_000
# 256 characters, 1 KB in memory
HUGE = "\N{OWL}" * 250


def grown(work: Any) -> int:
    """Return the bytes that the process holds more after the work."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_bytes_are_those_that_python_takes() -> None:
    memory = Memory[tuple[str, str], tuple[float, str]](10**9)

    def fill() -> None:
        for number in range(1000):
            memory.remember((f"{HUGE}{number}", f"e{number}"), (float(number), f"{HUGE} {number}"))

    assert grown(fill) == pytest.approx(memory._bytes, rel=0.1)
    assert bytes_of({"a": frozenset({"b"})}) > bytes_of({"a": frozenset[str]()})


def test_it_forgets_before_it_would_hold_more() -> None:
    memory = Memory[str, int](MOST)
    longest = 0
    for number in range(5000):
        memory.remember(f"{HUGE}{number}", number)
        memory.remember(f"{HUGE}{number}", number + 1)
        assert memory._bytes <= MOST
        assert memory[f"{HUGE}{number}"] == number + 1
        longest = max(longest, len(memory))
    assert 700 < longest < 1000


def test_renewing_what_is_known_takes_no_more() -> None:
    memory = Memory[str, int](MOST)
    memory.remember("kept", 0)
    for number in range(100_000):
        memory.remember("renewed", number)
    assert memory["kept"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("limits", [Limits(experiments=10**6), Limits(experiments=3)])
def test_a_flood_of_huge_names(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch, limits: Limits
) -> None:
    monkeypatch.setattr(module, "_KNOWN_BYTES", MOST)
    monkeypatch.setattr(module, "_OTHER_BYTES", MOST)
    counters = Counters(Connection(url_of(store)), 1, limits)
    counters.add([event()])

    def flood() -> None:
        for start in range(0, 1500, 50):
            names = [f"{HUGE}{number}" for number in range(start, start + 50)]
            counters.add([event(experiment=n, goal=n, variant=n, uuid=n) for n in names])

    assert grown(flood) < 4 * MOST


def test_refused_names_drive_out_no_known_counter(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_OTHER_BYTES", 10_000)
    counters = Counters(Connection(url_of(store)), 1, Limits(experiments=1))
    counters.add([event()])
    refused = counters.add([event(experiment=f"{HUGE}{number}") for number in range(100)])
    assert len(refused) == 100
    with traffic(store) as seen:
        counters.add([event(uuid="2")])
    assert seen.commands == {"pfadd": 1}


def test_a_tally_of_huge_names(store: redis.Redis) -> None:
    tally = Tally(Connection(url_of(store)))

    def flood() -> None:
        for number in range(3000):
            name = f"{HUGE}{number}"
            ignored = event(namespace=name, experiment=name, goal=name, variant=name)
            tally.add([(ignored, NO_EXPERIMENT)], 0.0)

    assert grown(flood) < 5 * MOST


def test_huge_user_agents() -> None:
    is_bot.cache_clear()

    def flood() -> None:
        for number in range(2000):
            comes_from_bot({"headers": {"user-agent": f"{number} {HUGE * 40}"}})

    assert grown(flood) < 6 * MOST
