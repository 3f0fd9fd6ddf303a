"""Each message is sent once, and none is lost: a real Valkey, and a webhook that has bad hours."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import redis

from gimel.backend import process
from gimel.backend.counting.keys import NEWS, WRITER
from gimel.backend.experiment.history import Layout, encode
from gimel.backend.news import outbox
from gimel.backend.queue import Backlog, Pile
from gimel.backend.spool import Spool
from tests.support.handler_requests import call, post
from tests.support.newsworthy import skew, win
from tests.support.webhook import Webhook, webhook
from tests.support.whole_life import put, send


@pytest.fixture(name="hook")
def hook_fixture(
    backend: redis.Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Webhook]:
    """A webhook that the writer of snapshots tells."""
    with webhook(tmp_path, monkeypatch) as made:
        monkeypatch.setenv("GIMEL_NOTIFY", made.url)
        yield made


class Hours:
    """Rounds of snapshots, an hour apart."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        # The first rounds are in the past, so that a read is not before them.
        self.now = int(datetime.now(UTC).timestamp()) - 4 * 3600

    def round(self, seconds: float = 20.0, later: int = 3600) -> None:
        self.now += later
        self._patch.setattr("time.time", lambda: self.now)
        process.write_snapshots(seconds)


@pytest.fixture(name="hours")
def hours_fixture(monkeypatch: pytest.MonkeyPatch) -> Hours:
    return Hours(monkeypatch)


def told(hook: Webhook) -> list[tuple[str, str]]:
    return [(body["kind"], body["experiment"]) for body in hook.bodies]


def test_each_message_is_sent_once(hook: Webhook, hours: Hours, backend: redis.Redis) -> None:
    hours.round()
    assert hook.got == []
    win("won")
    skew("skewed")
    hours.round()
    assert sorted(told(hook)) == [("split", "skewed"), ("verdict", "won")]
    for _ in range(3):
        send("won", 10, first=400)
        hours.round()
    assert len(hook.got) == 2
    assert not backend.exists(WRITER)


def test_the_same_name_again_is_news_again(
    hook: Webhook, hours: Hours, backend: redis.Redis
) -> None:
    skew("e")
    hours.round()
    fields = {"experiment": "e", "forget": "1"}
    assert call("DELETE", "/delete", fields).status == 200
    process.reset()
    hours.round()
    skew("e")
    backend.hset("alephbet:e:settings", "created_at", "2026-01-01T00:00:00Z")
    hours.round()
    assert told(hook) == [("split", "e"), ("split", "e")]


@pytest.mark.parametrize("status", [0, -1, 302, 404, 429, 500])
def test_a_webhook_that_fails_loses_nothing(
    hook: Webhook,
    hours: Hours,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    status: int,
) -> None:
    monkeypatch.setattr(outbox, "_SECONDS", 0.5)
    for name in ("won", "also won"):
        win(name)
    hook.status = status
    for _ in range(2):
        hours.round()
    hook.got.clear()
    said = capsys.readouterr().out
    assert '"notify"' in said
    assert "hunter2" not in said + "localhost"
    # Messages are sent even if their cause has ended meanwhile.
    for name in ("won", "also won"):
        assert call("DELETE", "/delete", {"experiment": name}).status == 200
    hook.status = 200
    for _ in range(2):
        hours.round()
    assert sorted(told(hook)) == [("verdict", "also won"), ("verdict", "won")]
    assert '"notified": 2' in capsys.readouterr().out


def test_a_webhook_that_is_down_ends_the_round_and_keeps_no_snapshot_waiting(
    hook: Webhook, hours: Hours, backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    win("won")
    with monkeypatch.context() as patch:
        patch.setenv("GIMEL_NOTIFY", "https://localhost:1/")
        hours.round()
    assert backend.hlen("alephbet:won:history") == 3
    hours.round()
    assert told(hook) == [("verdict", "won")]


def test_another_writer_at_the_same_time_tells_nothing(
    hook: Webhook, hours: Hours, backend: redis.Redis
) -> None:
    win("won")
    backend.set(WRITER, "another", ex=30)
    hours.round()
    assert hook.got == []
    backend.delete(WRITER)
    hours.round()
    assert told(hook) == [("verdict", "won")]


def test_a_flood_is_bounded_and_comes_to_an_end(
    hook: Webhook, hours: Hours, backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_PER_ROUND", 3)
    monkeypatch.setattr(outbox, "_MOST", 4)
    for number in range(7):
        skew(f"e{number}")
    numbers = []
    for _ in range(4):
        hours.round()
        numbers.append(len(hook.got))
        assert sum(text.startswith("{") for text in backend.hvals(NEWS)) <= 4
    assert numbers == [3, 6, 7, 7]
    assert len(set(told(hook))) == 7


def test_undeclared_experiments_are_no_news(hook: Webhook, hours: Hours) -> None:
    one = {"experiment": "of a stranger", "event": "participate"}
    for variant, visitors in (("a", 400), ("b", 100)):
        post([one | {"variant": variant, "uuid": f"id{number}"} for number in range(visitors)])
    hours.round()
    assert hook.got == []


def test_stopped_traffic_is_told_once_and_the_read_says_it_too(
    hook: Webhook, hours: Hours, backend: redis.Redis
) -> None:
    put("e")
    send("e", 4500)
    hours.round()
    found = call("GET", "/experiment", {"experiment": "e"}).body
    blue, red = (each["trials"] for each in found["variants"])
    layout, hour = Layout(["blue", "red"], ["signup"]), int(hours.now) // 3600
    for ago in range(9 * 24):
        # Twenty an hour, but none in the last two hours
        missing = 10 * max(0, ago - 2)
        trials = {"blue": blue - missing, "red": red - missing}
        goals = {"signup": dict.fromkeys(trials, 0)}
        backend.hset("alephbet:e:history", str(hour - ago), encode(layout, 0, trials, goals))
    for _ in range(3):
        hours.round()
    assert told(hook) == [("traffic", "e")]
    since = datetime.fromtimestamp(3600 * (hour - 2), UTC)
    assert f"since {since:%Y-%m-%d %H:%M} UTC." in hook.bodies[0]["message"]
    found = call("GET", "/experiment", {"experiment": "e"}).body
    assert found["traffic_stopped_since"] == since.isoformat()
    send("e", 100, first=5000)
    assert call("GET", "/experiment", {"experiment": "e"}).body["traffic_stopped_since"] is None


def test_events_that_wait_are_told_once_for_each_time(
    hook: Webhook,
    hours: Hours,
    backend: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("GIMEL_SPOOL", str(tmp_path))
    process.reset()
    for number in (0, 3, 5, 0, 0, 2, 2):
        backlog = Backlog(Pile(number, None), Pile(0, None))
        monkeypatch.setattr(Spool, "backlog", lambda _, backlog=backlog: backlog)
        hours.round()
    assert [(body["kind"], body["namespace"]) for body in hook.bodies] == [("waiting", None)] * 2
    assert backend.hget(NEWS, "waiting") == str(int(hours.now) - 3600)


def test_events_set_aside_are_told_once(
    hook: Webhook, hours: Hours, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GIMEL_SPOOL", str(tmp_path))
    process.reset()
    backlog = Backlog(Pile(0, None), Pile(3, None))
    monkeypatch.setattr(Spool, "backlog", lambda _: backlog)
    for _ in range(3):
        hours.round()
    assert [body["kind"] for body in hook.bodies] == ["set_aside"]


def test_ids_are_forgotten_after_more_than_a_year(
    hook: Webhook, hours: Hours, backend: redis.Redis
) -> None:
    win("won")
    hours.round()
    assert backend.hlen(NEWS) == 1
    hours.round(later=399 * 86400)
    assert backend.hlen(NEWS) == 1
    hours.round(later=2 * 86400)
    assert (backend.hlen(NEWS), len(hook.got)) == (0, 1)


def test_what_another_version_wrote_is_left_alone(
    hook: Webhook, hours: Hours, backend: redis.Redis
) -> None:
    foreign = {"a": "[]", "b": '{"at": 1}', "c": "text", "d": '{"at": 1, "message": 2}'}
    backend.hset(NEWS, mapping=foreign)
    win("won")
    hours.round()
    assert told(hook) == [("verdict", "won")]
    assert foreign.items() <= backend.hgetall(NEWS).items()
