"""Messages on the queue: their format, and the line to SQS."""

import socket
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gimel.backend.aws_service import open_socket
from gimel.backend.queue import Backlog, NotQueuedError, Pile, Queue, decode, encode
from gimel.backend.wire import Event
from tests.support.proxy import black_hole
from tests.support.servers import free_port
from tests.support.sqs import CREDENTIALS, Sqs


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


def test_amounts_are_kept_and_older_messages_are_read() -> None:
    events = [Event("n", "e", "g", "v", "1", "ana", True, value) for value in (None, 0.0, 12.5)]
    (message,) = encode(events)
    assert decode(message) == events
    # As earlier versions wrote messages, and as they read them
    assert '["n","e","g","v","1","ana",true],' in message
    assert decode('{"events":[["n","e","g","v","1","ana",true],["n","e","g","v","2"]]}') == [
        events[0],
        Event("n", "e", "g", "v", "2"),
    ]


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
        '{"events": [["n","e","g","v","1","",false,"5"]]}',
        '{"events": [["n","e","g","v","1","",false,-5]]}',
        '{"events": [["n","e","g","v","1","",false,NaN]]}',
        '{"events": [["n","e","g","v","1","",false,true]]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_message_is_a_value_error(body: str) -> None:
    with pytest.raises(ValueError):
        decode(body)


def test_a_kept_line_that_died_costs_a_retry(queue: Sqs) -> None:
    spill = Queue(queue.arn)
    event = Event("n", "e", "g", "v", "1")
    spill.put([event])
    spill._kept.connection.sock.shutdown(2)
    spill.put([event])
    assert len(queue.receive()) == 2


@pytest.mark.slow
def test_its_backlog(queue: Sqs) -> None:
    """The age of what is set aside is that of the oldest, and looking changes nothing."""
    dead = Sqs(f"{queue.arn.rpartition(':')[2]}-dead")
    spill = Queue(queue.arn)
    assert spill.backlog() == Backlog(Pile(0, None), Pile(0, None))
    event = Event("n", "e", "g", "v", "1")
    for _ in range(3):
        spill.put([event])
    spill.set_aside([event])
    time.sleep(1.1)
    spill.set_aside([event])
    for _ in range(2):
        waiting, (messages, seconds, left), _ = spill.backlog()
        assert (waiting, messages) == (Pile(3, None), 2)
        assert seconds is not None
        assert 1 <= seconds < 60
        assert left == 14 * 86400 - seconds
    assert len(dead.receive()) == 2
    assert len(queue.receive()) == 3


def test_a_backlog_that_cannot_be_asked_for_takes_no_longer_than_it_may() -> None:
    with black_hole() as port:
        spill = Queue(
            f"arn:aws:sqs:eu-west-1:{1:012}:q",
            {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"},
        )
        started = time.monotonic()
        with pytest.raises(NotQueuedError):
            spill.backlog()
        assert time.monotonic() - started < 5


@pytest.mark.slow
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


def test_a_name_with_many_addresses_takes_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    with black_hole(accepts=False) as port:
        address = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [address] * 8)
        endpoint = {"AWS_ENDPOINT_URL": f"http://many.test:{port}"}
        queue = Queue("arn:aws:sqs:x:1:q", CREDENTIALS | endpoint)
        started = time.monotonic()
        with pytest.raises(NotQueuedError, match="TimeoutError"):
            queue.put([Event("n", "e", "g", "v", "1")])
        assert time.monotonic() - started < 1


def test_a_name_is_tried_at_each_of_its_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        closed, family = free_port(), (socket.AF_INET, socket.SOCK_STREAM, 6, "")
        addresses = [(*family, ("127.0.0.1", each)) for each in (closed, port)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: addresses)
        with open_socket("http://two.test:1", lambda: 1.0) as opened:
            assert opened.getpeername() == ("127.0.0.1", port)
