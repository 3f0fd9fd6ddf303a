"""Events that Redis does not take: on the queue when they are answered 200, counted afterwards."""

import json
import time
from typing import Any

import pytest
import redis

from gimel import gimel as handlers
from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.intake import Intake
from gimel.backend.queue import Queue, decode, encode
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.aws_account import REGION
from tests.support.handler_requests import call, point_handlers_at, post
from tests.support.proxy import black_hole
from tests.support.servers import free_port, frozen, kill, url_of, valkey
from tests.support.sqs import Sqs
from tests.support.traffic import counting_sends
from tests.support.waiting import wait

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "secret-id"}
QUEUED = {"accepted": 1, "ignored": 0, "reasons": {}, "rejected": [], "queued": True}


def test_redis_away_the_event_is_queued_and_counted_by_the_replay(
    queue: Sqs,
    store: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    point_handlers_at(monkeypatch, f"redis://127.0.0.1:{free_port()}")
    assert call("GET", "/e", EVENT)[:2] == (200, QUEUED)
    batch = [EVENT, {}, EVENT | {"uuid": "another secret-id"}, EVENT | {"event": "buy"}]
    answer = post(batch)
    assert (answer.status, answer.body["accepted"], answer.body["queued"]) == (200, 3, True)
    assert [each["index"] for each in answer.body["rejected"]] == [1]
    records = queue.receive()
    assert len(records) == 2
    point_handlers_at(monkeypatch, url_of(store))
    for _ in range(2):  # a second time changes nothing
        assert handlers.replay({"Records": records}) == {"batchItemFailures": []}
        (_, found) = call("GET", "/experiments").body
        assert found["variants"][0]["trials"] == 2
        assert found["goals"][0]["results"][0]["successes"] == 1
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["queued"] for line in lines if "queued" in line] == [1, 3]
    assert [line["replayed"] for line in lines if "replayed" in line] == [4, 4]
    assert "secret-id" not in said.out + said.err


def test_what_redis_loses_after_the_replay_is_counted_again(
    queue: Sqs, backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.backend.queue._DURABLE_SECONDS", 1)
    aside = Sqs(queue.arn.rsplit(":", 1)[1] + "-dead")
    Queue(queue.arn).put([Event("alephbet", "e", "participate", "a", uuid) for uuid in "12"])
    (record,) = queue.receive()
    assert handlers.replay({"Records": [record]}) == {"batchItemFailures": []}
    # as Lambda does
    queue.client.delete_message(QueueUrl=queue.url, ReceiptHandle=record["receiptHandle"])
    backend.flushall()  # a server that lost its last second
    assert Queue(queue.arn).backlog().waiting.messages == 0, "it was counted"
    found: list[dict[str, Any]] = []
    wait(lambda: bool(found.extend(queue.receive()) or found))
    assert handlers.replay({"Records": found}) == {"batchItemFailures": []}
    assert call("GET", "/experiments").body[1]["variants"][0]["trials"] == 2
    time.sleep(1.1)
    assert not queue.receive(), "twice is enough"
    aside.client.close()


def test_nothing_is_queued_while_redis_is_well(queue: Sqs, backend: redis.Redis) -> None:
    assert "queued" not in call("GET", "/e", EVENT).body
    assert post([EVENT, EVENT | {"uuid": "2"}]).body == {
        "accepted": 2,
        "ignored": 0,
        "reasons": {},
        "rejected": [],
    }
    assert post([{}]).status == 400
    assert queue.receive() == []


def test_what_a_limit_refuses_is_not_queued(queue: Sqs, backend: redis.Redis) -> None:
    post([EVENT | {"variant": f"v{n}"} for n in range(20)])
    assert call("GET", "/e", EVENT | {"variant": "one more"}).status == 429
    assert queue.receive() == []


@pytest.mark.slow
def test_queue_and_redis_away_the_sender_keeps_its_event(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIMEL_QUEUE", f"arn:aws:sqs:{REGION}:000000000000:q")
    with black_hole() as redis_port, black_hole() as queue_port:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{queue_port}")
        point_handlers_at(monkeypatch, f"redis://127.0.0.1:{redis_port}")
        for _ in range(2):
            started = time.monotonic()
            answer = call("GET", "/e", EVENT)
            assert time.monotonic() - started < 2  # the promise itself
            assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    process.reset()


def test_a_queue_that_refuses_is_no_success(queue: Sqs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIMEL_QUEUE", queue.arn + "-that-is-not-there")
    point_handlers_at(monkeypatch, f"redis://127.0.0.1:{free_port()}")
    assert call("GET", "/e", EVENT).status == 503
    assert post([EVENT]).status == 503


@pytest.mark.slow
def test_a_frozen_redis_costs_its_time_once_then_rests(queue: Sqs, backend: redis.Redis) -> None:
    connection = Connection(url_of(backend))
    intake = Intake(Counters(connection), Queue(queue.arn), lambda: 0.0)
    first, *others = (Event("alephbet", "e", "participate", "a", uuid) for uuid in "01234")
    assert intake.take([first]) == ({}, False)
    with frozen(backend):
        started = time.monotonic()
        assert intake.take(others[:1]) == ({}, True)
        assert time.monotonic() - started < 2  # the promise itself
        with counting_sends() as sends:
            assert [intake.take([event]) for event in others[1:]] == [({}, True)] * 3
        assert sends == [], "Redis is not asked again at once"
    records = queue.receive()
    assert len(records) == 4
    assert handlers.replay({"Records": records}) == {"batchItemFailures": []}
    assert call("GET", "/experiments").body[1]["variants"] == [
        {"label": "a", "trials": 5, "stray": False}
    ]


@pytest.mark.slow
def test_redis_is_asked_again_after_its_rest(queue: Sqs, store: redis.Redis) -> None:
    now = [0.0]
    with valkey() as own:
        connection = Connection(url_of(own))
        intake = Intake(Counters(connection), Queue(queue.arn), lambda: now[0])
        event = Event("n", "e", "participate", "v", "1")
        assert intake.take([event]) == ({}, False)
        now[0] = 10.0
        with frozen(own):
            assert intake.take([event])[1] is True
        now[0] = 11.9
        assert intake.take([event])[1] is True
        now[0] = 12.1
        assert intake.take([event]) == ({}, False)


def test_of_a_batch_only_what_failed_comes_again(
    queue: Sqs, backend: redis.Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    queue.client.send_message(QueueUrl=queue.url, MessageBody="no message of ours")
    for message in encode([Event("alephbet", "e", "participate", "a", "1")]):
        queue.client.send_message(QueueUrl=queue.url, MessageBody=message)
    records = queue.receive()
    answer = handlers.replay({"Records": records})
    assert answer == {"batchItemFailures": [{"itemIdentifier": records[0]["messageId"]}]}
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert call("GET", "/experiments").body[1]["variants"] == [
        {"label": "a", "trials": 1, "stray": False}
    ]
    assert (last["replayed"], last["retried"]) == (1, 1)


@pytest.mark.parametrize(("field", "value"), [("salt", "zz"), ("shards", "many")])
def test_settings_that_nobody_can_read_hold_up_no_other_experiment(
    backend: redis.Redis, field: str, value: str
) -> None:
    assert post([EVENT, EVENT | {"experiment": "other"}]).status == 200
    backend.hset("alephbet:e:settings", field, value)
    process.reset()
    events = [Event("alephbet", name, "participate", "a", "2") for name in ("e", "other")]
    assert process.intake().count(events) == {0: "its keys cannot be used"}
    assert call("GET", "/experiment", {"experiment": "other"}).body["variants"][0]["trials"] == 2


def test_what_is_over_a_limit_is_set_aside(
    queue: Sqs, backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    aside = Sqs(queue.arn.rsplit(":", 1)[1] + "-dead")
    monkeypatch.setenv("GIMEL_LIMITS", '{"variants": 1}')
    process.reset()
    events = [Event("alephbet", "e", "participate", variant, "1") for variant in "ab"]
    for message in encode(events):
        queue.client.send_message(QueueUrl=queue.url, MessageBody=message)
    assert handlers.replay({"Records": queue.receive()}) == {"batchItemFailures": []}
    (record,) = aside.receive()
    assert decode(record["body"]) == events[1:]
    aside.client.close()


def test_a_probe_that_was_queued_is_let_go(queue: Sqs, backend: redis.Redis) -> None:
    events = [Event(name, "e", "participate", "a", "1") for name in ("gimel-probe", "alephbet")]
    for message in encode(events):
        queue.client.send_message(QueueUrl=queue.url, MessageBody=message)
    assert handlers.replay({"Records": queue.receive()}) == {"batchItemFailures": []}
    assert not backend.keys("gimel-probe:*")
    assert backend.keys("alephbet:*")


def test_what_over_a_limit_cannot_be_set_aside_comes_again(
    queue: Sqs, backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMEL_LIMITS", '{"variants": 1}')
    process.reset()
    events = [Event("alephbet", "e", "participate", variant, "1") for variant in "ab"]
    for message in encode(events):
        queue.client.send_message(QueueUrl=queue.url, MessageBody=message)
    assert len(handlers.replay({"Records": queue.receive()})["batchItemFailures"]) == 1


def test_what_failed_waits_longer_each_time(queue: Sqs, monkeypatch: pytest.MonkeyPatch) -> None:
    with valkey() as own:
        point_handlers_at(monkeypatch, url_of(own))
        kill(own)
        Queue(queue.arn).put([Event("n", "e", "g", "v", "1")])
        held: list[dict[str, int]] = []
        monkeypatch.setattr(Queue, "delay", lambda self, waits: held.append(waits))
        records = queue.receive()
        for times in ("1", "2", "5", "100"):
            records[0]["attributes"]["ApproximateReceiveCount"] = times
            assert len(handlers.replay({"Records": records})["batchItemFailures"]) == 1
        assert [list(waits.values()) for waits in held] == [[2], [4], [32], [600]]
