"""The arithmetic of docs/scaling.md, against points worked out by hand; the page, against it."""

import re
from collections import Counter

import numpy as np
import pytest
import redis

from bench import harness, hot, scaling
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import Keys, shard_endings
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.servers import url_of
from tests.support.traffic import traffic

PAGE = (harness.DOCS / "scaling.md").read_text("utf-8")
RED = Event("alephbet", "page", "participate", "red", "1")


@pytest.mark.parametrize("section", scaling.measure(), ids=lambda section: section[0])
def test_the_page_says_what_the_arithmetic_says(section: harness.Section) -> None:
    name, head, lines = section
    assert f"<!-- bench:{name} -->\n{harness.markdown(head, lines)}\n<!-- /bench:" in PAGE


def test_the_page_says_from_which_rate_on_a_cluster_is_needed() -> None:
    (said,) = re.findall(r"\*\*From ([\d,]+)\*\*: a Redis cluster", PAGE)
    rate = int(said.replace(",", ""))
    assert (scaling.nodes(rate - 100), scaling.nodes(rate)) == (1, 2)


def test_points_worked_out_by_hand() -> None:
    # 4 ms: 25,000 a second are 100 at once
    assert scaling.EVENT_SECONDS == 0.004
    assert scaling.running(25_000) == pytest.approx(100)
    # ten requests a second each
    assert scaling.concurrency(25_000) == 2_500
    # Poisson's 100 is over 151 once in a million times; so many processes look 100 counters up once
    # a minute, in eight commands each
    assert scaling.peak(25_000) == 151
    assert scaling.commands(25_000) == pytest.approx(25_000 + 151 * 100 / 60 * 8)
    # 27,013 times 17 µs are 0.459 of a core
    assert scaling.nodes(25_000) == 1
    # 32,400 or so times 23 µs are 0.74 of a core
    assert scaling.nodes(30_000) == 2
    assert scaling.nodes(50_000) == 3


def test_a_slow_function_needs_more_than_a_tenth_of_the_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(scaling, "EVENT_SECONDS", 0.4)
    assert scaling.concurrency(1_000) == scaling.peak(1_000) > 400


@pytest.mark.parametrize("rate", [300, 5_000])
def test_what_runs_at_once_is_what_a_simulation_finds(rate: int) -> None:
    """A million events that come by chance: how many of those before each still run."""
    arrivals = np.cumsum(np.random.default_rng(7).exponential(1 / rate, 1_000_000))
    earlier = np.arange(arrivals.size)
    still = earlier - np.searchsorted(arrivals, arrivals - scaling.EVENT_SECONDS)
    assert still.mean() == pytest.approx(scaling.running(rate), rel=0.01)
    # One in a million is meant; those of one rush come together.
    assert (still > scaling.peak(rate)).sum() <= 20
    assert still.max() >= scaling.peak(rate) - 2


def test_looking_a_known_counter_up_takes_so_many_commands(store: redis.Redis) -> None:
    Counters(Connection(url_of(store))).add([RED])
    another_process = Counters(Connection(url_of(store)))
    with traffic(store) as seen:
        another_process.add([RED])
    assert sum(seen.commands.values()) == scaling.LOOK_UP_COMMANDS + 1


@pytest.mark.parametrize("name", ["page", "button color", "my a/b test", "כפתור"])
def test_the_shards_of_a_counter_are_spread_over_a_cluster(name: str) -> None:
    counter = Keys("alephbet", name).counter("participate", "red")
    on = Counter(hot.node_of(counter + ending) for ending in shard_endings(hot.SHARDS))
    assert set(on) == set(range(hot.NODES))
    assert max(on.values()) <= 0.45 * hot.SHARDS
