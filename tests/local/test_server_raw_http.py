"""Hostile bytes on a socket, against the server that `gimel local` runs, in a thread.

`make test-full` asks for 50,000 of each kind.
"""

import os
import re
import socket
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gimel import rsgi
from gimel.backend import process
from gimel.backend.wire import ProxyEvent, Response
from gimel.wsgi import answer
from tests.support.http_server import running_server
from tests.support.hypothesis_settings import on_one_server

many = settings(
    on_one_server,
    max_examples=int(os.environ.get("GIMEL_EXAMPLES", "150")),
    derandomize="GIMEL_EXAMPLES" not in os.environ,
)
QUERY = b"experiment=e&variant=a&event=participate&uuid=1"
EVENT = b'{"experiment":"e","variant":"a","event":"participate","uuid":"1"}'
LAST = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
PATIENCE = 60.0  # seconds for what has to be answered


class Server(NamedTuple):
    port: int
    store: redis.Redis
    at_work: set[int]

    def exchange(self, raw: bytes, patience: float = PATIENCE) -> tuple[list[int], bool]:
        """The statuses of the answers to these bytes, and whether the server ended the line."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port)) as line:
            line.settimeout(patience)
            try:
                line.sendall(raw)
                while more := line.recv(1 << 16):
                    answer += more
                ended = True
            except TimeoutError:
                ended = False
            except ConnectionError:  # it had refused, and did not wait for the rest
                ended = True
        return list(statuses_in(answer)), ended

    def is_well(self) -> bool:
        """Whether it answers others; what was written is forgotten."""
        answers = self.exchange(LAST)
        # By now all that was sent before has been read. It may still be at work.
        while self.at_work:
            time.sleep(0.001)
        self.store.flushdb()
        process.counters().forget()
        return answers == ([404], True)


def statuses_in(answers: bytes) -> Iterator[int]:
    while answers:
        head, end, answers = answers.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
        assert found, head
        assert end
        if found[1] != b"100":  # Continue: the answer is still to come
            yield int(found[1])
        if length := re.search(rb"content-length: (\d+)", head, re.I):
            answers = answers[int(length[1]) :]


@pytest.fixture(name="server")
def server_fixture(backend: redis.Redis) -> Iterator[Server]:
    at_work: set[int] = set()

    def watched(event: ProxyEvent) -> Response:
        at_work.add(id(event))
        try:
            return answer(event)
        finally:
            at_work.discard(id(event))

    with running_server(rsgi.App(watched)) as http:
        yield Server(http.port, backend, at_work)


# Well-formed requests, hostile in what they hold


def framed(body: bytes, chunks: int, *, chunked: bool) -> bytes:
    """The end of a request's head, and its body: with its length, or in so many chunks."""
    if not chunked:
        return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    size = max(1, -(-len(body) // chunks))
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    wire = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return b"Transfer-Encoding: chunked\r\n\r\n" + wire + b"0\r\n\r\n"


METHODS = st.sampled_from([b"GET", b"POST", b"DELETE", b"PUT", b"OPTIONS", b"PATCH", b"X"])
PATHS = st.sampled_from(
    [b"/e", b"/track", b"/experiments", b"/experiment", b"/settings", b"/delete", b"/", b"/%00"]
)
TEXT = st.from_regex(rb"[!-~]{0,40}", fullmatch=True)
BODIES = st.sampled_from([b"", b"[]", b"{", b"[{}]", EVENT[:-1], b"\xff", b'{"experiment":1}'])
WHOLE = st.builds(
    lambda method, path, query, header, body, chunks, chunked: (
        b"%s %s?%s HTTP/1.1\r\nHost: localhost\r\nX-Any: %s\r\n" % (method, path, query, header)
        + framed(body, chunks, chunked=chunked)
    ),
    METHODS,
    PATHS,
    # RFC 3986 allows the four characters in no query: the server refuses them and ends the line.
    TEXT.map(lambda query: re.sub(rb'["#<>]|experiment', b"", query)),
    TEXT,
    BODIES | st.binary(max_size=200),
    st.integers(1, 5),
    st.booleans(),
)


@many
@given(requests=st.lists(WHOLE, min_size=1, max_size=4))
def test_each_of_several_requests_on_a_line_is_answered(
    server: Server, requests: list[bytes]
) -> None:
    statuses, ended = server.exchange(b"".join(requests) + LAST)
    assert ended
    assert len(statuses) == len(requests) + 1
    assert set(statuses) <= {200, 204, 400, 403, 404, 405, 413}
    assert server.store.dbsize() == 0


# Requests that are none

EVENTS = [
    b"GET /e?%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % QUERY,
    b"POST /e HTTP/1.1\r\nHost: localhost\r\n" + framed(EVENT, 1, chunked=False),
    b"POST /e HTTP/1.1\r\nHost: localhost\r\n" + framed(EVENT, 3, chunked=True),
]
PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b"\xff", b"%", b"HTTP/9.9", b"HTTP/1.0", b"-1",
    b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: x\r\n",
    b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip\r\n", b"Expect: 100-continue\r\n", b"Host: \r\n", b"Cookie\r\n",
    b"Connection: close\r\n", b"0\r\n\r\n", b"fffffffffffffffff\r\n", b"1;x=y\r\n", *EVENTS, LAST,
]  # fmt: skip
CHANGES = st.lists(
    st.tuples(
        st.floats(0, 1),  # where
        st.integers(0, 12),  # how many bytes go
        st.sampled_from(PIECES) | st.binary(max_size=6),  # what comes instead
    ),
    min_size=1,
    max_size=4,
)


def changed(raw: bytes, changes: list[tuple[float, int, bytes]]) -> bytes:
    for where, less, more in changes:
        at = int(where * len(raw))
        raw = raw[:at] + more + raw[at + less :]
    return raw


@many
@given(raw=st.builds(changed, st.sampled_from(EVENTS), CHANGES) | st.binary(max_size=80))
def test_bytes_that_are_no_request_break_nothing(server: Server, raw: bytes) -> None:
    statuses, ended = server.exchange(raw + LAST, patience=0.03)
    # 501 is what RFC 9112, 6.1, asks for where a transfer coding is not known.
    unknown = {501} if re.search(rb"transfer-encoding", raw, re.I) else set()
    assert set(statuses) <= {200, 204, 400, 403, 404, 405, 411, 413, 414, 431} | unknown
    if ended and 200 not in statuses:
        assert server.store.dbsize() == 0
    assert server.is_well()


@many
@given(raw=st.sampled_from(EVENTS), at=st.floats(0, 0.99))
def test_half_a_request_counts_nothing(server: Server, raw: bytes, at: float) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as line:
        line.sendall(raw[: int(at * len(raw))])
    assert server.exchange(LAST) == ([404], True)
    assert server.store.dbsize() == 0


BIG = 3 << 20


@pytest.mark.parametrize(
    "raw",
    [
        b"POST /e HTTP/1.1\r\nHost: localhost\r\n" + framed(b" " * BIG, 1, chunked=False),
        b"POST /e HTTP/1.1\r\nHost: localhost\r\n" + framed(b" " * BIG, 9, chunked=True),
        b"POST /e HTTP/1.1\r\nHost: localhost\r\n" + framed(b" " * (BIG // 2), 1, chunked=False),
        b"GET /e?%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % (b"x" * BIG),
        b"GET /e HTTP/1.1\r\nHost: localhost\r\nX-Any: %s\r\n\r\n" % (b"x" * BIG),
        b"GET /e HTTP/1.1\r\nHost: localhost\r\n%s\r\n" % (b"X: y\r\n" * (BIG // 6)),
        b"x" * BIG,
    ],
    ids=["body", "chunks", "body that is taken in", "line", "header", "headers", "no request"],
)
def test_what_is_too_large_is_refused(server: Server, raw: bytes) -> None:
    statuses, ended = server.exchange(raw + LAST)
    assert ended
    assert set(statuses) <= {400, 404, 413, 414, 431}
    assert server.store.dbsize() == 0
    assert server.is_well()
