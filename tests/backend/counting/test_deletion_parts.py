"""Deleting one goal or one variant: what goes, what stays, and what later events do."""

import json

import pytest
import redis

from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import Keys
from gimel.backend.experiment.history import history
from gimel.backend.redis.connection import Connection
from tests.support.counting import counters_of, event, events, track_1x
from tests.support.handler_requests import Answer, call, post
from tests.support.servers import url_of
from tests.support.valkey_cluster import cluster
from tests.support.whole_life import put, send

NAMES = {"experiment": "e"}
PARTS = Keys("alephbet", "e").deleted_parts


def delete(**part: str) -> Answer:
    return call("DELETE", "/delete", NAMES | part)


def shown() -> tuple[dict[str, int], list[str]]:
    found = call("GET", "/experiment", NAMES).body
    trials = {each["label"]: each["trials"] for each in found["variants"]}
    return trials, [each["goal"] for each in found["goals"]]


def configure(**settings: object) -> None:
    assert call("POST", "/settings", NAMES, body=json.dumps(settings)).status == 200


def reach(goal: str, variant: str, visitors: int) -> None:
    event = {"experiment": "e", "event": goal, "variant": variant}
    assert post([event | {"uuid": f"{variant}{n}"} for n in range(visitors)]).status == 200


@pytest.fixture
def begun(backend: redis.Redis) -> redis.Redis:
    send("e", 200)
    send("e", 20, event="signup")
    send("e", 7, event="junk: #1")
    return backend


def test_a_goal_goes_and_later_events_make_it_anew(begun: redis.Redis) -> None:
    answer = delete(goal="junk: #1")
    assert answer.body == {
        "experiment": "e",
        "goal": "junk: #1",
        "deleted": True,
        "note": "Later events of this goal make it anew.",
    }
    assert shown() == ({"blue": 100, "red": 100}, ["signup"])
    assert not [key for key in begun.scan_iter() if "junk" in key]
    assert delete(goal="junk: #1").body["deleted"] is False
    send("e", 3, event="junk: #1", first=500)
    assert shown()[1] == ["junk: #1", "signup"]


def test_a_variant_goes_with_the_settings_that_name_it(begun: redis.Redis) -> None:
    reach("participate", "prank", 9)
    everything = {"blue": 1, "red": 1, "prank": 2}
    configure(baseline="prank", weights=everything)
    assert delete(variant="prank").body["deleted"] is True
    found = call("GET", "/experiment", NAMES).body
    assert found["baseline"] == "blue"
    assert found["srm"]["weights"] == {"blue": 0.5, "red": 0.5}
    assert found["srm"]["alarm"] is False
    assert found["changes"][0]["fields"] == {"baseline": None, "weights": None}


def test_the_first_goal_makes_room_for_the_next(begun: redis.Redis) -> None:
    assert call("GET", "/experiment", NAMES).body["primary_goal"] == "signup"
    assert delete(goal="signup").body["deleted"] is True
    assert call("GET", "/experiment", NAMES).body["primary_goal"] == "junk: #1"


def test_history_and_recorded_verdicts_forget_it(begun: redis.Redis) -> None:
    reach("order", "red", 95)
    reach("order", "blue", 35)
    configure(primary_goal="order")
    (goal,) = [each for each in call("GET", "/experiment", NAMES).body["goals"]
               if each["goal"] == "order"]  # fmt: skip
    assert goal["verdict"]["recorded"]
    assert process.write_snapshots(20.0)
    delete(goal="order")
    (snapshot,) = history(Connection(url_of(begun)), ("alephbet", "e"))
    assert (snapshot.visitors, sorted(snapshot.goals)) == (200, ["junk: #1", "signup"])
    assert not [field for field in begun.hkeys("alephbet:e:verdicts") if "order" in field]


def test_declared_names_stay_and_strays_may_go(begun: redis.Redis) -> None:
    put("e", planned_visitors=None)
    for part in ({"goal": "signup"}, {"variant": "red"}):
        answer = delete(**part)
        assert (answer.status, answer.body["field"]) == (409, *part)
    assert delete(goal="junk: #1").body["deleted"] is True
    assert shown() == ({"blue": 100, "red": 100}, ["signup"])


@pytest.mark.parametrize(
    ("part", "status"),
    [
        ({"goal": "signup", "variant": "red"}, 400),
        ({"goal": ""}, 400),
        ({"goal": "participate"}, 409),
    ],
)
def test_what_is_refused(begun: redis.Redis, part: dict[str, str], status: int) -> None:
    before = shown()
    assert delete(**part).status == status
    assert shown() == before


def test_the_last_variant_and_a_decided_experiment_stay(begun: redis.Redis) -> None:
    assert delete(variant="blue").status == 200
    assert "delete the experiment instead" in delete(variant="red").body["error"]
    configure(decision={"winner": "red", "reason": "It is all that is left"})
    assert "decided" in delete(goal="signup").body["error"]
    assert call("DELETE", "/delete", {"experiment": "other", "goal": "g"}).status == 404


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
def test_a_process_that_remembers_leaves_nothing_for_ever(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch, counting: str
) -> None:
    monkeypatch.setenv("GIMEL_COUNTING", counting)
    process.reset()
    send("e", 100)
    other = counters_of(backend)
    other.add(events(range(50), goal="junk"))
    assert delete(goal="junk").body["deleted"] is True
    assert other.add([event(goal="junk", uuid="late")]) == {}
    assert [key for key in backend.scan_iter() if "junk" in key], "it was remembered"
    assert shown()[1] == []
    # What was added meanwhile counts once the counter is listed anew.
    counters_of(backend).add([event(goal="junk", uuid="later")])
    assert counters_of(backend).read("alephbet")[0].goals == {"junk": {"a": 2, "blue": 0, "red": 0}}
    assert delete(goal="junk").body["deleted"] is True
    other.add([event(goal="junk", uuid="late")])
    assert call("DELETE", "/delete", NAMES).body["deleted"] is True
    assert not [key for key in backend.scan_iter() if "junk" in key]
    assert backend.exists(PARTS)


def test_a_goal_of_gimel_1x_goes(backend: redis.Redis) -> None:
    for goal in ("participate", "old: goal", "kept"):
        track_1x(backend, "alephbet", "e", goal, "a", "x", "y")
    assert delete(goal="old: goal").body["deleted"] is True
    assert shown() == ({"a": 2}, ["kept"])
    assert not [key for key in backend.smembers("alephbet:counter_keys") if "old" in key]


@pytest.mark.slow
def test_every_key_of_a_cluster_goes() -> None:
    with cluster() as nodes:
        fresh = Counters(Connection(url_of(nodes[0]), cluster=True))
        fresh.add(events(range(500)))
        fresh.add(events(range(50), goal="junk"))
        assert fresh.delete_part("alephbet", "e", "junk", None) is True
        assert not [key for node in nodes for key in node.scan_iter() if "junk" in key]
        (found,) = fresh.read("alephbet")
        assert (found.goals, abs(found.trials["a"] - 500) < 5) == ({}, True)
