"""The analysis of an experiment: sample ratios, edges, and any counts at all."""

import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gimel.backend.results.analysis import analyse, compare_all_pairs
from gimel.backend.results.between import Measure, Spread
from gimel.backend.results.decision import FinalLook
from gimel.backend.results.design import Design
from tests.support.inference import ONE_SHARD, SHARDS_64, row


def assert_undecided(goal, reason):
    """No interval, no p-value, no chance and no verdict: nothing says how much visitors differ."""
    assert goal["verdict"]["state"] == "keep_collecting"
    assert reason in goal["verdict"]["reason"]
    known = {"label", "successes", "trials", "rate", "lift"}
    for each in goal["results"]:
        assert {each[field] for field in each.keys() - known} == {None}


class TestEdges:
    def test_the_baselines_own_row_has_no_comparison(self):
        results = analyse(
            {"a": 100, "b": 100}, {"g": {"a": 10, "b": 20}}, baseline="a", relative_error=0
        )
        own = results["goals"][0]["results"][0]
        compared = (
            "lift",
            "lift_interval",
            "p_value",
            "p_value_adjusted",
            "chance_to_beat_baseline",
        )
        assert [own[field] for field in compared] == [None] * 5
        assert own["chance_to_be_best"] < 0.05

    def test_no_visitors(self):
        found = row(0, 0, 0, 0)
        assert {
            found[field] for field in found if field not in ("label", "successes", "trials")
        } == {None}

    def test_an_interval_that_says_nothing_is_not_given(self):
        found = row(0, 1, 1, 1)
        assert found["lift_interval_always_valid"] is None
        assert found["p_value_always_valid"] == 1

    def test_no_conversions_of_the_baseline(self):
        found = row(0, 1000, 50, 1000)
        assert found["lift"] is None
        assert found["p_value"] < 0.002
        assert found["lift_interval"][0] > 1

    def test_all_conversions(self):
        found = row(1000, 1000, 1000, 1000)
        assert (found["lift"], found["p_value"], found["rate"]) == (0, 1, 1)
        assert found["chance_to_beat_baseline"] == 0.5

    def test_all_conversions_by_counters_that_err(self):
        found = row(100_000, 100_000, 100_000, 100_000, relative_error=SHARDS_64)
        assert found["expected_loss"] < 2 * SHARDS_64

    def test_a_goal_of_one_variant_only(self):
        found = analyse({"a": 1000, "b": 1000}, {"g": {"b": 30}}, baseline="a", relative_error=0)
        assert [result["successes"] for result in found["goals"][0]["results"]] == [0, 30]

    def test_of_one_variant_with_visitors_nothing_is_said_about_the_best(self):
        found = analyse({"a": 0, "b": 10}, {"g": {"b": 3}}, baseline="a", relative_error=0)
        results = found["goals"][0]["results"]
        assert [result["chance_to_be_best"] for result in results] == [None, None]
        assert [result["expected_loss"] for result in results] == [None, None]

    def test_many_times_a_visitor(self):
        found = analyse(
            {"a": 1000, "b": 1000}, {"g": {"a": 2500, "b": 400}}, baseline="a", relative_error=0
        )
        goal = found["goals"][0]
        assert goal["kind"] == "total"
        assert [result["rate"] for result in goal["results"]] == [2.5, 0.4]
        assert_undecided(goal, "more conversions than visitors")

    def test_a_goal_named_as_total_is_one(self):
        found = analyse(
            {"a": 1000, "b": 1000},
            {"g": {"a": 200, "b": 550}},
            baseline="a",
            relative_error=0,
            measures={"g": Measure("total", obstacle="Nobody knows whose they are.")},
        )["goals"][0]
        assert found["kind"] == "total"
        assert_undecided(found, "Nobody knows")

    def test_what_kept_the_final_look_from_a_verdict_does_so_later(self):
        counts = {"a": 1000, "b": 1000}, {"g": {"a": 200, "b": 550}}
        spreads = {label: Spread(0.01, 64, is_reached=True) for label in "ab"}
        now = Measure("total", spreads=spreads)
        unknown = {label: Spread(0.01, 64, is_reached=False) for label in "ab"}
        then = Measure("total", spreads=unknown, obstacle="A few decide it.")
        for at_end, state in ((then, "keep_collecting"), (now, "winner")):
            design = Design(
                planned_visitors=1800,
                final=FinalLook("2026-11-29T00:00:00Z", *counts),
                final_measures={"g": at_end},
            )
            (found,) = analyse(
                *counts, baseline="a", relative_error=0, measures={"g": now}, design=design
            )["goals"]
            assert found["verdict"]["state"] == state
            assert ("A few decide it." in found["verdict"]["reason"]) == (at_end is then)

    def test_counting_error_makes_no_total(self):
        found = analyse(
            {"a": 10**6}, {"g": {"a": 10**6 + 20_000}}, baseline="a", relative_error=ONE_SHARD
        )
        assert found["goals"][0]["kind"] == "unique"
        found = analyse(
            {"a": 10**6}, {"g": {"a": 10**6 + 60_000}}, baseline="a", relative_error=ONE_SHARD
        )
        assert found["goals"][0]["kind"] == "total"

    def test_matrix(self):
        counts = {"a": 9000, "b": 9000, "c": 9000}, {"g": {"a": 900, "b": 1000, "c": 1100}}
        (goal,) = compare_all_pairs(*counts, relative_error=0)
        pairs = {(pair["label"], pair["against"]): pair for pair in goal["pairs"]}
        assert len(pairs) == 6
        there, back = pairs["c", "a"], pairs["a", "c"]
        assert (1 + there["lift"]) * (1 + back["lift"]) == pytest.approx(1, abs=1e-4)
        assert there["p_value"] == back["p_value"]
        assert there["p_value"] == row(900, 9000, 1100, 9000)["p_value"]
        assert there["p_value_always_valid_adjusted"] == pytest.approx(
            3 * there["p_value_always_valid"], rel=1e-4
        )

    def test_matrix_leaves_out_who_has_no_visitors(self):
        (goal,) = compare_all_pairs({"a": 10, "b": 0}, {"g": {"a": 1}}, relative_error=0)
        assert goal["pairs"] == []


count = st.one_of(st.integers(0, 20), st.integers(0, 10**9))


labels = st.lists(st.text(min_size=1, max_size=4), max_size=12, unique=True)


def numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []


@pytest.mark.slow
@settings(max_examples=150)
@given(data=st.data(), variants=labels, error=st.sampled_from([0.0, 0.0005, SHARDS_64, ONE_SHARD]))
def test_any_counts_have_an_answer(data, variants, error):
    trials = {label: data.draw(count) for label in variants}
    goals = {
        goal: {label: data.draw(count) for label in variants if data.draw(st.booleans())}
        for goal in "gh"
    }
    baseline = data.draw(st.sampled_from([*variants, None, "not there"]))
    margin = data.draw(st.sampled_from([None, 0.01, 0.5]))
    found = analyse(trials, goals, baseline=baseline, relative_error=error, equivalence=margin)
    assert all(math.isfinite(number) for number in numbers(found))
    json.dumps([found, compare_all_pairs(trials, goals, relative_error=error)], allow_nan=False)
    for goal in found["goals"]:
        assert len(goal["results"]) == len(variants)
        assert goal["kind"] == "unique" or goal["verdict"]["visitors_needed"] is None
        chances = [each["chance_to_be_best"] for each in goal["results"] if each["trials"]]
        is_known = goal["kind"] == "unique" and len(chances) > 1
        assert not is_known or sum(chances) == pytest.approx(1, abs=1e-3)
        for each in goal["results"]:
            for field in ("rate_interval", "lift_interval", "lift_interval_always_valid"):
                assert each[field] is None or each[field][0] <= each[field][1]
            if each["rate_interval"]:
                # to the digits shown
                low, high = each["rate_interval"]
                assert low * (1 - 1e-4) <= each["rate"] <= high * (1 + 1e-4) + 1e-12
            for field in each:
                if field.startswith(("p_value", "chance")) and each[field] is not None:
                    assert 0 <= each[field] <= 1


def test_a_stray_cannot_make_a_goal_a_total():
    trials, successes = {"a": 5000, "b": 5000, "!typo": 1}, {"a": 500, "b": 700, "!typo": 9}
    (goal,) = analyse(
        trials, {"g": successes}, baseline="a", relative_error=0.001, excluded={"!typo"}
    )["goals"]
    assert (goal["kind"], goal["verdict"]["state"]) == ("unique", "winner")


def test_a_stray_takes_no_part():
    trials, successes = {"a": 5000, "b": 5000, "!typo": 1}, {"a": 500, "b": 700, "!typo": 1}
    found = analyse(
        trials, {"g": successes}, baseline="a", relative_error=0.001, excluded={"!typo"}
    )
    alone = analyse(
        {"a": 5000, "b": 5000}, {"g": {"a": 500, "b": 700}}, baseline="a", relative_error=0.001
    )
    assert found["srm"] == alone["srm"]
    assert found["goals"][0]["verdict"] == alone["goals"][0]["verdict"]
    stray, *others = found["goals"][0]["results"]
    assert others == alone["goals"][0]["results"]
    assert (stray["trials"], stray["lift"], stray["chance_to_be_best"]) == (1, None, None)
