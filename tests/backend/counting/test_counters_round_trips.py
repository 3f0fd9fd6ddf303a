"""What an event and a read cost on the wire: round trips and commands, counted."""

import pytest
import redis

from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.hyperloglog import shard_of
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.handler_requests import call, post
from tests.support.servers import url_of
from tests.support.traffic import traffic

EVENT = {
    "experiment": "button color",
    "variant": "red",
    "event": "participate",
    "uuid": "secret-id",
}


@pytest.mark.parametrize("events", [1, 2, 500])
def test_warm_events_take_one_round_trip(backend: redis.Redis, events: int) -> None:
    batch = [EVENT | {"uuid": str(n)} for n in range(events)]
    post(batch)
    with traffic(backend) as seen:
        post(batch)
    assert seen.round_trips == 1
    assert seen.commands == {"pfadd": len({shard_of(str(n), 64) for n in range(events)})}


def test_a_warm_event_is_one_command_in_one_round_trip(backend: redis.Redis) -> None:
    call("GET", "/e", EVENT)
    with traffic(backend) as seen:
        call("GET", "/e", EVENT | {"uuid": "another"})
    assert (seen.round_trips, seen.commands) == (1, {"pfadd": 1})


def test_a_refused_event_costs_redis_nothing(backend: redis.Redis) -> None:
    with traffic(backend) as seen:
        call("GET", "/e", EVENT | {"uuid": ""})
        post([{}, 1])
    assert (seen.round_trips, seen.commands) == (0, {})


def test_the_first_event_takes_four_round_trips(backend: redis.Redis) -> None:
    with traffic(backend) as seen:
        call("GET", "/e", EVENT)
    assert seen.round_trips == 4
    assert sum(seen.commands.values()) == 20


def test_a_first_batch_takes_four_round_trips_however_many_experiments(
    backend: redis.Redis,
) -> None:
    batch = [EVENT | {"experiment": f"e{n}", "variant": v} for n in range(50) for v in "ab"]
    with traffic(backend) as seen:
        assert post(batch).body == {"accepted": 100, "ignored": 0, "reasons": {}, "rejected": []}
    assert seen.round_trips == 4


def test_a_counter_known_to_redis_costs_a_new_process_two_round_trips(backend: redis.Redis) -> None:
    call("GET", "/e", EVENT)
    process.reset()
    with traffic(backend) as seen:
        call("GET", "/e", EVENT)
    assert seen.round_trips == 2
    assert not {"sadd", "hsetnx"} & seen.commands.keys()


def test_a_counter_is_looked_up_again_after_a_minute(store: redis.Redis) -> None:
    now = [0.0]
    counters = Counters(Connection(url_of(store)), clock=lambda: now[0])
    event = Event("alephbet", "e", "participate", "a", "1")
    counters.add([event])
    trips = []
    for now[0] in (59.9, 60.0, 60.1):
        with traffic(store) as seen:
            counters.add([event])
        trips.append(seen.round_trips)
    assert trips == [1, 2, 1]


@pytest.mark.parametrize("experiments", [0, 1, 10, 100])
def test_reading_takes_three_round_trips_at_most(backend: redis.Redis, experiments: int) -> None:
    post([EVENT | {"experiment": f"e{n}"} for n in range(experiments)])
    with traffic(backend) as seen:
        assert len(call("GET", "/experiments").body) == experiments + 1
    assert seen.round_trips <= 3
