"""What earlier versions left in Redis is read and goes on counting: they wrote it themselves.

The files were made by those programs: see tests/support/old_data/make.py. tests/backend/counting/
test_migration.py and tests/test_old_clients.py run these programs anew.
"""

from pathlib import Path
from typing import Any

import pytest
import redis

from gimel.backend import process
from tests.support.commands import run, said
from tests.support.handler_requests import call, point_handlers_at, post
from tests.support.old_data.make import HERE, VISITORS, events, load
from tests.support.redis_content import content
from tests.support.servers import url_of, valkey

FILES = sorted(HERE.glob("*.json"))
NAMES = [path.stem for path in FILES]
MORE = 10


def of_file(text: str) -> Path:
    (path,) = (path for path in FILES if text in path.name)
    return path


def counts(experiment: str = "button color") -> dict[str, dict[str, int]]:
    """What the handlers answer: visitors and sign-ups by variant."""
    answer = call("GET", "/experiment", {"experiment": experiment})
    assert answer.status == 200
    (goal,) = answer.body["goals"]
    return {
        "participate": {each["label"]: each["trials"] for each in answer.body["variants"]},
        "signup": {each["label"]: each["successes"] for each in goal["results"]},
    }


def expected(visitors: int) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for each in events(range(visitors)):
        of_goal = found.setdefault(each["event"], {"a": 0, "b": 0})
        of_goal[each["variant"]] += 1
    return found


def test_there_is_a_file_of_each_version() -> None:
    assert NAMES == ["gimel-1.5.0", "gimel-2.0-before-backups", "lamed-0.4.3"]
    assert sum(path.stat().st_size for path in FILES) < 40_000


@pytest.mark.parametrize("path", FILES, ids=NAMES)
@pytest.mark.parametrize("migrated", [False, True])
def test_it_is_read_and_goes_on_counting(backend: redis.Redis, path: Path, migrated: bool) -> None:
    load(backend, path)
    if migrated:
        said(run("migrate", "--redis-url", url_of(backend)))
    assert counts() == expected(VISITORS)
    sent = events(range(VISITORS, VISITORS + MORE))
    if not path.stem.startswith("lamed"):
        # lamed's numbers do not tell whom they counted.
        sent += events(range(VISITORS))
    assert post(sent).status == 200
    assert counts() == expected(VISITORS + MORE)


@pytest.mark.parametrize("experiment", ["declared", "exact"])
def test_declared_experiments_go_on(backend: redis.Redis, experiment: str) -> None:
    load(backend, of_file("before-backups"))
    assert counts(experiment) == expected(VISITORS)
    assert post(events(range(VISITORS + MORE), experiment)).status == 200
    assert counts(experiment) == expected(VISITORS + MORE)
    answer = call("GET", "/experiment", {"experiment": experiment}).body
    assert answer["definition"]["planned_visitors"] == 1000
    assert answer["counting"]["method"] == ("exact" if experiment == "exact" else "hyperloglog")


def test_marks_tallies_and_settings_are_kept(backend: redis.Redis) -> None:
    load(backend, of_file("before-backups"))
    assert post(events(range(5), "deleted")).status == 200
    assert call("GET", "/experiment", {"experiment": "deleted"}).status == 404
    assert call("GET", "/experiment", {"experiment": "button color"}).body["baseline"] == "b"
    assert backend.hgetall("alephbet:ignored") == {"undeclared variant:declared": "1"}


@pytest.mark.parametrize("path", FILES, ids=NAMES)
def test_it_goes_through_a_backup(
    backend: redis.Redis, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(backend, path)
    before: dict[str, Any] = content(backend)
    file = str(tmp_path / "backup.jsonl.gz")
    said(run("export", "--redis-url", url_of(backend), "--output", file))
    with valkey() as restored:
        said(run("import", file, "--redis-url", url_of(restored)))
        point_handlers_at(monkeypatch, url_of(restored))
        # lamed's flags of visitors are its own.
        ours = {key for key in before if ":" in key}
        assert content(restored).keys() == ours
        names = ["button color", *(["exact"] if "before-backups" in path.stem else [])]
        first = VISITORS if path.stem.startswith("lamed") else 0
        for name in names:
            assert counts(name) == expected(VISITORS)
            assert post(events(range(first, VISITORS + MORE), name)).status == 200
            assert counts(name) == expected(VISITORS + MORE)
    process.reset()
