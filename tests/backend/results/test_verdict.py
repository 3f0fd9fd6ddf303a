"""What an experiment's counts say to do, and when they say nothing yet."""

import re
from datetime import UTC, datetime
from math import exp

import numpy as np
import pytest

from gimel.backend.results.analysis import analyse
from gimel.backend.results.comparison import Arm, compare
from gimel.backend.results.decision import likely_signal
from gimel.backend.results.design import Design
from gimel.backend.results.pace import Pace
from tests.support.inference import ONE_SHARD, row, verdict


class TestVerdict:
    def test_winner(self):
        found = verdict({"a": 50_000, "b": 50_000}, {"a": 5000, "b": 5600})
        assert (found["state"], found["winner"]) == ("winner", "b")
        assert found["reason"] == (
            "b beats a: its lift is between +5.3% and +19.2%. Expect less: at most about +10.8%. "
            "A lift at the moment when it is found is exaggerated."
        )

    def test_the_best_of_several_winners(self):
        found = verdict(dict.fromkeys("abc", 50_000), {"a": 5000, "b": 5600, "c": 5900})
        assert found["winner"] == "c"

    def test_a_lift_that_is_hardly_known_has_no_digits(self):
        found = verdict({"a": 50_000, "b": 50_000}, {"a": 0, "b": 15})
        assert found["state"] == "winner"
        assert re.search(
            r"its lift is between \+\d+\.\d% and more than \+1,000%\.$", found["reason"]
        )
        far = verdict({"a": 50_000, "b": 50_000}, {"a": 10, "b": 2000})
        assert far["reason"] == "b beats a: its lift is more than +1,000%."

    def test_loser(self):
        found = verdict({"a": 50_000, "b": 50_000}, {"a": 5600, "b": 5000})
        assert (found["state"], found["winner"]) == ("loser", None)
        assert found["reason"].startswith("b does worse than a")

    def test_one_loser_and_one_undecided_is_undecided(self):
        found = verdict(dict.fromkeys("abc", 50_000), {"a": 5600, "b": 5000, "c": 5610})
        assert found["state"] == "keep_collecting"

    def test_of_many_it_speaks_of_the_one_that_leads(self):
        trials = dict.fromkeys("abcd", 1000)
        # d is farther from a than c is, but behind it.
        found = verdict(trials, {"a": 100, "b": 101, "c": 112, "d": 80})
        assert found["reason"].startswith("The difference between c and a may still be chance.")
        behind = verdict(trials, {"a": 100, "b": 99, "c": 95, "d": 80})
        assert behind["reason"].startswith("The difference between d and a may still be chance.")

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
        assert "The usual causes: " in found["reason"]
        assert "To find the cause, " in found["reason"]

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
        """Those who have come stay, and those to come differ by the median of the likely lifts."""
        trials, successes = {"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1130}
        needed = verdict(trials, successes)["visitors_needed"]
        test = compare(Arm(1130, 10_000), Arm(1000, 10_000))
        ratio = exp(likely_signal(test.z_score, 0.5) * test.standard_error)
        assert 1 < ratio < 1.13
        for part, state in ((0.8, "keep_collecting"), (1.05, "winner")):
            more = round(needed / 2 * part)
            later = {"a": 1000 + round(0.1 * more), "b": 1130 + round(0.1 * ratio * more)}
            assert verdict(dict.fromkeys("ab", 10_000 + more), later)["state"] == state

    def test_visitors_needed_allow_for_several_variants(self):
        two = {"a": 2000, "b": 2000}, {"a": 200, "b": 266}
        assert verdict(*two)["state"] == "winner"
        three = verdict(dict.fromkeys("abc", 2000), {"a": 200, "b": 266, "c": 200})
        assert three["state"] == "keep_collecting"
        assert three["visitors_needed"] > 0

    def test_visitors_needed_that_are_too_many_or_never_enough(self):
        small = {"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1001}
        assert verdict(*small)["visitors_needed"] is None
        assert "over 10 million" in verdict(*small)["reason"]
        hidden = {"a": 100_000, "b": 100_000}, {"a": 50_000, "b": 50_760}
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


class TestNextStep:
    """Each verdict ends with what to do."""

    @pytest.mark.parametrize(
        ("successes", "settings", "step"),
        [
            ({"a": 5000, "b": 5600}, {}, "Ship b, and remove the experiment's code."),
            ({"a": 5600, "b": 5000}, {}, "Keep a, and remove the experiment's code."),
            ({"a": 25_000, "b": 25_010}, {"equivalence": 0.05},
             "Stop: it makes no difference worth finding. Keep a, or choose the cheaper one."),
            ({"a": 5000, "b": 5010}, {}, "Wait for more visitors."),
            ({"a": 0, "b": 0}, {},
             "Check that the page sends this goal, if visitors should have reached it by now."),
            ({"a": 5000, "b": 5600}, {"weights": {"a": 9, "b": 1}},
             "Fix the split first: the numbers of this experiment do not decide anything."),
        ],
    )  # fmt: skip
    def test_it(self, successes, settings, step):
        assert verdict({"a": 50_000, "b": 50_000}, successes, **settings)["next_step"] == step

    def test_a_date_at_the_present_pace(self):
        design = Design(40_000, pace=Pace(1000, datetime(2026, 11, 29, tzinfo=UTC)))
        found = verdict({"a": 18_000, "b": 18_000}, {"a": 1800, "b": 1810}, design=design)
        assert found["next_step"] == "Wait until about 3 December."
        assert found["days_needed"] == (4, 5)
        assert "takes 4,000 more (4 to 5 days at the present pace)" in found["reason"]

    def test_a_stopped_experiment_waits_for_nothing(self):
        design = Design(40_000, pace=Pace(1000), is_running=False)
        found = verdict({"a": 18_000, "b": 18_000}, {"a": 1800, "b": 1810}, design=design)
        assert "gimel resume" in found["next_step"]
        assert found["days_needed"] is None

    def test_a_surprising_lift(self):
        found = verdict({"a": 5000, "b": 5000}, {"a": 300, "b": 600})
        assert found["state"] == "winner"
        assert found["next_step"].startswith("Check the set-up first: a lift beyond ±50% is")
        assert found["next_step"].endswith("Ship b, and remove the experiment's code.")
        few = verdict({"a": 500, "b": 500}, {"a": 40, "b": 120})
        assert few["state"] == "winner"
        assert "Check the set-up" not in few["next_step"]
        loser = verdict({"a": 5000, "b": 5000}, {"a": 600, "b": 200})
        assert "Check the set-up" in loser["next_step"]


class TestPromises:
    """How long a decision takes is said only if there is reason to believe in one."""

    def test_a_range_with_days(self):
        design = Design(pace=Pace(1000, datetime(2026, 11, 29, tzinfo=UTC)))
        found = verdict({"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1130}, design=design)
        low, high = found["visitors_needed_range"]
        assert low < found["visitors_needed"] < high
        fewest, most = found["days_needed"]
        assert (
            f"takes {low:,} to {high:,} more visitors ({fewest} to {most} days" in found["reason"]
        )

    def test_nothing_below_25_conversions(self):
        assert verdict({"a": 500, "b": 500}, {"a": 24, "b": 51})["visitors_needed"] is None
        assert verdict({"a": 500, "b": 500}, {"a": 25, "b": 52})["visitors_needed"] is not None

    @pytest.mark.parametrize(("reached", "is_shown"), [(1127, False), (1130, True), (1138, False)])
    def test_a_range_needs_evidence_and_ends_within_a_factor_of_ten(self, reached, is_shown):
        found = verdict({"a": 10_000, "b": 10_000}, {"a": 1000, "b": reached})
        evidence = row(1000, 10_000, reached, 10_000)["p_value_always_valid"]
        # At 1138, the range would be 310 to 4,900.
        assert (evidence < 0.1) == (reached >= 1130)
        if is_shown:
            low, high = found["visitors_needed_range"]
            assert low < found["visitors_needed"] < high <= 10 * low
        else:
            assert found["visitors_needed_range"] is found["visitors_needed"] is None
            assert "too early to say" in found["reason"]

    @pytest.mark.slow
    def test_without_an_effect_it_is_rare_however_often_one_looks(self):
        rng, runs, promised = np.random.default_rng(1), 300, 0
        for _ in range(runs):
            looks = rng.binomial(200, 0.1, (50, 2)).cumsum(axis=0).tolist()
            seen = dict.fromkeys("ab", 0)
            for a, b in looks:
                seen = {label: count + 200 for label, count in seen.items()}
                found = verdict(seen, {"a": a, "b": b})
                if found["visitors_needed"] is not None:
                    promised += 1
                    break
        assert 0 < promised / runs < 0.07

    def test_a_plan_needs_no_effect_to_end(self):
        found = verdict({"a": 10_000, "b": 10_000}, {"a": 9, "b": 9}, design=Design(40_000))
        assert found["visitors_needed"] == 20_000


@pytest.mark.parametrize("trials", [{"a": 0, "b": 0}, {"a": 100, "b": 0}])
def test_a_goal_without_any_participation_is_named_as_that_mistake(trials):
    found = verdict(trials, {"a": 10, "b": 12})
    label = "a" if not trials["a"] else "b"
    assert found["state"] == ("do_not_trust" if trials["a"] else "keep_collecting")
    assert f"no participation of {label} has arrived" in found["reason"]
    assert found["next_step"].startswith("Send the event participate")


def test_a_lift_out_of_all_proportion_is_not_written_out():
    found = verdict({"a": 100_000, "b": 100_000}, {"a": 3, "b": 5000})
    assert "more than +1,000%" in found["reason"]
