"""Redis away, slow, or back: what the sender sees. And what one event costs on the wire."""

import gc
import json
import threading
import time
from collections.abc import Iterator

import pytest
import redis

from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.handler_requests import call, point_handlers_at, post
from tests.support.proxy import black_hole, proxy_of
from tests.support.servers import free_port, frozen, kill, port_of, url_of, valkey
from tests.support.waiting import wait

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
    process.reset()


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


@pytest.mark.slow
@pytest.mark.parametrize("login", ["", ":password@"])
def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch, login: str) -> None:
    with black_hole() as port:
        point_handlers_at(monkeypatch, f"redis://{login}127.0.0.1:{port}")
        assert_out_of_reach(*timed("GET", "/e", EVENT))
        assert_out_of_reach(*timed(*READS[0]))


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize("given_up", [False, True])
def test_answers_that_nobody_waits_for_any_more_answer_nothing_else(
    store: redis.Redis, given_up: bool
) -> None:
    store.set("nine", "x" * 9)
    connection = Connection(url_of(store))
    connection.ask([("STRLEN", "nine")])
    # No replica hears of it: each of the two comes late, and by itself.
    late = [("WAIT", "1", "100")]
    found = connection.stream([[("STRLEN", "nine")], late, late])
    assert next(found) == [9]
    if given_up:
        found.close()
    assert connection.ask([("STRLEN", "nine")]) == [9]
    assert list(connection.stream([[("STRLEN", "nine")]] * 2)) == [[9], [9]]
