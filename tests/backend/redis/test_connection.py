"""Redis away, slow, or back: what the sender sees. And what one event costs on the wire."""

import gc
import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from gimel import gimel as handlers
from gimel.backend.counting.counters import Counters, shard_of
from gimel.backend.redis.connection import Connection, Series
from gimel.backend.redis.line import Single
from gimel.backend.wire import Event
from tests.support.handler_requests import call, point_handlers_at, post
from tests.support.proxy import black_hole, proxy_of
from tests.support.servers import free_port, frozen, kill, port_of, url_of, valkey
from tests.support.traffic import traffic
from tests.support.valkey_cluster import wait

EVENT = {
    "experiment": "button color",
    "variant": "red",
    "event": "participate",
    "uuid": "secret-id",
}
READS = [
    ("GET", "/experiments", {}),
    ("GET", "/experiment", {"experiment": "button color"}),
    ("DELETE", "/delete", {"experiment": "button color"}),
]


@pytest.fixture(autouse=True)
def _forget_the_connection() -> Iterator[None]:
    yield
    handlers.forget_connection()


def assert_out_of_reach(answer: object, seconds: float) -> None:
    assert answer.status == 503
    assert answer.body == {"error": "the counters are out of reach, try again", "field": None}
    assert int(answer.headers["retry-after"]) > 0
    assert seconds < 2  # the promise itself


def timed(method: str, path: str, query: dict[str, str] | str = "", **rest: object) -> tuple:
    start = time.monotonic()
    answer = call(method, path, query, **rest)
    return answer, time.monotonic() - start


def assert_nothing_counted(url: str, patch: pytest.MonkeyPatch) -> None:
    point_handlers_at(patch, url)
    assert_out_of_reach(*timed("GET", "/e", EVENT))
    assert_out_of_reach(*timed("POST", "/e", body=json.dumps([EVENT, EVENT | {"uuid": "2"}])))
    for read in READS:
        assert_out_of_reach(*timed(*read))


def test_connection_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_nothing_counted(f"redis://127.0.0.1:{free_port()}", monkeypatch)


@pytest.mark.parametrize("login", ["", ":password@"])
def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    with black_hole() as port:
        point_handlers_at(monkeypatch, f"redis://{login}127.0.0.1:{port}")
        assert_out_of_reach(*timed("GET", "/e", EVENT))
        assert_out_of_reach(*timed(*READS[0]))


def test_a_host_that_does_not_even_take_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    with black_hole(accepts=False) as port:
        point_handlers_at(monkeypatch, f"redis://127.0.0.1:{port}")
        assert_out_of_reach(*timed("GET", "/e", EVENT))


def test_killed_in_the_middle(monkeypatch: pytest.MonkeyPatch) -> None:
    with valkey() as server:
        point_handlers_at(monkeypatch, url_of(server))
        assert call("GET", "/e", EVENT).status == 200
        kill(server)
        assert_out_of_reach(*timed("GET", "/e", EVENT))
        assert_out_of_reach(*timed(*READS[0]))


def test_a_server_that_freezes_under_a_warm_process_and_thaws(backend: redis.Redis) -> None:
    assert call("GET", "/e", EVENT).status == 200
    with frozen(backend):
        assert_out_of_reach(*timed("GET", "/e", EVENT))
        assert_out_of_reach(*timed(*READS[0]))
    assert call("GET", "/e", EVENT).status == 200
    assert call("GET", "/experiments").body[1]["variants"] == [
        {"label": "red", "trials": 1, "stray": False}
    ]


def test_a_socket_that_died_in_a_freeze_costs_a_retry_not_the_event(backend: redis.Redis) -> None:
    assert call("GET", "/e", EVENT | {"uuid": "1"}).status == 200
    for uuid in ("2", "3"):
        backend.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        assert call("GET", "/e", EVENT | {"uuid": uuid}).status == 200
    backend.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert post([EVENT | {"uuid": "4"}, EVENT | {"uuid": "5"}]).body["accepted"] == 2
    backend.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    (_, found) = call("GET", "/experiments").body
    assert found["variants"][0]["trials"] == 5


def test_an_event_in_flight_when_the_line_is_cut_is_not_answered_200(
    store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy_of(store) as proxy:
        point_handlers_at(monkeypatch, f"redis://127.0.0.1:{proxy.port}")
        assert call("GET", "/e", EVENT | {"uuid": "1"}).status == 200
        proxy.budget = 10
        assert_out_of_reach(*timed("GET", "/e", EVENT | {"uuid": "2"}))
        proxy.budget = None
        assert call("GET", "/e", EVENT | {"uuid": "2"}).status == 200
        assert call("GET", "/experiments").body[1]["variants"] == [
            {"label": "red", "trials": 2, "stray": False}
        ]


def test_a_wrong_password_is_no_success_and_stays_out_of_answer_and_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with valkey(password="right") as server:
        point_handlers_at(monkeypatch, f"redis://:hunter2@127.0.0.1:{port_of(server)}")
        answer, seconds = timed("GET", "/e", EVENT)
        assert_out_of_reach(answer, seconds)
    said = json.dumps(answer) + capsys.readouterr().out
    assert "hunter2" not in said
    assert "AuthenticationError" in said


def test_the_log_line_names_the_failure_and_nobody(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    point_handlers_at(monkeypatch, f"redis://alice:hunter2@127.0.0.1:{port}")
    call("GET", "/e", EVENT)
    logged = capsys.readouterr()
    assert [json.loads(line) for line in logged.out.splitlines()] == [
        {"level": "error", "failed": "ConnectionError"}
    ]
    assert logged.err == ""


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
    assert sum(seen.commands.values()) == 15


def test_a_first_batch_takes_four_round_trips_however_many_experiments(
    backend: redis.Redis,
) -> None:
    batch = [EVENT | {"experiment": f"e{n}", "variant": v} for n in range(50) for v in "ab"]
    with traffic(backend) as seen:
        assert post(batch).body == {"accepted": 100, "rejected": []}
    assert seen.round_trips == 4


def test_a_counter_known_to_redis_costs_a_new_process_two_round_trips(backend: redis.Redis) -> None:
    call("GET", "/e", EVENT)
    handlers.forget_connection()
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


def test_a_process_holds_one_connection(backend: redis.Redis) -> None:
    backend.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    for _ in range(3):
        call("GET", "/e", EVENT)
        post([EVENT, EVENT | {"uuid": "2"}])
        call("GET", "/experiments")
        call("GET", "/e", EVENT | {"experiment": "another"})
        call("DELETE", "/delete", {"experiment": "another"})
    mine = backend.client_id()
    assert len([client for client in backend.client_list() if int(client["id"]) != mine]) == 1


def test_a_batch_with_a_key_that_is_in_the_way_fails_and_the_next_is_in_step(
    store: redis.Redis,
) -> None:
    counters = Counters(Connection(url_of(store)), shards=2)
    batch = [Event("n", "e", goal, "a", "1") for goal in "xyz"]
    counters.add(batch)
    keys = [next(store.scan_iter(f"n:counters:e:{goal}:*")) for goal in "xyz"]
    store.delete(keys[1])
    store.rpush(keys[1], "in the way")
    again = [event._replace(uuid="3") for event in batch]
    assert shard_of("1", 2) == shard_of("3", 2), "the same keys"
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


def test_a_thread_that_ends_closes_its_connection(store: redis.Redis) -> None:
    counters = Counters(Connection(url_of(store)))
    before = len(store.client_list())
    for n in range(5):
        thread = threading.Thread(target=counters.add, args=([Event("n", "e", "x", "a", str(n))],))
        thread.start()
        thread.join()
    gc.collect()
    wait(lambda: len(store.client_list()) == before)


def test_an_interrupt_before_the_answer_leaves_it_to_nobody(store: redis.Redis) -> None:
    connection = Connection(url_of(store))
    store.set("seven", "1234567")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gimel.backend.redis.connection.receive", lambda *_: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            connection.ask([("STRLEN", "seven")])
    assert connection.ask([("STRLEN", "none")]) == [0]


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
        with pytest.raises(redis.ConnectionError, match="more answers"):
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
    assert list(connection.count_in_turn(parts)) == answers
    assert connection.ask([("STRLEN", "key 7")]) == [7]


def test_a_line_that_breaks_between_answers_in_turn_costs_one_more_try(store: redis.Redis) -> None:
    parts, answers = parts_of(store, 200)
    connection = Connection(url_of(store))
    connection.ask([("STRLEN", "key 7")])
    before = connection.reconnects
    found = connection.count_in_turn(parts)
    first = next(found)
    store.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    assert [first, *found] == answers
    assert connection.reconnects == before + 1
    assert connection.ask([("STRLEN", "key 7")]) == [7]


@pytest.mark.parametrize("given_up", [False, True])
def test_answers_that_nobody_waits_for_any_more_answer_nothing_else(
    store: redis.Redis, given_up: bool
) -> None:
    store.set("nine", "x" * 9)
    connection = Connection(url_of(store))
    connection.ask([("STRLEN", "nine")])
    # No replica hears of it: each of the two comes late, and by itself.
    late = [("WAIT", "1", "100")]
    found = connection.count_in_turn([[("STRLEN", "nine")], late, late])
    assert next(found) == [9]
    if given_up:
        found.close()
    assert connection.ask([("STRLEN", "nine")]) == [9]
    assert list(connection.count_in_turn([[("STRLEN", "nine")]] * 2)) == [[9], [9]]
