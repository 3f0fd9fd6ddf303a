"""The handlers behind a real HTTP server: the same answers, whatever bytes come in."""

import gzip
import http.client
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlsplit
from wsgiref.util import setup_testing_defaults

import pytest
import redis
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from gimel.backend.wire import FLAGS_PATH, MAX_BODY
from gimel.gimel import ROUTES
from gimel.wsgi import OPEN_PATHS, app, is_loopback, is_open
from tests.support.commands import count
from tests.support.flags import declare
from tests.support.handler_requests import KEY, KEY_SHA256, call, point_handlers_at
from tests.support.hypothesis_settings import on_one_server
from tests.support.servers import url_of

EVENT = "experiment=e&variant=a&event=participate&uuid=1"
PATHS = {route.partition(" ")[2] for route in ROUTES}
KEYED = sorted(path for path in PATHS if not is_open(path))


class Line(http.client.HTTPConnection):
    """A connection that sends a target's bytes as they are."""

    def _encode_request(self, request: str) -> bytes:
        return request.encode("latin-1")


class Wire:
    """One kept connection to the server."""

    def __init__(self, url: str) -> None:
        self.port = urlsplit(url).port or 0
        self._line = Line("127.0.0.1", self.port, timeout=60)

    def ask(
        self, method: str, target: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body (JSON parsed, None where there is none) and headers."""
        self._line.request(method, target, body=body, headers=headers or {})
        answer = self._line.getresponse()
        raw = answer.read()
        found = {name.lower(): value for name, value in answer.getheaders()}
        if found.get("content-type") == "application/json":
            return answer.status, json.loads(raw) if raw else None, found
        return answer.status, raw.decode() or None, found

    def close(self) -> None:
        self._line.close()


@pytest.fixture
def wire(url: str) -> Iterator[Wire]:
    wire = Wire(url)
    yield wire
    wire.close()


def cors(headers: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("access-control")}


@pytest.mark.parametrize(
    ("method", "path", "query", "body"),
    [
        ("GET", "/e", EVENT, None),
        ("GET", "/track", EVENT.replace("=e", "=my+a%2Fb+%D7%A9"), None),
        ("GET", "/e", EVENT.replace("=1", "=%ff"), None),
        ("GET", "/e", "experiment=e", None),
        ("POST", "/e", "", '[{"experiment":"e"},{"a":"ש"}]'),
        ("POST", "/e", "", "{broken"),
        ("POST", "/e", "", None),
        ("GET", "/experiments", "scope=e", None),
        ("GET", "/experiment", "experiment=e", None),
        ("GET", "/experiment", "experiment=none", None),
        ("POST", "/settings", "experiment=e", '{"equivalence":0.02}'),
        ("POST", "/settings", "experiment=e", '{"equivalence":2}'),
        ("DELETE", "/delete", "experiment=none", None),
        ("GET", "/nowhere", "", None),
        ("PUT", "/e", "", "x"),
    ],
)
def test_the_answer_is_the_handlers(
    wire: Wire, method: str, path: str, query: str, body: str | None
) -> None:
    count("e", {"a": 3, "b": 4}, {"g": {"a": 1}})
    status, answer, headers = wire.ask(method, f"{path}?{query}", body and body.encode())
    direct = call(method, path, query, body=body)
    for found in (answer, direct.body):
        if isinstance(found, dict):
            # Each of the two requests is recorded as a change.
            found.pop("changes", None)
    assert (status, answer) == (direct.status, direct.body)
    assert headers.items() >= direct.headers.items()


@pytest.mark.parametrize(
    ("raw", "name"),
    [("%D7%A9", "ש"), ("\xd7\xa9", "ש"), ("\xff\xfe", "\ufffd\ufffd"), ("\xe9%D7%A9", "\ufffdש")],
)
def test_a_query_in_bytes(url: str, raw: str, name: str) -> None:
    """As a WSGI server hands them on."""
    environ = {"QUERY_STRING": f"{EVENT}&variant={raw}", "PATH_INFO": "/e"}
    setup_testing_defaults(environ)
    (body,) = app(environ, lambda *_: None)
    assert json.loads(body) == {"accepted": 1, "ignored": 0, "reasons": {}, "rejected": []}
    (_, found) = call("GET", "/experiments").body
    assert [variant["label"] for variant in found["variants"]] == [name]


def test_the_local_server_takes_raw_bytes_that_are_utf8(wire: Wire) -> None:
    for target in ("/\xff", f"/e?{EVENT}&variant=\xff"):
        assert wire.ask("GET", target)[0] == 400
        wire.close()
    assert len(wire.ask("GET", "/experiments")[1]) == 1
    assert wire.ask("GET", f"/e?{EVENT}&variant=\xd7\xa9")[0] == 200
    (_, found) = wire.ask("GET", "/experiments")[1]
    assert [variant["label"] for variant in found["variants"]] == ["ש"]


@pytest.mark.parametrize("path", ["/%D7%A9", "/%ff", "/e/", "/E", "/e%00", "/e%0d%0a", "/"])
def test_a_path_that_there_is_not(wire: Wire, path: str) -> None:
    status, answer, _ = wire.ask("GET", f"{path}?{EVENT}")
    assert (status, answer["field"]) == (404, "path")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/e", "/experiments"])
def test_a_method_that_no_path_takes(wire: Wire, method: str, path: str) -> None:
    status, answer, _ = wire.ask(method, f"{path}?{EVENT}")
    assert (status, answer["field"]) == (405, "method")


def test_head_is_answered_without_a_body_and_the_line_goes_on(wire: Wire) -> None:
    for path in ("/e", "/dashboard", "/experiments"):
        assert wire.ask("HEAD", path)[:2] == (405, None)
    assert wire.ask("GET", "/experiments")[0] == 200


def test_a_body_at_and_over_the_limit(wire: Wire) -> None:
    assert wire.ask("POST", "/e", b" " * MAX_BODY)[0] == 400
    status, answer, headers = wire.ask("POST", "/e", b" " * (MAX_BODY + 1))
    assert (status, answer["field"]) == (413, "body")
    assert cors(headers)["access-control-allow-origin"] == "*"
    chunks = iter([b" " * MAX_BODY, b" " * MAX_BODY])
    assert wire.ask("POST", "/e", chunks)[0] == 413
    assert wire.ask("GET", f"/e?{EVENT}")[0] == 200


def test_a_body_that_comes_in_chunks(wire: Wire) -> None:
    event = b'{"experiment":"e","variant":"a","event":"participate","uuid":"1"}'
    status, answer, _ = wire.ask("POST", "/e", iter([event[:20], event[20:]]))
    assert (status, answer) == (200, {"accepted": 1, "ignored": 0, "reasons": {}, "rejected": []})


def ask_app(**environ: Any) -> tuple[str, Any]:
    """The application's answer to a POST, as a WSGI server gets it."""
    status: list[str] = []
    defaults: dict[str, Any] = {"PATH_INFO": "/e", "REQUEST_METHOD": "POST"}
    setup_testing_defaults(defaults)
    body = b"".join(app(defaults | environ, lambda line, headers: status.append(line[:3])))
    return status[0], json.loads(body)


def test_a_body_whose_sender_went_away_counts_nothing(backend: redis.Redis) -> None:
    event = b'{"experiment":"e","variant":"a","event":"participate","uuid":"1"}'
    status, answer = ask_app(**{"wsgi.input": io.BytesIO(event), "CONTENT_LENGTH": "99"})
    assert (status, answer["field"]) == ("400", "body")
    assert backend.dbsize() == 0


def test_chunks_behind_a_server_that_does_not_read_them_are_refused(backend: redis.Redis) -> None:
    chunked = {"wsgi.input": io.BytesIO(b"4\r\n"), "HTTP_TRANSFER_ENCODING": "chunked"}
    status, answer = ask_app(**chunked)
    assert (status, answer["field"]) == ("411", "body")


@pytest.mark.parametrize("name", ["a", "button color", "a/b", "ü 你好", "100 %", "%41"])
def test_a_flag_of_any_name_behind_a_server_of_wsgi(backend: redis.Redis, name: str) -> None:
    declare(name)
    body = b'{"context": {"targetingKey": "u"}}'
    # WSGI's text of the decoded path: each character stands for a byte.
    path = f"{FLAGS_PATH}/{name}".encode().decode("latin-1")
    sent = {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    status, answer = ask_app(PATH_INFO=path, **sent)
    assert (status, answer["key"]) == ("200", name)


REQUESTS = st.tuples(
    st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", "OPTIONS"]),
    st.one_of(
        st.sampled_from(sorted({route.partition(" ")[2] for route in ROUTES})),
        st.text(max_size=8).map(lambda text: "/" + quote(text, errors="replace")),
    ),
    st.binary(max_size=30).map(lambda raw: quote(raw, safe="=&+%;,")),
    st.binary(max_size=30),
)


@settings(on_one_server, max_examples=150)
@given(REQUESTS)
def test_no_request_makes_a_5xx(wire: Wire, request: tuple[str, str, str, bytes]) -> None:
    method, path, query, body = request
    status, _, headers = wire.ask(method, f"{path}?{query}", body)
    assert status < 500
    if method not in ("HEAD", "OPTIONS") and path not in ("/dashboard", "/gimel.js"):
        assert headers["content-type"] == "application/json"


def test_without_a_key_other_origins_may_send_and_not_read(wire: Wire) -> None:
    assert cors(wire.ask("GET", f"/e?{EVENT}")[2])["access-control-allow-origin"] == "*"
    for path in (*OPEN_PATHS, FLAGS_PATH, f"{FLAGS_PATH}/a%2Fb"):
        status, answer, headers = wire.ask("OPTIONS", path)
        assert (status, answer) == (204, None)
        assert "POST" in cors(headers)["access-control-allow-methods"]
        allowed = cors(headers)["access-control-allow-headers"]
        assert {"content-type", "if-none-match", "x-gimel-namespace"} <= set(allowed.split(", "))
        assert cors(headers)["access-control-expose-headers"] == "etag"
    for path in KEYED:
        for method in ("GET", "OPTIONS", "DELETE", "POST"):
            assert cors(wire.ask(method, path)[2]) == {}


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "10.0.0.1", "[::", "", "a@b"],
)
def test_without_a_key_reads_under_a_foreign_name_are_refused(wire: Wire, host: str) -> None:
    count("e", {"a": 1})
    routes = [("GET", path) for path in KEYED] + [("DELETE", "/delete"), ("POST", "/settings")]
    for method, path in routes:
        status, answer, _ = wire.ask(method, f"{path}?experiment=e", b"", {"host": host})
        assert (status, answer["field"]) == (403, "host")
    assert wire.ask("GET", f"/e?{EVENT}", headers={"host": host})[0] == 200
    assert len(wire.ask("GET", "/experiments")[1]) == 2


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]"])
def test_without_a_key_this_machine_may_read(wire: Wire, host: str) -> None:
    for name in (host, f"{host}:{wire.port}"):
        assert wire.ask("GET", "/experiments", headers={"host": name})[0] == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:3000", ""])
def test_without_a_key_a_page_of_another_origin_changes_nothing(wire: Wire, origin: str) -> None:
    """A browser sends a POST of text/plain without asking first."""
    count("e", {"a": 1})
    headers = {"content-type": "text/plain", "origin": origin}
    body = b'{"state": "stopped"}'
    assert wire.ask("POST", "/settings?experiment=e", body, headers)[0] == 403
    assert wire.ask("GET", "/experiment?experiment=e")[1]["state"] == "running"
    headers["origin"] = f"http://127.0.0.1:{wire.port}"  # the dashboard's own
    assert wire.ask("POST", "/settings?experiment=e", body, headers)[0] == 200


def test_with_a_key_any_origin_may_ask_and_the_key_decides(
    wire: Wire, store: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    count("e", {"a": 1})
    point_handlers_at(monkeypatch, url_of(store), KEY_SHA256)
    foreign = {"host": "ab.example", "origin": "https://shop.example"}
    status, _, headers = wire.ask("GET", "/experiments", headers=foreign | {"x-api-key": KEY})
    assert (status, cors(headers)["access-control-allow-origin"]) == (200, "*")
    for key in ({}, {"x-api-key": "wrong"}, {"x-api-key": "\xff"}):
        status, answer, headers = wire.ask("GET", "/experiments", headers=foreign | key)
        assert (status, answer["field"]) == (403, "x-api-key")
        assert cors(headers)["access-control-allow-origin"] == "*"
    status, _, headers = wire.ask("OPTIONS", "/delete", headers=foreign)
    assert status == 204
    assert "DELETE" in cors(headers)["access-control-allow-methods"]
    assert "x-api-key" in cors(headers)["access-control-allow-headers"]
    assert wire.ask("GET", "/dashboard", headers=foreign)[2]["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [("localhost", True), ("127.9.9.9", True), ("::1", True), ("0.0.0.0", False), ("::", False),
     ("10.0.0.1", False), ("localhost.evil.example", False), ("", False)],
)  # fmt: skip
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_a_gzipped_answer_leaves_as_bytes(url: str) -> None:
    with requests.get(f"{url}/dashboard", timeout=60, stream=True) as answer:
        packed = answer.raw.read()
        assert answer.headers["content-encoding"] == "gzip"
    plain = requests.get(f"{url}/dashboard", headers={"accept-encoding": "identity"}, timeout=60)
    assert int(answer.headers["content-length"]) == len(packed) < len(plain.content) / 2
    assert gzip.decompress(packed) == plain.content
