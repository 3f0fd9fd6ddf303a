"""The client: pages, and a backend that is not there or is none: one line in the terminal."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import redis
import requests

from gimel.client import BackendClient, BackendError
from tests.support.commands import READS, complaint, count, process, run, said
from tests.support.handler_requests import KEY, KEY_SHA256, call, point_handlers_at
from tests.support.servers import free_port, kill, url_of, valkey

NAMES = [" ".join(each) for each in READS]


@contextmanager
def another_server(status: int, body: bytes, location: str = "") -> Iterator[str]:
    """A server that is no Gimel: the same answer to everything, or a redirect to the location."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length") or 0))
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            if location:
                self.send_header("location", location + self.path)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("command", READS, ids=NAMES)
def test_nobody_listens(command: tuple[str, ...]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    line = complaint(run(*command, "--url", url))
    assert line.startswith(f"{url} cannot be reached (ConnectionError): check the URL")


ELSEWHERE = [
    (200, b"<html>hello</html>"),
    (200, b""),
    (200, b"null"),
    (200, b"[]"),
    (200, b"[1]"),
    (200, b'"text"'),
    (200, b'{"hello": "world"}'),
    (404, b'{"message":"Not Found"}'),
    (404, b"no\nsuch\x1b[31mpage"),
    (500, b'{"error": ["a", "b"]}'),
    (502, b"[]"),
    (204, b""),
]


@pytest.mark.parametrize("answer", ELSEWHERE)
def test_a_server_that_is_no_gimel(answer: tuple[int, bytes]) -> None:
    with another_server(*answer) as url:
        for command in READS:
            line = complaint(run(*command, "--url", url))
            assert line.isprintable()
            assert "is not a Gimel backend" in line if answer[0] == 200 else str(answer[0]) in line


def test_a_redirect_is_not_followed() -> None:
    """It would take the key along, and a PUT would arrive as a GET, which changes nothing."""
    found = b'{"experiment": "e", "declared": true, "state": "running", "definition": {}}'
    with another_server(200, found) as url, another_server(302, b"", location=url) as before:
        client = BackendClient(before, "key")
        with pytest.raises(BackendError, match=f"the URL redirects to {url}/experiment"):
            client.declare("e", {"variants": [{"name": "a"}, {"name": "b"}]})


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("localhost:8000", "http://: did you mean http://localhost:8000?"),
        ("127.0.0.1", "http://: did you mean http://127.0.0.1?"),
        ("ab.shop.example/prod", "http://: did you mean https://ab.shop.example/prod?"),
        ("nonsense", "http://: did you mean https://nonsense?"),
        ("ftp://x", "must start with https:// or http://"),
        *((url, "must look like https://host[:port][/path]")
          for url in ("", " http://x", "http://", "http://[", "http://x:abc", "http://x:99999",
                      "http://a..b", f"http://{'a' * 64}", "http://\udce9")),
        ("https://ana:hunter2@x", "must hold no password: GIMEL_KEY holds the key"),
        ("ana:hunter2@x", "must hold no password: GIMEL_KEY holds the key"),
    ],
)  # fmt: skip
def test_a_url_that_is_none(url: str, advice: str) -> None:
    done = run("results", "--url", url)
    assert (done.exit_code, done.stdout) == (2, "")
    line = done.stderr.splitlines()[-1]
    assert line.removeprefix("Error: Invalid value for '--url': ").endswith(
        advice.replace(" :", ":")
    )
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize("url", ["http://a b", "http://x.invalid", "https://127.0.0.1:1"])
def test_a_url_that_leads_nowhere(url: str) -> None:
    assert "cannot be reached" in complaint(run("results", "--url", url))


@pytest.mark.parametrize("url", ["http://a..b", f"http://{'a' * 64}.example"])
def test_a_host_that_cannot_be_looked_up(url: str) -> None:
    with pytest.raises(BackendError, match="cannot be reached"):
        BackendClient(url).experiments()


def test_redis_is_away(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with valkey() as client:
        point_handlers_at(monkeypatch, url_of(client))
        count("e", {"a": 1})
        kill(client)
        for command in READS:
            result = run(*command, "--url", url)
            assert result.exit_code == 1
            # Its standard output holds the log of the handlers, which are in this process.
            assert result.stderr == (
                "Error: the backend answered 503: the counters are out of reach, try again\n"
            )


@pytest.mark.parametrize("command", READS, ids=NAMES)
def test_the_wrong_key(
    url: str, store: redis.Redis, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    point_handlers_at(monkeypatch, url_of(store), KEY_SHA256)
    count("e", {"a": 1})
    for key in (None, "wrong"):
        line = complaint(run(*command, "--url", url, env={"GIMEL_KEY": key}))
        assert line.startswith("the backend answered 403: ")
    assert run(*command, "--url", url, env={"GIMEL_KEY": KEY}).exit_code == 0


@pytest.mark.parametrize("key", ["שלום", "a\nb"])
def test_a_key_that_no_header_can_carry(url: str, key: str) -> None:
    complaint(run("results", "--url", url, env={"GIMEL_KEY": key}))


def test_a_name_that_is_not_utf8(url: str) -> None:
    done = process("results", os.fsdecode(b"caf\xe9"), "--url", url)
    assert done.returncode == 1
    assert done.stderr == "Error: a name or the key contains characters that cannot be sent\n"


def test_client_says_what_it_cannot_reach() -> None:
    with pytest.raises(BackendError, match="cannot be reached") as error:
        BackendClient(f"http://127.0.0.1:{free_port()}").experiments()
    assert error.value.status is None


def paths_of(log: list[str]) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(path).query) for path in log]


@pytest.fixture(name="asked")
def asked_fixture(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs that the client requests."""
    asked: list[str] = []
    send = requests.Session.send

    def note(session: requests.Session, request: requests.PreparedRequest, **options: Any) -> Any:
        asked.append(str(request.url))
        return send(session, request, **options)

    monkeypatch.setattr(requests.Session, "send", note)
    return asked


@pytest.mark.parametrize(("view", "per_page"), [(None, 10), ("summary", 100)])
def test_experiments_come_in_pages(
    url: str, asked: list[str], view: str | None, per_page: int
) -> None:
    names = [f"e & {number:03}" for number in range(per_page + 1)]
    for name in names:
        count(name, {"a": 1}, {"g": {"a": 1}, "h": {"a": 1}})
    found = BackendClient(url).experiments(view=view)
    assert [each["experiment"] for each in found] == names
    assert {len(each["goals"]) for each in found} == {1 if view else 2}
    assert [(each["limit"], each.get("after")) for each in paths_of(asked)] == [
        ([str(per_page)], None),
        ([str(per_page)], [names[per_page - 1]]),
    ]


def test_results_of_all_experiments_come_in_pages(url: str, asked: list[str]) -> None:
    for number in range(12):
        count(f"e{number:02}", {"a": 1})
    printed = json.loads(said(run("results", "--json", "--url", url)))
    assert printed == call("GET", "/experiments").body[1:]
    assert len(asked) == 2


def test_a_scope_keeps_its_order_in_one_request(url: str, asked: list[str]) -> None:
    for name in "abc":
        count(name, {"a": 1})
    found = BackendClient(url).experiments(scope="c,a")
    assert [each["experiment"] for each in found] == ["c", "a"]
    assert len(asked) == 1


def test_the_namespaces_are_asked_for_with_one_experiment(url: str, asked: list[str]) -> None:
    count("e", {"a": 1})
    count("e", {"a": 1}, namespace="n")
    assert BackendClient(url).namespaces() == ["alephbet", "n"]
    assert paths_of(asked) == [{"limit": ["1"], "view": ["summary"]}]


def test_a_version_without_pages_has_answered_with_everything() -> None:
    with another_server(200, b'[{"meta": {"namespaces": []}}, {"experiment": "e"}]') as url:
        assert BackendClient(url).experiments() == [{"experiment": "e"}]
        # It does not say what is declared, so nothing is deleted.
        line = complaint(run("delete", "--undeclared", "--yes", "--url", url))
        assert line == "there is no undeclared experiment in namespace alephbet"


def test_an_experiment_is_declared_and_a_late_change_is_refused(url: str) -> None:
    client = BackendClient(url)
    definition = {"variants": [{"name": "a b", "value": "ש"}, {"name": "&", "value": ""}]}
    found = client.declare("e & f", definition, "n")
    assert (found["experiment"], found["declared"]) == ("e & f", True)
    assert found["definition"]["variants"] == definition["variants"]
    assert client.declare("e & f", definition, "n") == found
    assert client.experiment("e & f", "n") == found
    client.track("e & f", "&", "participate", "1", "n")
    with pytest.raises(BackendError) as error:
        client.declare("e & f", {"variants": [{"name": "a"}, {"name": "b"}]}, "n")
    assert error.value.status == 409
    assert str(error.value).startswith("variants cannot change after the first event: ")
    with pytest.raises(BackendError, match="the backend answered 400: variants is missing"):
        client.declare("e", {}, "n")
