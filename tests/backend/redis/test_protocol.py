"""Commands packed and replies unpacked: each answer goes to its own question."""

import socket
import threading

import pytest
import redis

from gimel.backend.counting.counters import Counters
from gimel.backend.redis.connection import Connection
from gimel.backend.redis.protocol import Single
from gimel.backend.wire import Event
from tests.support.counting import salted_shard_of
from tests.support.servers import url_of


@pytest.mark.usefixtures("fixed_salt")
def test_a_batch_with_a_key_that_is_in_the_way_fails_and_the_next_is_in_step(
    store: redis.Redis,
) -> None:
    counters = Counters(Connection(url_of(store)), shards=2)
    batch = [Event("n", "e", goal, "a", "1") for goal in "xyz"]
    counters.add(batch)
    shard = salted_shard_of("1", shards=2)
    keys = [next(store.scan_iter(f"n:counters:e:{goal}:*")) for goal in "xyz"]
    store.delete(keys[1])
    store.rpush(keys[1], "in the way")
    same = next(n for n in map(str, range(2, 99)) if salted_shard_of(n, shards=2) == shard)
    again = [event._replace(uuid=same) for event in batch]
    with pytest.raises(redis.ResponseError, match="WRONGTYPE"):
        counters.add(again)
    assert [store.pfcount(key) for key in (keys[0], keys[2])] == [2, 2]
    (found,) = counters.read("n")
    assert found.goals == {"x": {"a": 2}, "y": {"a": 0}, "z": {"a": 2}}


def test_a_read_of_more_commands_than_are_packed_at_once(store: redis.Redis) -> None:
    counters = Counters(Connection(url_of(store)), shards=700)
    events = [Event("n", "e", "צבע", variant, str(n)) for variant in "abc" for n in range(900)]
    counters.add(events)
    (found,) = counters.read("n")
    assert found.goals == {"צבע": {"a": 900, "b": 900, "c": 900}}


def test_an_answer_too_many_is_an_error_and_nobodys() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            for replies in (b":5\r\n:99\r\n", b":5\r\n:99\r\n", b":7\r\n"):
                line, _ = listener.accept()
                with line:
                    line.recv(1000)
                    line.sendall(replies)
                    line.recv(1000)  # until the other end closes

        thread = threading.Thread(target=answer)
        thread.start()
        connection = Connection(f"redis://127.0.0.1:{listener.getsockname()[1]}")
        with pytest.raises(redis.ConnectionError, match="more replies"):
            connection.ask([("EXISTS", "a key")])
        assert connection.ask([("EXISTS", "a key")]) == [7]
        connection.disconnect()
        thread.join()


def parts_of(store: redis.Redis, number: int) -> tuple[list[list[Single]], list[list[object]]]:
    """Questions whose answers differ, and these: numbers, some parts with texts among them."""
    for length in range(10):
        store.set(f"key {length}", "x" * length)
    parts: list[list[Single]] = []
    answers: list[list[object]] = []
    for part in range(number):
        lengths = [(part * 7 + place) % 10 for place in range(1 + part % 5 * 900)]
        with_text = part % 13 == 12
        parts.append([("STRLEN", f"key {each}") for each in lengths])
        parts[-1] += [("GET", "key 3")] * with_text
        answers.append(lengths + [b"xxx"] * with_text)
    return parts, answers


@pytest.mark.parametrize("number", [0, 1, 12, 40])
def test_answers_in_turn_are_to_their_questions(store: redis.Redis, number: int) -> None:
    parts, answers = parts_of(store, number)
    connection = Connection(url_of(store))
    assert list(connection.stream(parts)) == answers
    assert connection.ask([("STRLEN", "key 7")]) == [7]


def test_a_line_that_breaks_between_answers_in_turn_costs_one_more_try(store: redis.Redis) -> None:
    parts, answers = parts_of(store, 200)
    connection = Connection(url_of(store))
    connection.ask([("STRLEN", "key 7")])
    before = connection.reconnects
    found = connection.stream(parts)
    first = next(found)
    store.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert [first, *found] == answers
    assert connection.reconnects == before + 1
    assert connection.ask([("STRLEN", "key 7")]) == [7]
