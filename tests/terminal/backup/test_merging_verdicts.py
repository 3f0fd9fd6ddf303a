"""Of two records of one question, the earlier one stays, wherever it was."""

import json
from pathlib import Path

import pytest
import redis

from gimel.backend.redis.connection import Connection
from gimel.terminal.backup.file import File, write
from gimel.terminal.backup.merging import Merger
from gimel.terminal.backup.moving import Move
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.restoring import restore
from tests.support.handler_requests import call, point_handlers_at
from tests.support.planned import declare, read, visit
from tests.support.servers import url_of, valkey

KEY = "alephbet:e:verdicts"


def copy(store: redis.Redis, other: redis.Redis, folder: Path, way: str) -> int:
    if way == "move":
        move = Move(Connection(url_of(store)), Connection(url_of(other)), lambda line: None)
        move.begin()
        new = move.copy()
        assert move.copy() == 0
        return new
    path = folder / "x.jsonl.gz"
    write(path, Reader(Connection(url_of(store))).sections())
    merger = Merger(Connection(url_of(other)))
    restore(File(path), merger, [], lambda line: None)
    return merger.new


def dated(record: dict[str, str], date: str) -> dict[str, str]:
    """Return a record in which every time is of this date."""
    return {
        field: json.dumps(json.loads(text) | {"at": f"{date}T00:00:00Z"})
        for field, text in record.items()
    }


@pytest.mark.parametrize("way", ["import", "move"])
@pytest.mark.parametrize(
    ("at_target", "stays"),
    [
        ("2026-01-02", "target"),
        ("2026-01-03", "target"),
        ("2026-01-04", "source"),
        ("cannot be read", "source"),
    ],
)
def test_the_earlier_one_stays(
    backend: redis.Redis, tmp_path: Path, way: str, at_target: str, stays: str
) -> None:
    declare()
    visit(0, 600, blue=20, red=120)
    read()
    ours = dated(backend.hgetall(KEY), "2026-01-03")
    assert {field.split()[0] for field in ours} == {"final", "verdict"}
    backend.hset(KEY, mapping=ours)
    is_readable = at_target.startswith("2026")
    theirs = dated(ours, at_target) if is_readable else dict.fromkeys(ours, "{")
    with valkey() as other:
        if way == "import":
            copy(backend, other, tmp_path, way)
        other.hset(KEY, mapping=theirs)
        assert copy(backend, other, tmp_path, way) >= len(ours) * (stays == "source")
        assert other.hgetall(KEY) == (ours if stays == "source" else theirs)


def decide(winner: str) -> None:
    body = json.dumps({"decision": {"winner": winner, "reason": "It won"}})
    assert call("POST", "/settings", {"experiment": "e"}, body=body).status == 200


@pytest.mark.parametrize("way", ["import", "move"])
def test_a_decision_stops_the_experiment_where_it_comes_to(
    backend: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    declare()
    visit(0, 100, blue=20, red=40)
    with valkey() as other:
        copy(backend, other, tmp_path, "import")
        decide("red")
        here = read()
        copy(backend, other, tmp_path, way)
        point_handlers_at(monkeypatch, url_of(other))
        there = read()
    assert there["decision"]["figures"]
    assert {field: there[field] for field in ("state", "decision")} == {
        field: here[field] for field in ("state", "decision")
    }


def test_each_decision_keeps_its_own_figures(
    backend: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare()
    visit(0, 100, blue=20, red=40)
    with valkey() as other:
        copy(backend, other, tmp_path, "import")
        decide("red")
        point_handlers_at(monkeypatch, url_of(other))
        visit(100, 200, blue=20, red=20)
        decide("blue")
        before = read()["decision"]
        copy(backend, other, tmp_path, "import")
        assert read()["decision"] == before
