"""Events that are not counted yet put the final look off, in reads and in snapshots."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import redis

from gimel.backend import process
from gimel.backend.experiment.definition import Definition
from gimel.backend.queue import Backlog, Pile
from gimel.backend.results import record, record_validity
from gimel.backend.results.backlog import Waiting
from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.spool import Spool
from gimel.backend.wire import Event
from tests.support.handler_requests import call
from tests.support.planned import declare, full, read, send, verdict, visit

KEY = "alephbet:e:verdicts"


@pytest.fixture
def spool(backend: redis.Redis, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Spool:
    monkeypatch.setenv("GIMEL_SPOOL", str(tmp_path))
    process.reset()
    return Spool(tmp_path)


def wait_in(spool: Spool, visitors: range, experiment: str = "e") -> None:
    """Let red's conversions wait."""
    spool.put([Event("alephbet", experiment, "signup", "red", f"red{each}") for each in visitors])


def fulfil_the_plan() -> None:
    """Let the planned visitors come, and of red's 100 conversions only 20."""
    declare()
    visit(0, 600, blue=100, red=20)
    for variant in ("blue", "red"):
        send(variant, "share", range(60))


def write_snapshots() -> None:
    assert process.write_snapshots(20.0)


def read_summary() -> None:
    call("GET", "/experiments", {"view": "summary"})


LOOKS = pytest.mark.parametrize("look", [read, read_summary, write_snapshots])


@LOOKS
def test_the_final_look_waits_for_events_that_wait(
    backend: redis.Redis, spool: Spool, look: Callable[[], object]
) -> None:
    fulfil_the_plan()
    wait_in(spool, range(20, 100))
    look()
    assert not [each for each in backend.hkeys(KEY) if each.startswith(("final", "verdict"))]
    spool.replay(process.intake().count)
    look()
    found = verdict()
    assert found["state"] == "inconclusive"
    assert found["recorded"]["state"] == "inconclusive"


def test_the_reason_says_so(backend: redis.Redis, spool: Spool) -> None:
    declare()
    visit(0, 600, blue=100, red=80)
    wait_in(spool, range(80, 100))
    found = verdict()
    assert (found["state"], found["recorded"]) == ("keep_collecting", None)
    assert found["reason"].endswith(
        "The plan is fulfilled. Its final look waits for 20 events that are not counted yet."
    )
    assert found["next_step"].startswith("Wait until these events are counted")


def test_events_of_other_experiments_do_not_matter(backend: redis.Redis, spool: Spool) -> None:
    fulfil_the_plan()
    wait_in(spool, range(80), experiment="other")
    assert read()["plan"]["final_look"]["visitors"] == 1200


@pytest.mark.parametrize(("messages", "is_put_off"), [(1, True), (0, False)])
def test_a_queue_that_knows_no_experiments_counts_as_a_whole(
    backend: redis.Redis, messages: int, is_put_off: bool
) -> None:
    fulfil_the_plan()
    (found,) = process.counters().read("alephbet", ["e"])
    waiting = Waiting("alephbet", Backlog(Pile(messages, None), Pile(0, None)))
    now = datetime.now(UTC)
    seen = record.observe(process.connection(), "alephbet", found, now, waiting)
    assert seen.found.waits_for == ("1 message" if is_put_off else "")
    assert (seen.found.final_look is None) == is_put_off


@LOOKS
def test_a_spool_that_does_not_answer_may_hold_events(
    backend: redis.Redis, spool: Spool, tmp_path: Path, look: Callable[[], object]
) -> None:
    fulfil_the_plan()
    (tmp_path / "spool.sqlite").write_bytes(b"no database" * 1000)
    look()
    assert read()["plan"]["final_look"] is None
    assert "waits for an unknown number of events" in verdict(goal="share")["reason"]
    # No time limits how long a look at any time would wait for an answer.
    assert verdict()["recorded"]["state"] == "loser"


@pytest.mark.parametrize(("hours", "is_put_off"), [(23.9, True), (24.1, False)])
def test_it_waits_for_a_day(
    backend: redis.Redis, spool: Spool, hours: float, is_put_off: bool
) -> None:
    fulfil_the_plan()
    wait_in(spool, range(20, 100))
    read()
    (field,) = backend.hkeys(KEY)
    assert record_validity.is_valid(field, backend.hget(KEY, field) or "")
    since = f"{datetime.now(UTC) - timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}"
    backend.hset(KEY, field, json.dumps({"at": since}))
    assert (read()["plan"]["final_look"] is None) == is_put_off


def test_a_full_redis_cannot_begin_to_wait(backend: redis.Redis, spool: Spool) -> None:
    fulfil_the_plan()
    wait_in(spool, range(20, 100))
    with full(backend):
        assert "Redis could not record it" in verdict()["reason"]
    assert not backend.exists(KEY)


def test_a_snapshot_does_not_record_what_waiting_events_can_change(
    backend: redis.Redis, spool: Spool
) -> None:
    declare(planned_visitors=None)
    visit(0, 500, blue=20, red=70)
    spool.put([Event("alephbet", "e", "signup", "blue", f"blue{each}") for each in range(60)])
    write_snapshots()
    assert not backend.exists(KEY)


def test_a_snapshot_asks_once_what_waits(
    backend: redis.Redis, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in map(str, range(12)):
        declare(name, planned_visitors=None)
        visit(0, 5, blue=1, red=1, experiment=name)
    asked: list[int] = []
    ask = Spool.backlog
    monkeypatch.setattr(Spool, "backlog", lambda self: asked.append(1) or ask(self))
    write_snapshots()
    assert asked == [1]


def test_a_plan_is_fulfilled_within_the_error_of_counting(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gimel.backend.counting.declaring.new_salt", lambda: 32 * "0")
    declare(planned_visitors=1000, counting="hyperloglog")
    visit(0, 498, blue=0, red=0)
    assert read()["plan"]["final_look"] is None
    visit(498, 500, blue=0, red=0)
    # Two of these thousand visitors share a register.
    assert read()["plan"]["final_look"]["visitors"] == 999


@pytest.mark.parametrize(
    ("counting", "plan", "fewest"),
    [("hyperloglog", 100, 99), ("hyperloglog", 100_000, 99_696), ("exact", 1000, 1000)],
)
def test_how_many_visitors_fulfil_a_plan(counting: str, plan: int, fewest: int) -> None:
    settings = Definition(planned_visitors=plan, counting=counting)
    for number in (fewest - 1, fewest):
        found = ExperimentCounts("e", shards=64, settings=settings, trials={"a": number})
        assert found.is_plan_fulfilled == (number == fewest)
