"""The flags that a process keeps: when Redis is asked, and what is served without it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from redis.exceptions import RedisError

from gimel.backend.counting.keys import DECLARED, Keys, declared_experiment, declared_name
from gimel.backend.experiment.assignment import assigned_variant, takes_part
from gimel.backend.experiment.flags import Flags
from gimel.backend.redis.connection import Connection
from tests.support.flags import declare
from tests.support.proxy import black_hole, proxy_of
from tests.support.servers import frozen, port_of, url_of
from tests.support.traffic import traffic


class Clock:
    """The time in seconds, which only a test moves on."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def flags(backend: redis.Redis, clock: Clock) -> Flags:
    return Flags(Connection(url_of(backend)), clock)


@pytest.mark.parametrize("name", [("alephbet", "button color"), ("a:b", "c%3A:#d"), ("ü", "%")])
def test_a_declared_name_can_be_read(name: tuple[str, str]) -> None:
    assert declared_experiment(declared_name(name)) == name


def test_evaluations_within_a_minute_cost_no_command(
    backend: redis.Redis, flags: Flags, clock: Clock
) -> None:
    for name in ("a", "b", "c"):
        declare(name)
    with traffic(backend) as first:
        assert sorted(flags.of("alephbet")) == ["a", "b", "c"]
    assert (first.round_trips, first.commands) == (2, {"smembers": 1, "hmget": 3})
    clock.now += 59
    with traffic(backend) as warm:
        for _ in range(100):
            assert flags.of("alephbet")["b"].assign("user 7")[1] == "SPLIT"
            assert "none" not in flags.of("alephbet")
            assert flags.of("a stranger's") == {}
    assert (warm.round_trips, warm.commands) == (0, {})
    clock.now += 2
    with traffic(backend) as again:
        flags.of("alephbet")
        flags.of("alephbet")
    assert (again.round_trips, again.commands) == (2, {"smembers": 1, "hmget": 3})


def test_a_stranger_who_names_namespaces_gets_nothing_read(
    backend: redis.Redis, flags: Flags, clock: Clock
) -> None:
    declare("a")
    declare("b", "staging")
    flags.of("alephbet")
    with traffic(backend) as seen:
        for number in range(1000):
            assert flags.of(f"ns {number}") == {}
    assert seen.commands == {}
    assert flags._kept.keys() == {None, "alephbet"}
    assert list(flags.of("staging")) == ["b"]
    # A namespace without a declared experiment is not kept either.
    backend.srem(DECLARED, declared_name(("staging", "b")))
    clock.now += 61
    assert flags.of("staging") == {}
    assert flags._kept.keys() == {None, "alephbet"}


def test_only_declared_experiments_that_are_flags_are_flags(
    backend: redis.Redis, flags: Flags
) -> None:
    declare("a")
    declare("no flag", flag=False)
    declare("deleted")
    declare("a:b#c", "name:space")
    backend.srem(DECLARED, declared_name(("alephbet", "deleted")))
    backend.hset(Keys("alephbet", "undeclared").settings, "flag", "true")
    assert list(flags.of("alephbet")) == ["a"]
    assert list(flags.of("name:space")) == ["a:b#c"]


@pytest.mark.parametrize(
    "damage",
    [
        {"variants": "{"},
        {"variants": '[{"name": "blue"}]', "baseline": "red"},
        {"variants": '[{"name": "blue", "weight": 0, "value": 1}, {"name": "red", "weight": "x"}]'},
        {"flag": "yes"},
        {"variants": b"\xff"},
    ],
)
def test_what_this_version_cannot_read_is_no_flag(
    backend: redis.Redis, flags: Flags, damage: dict[str, Any]
) -> None:
    declare("a")
    declare("b")
    backend.hset(Keys("alephbet", "a").settings, mapping=damage)
    assert list(flags.of("alephbet")) == ["b"]


def test_a_key_of_another_type_is_no_flag(backend: redis.Redis, flags: Flags) -> None:
    declare("a")
    declare("b")
    key = Keys("alephbet", "a").settings
    backend.delete(key)
    backend.set(key, "x")
    assert list(flags.of("alephbet")) == ["b"]


def test_the_variant_is_that_of_the_published_hash(backend: redis.Redis, flags: Flags) -> None:
    weights = {"blue": 10, "red": 30}
    variants = [{"name": each, "weight": weights[each], "value": each} for each in weights]
    declare("a", variants=variants, traffic=0.4, baseline="red")
    flag = flags.of("alephbet")["a"]
    for number in range(300):
        visitor = f"user {number}"
        expected = (
            (assigned_variant("a", visitor, weights), "SPLIT")
            if takes_part("a", visitor, 0.4)
            else ("red", "DEFAULT")
        )
        assert flag.assign(visitor) == expected


def test_without_redis_the_last_known_flags_are_served(backend: redis.Redis, clock: Clock) -> None:
    declare("a")
    with proxy_of(backend) as proxy:
        flags = Flags(Connection(f"redis://127.0.0.1:{proxy.port}"), clock)
        known = flags.of("alephbet")
        proxy.budget = 0
        for _ in range(5):
            clock.now += 3600
            assert flags.of("alephbet") == known
            assert flags.of("unknown") == {}
        proxy.budget = None
        declare("b")
        # Redis is asked again at once only after a rest.
        assert list(flags.of("alephbet")) == ["a"]
        clock.now += 2
        assert list(flags.of("alephbet")) == ["a", "b"]


def test_a_silent_redis_is_waited_for_once_in_two_seconds(
    backend: redis.Redis, flags: Flags, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare("a")
    known = flags.of("alephbet")
    asked: list[float] = []
    real = Connection.run

    def run(self: Connection, work: Any, seconds: float) -> Any:
        asked.append(seconds)
        return real(self, work, seconds)

    monkeypatch.setattr(Connection, "run", run)
    clock.now += 61
    with frozen(backend):
        for _ in range(1000):
            assert flags.of("alephbet") == known
        assert asked == [0.5]
        clock.now += 2
        flags.of("alephbet")
        assert asked == [0.5, 0.5]


def test_without_redis_and_without_flags_there_is_an_error(clock: Clock) -> None:
    with black_hole() as port:
        flags = Flags(Connection(f"redis://127.0.0.1:{port}"), clock)
        for _ in range(1000):
            with pytest.raises(RedisError):
                flags.of("alephbet")


def test_threads_read_once(backend: redis.Redis, flags: Flags, clock: Clock) -> None:
    declare("a")
    barrier = threading.Barrier(8)

    def ask(_: int) -> list[str]:
        barrier.wait()
        return list(flags.of("alephbet"))

    for _ in range(20):
        clock.now += 61
        with traffic(backend) as seen, ThreadPoolExecutor(8) as threads:
            assert list(threads.map(ask, range(8))) == [["a"]] * 8
        assert seen.commands == {"smembers": 1, "hmget": 1}


def test_threads_that_know_flags_do_not_wait(
    backend: redis.Redis, flags: Flags, clock: Clock
) -> None:
    declare("a")
    known = flags.of("alephbet")
    clock.now += 61
    with flags._reading:
        assert flags.of("alephbet") == known


def test_after_a_change_they_are_read_again(
    backend: redis.Redis, flags: Flags, clock: Clock
) -> None:
    declare("a")
    assert list(flags.of("alephbet")) == ["a"]
    declare("b")
    assert list(flags.of("alephbet")) == ["a"]
    flags.forget()
    assert list(flags.of("alephbet")) == ["a", "b"]


def test_what_was_forgotten_is_served_without_redis(backend: redis.Redis, clock: Clock) -> None:
    declare("a")
    with proxy_of(backend) as proxy:
        assert port_of(backend) == proxy.target
        flags = Flags(Connection(f"redis://127.0.0.1:{proxy.port}"), clock)
        known = flags.of("alephbet")
        proxy.budget = 0
        flags.forget()
        assert flags.of("alephbet") == known
