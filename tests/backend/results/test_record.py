"""First verdicts and final looks: written once, on real counts in a real Valkey, and they stay."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from gimel.backend import process
from gimel.backend.results import record
from tests.support.handler_requests import call
from tests.support.planned import (
    declare,
    full,
    order,
    read,
    send,
    snapshot,
    verdict,
    visit,
    waits,
)


def test_the_pace_is_that_of_the_history_once_it_has_a_day(backend: redis.Redis) -> None:
    """An experiment may be declared long before it begins."""
    declare(planned_visitors=2000)
    visit(0, 250, blue=25, red=25)
    backend.hset("alephbet:e:settings", "created_at", "2026-01-01T00:00:00Z")
    assert verdict()["days_needed"][0] > 500, "since January"
    for days_ago, first in ((2, 250), (1, 300)):
        snapshot(backend, time.time() - days_ago * 86400)
        visit(first, first + 50, blue=5, red=5)
    # 200 more in two days, and 1,300 to go
    assert verdict()["days_needed"] == [11, 17]


class TestFinalLook:
    def test_a_snapshot_takes_the_final_look_if_nobody_reads(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 600, blue=100, red=104)
        snapshot(backend)
        # Significant for one look now
        visit(600, 700, blue=10, red=40)
        found = read()
        assert found["plan"]["final_look"]["visitors"] == 1200
        assert verdict()["recorded"]["visitors"] == 1200
        assert verdict()["state"] == "inconclusive"

    @pytest.mark.parametrize("kind", ["total", "value"])
    def test_it_freezes_the_samples_of_goals_reached_many_times(
        self, backend: redis.Redis, kind: str
    ) -> None:
        goal: dict[str, Any] = {"name": "order", "role": "primary", "kind": kind}
        declare(goals=[goal | ({"cap": 100} if kind == "value" else {})], counting="hyperloglog")
        order(range(200), blue=2, red=4)
        visit(0, 600, blue=0, red=0)
        at_end = verdict(goal="order")
        assert (at_end["state"], at_end["look"]) == ("winner", "final")
        before = backend.hgetall("alephbet:e:verdicts")
        # Nobody of those who come later orders, and the frozen samples do not change.
        visit(600, 3000, blue=0, red=0)
        order(range(600, 900), blue=9, red=0)
        (fields,) = [json.loads(text) for field, text in before.items() if "final" in field]
        assert {len(each) for of in fields["samples"].values() for each in of.values()} == {64}
        later = verdict(goal="order")
        assert (later["state"], later["interval"]) == ("winner", at_end["interval"])
        assert backend.hgetall("alephbet:e:verdicts") == before

    def test_the_plan_is_counted_down(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 500, blue=50, red=55)
        found = verdict()
        assert (found["state"], found["visitors_needed"]) == ("keep_collecting", 200)
        assert "The plan of 1,200 visitors takes 200 more" in found["reason"]
        assert read()["plan"] == {"visitors": 1200, "final_look": None}

    def test_nothing_found_at_the_plan_is_inconclusive_and_stays(
        self, backend: redis.Redis
    ) -> None:
        declare()
        visit(0, 600, blue=100, red=104)
        found = verdict()
        assert found["state"] == "inconclusive"
        low, high = found["interval"]
        assert low < 0 < high
        assert f"lifts above +{high:.1%} and below {low:.1%} are ruled out" in found["reason"]
        assert found["next_step"].startswith("Stop, and keep blue.")
        assert found["recorded"]["visitors"] == 1200
        assert read()["plan"]["final_look"]["visitors"] == 1200
        # Significant for one look now, and not for looks at any time.
        visit(600, 700, blue=10, red=40)
        later = verdict()
        assert (later["state"], later["interval"]) == ("inconclusive", [low, high])
        assert "Since then, 200 more came" in later["reason"]

    def test_a_difference_that_only_the_final_look_finds(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 590, blue=88, red=117)
        # 2.2 standard errors: too little for looks at any time
        assert verdict()["state"] == "keep_collecting"
        visit(590, 600, blue=2, red=3)
        found = verdict()
        assert (found["state"], found["winner"]) == ("winner", "red")
        assert found["interval"][0] > 0
        assert 0 < found["lift_expected"] < found["lift"]
        assert f"Expect less: at most about +{found['lift_expected']:.1%}" in found["reason"]
        assert found["next_step"] == "Ship red, and remove the experiment's code."
        # Visitors that come later change the lift, and not the verdict.
        visit(600, 800, blue=60, red=20)
        later = verdict()
        assert (later["state"], later["winner"]) == ("winner", "red")
        assert later["recorded"] == found["recorded"]
        assert "400 more came: the lift of red is now" in later["since"]
        assert f"{later['recorded']['reason']} {later['since']}" == later["reason"]

    def test_looks_at_any_time_go_on_after_it(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 600, blue=100, red=104)
        assert verdict()["state"] == "inconclusive"
        visit(600, 1400, blue=60, red=260)
        found = verdict()
        assert found["state"] == "inconclusive"
        assert "By now: red beats blue" in found["reason"]
        assert "By now" not in found["since"]

    def test_a_summary_freezes_all_goals(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 600, blue=100, red=104)
        send("red", "share", range(30))
        send("blue", "share", range(28))
        _, summary = call("GET", "/experiments", {"view": "summary"}).body
        assert [goal["goal"] for goal in summary["goals"]] == ["signup"]
        assert summary["goals"][0]["verdict"]["recorded"]["state"] == "inconclusive"
        written = backend.hgetall("alephbet:e:verdicts")
        (look,) = [json.loads(text) for field, text in written.items() if "final" in field]
        assert look["goals"]["share"] == {"blue": 28, "red": 30}
        assert "no difference was found. Lifts above" in verdict(goal="share")["reason"]

    def test_an_experiment_without_a_plan_has_none(self, backend: redis.Redis) -> None:
        declare(planned_visitors=None)
        visit(0, 600, blue=90, red=120)
        assert verdict()["state"] == "keep_collecting"
        assert read()["plan"] is None


class TestRecord:
    def test_the_first_verdict_stays_when_the_evidence_is_gone(self, backend: redis.Redis) -> None:
        declare(planned_visitors=None)
        visit(0, 500, blue=20, red=70)
        found = verdict()
        assert (found["state"], found["winner"]) == ("winner", "red")
        visit(500, 1000, blue=120, red=60)
        later = verdict()
        assert (later["state"], later["winner"]) == ("winner", "red")
        assert later["recorded"] == found["recorded"]
        assert later["reason"].startswith(found["recorded"]["reason"])

    def test_a_read_that_finds_nothing_new_writes_nothing(self, backend: redis.Redis) -> None:
        declare(planned_visitors=None)
        visit(0, 500, blue=20, red=70)
        read()
        before = backend.info("commandstats")
        read()
        after = backend.info("commandstats")
        assert after["cmdstat_hsetnx"]["calls"] == before["cmdstat_hsetnx"]["calls"]

    def test_of_two_processes_the_first_wins_and_both_show_it(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 600, blue=90, red=120)
        late = process.counters().read("alephbet", ["e"])
        visit(600, 700, blue=10, red=1)
        first = read()
        # This one counted before, and writes after.
        (shown,) = record.describe(process.connection(), "alephbet", late)
        assert shown["plan"] == first["plan"]
        assert shown["plan"]["final_look"]["visitors"] == 1400
        ours, theirs = (each["goals"][1]["verdict"] for each in (shown, first))
        assert ours["recorded"] == theirs["recorded"]
        assert ours["state"] == theirs["state"]

    def test_a_verdict_that_waiting_events_can_change_is_not_recorded_yet(
        self, backend: redis.Redis
    ) -> None:
        declare(planned_visitors=None)
        visit(0, 500, blue=20, red=70)
        found = process.counters().read("alephbet", ["e"])
        for is_pending in (True, False):
            waiting = waits("e", 60 if is_pending else 0)
            (shown,) = record.describe(process.connection(), "alephbet", found, waiting)
            (goal,) = [each for each in shown["goals"] if each["goal"] == "signup"]
            assert goal["verdict"]["winner"] == "red"
            assert (goal["verdict"]["recorded"] is None) == is_pending

    def test_a_snapshot_records_as_a_read_does(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 600, blue=90, red=120)
        (found,) = process.counters().read("alephbet", ["e"])
        seen = record.observe(process.connection(), "alephbet", found, datetime.now(UTC))
        described = json.loads(json.dumps(seen.describe()))
        assert described["goals"] == read()["goals"]
        assert verdict()["recorded"]["visitors"] == 1200

    @pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"at": 1, "trials": {}, "goals": {}}'])
    def test_what_cannot_be_read_is_no_record(self, backend: redis.Redis, text: str) -> None:
        declare()
        visit(0, 600, blue=20, red=120)
        before = read()
        for field in backend.hkeys("alephbet:e:verdicts"):
            backend.hset("alephbet:e:verdicts", field, text)
        after = read()
        assert after["plan"]["final_look"] is None
        assert after["goals"][1]["verdict"]["recorded"] is None
        assert [goal["results"] for goal in after["goals"]] == [
            goal["results"] for goal in before["goals"]
        ]

    def test_a_contradiction_asks_what_changed(self, backend: redis.Redis) -> None:
        declare(planned_visitors=None)
        visit(0, 500, blue=20, red=70)
        assert verdict()["winner"] == "red"
        visit(500, 2000, blue=400, red=120)
        found = verdict()
        assert found["winner"] == "red"
        assert "By now: red does worse than blue" in found["reason"]
        assert found["next_step"].startswith("Find out what changed before you act")

    def test_a_full_redis_shows_no_verdict(self, backend: redis.Redis) -> None:
        declare(planned_visitors=None)
        visit(0, 500, blue=20, red=70)
        with full(backend):
            found = verdict()
        assert (found["state"], found["winner"]) == ("keep_collecting", None)
        assert "Redis could not record it" in found["reason"]
        assert verdict()["state"] == "winner"

    def test_a_full_redis_has_no_final_look(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 600, blue=100, red=104)
        with full(backend):
            found = read()
        assert found["plan"]["final_look"] is None
        assert all("could not record" in each["verdict"]["reason"] for each in found["goals"])
        assert verdict()["state"] == "inconclusive"

    def test_a_later_sample_ratio_alarm_is_shown_in_its_place(self, backend: redis.Redis) -> None:
        declare(planned_visitors=None)
        visit(0, 500, blue=20, red=70)
        assert verdict()["state"] == "winner"
        send("blue", "participate", range(500, 1000))
        found = verdict()
        assert (found["state"], found["winner"]) == ("do_not_trust", None)
        assert found["recorded"]["winner"] == "red"

    def test_an_alarm_at_the_final_look_is_not_forgotten(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 500, blue=75, red=100)
        send("blue", "participate", range(500, 800))
        found = read()
        assert (found["srm"]["alarm"], verdict()["state"]) == (True, "do_not_trust")
        assert found["plan"]["final_look"]["visitors"] == 1300
        # The split of all visitors together is as intended again.
        send("blue", "participate", range(800, 3000))
        send("red", "participate", range(500, 3000))
        found = read()
        assert [each["trials"] for each in found["variants"]] == [3000, 3000]
        assert found["srm"]["alarm"]
        assert found["srm"]["p_value"] < 0.001
        assert (verdict()["state"], verdict()["recorded"]) == ("do_not_trust", None)

    def test_another_baseline_is_another_question(self, backend: redis.Redis) -> None:
        visit(0, 500, blue=20, red=70)
        assert verdict()["winner"] == "red"
        body = json.dumps({"baseline": "red"})
        assert call("POST", "/settings", {"experiment": "e"}, body=body).status == 200
        found = verdict()
        assert found["state"] == "loser"
        assert found["next_step"] == "Keep red, and remove the experiment's code."

    def test_deleting_an_experiment_deletes_it(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 600, blue=20, red=120)
        assert verdict()["winner"] == "red"
        fields = {"experiment": "e", "forget": "1"}
        assert call("DELETE", "/delete", fields).status == 200
        assert not backend.exists("alephbet:e:verdicts")

    def test_a_copy_of_the_definition_has_none(self, backend: redis.Redis) -> None:
        declare()
        visit(0, 600, blue=20, red=120)
        definition = read()["definition"]
        assert (
            call("PUT", "/experiment", {"experiment": "f"}, body=json.dumps(definition)).status
            == 200
        )
        assert not backend.exists("alephbet:f:verdicts")
        assert verdict("f")["recorded"] is None

    @pytest.mark.parametrize("setting", [{"state": "stopped"}, {"hypothesis": "Red is seen"}])
    def test_settings_leave_it(self, backend: redis.Redis, setting: dict[str, str]) -> None:
        declare()
        visit(0, 600, blue=20, red=120)
        before = verdict()["recorded"]
        body = json.dumps(setting)
        assert call("POST", "/settings", {"experiment": "e"}, body=body).status == 200
        assert verdict()["recorded"] == before
