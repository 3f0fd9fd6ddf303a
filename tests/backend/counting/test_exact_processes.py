"""Exact counting by processes that stop and get in each other's way, against a plain set."""

import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gimel.backend.counting import exact
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.exact import EXACT, IntegerSets
from gimel.backend.counting.keys import Generation
from gimel.backend.redis.connection import Command, Connection
from gimel.backend.redis.protocol import grouped, singles
from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.wire import Event
from tests.support.counting import salt_of
from tests.support.hypothesis_settings import on_one_server
from tests.support.servers import url_of


def event(number: int, variant: str = "a") -> Event:
    return Event("alephbet", "e", "participate", variant, str(number))


def counters_of(store: redis.Redis) -> Counters:
    return Counters(Connection(url_of(store)), counting=EXACT)


def only(counters: Counters) -> ExperimentCounts:
    (found,) = counters.read("alephbet")
    return found


@pytest.fixture
def tiny_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Grow from 1 set to 4, 16, …: in a cluster, these would be in several slots."""
    monkeypatch.setattr(exact, "FULL", 4)
    monkeypatch.setattr(exact, "_ROOMY", 2)
    monkeypatch.setattr(exact, "_MOVED_AT_ONCE", 3)
    monkeypatch.setattr("gimel.backend.counting.registration.FIRST_SETS", 1)
    monkeypatch.setattr(exact, "time", exact.time)


class StoppedError(Exception):
    """The process has ended between two commands."""


class Stepping(Connection):
    """A connection that runs `between` before each command, and may stop there.

    Commands sent together are no transaction: others' commands may come between any two of them.
    """

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.between: Callable[[], None] = lambda: None

    def ask(self, commands: Sequence[Command]) -> list[Any]:
        replies = []
        for command in singles(commands):
            self.between()
            replies += super().ask([command])
        return grouped(commands, replies)


class Process:
    """A process that counts and reads, with a clock of its own."""

    def __init__(self, store: redis.Redis) -> None:
        self.time = 0.0
        self.wall = 0.0
        self.connection = Stepping(url_of(store))
        self.counters = Counters(self.connection, clock=lambda: self.time, counting=EXACT)


class World:
    """Processes that stop and get in each other's way, and what they have promised.

    No two agree on the time.
    """

    def __init__(self, store: redis.Redis, chance: random.Random) -> None:
        self.chance = chance
        exact.time = self  # type: ignore[assignment, attr-defined]
        self.processes = [Process(store) for _ in range(3)]
        self.acting = self.processes[0]
        self.sent: set[Event] = set()
        self.counted: set[Event] = set()
        self.depth = 0

    def time(self) -> float:
        """Return the time that the acting process has in place of `time.time`."""
        return self.acting.wall

    def step(self) -> None:
        process = self.chance.choice(self.processes)
        if self.depth and process.connection.between.__name__ != "<lambda>":
            return  # it is in the middle of something
        process.time += self.chance.choice((0, 0, 30, 61))
        process.wall = 1_000_000_000 + self.chance.choice((0, 200, 400, 10_000))
        acted, self.acting = self.acting, process
        stops_after = self.chance.choice((None, None, self.chance.randrange(40)))
        process.connection.between = self._between(stops_after)
        try:
            if self.chance.random() < 0.7:
                self._add(process)
            else:
                self._read(process)
        except StoppedError:
            # What it remembered is gone with it, or not: a frozen process wakes up with all of it.
            if self.chance.random() < 0.5:
                process.counters.forget()
        finally:
            process.connection.between = lambda: None
            self.acting = acted

    def _between(self, stops_after: int | None) -> Callable[[], None]:
        left = stops_after

        def between() -> None:
            nonlocal left
            if left is not None:
                if left == 0:
                    raise StoppedError
                left -= 1
            if self.depth < 2 and self.chance.random() < 0.15:
                self.depth += 1
                try:
                    self.step()
                finally:
                    self.depth -= 1

        return between

    def _add(self, process: Process) -> None:
        batch = [
            event(self.chance.randrange(40), self.chance.choice("ab"))
            for _ in range(self.chance.choice((1, 1, 5)))
        ]
        self.sent |= set(batch)
        process.counters.add(batch)
        self.counted |= set(batch)

    def _read(self, process: Process) -> None:
        before = set(self.counted)
        found = process.counters.read("alephbet")
        for variant in "ab":
            count = found[0].trials.get(variant, 0) if found else 0
            least, most = (
                len({each for each in events if each.variant == variant})
                for events in (before, self.sent)
            )
            assert least <= count <= most


@pytest.mark.slow
@settings(on_one_server, max_examples=40)
@given(st.integers(0, 1 << 32))
def test_processes_that_stop_and_meet_count_as_a_set_does(
    store: redis.Redis, tiny_sets: None, seed: int
) -> None:
    store.flushall()
    chance = random.Random(seed)
    world = World(store, chance)
    for _ in range(30):
        world.step()
    # Whoever had no answer sends again.
    for each in sorted(world.sent):
        chance.choice(world.processes).counters.add([each])
    found, salt = only(counters_of(store)), salt_of(store)
    for variant in {each.variant for each in world.sent}:
        expected = {each for each in world.sent if each.variant == variant}
        assert found.trials[variant] == len(expected)
    # A generation that a fast clock has used may not have settled for the reader.
    exact.time = time  # type: ignore[attr-defined]
    assert only(counters_of(store)).trials == found.trials
    # Once read, each is in one place, and none is there that was never sent.
    assert distinct_and_all(store) == [
        {int(IntegerSets(Generation(1), salt).additions("", each)[0][2]) for each in world.sent},
        len(world.sent),
    ]
    assert counters_of(store).delete("alephbet", "e", forget=True)
    assert store.dbsize() == 0


def distinct_and_all(store: redis.Redis) -> list[Any]:
    """The members of all sets, and the sum of the sets' sizes."""
    sets = [store.smembers(key) for key in store.scan_iter("*:{counters:*")]
    return [{int(member) for members in sets for member in members}, sum(map(len, sets))]
