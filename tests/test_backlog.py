"""The routes and `gimel results` say how many messages are not counted yet."""

from pathlib import Path

import pytest
import redis

from gimel.backend import process
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
from tests.support.commands import run
from tests.support.handler_requests import call, post

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}


def test_what_is_not_counted_yet(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Every answer with results says how much waits, and so does a verdict that it can change."""
    batches = [
        ("a", "participate", 900),
        ("b", "participate", 900),
        ("a", "g", 30),
        ("b", "g", 200),
    ]
    for variant, event, visitors in batches:
        named = {"experiment": "e", "variant": variant, "event": event}
        for start in range(0, visitors, 500):
            ids = range(start, min(start + 500, visitors))
            post([EVENT | named | {"uuid": str(uuid)} for uuid in ids])
    monkeypatch.setenv("GIMEL_SPOOL", str(tmp_path))
    process.reset()
    spool = Spool(tmp_path)
    for number in range(60):
        spool.put([Event("alephbet", "e", "g", "a", f"late {number}")])
    (first, found), one = (
        call("GET", "/experiments").body,
        call("GET", "/experiment", {"experiment": "e"}).body,
    )
    for says in (first["meta"], one):
        assert says["waiting"]["messages"] == 60
        assert 0 <= says["waiting"]["seconds"] < 60
        assert says["set_aside"] == {"messages": 0, "seconds": None, "seconds_left": None}
    assert (found["waiting_events"], one["waiting_events"]) == (60, 60)
    for (goal,) in (found["goals"], one["goals"]):
        assert goal["verdict"]["winner"] == "b"
        assert goal["verdict"]["reason"].endswith(
            "But 60 events wait to be counted, enough to change this verdict."
        )
    # A spool that cannot be read takes no result away.
    (tmp_path / "spool.sqlite").write_bytes(b"no database" * 1000)
    first, found = call("GET", "/experiments").body
    assert (first["meta"]["waiting"], first["meta"]["set_aside"]) == (None, None)
    assert found["goals"][0]["verdict"]["winner"] == "b"
    assert found["waiting_events"] is None


def test_results_say_it_first(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    post([EVENT])
    monkeypatch.setenv("GIMEL_SPOOL", str(tmp_path))
    process.reset()
    Spool(tmp_path).put([Event("alephbet", "e", "participate", "a", "2")])
    printed = run("results", "--url", url).output
    assert printed.startswith("! 1 message with events waits to be counted")
    assert "\ne  running" in printed
    assert "\n! 1 event of it waits to be counted\n" in printed
    assert "waits" not in run("results", "--url", url, "--json").output
