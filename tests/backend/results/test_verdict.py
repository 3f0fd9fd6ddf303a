"""What an experiment's counts say to do, and when they say nothing yet."""

import pytest

from gimel.backend.results.analysis import analyse
from tests.support.inference import ONE_SHARD, SHARDS_64, row, verdict


class TestVerdict:
    def test_winner(self):
        found = verdict({"a": 50_000, "b": 50_000}, {"a": 5000, "b": 5600})
        assert (found["state"], found["winner"]) == ("winner", "b")
        assert found["reason"] == (
            "b beats a: its lift is between +5.3% and +19.1%. Expect less: about +10.8%. A lift at "
            "the moment when it is found is exaggerated."
        )

    def test_the_best_of_several_winners(self):
        found = verdict(dict.fromkeys("abc", 50_000), {"a": 5000, "b": 5600, "c": 5900})
        assert found["winner"] == "c"

    def test_loser(self):
        found = verdict({"a": 50_000, "b": 50_000}, {"a": 5600, "b": 5000})
        assert (found["state"], found["winner"]) == ("loser", None)
        assert found["reason"].startswith("b does worse than a")

    def test_one_loser_and_one_undecided_is_undecided(self):
        found = verdict(dict.fromkeys("abc", 50_000), {"a": 5600, "b": 5000, "c": 5610})
        assert found["state"] == "keep_collecting"

    def test_no_difference_only_where_a_region_is_set(self):
        counts = {"a": 1_000_000, "b": 1_000_000}, {"a": 500_000, "b": 500_300}
        assert verdict(*counts)["state"] == "keep_collecting"
        assert verdict(*counts, equivalence=0.01)["state"] == "no_difference"
        assert verdict(*counts, equivalence=0.001)["state"] == "keep_collecting"
        above = {"a": 1_000_000, "b": 1_000_000}, {"a": 500_000, "b": 502_000}
        assert verdict(*above, equivalence=0.006)["state"] == "keep_collecting"

    def test_a_real_lift_that_is_not_worth_finding(self):
        counts = {"a": 10**7, "b": 10**7}, {"a": 5 * 10**6, "b": 5_025_000}
        assert verdict(*counts)["state"] == "winner"
        assert verdict(*counts, equivalence=0.02)["state"] == "no_difference"

    def test_do_not_trust(self):
        found = verdict({"a": 60_000, "b": 40_000}, {"a": 5000, "b": 5600})
        assert (found["state"], found["winner"]) == ("do_not_trust", None)

    def test_weights_meant_are_no_mismatch(self):
        found = verdict(
            {"a": 60_000, "b": 40_000}, {"a": 6000, "b": 5600}, weights={"a": 3, "b": 2}
        )
        assert found["state"] == "winner"

    def test_it_is_by_the_always_valid_test_corrected_for_several_variants(self):
        two = {"a": 50_000, "b": 50_000}, {"a": 5000, "b": 5330}
        assert verdict(*two)["state"] == "winner"
        ten = dict.fromkeys("abcdefghij", 50000), dict.fromkeys("acdefghij", 5000) | {"b": 5330}
        assert verdict(*ten)["state"] == "keep_collecting"
        assert row(5000, 50_000, 5220, 50_000)["p_value"] < 0.05
        assert (
            verdict({"a": 50_000, "b": 50_000}, {"a": 5000, "b": 5220})["state"]
            == "keep_collecting"
        )

    def test_visitors_still_needed_reach_the_boundary(self):
        trials, successes = {"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1090}
        found = verdict(trials, successes, relative_error=SHARDS_64)
        times = 1 + found["visitors_needed"] / 20_000
        grown = [
            {v: round(n * times * k) for v, n in counts.items()}
            for k in (0.93, 1.05)
            for counts in (trials, successes)
        ]
        assert verdict(*grown[:2], relative_error=SHARDS_64)["state"] == "keep_collecting"
        assert verdict(*grown[2:], relative_error=SHARDS_64)["state"] == "winner"

    def test_visitors_needed_allow_for_several_variants(self):
        two = verdict({"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1090})
        three = verdict(dict.fromkeys("abc", 10_000), {"a": 1000, "b": 1090, "c": 1000})
        assert three["visitors_needed"] / 30_000 > 1.05 * two["visitors_needed"] / 20_000

    def test_visitors_needed_that_are_too_many_or_never_enough(self):
        small = {"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1001}
        assert verdict(*small)["visitors_needed"] is None
        assert "over 10 million" in verdict(*small)["reason"]
        hidden = {"a": 100_000, "b": 100_000}, {"a": 50_000, "b": 50_500}
        assert verdict(*hidden)["visitors_needed"] is not None
        assert verdict(*hidden, relative_error=ONE_SHARD)["visitors_needed"] is None

    @pytest.mark.parametrize(
        ("trials", "successes", "baseline", "reason"),
        [
            ({}, {}, None, "fewer than two variants"),
            ({"a": 10}, {"a": 1}, "a", "fewer than two variants"),
            ({"a": 10, "b": 10}, {"a": 1}, None, "no baseline"),
            ({"a": 0, "b": 10}, {"b": 1}, "a", "has no visitors"),
            ({"a": 10, "b": 0}, {"a": 1}, "a", "Only the baseline, a, has visitors"),
            ({"a": 10, "b": 10}, {"a": 0, "b": 0}, "a", "No visitor has reached"),
        ],
    )
    def test_what_is_missing_is_said(self, trials, successes, baseline, reason):
        found = verdict(trials, successes, baseline=baseline)
        assert found["state"] == "keep_collecting"
        assert reason in found["reason"]

    def test_names_stand_as_they_are(self):
        name = "<b>\x1b[31m=1+1 שלום"
        found = verdict({"a": 50_000, name: 50_000}, {"a": 5000, name: 5600})
        assert name in found["reason"]


def test_one_visitor_wins_nothing():
    trials = {"A": 1000, "B": 1}
    found = analyse(trials, {"g": {"A": 1}}, baseline="A", relative_error=0.001, weights=trials)
    _, b = found["goals"][0]["results"]
    assert found["goals"][0]["verdict"]["state"] == "keep_collecting"
    assert b["lift"] == -1
    assert b["p_value"] > 0.05


def test_an_open_comparison_is_named_beside_the_decided_ones():
    found = analyse(
        dict.fromkeys("ABC", 100_000),
        {"g": {"A": 10_000, "B": 9_000, "C": 10_010}},
        baseline="A",
        relative_error=0.001,
    )["goals"][0]["verdict"]
    assert found["reason"].startswith(
        "B does worse than A. The difference between C and A may still be chance"
    )
    assert found["visitors_needed"] is None
