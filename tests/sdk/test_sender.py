"""The thread that sends: batches, a backend that is away, a full queue, and what answers mean."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import pytest

from gimel import Client
from gimel.client import BackendClient
from gimel.sdk import sender
from tests.support.proxy import Proxy, black_hole
from tests.support.servers import free_port
from tests.support.waiting import wait

TWO = ["a", "b"]
COUNTED = b'{"accepted":1,"ignored":0,"reasons":{},"rejected":[]}'


class Impostor(ThreadingHTTPServer):
    """A server that gives the same answer to every request, and keeps what came."""

    daemon_threads = True

    def __init__(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.answer = status, body, headers
        self.came: list[tuple[float, dict[str, str], bytes]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["content-length"])
                came = time.monotonic(), dict(self.headers.items()), self.rfile.read(length)
                server.came.append(came)
                status, body, headers = server.answer
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"


JSON = {"content-type": "application/json"}


@contextmanager
def impostor(status: int, body: bytes = b"", headers: dict[str, str] = JSON) -> Iterator[Impostor]:
    server = Impostor(status, body, headers)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that waits a hundredth of its usual seconds."""
    for name in ("_GATHER_SECONDS", "_FIRST_WAIT", "_LONGEST_WAIT"):
        monkeypatch.setattr(sender, name, getattr(sender, name) / 100)


def visitors(url: str, experiment: str = "e") -> int:
    found = BackendClient(url).experiment(experiment)
    return sum(each["trials"] for each in found["variants"])


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "gimel"]


# Batches


def test_events_travel_together() -> None:
    with impostor(200, COUNTED) as server:
        gimel = Client(f"{server.url}/prod/", key="k")
        for visitor in range(1200):
            gimel.variant("e", TWO, visitor)
        assert gimel.close()
    assert len(server.came) == 3
    for _, headers, body in server.came:
        assert body.count(b'"participate"') <= 500
        assert headers["x-api-key"] == "k"
        assert headers["content-type"] == "application/json"


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("address", ["{}", "{}/", "{}/e", "{}/e/"])
def test_each_address_that_is_printed_leads_to_the_backend(address: str, url: str) -> None:
    gimel = Client(address.format(url))
    gimel.variant("e", TWO, "visitor 1")
    wait(lambda: not gimel._sender._waiting)
    gimel.close()
    assert visitors(url) == 1


def test_the_longest_names_fit_into_requests(url: str) -> None:
    variants = ["😀" * 255 + each for each in "ab"]
    gimel = Client(url, namespace="😁" * 256)
    for visitor in range(500):
        gimel.variant("😂" * 256, variants, "😃" * 250 + str(visitor))
    assert gimel.close(60)
    assert gimel.dropped == 0
    found = BackendClient(url).experiment("😂" * 256, "😁" * 256)
    assert sum(each["trials"] for each in found["variants"]) == pytest.approx(500, abs=2)


def test_threads_share_a_client(url: str) -> None:
    gimel = Client(url)

    def serve(number: int) -> None:
        for visitor in range(100):
            gimel.variant("e", TWO, f"{number} {visitor}")

    threads = [threading.Thread(target=serve, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gimel.close(60)
    assert visitors(url) == pytest.approx(800, abs=3)


# A backend that is away


@pytest.mark.usefixtures("hasty")
def test_events_are_sent_once_the_backend_is_back(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    proxy = Proxy(int(url.rpartition(":")[2]))
    proxy.budget = 0
    gimel = Client(f"http://127.0.0.1:{proxy.port}")
    for visitor in range(50):
        gimel.variant("e", TWO, visitor)
    wait(lambda: len(messages(caplog)) > 0)
    assert not gimel.flush(0.05)
    proxy.budget = None
    assert gimel.flush(60)
    gimel.variant("e", TWO, "one more")
    assert gimel.close(60)
    proxy.close()
    assert visitors(url) == 51
    away, back = messages(caplog)
    assert away.endswith("cannot be reached (ConnectionError): events wait in memory")
    assert back.endswith("takes events again")


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("status", "body", "headers", "said"),
    [
        (503, b'{"error":"try again","field":null}', JSON, "answers 503: try again"),
        (403, b'{"error":"the key is wrong","field":"x-api-key"}', JSON, "403: the key is wrong"),
        (404, b'{"message":"Not Found"}', JSON, "answers 404: which is no answer of Gimel's"),
        (429, b"", {}, "answers 429"),
        (200, b"<html>Sign in</html>", {"content-type": "text/html"}, "answers 200"),
        (200, b"not JSON", JSON, "answers 200"),
        (200, b'{"accepted":1,"rejected":7}', JSON, "answers 200"),
        (200, b"[]", JSON, "answers 200"),
        (302, b"", {"location": "http://127.0.0.1:1/"}, "answers 302"),
    ],
)
def test_what_no_gimel_counted_is_sent_again(
    status: int,
    body: bytes,
    headers: dict[str, str],
    said: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with impostor(status, body, headers) as server:
        gimel = Client(server.url)
        gimel.variant("e", TWO, "visitor 1")
        wait(lambda: len(server.came) >= 3)
        assert len(gimel._sender._waiting) == 1
        server.answer = 200, COUNTED, JSON
        assert gimel.close(60)
    assert len({body for *_, body in server.came}) == 1
    away, back = messages(caplog)
    assert said in away
    assert "takes events again" in back
    assert gimel.dropped == 0


def test_each_try_waits_twice_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_GATHER_SECONDS", 0.0)
    monkeypatch.setattr(sender, "_FIRST_WAIT", 0.05)
    monkeypatch.setattr(sender, "_LONGEST_WAIT", 0.2)
    with impostor(503) as server:
        gimel = Client(server.url)
        # More events than one request takes do not hurry it.
        for visitor in range(600):
            gimel.variant("e", TWO, visitor)
        wait(lambda: len(server.came) >= 6)
        gimel.close(0)
    times = [moment for moment, *_ in server.came]
    gaps = [after - before for before, after in pairwise(times)][:5]
    assert all(gap >= least for gap, least in zip(gaps, [0.05, 0.1, 0.2, 0.2, 0.2], strict=True))


def test_flush_and_close_are_bounded_in_time() -> None:
    with black_hole() as port:
        gimel = Client(f"http://127.0.0.1:{port}", timeout=600)
        gimel.variant("e", TWO, "visitor 1")
        started = time.monotonic()
        assert not gimel.flush(0.1)
        assert not gimel.close(0.1)
        assert time.monotonic() - started < 60


def test_flush_tries_once_more_and_then_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "_FIRST_WAIT", 600.0)
    monkeypatch.setattr(sender, "_LONGEST_WAIT", 600.0)
    with impostor(503) as server:
        gimel = Client(server.url)
        gimel.variant("e", TWO, "visitor 1")
        for _ in range(3):
            assert not gimel.flush(0.5)
        assert 1 <= len(server.came) <= 4
        gimel.close(0)


# Events that do not count


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("status", [400, 413])
def test_what_can_never_count_is_dropped(status: int, caplog: pytest.LogCaptureFixture) -> None:
    with impostor(status) as server:
        gimel = Client(server.url)
        for visitor in range(3):
            gimel.variant("e", TWO, visitor)
            assert gimel.flush(60)
        gimel.close()
    assert gimel.dropped == 3
    assert messages(caplog) == [f"events are dropped: {server.url}/e answered {status}"]


def test_why_events_do_not_count_is_logged_once(url: str, caplog: pytest.LogCaptureFixture) -> None:
    variants = [{"name": name} for name in TWO]
    BackendClient(url).declare("e", {"variants": variants, "goals": [{"name": "signup"}]})
    gimel = Client(url)
    declared = gimel.experiment("e", TWO)
    for visitor in range(3):
        declared.variant(visitor)
        declared.goal("sign-up", visitor)
        assert gimel.flush(60)
    gimel.close()
    ignored = "events are ignored: undeclared goal. `gimel show EXPERIMENT` lists them"
    assert messages(caplog) == [ignored]
    assert visitors(url) == 3


def test_a_full_queue_drops_the_newest_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gimel = Client(f"http://127.0.0.1:{free_port()}", max_waiting=10)
    for visitor in range(100):
        gimel.variant("e", TWO, visitor)
        assert len(gimel._sender._waiting) <= 10
    assert gimel.dropped == 90
    assert b'"visitor": "0"' in gimel._sender._waiting[0]
    # A visitor whose participation was dropped takes part later.
    assert len(gimel._remembered) == 10
    gimel.close(0)
    assert messages(caplog).count("10 events wait already: more are dropped") == 1


@pytest.mark.usefixtures("hasty")
def test_each_time_that_the_queue_is_full_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with impostor(503) as server:
        gimel = Client(server.url, max_waiting=1)
        for _ in range(2):
            server.answer = 503, b"", JSON
            gimel.variant("e", TWO, "visitor 1")
            gimel.goal("g", "visitor 1")
            gimel.goal("g", "visitor 1")
            gimel._remembered.clear()
            server.answer = 200, COUNTED, JSON
            assert gimel.flush(60)
        gimel.close()
    assert gimel.dropped == 4
    assert messages(caplog).count("1 events wait already: more are dropped") == 2


def test_a_closed_client_still_assigns(url: str, caplog: pytest.LogCaptureFixture) -> None:
    gimel = Client(url)
    assert gimel.close()
    assert gimel.variant("button color", ["blue", "red"], "visitor 0") == "red"
    assert not gimel._sender._waiting
    assert not messages(caplog)


def test_a_closed_client_leaves_no_thread(url: str) -> None:
    gimel = Client(url)
    gimel.variant("e", TWO, "visitor 1")
    thread: Any = gimel._sender._thread
    assert gimel.close()
    thread.join(60)
    assert not thread.is_alive()
