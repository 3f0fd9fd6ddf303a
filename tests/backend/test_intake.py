"""Events that Redis does not take: on the queue when they are answered 200, counted afterwards."""

import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
import redis
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from gimel import gimel as handlers
from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.intake import Intake
from gimel.backend.queue import NotQueuedError, Queue, decode, encode, signed
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from gimel.cli import main
from gimel.client import Client
from gimel.stack.aws import Aws
from gimel.stack.queues import observe_queues, redrive
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION
from tests.support.deployments import Deployment
from tests.support.handler_requests import call, point_handlers_at, post
from tests.support.proxy import black_hole
from tests.support.servers import free_port, frozen, kill, url_of, valkey

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "secret-id"}
QUEUED = {"accepted": 1, "rejected": [], "queued": True}
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


class Sqs:
    """A queue on the emulated account."""

    def __init__(self, name: str) -> None:
        self.client: Any = boto3.client("sqs", region_name=REGION)
        self.url = self.client.create_queue(QueueName=name)["QueueUrl"]
        self.arn = f"arn:aws:sqs:{REGION}:000000000000:{name}"

    def receive(self) -> list[dict[str, Any]]:
        """All messages, as Lambda hands them over."""
        records: list[dict[str, Any]] = []
        while received := self.client.receive_message(
            QueueUrl=self.url, MaxNumberOfMessages=10, AttributeNames=["All"]
        ).get("Messages"):
            records += [
                {
                    "messageId": each["MessageId"],
                    "receiptHandle": each["ReceiptHandle"],
                    "body": each["Body"],
                    "attributes": each["Attributes"],
                }
                for each in received
            ]
        return records


@pytest.fixture
def queue(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Sqs]:
    """A queue that the handlers spill to."""
    sqs = Sqs(f"q{abs(hash(request.node.name))}")
    monkeypatch.setenv("GIMEL_QUEUE", sqs.arn)
    yield sqs
    sqs.client.close()
    process.reset()


@given(st.lists(st.tuples(*[st.text(min_size=1, max_size=8)] * 5).map(lambda each: Event(*each))))
def test_messages_hold_all_events_in_order_each_within_the_size(events: list[Event]) -> None:
    messages = list(encode(events, 400))
    assert [event for message in messages for event in decode(message)] == events
    assert all(message.isascii() and len(message) < 600 for message in messages)
    assert len(messages) <= len(events)


def test_a_message_is_filled() -> None:
    events = [Event("n", "e", "g", "v", f"{n:010}") for n in range(10_000)]
    sizes = [len(message) for message in encode(events)]
    assert len(sizes) == 2
    assert 240_000 < sizes[0] < 262_144


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "null",
        "[]",
        '{"events": 1}',
        '{"events": [["a"]]}',
        '{"events": [[1,2,3,4,5]]}',
        '{"events": ["abcde"]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_value_error(body: str) -> None:
    with pytest.raises(ValueError):
        decode(body)


@pytest.mark.parametrize("token", [{}, {"AWS_SESSION_TOKEN": "a token/+="}])
def test_the_signature_is_botocores(token: dict[str, str]) -> None:
    body = '{"MessageBody":"é"}'.encode()
    mine = signed(
        "https://sqs.eu-west-1.amazonaws.com", "eu-west-1", "SendMessage", body, CREDENTIALS | token
    )
    theirs = AWSRequest(
        "POST",
        "https://sqs.eu-west-1.amazonaws.com/",
        {key: mine[key] for key in ("content-type", "x-amz-target")},
        body,
    )
    credentials = Credentials("testing", "testing", token.get("AWS_SESSION_TOKEN"))
    signer = SigV4Auth(credentials, "sqs", "eu-west-1")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.SIGV4_TIMESTAMP", mine["x-amz-date"])
        signer.add_auth(theirs)
    assert (
        theirs.headers["Authorization"].split("SignedHeaders=")[1]
        == (mine["authorization"].split("SignedHeaders=")[1])
    )


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


def test_nothing_is_queued_while_redis_is_well(queue: Sqs, backend: redis.Redis) -> None:
    assert "queued" not in call("GET", "/e", EVENT).body
    assert post([EVENT, EVENT | {"uuid": "2"}]).body == {"accepted": 2, "rejected": []}
    assert post([{}]).status == 400
    assert queue.receive() == []


def test_what_a_limit_refuses_is_not_queued(queue: Sqs, backend: redis.Redis) -> None:
    post([EVENT | {"variant": f"v{n}"} for n in range(20)])
    assert call("GET", "/e", EVENT | {"variant": "one more"}).status == 429
    assert queue.receive() == []


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


def test_a_kept_line_that_died_costs_a_retry(queue: Sqs) -> None:
    spill = Queue(queue.arn)
    event = Event("n", "e", "g", "v", "1")
    spill.put([event])
    spill._kept.connection.sock.shutdown(2)
    spill.put([event])
    assert len(queue.receive()) == 2


def test_a_frozen_redis_costs_its_time_once_then_rests(
    queue: Sqs, backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("GET", "/e", EVENT)
    with frozen(backend):
        times = []
        for uuid in "1234":
            started = time.monotonic()
            assert call("GET", "/e", EVENT | {"uuid": uuid}).body == QUEUED
            times.append(time.monotonic() - started)
        assert times[0] < 2
        assert max(times[1:]) < times[0] / 2, "Redis is not asked again at once"
    records = queue.receive()
    assert len(records) == 4
    assert handlers.replay({"Records": records}) == {"batchItemFailures": []}
    assert call("GET", "/experiments").body[1]["variants"] == [
        {"label": "a", "trials": 5, "stray": False}
    ]


def test_redis_is_asked_again_after_its_rest(queue: Sqs, store: redis.Redis) -> None:
    now = [0.0]
    with valkey() as own:
        connection = Connection(url_of(own))
        intake = Intake(Counters(connection), Queue(queue.arn), lambda: now[0])
        event = Event("n", "e", "participate", "v", "1")
        assert intake.take([event]) == ({}, False)
        own.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        own.client_pause(700)
        now[0] = 10.0
        assert intake.take([event])[1] is True
        time.sleep(0.8)
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
    assert call("GET", "/experiments").body[1]["variants"] == [
        {"label": "a", "trials": 1, "stray": False}
    ]
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["replayed"], last["to_come_again"]) == (1, 1)


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


def test_a_message_on_hold_is_not_seen(queue: Sqs) -> None:
    queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"VisibilityTimeout": "1"})
    spill = Queue(queue.arn)
    spill.put([Event("n", "e", "g", "v", "1")])
    (record,) = queue.client.receive_message(QueueUrl=queue.url)["Messages"]
    spill.delay({record["ReceiptHandle"]: 600})
    time.sleep(1.2)
    assert queue.receive() == []
    with pytest.raises(NotQueuedError):
        Queue(queue.arn + "x").delay({record["ReceiptHandle"]: 1})


# Deployed


def test_events_of_a_deployed_stack_outlive_redis(deployed: Deployment) -> None:
    client = Client(deployed.url, deployed.key)
    fields = {"namespace": "spilt", **EVENT}
    client.track("e", "a", "participate", "0", "spilt")
    with deployed.redis_down():
        for n in range(6):
            answer = requests.get(f"{deployed.url}/e", fields | {"uuid": str(n)}, timeout=20)
            assert (answer.status_code, answer.json()["queued"]) == (200, True)
    assert counted(client, "spilt", 6) == 6
    client.delete("e", "spilt")


def counted(client: Client, namespace: str, wanted: int) -> int:
    """The visitors of experiment e once the queue is empty, or what there is after a minute."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        (variant,) = client.experiment("e", namespace)["variants"]
        if variant["trials"] == wanted:
            break
        time.sleep(0.2)
    return int(variant["trials"])


def waiting(aws: Aws, name: str) -> int:
    return observe_queues(aws, Names(name.split("-events")[0]))[name].waiting


def test_dead_letters_are_sent_again(aws_endpoint: str, deployed: Deployment) -> None:
    names = Names(deployed.config.stack)
    aws = Aws(REGION)
    client = Client(deployed.url, deployed.key)
    dead = observe_queues(aws, names)[names.dead_letters]
    for n in range(20):
        (body,) = encode([Event("dead", "e", "participate", "a", str(n))])
        aws.call("sqs", "send_message", QueueUrl=dead.url, MessageBody=body)
    assert waiting(aws, names.dead_letters) == 20
    done = CliRunner().invoke(
        main, ["--config", str(deployed.config_file), "replay", "--dead-letter"]
    )
    assert (done.exit_code, done.output) == (0, "Moved 20 messages back to the queue.\n")
    assert waiting(aws, names.dead_letters) == 0
    deadline = time.monotonic() + 180
    while waiting(aws, names.queue) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert counted(client, "dead", 20) == 20
    client.delete("e", "dead")


def test_what_is_set_aside_again_is_not_sent_again_for_ever(
    aws_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = Names("over-a-limit")
    target, source = Sqs(names.queue), Sqs(names.dead_letters)
    for n in range(3):
        source.client.send_message(QueueUrl=source.url, MessageBody=str(n))
    real = Aws.call

    def call(self: Aws, service: str, operation: str, *rest: Any, **fields: Any) -> Any:
        answer = real(self, service, operation, *rest, **fields)
        if operation == "send_message":
            # The replay meanwhile, over a limit still.
            source.client.send_message(QueueUrl=source.url, MessageBody=fields["MessageBody"])
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(Aws, "call", call)
        assert redrive(Aws(REGION), names) == 3
    assert waiting(Aws(REGION), names.dead_letters) == 3
    for each in (target, source):
        each.client.delete_queue(QueueUrl=each.url)
        each.client.close()


def test_a_kept_line_that_is_half_open_leaves_time_for_a_fresh_one() -> None:
    lines: list[socket.socket] = []

    def serve() -> None:
        for _ in range(2):
            lines.append(listener.accept()[0])
            lines[-1].recv(65536)
            lines[-1].sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=serve)
        server.start()
        endpoint = f"http://127.0.0.1:{listener.getsockname()[1]}"
        spill = Queue("arn:aws:sqs:x:1:q", CREDENTIALS | {"AWS_ENDPOINT_URL": endpoint})
        for n in "12":
            spill.put([Event("n", "e", "g", "v", n)])
        server.join()
    for line in lines:
        line.close()
