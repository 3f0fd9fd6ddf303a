"""The inference against published figures, against other libraries, and on any counts at all."""

import json
import math

import numpy as np
import pytest
from gbstats.bayesian.tests import EffectBayesianABTest
from gbstats.frequentist.tests import SequentialConfig, SequentialTwoSidedTTest, TwoSidedTTest
from gbstats.models.statistics import ProportionStatistic
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportion_effectsize,
    proportions_ztest,
)

from gimel.backend.results.analysis import analyse, matrix, sample_ratio
from gimel.backend.results.comparison import (
    Arm,
    Comparison,
    boundary,
    chi_square_tail,
    compare,
    counting_variance,
    holm,
    intrinsic_time,
)
from gimel.backend.results.posterior import chance_to_beat, posterior, standings
from gimel.terminal.sample_size import power, sample_size

ONE_SHARD = 0.0081
SHARDS_64 = ONE_SHARD / 8


def row(xa, na, xb, nb, **settings):
    """Variant b's row against baseline a."""
    found = analyse(
        {"a": na, "b": nb},
        {"goal": {"a": xa, "b": xb}},
        **{"baseline": "a", "relative_error": 0.0} | settings,
    )
    return found["goals"][0]["results"][1]


def verdict(trials, successes, **settings):
    found = analyse(
        trials, {"goal": successes}, **{"baseline": "a", "relative_error": 0} | settings
    )
    return found["goals"][0]["verdict"]


class TestAgainstGbstats:
    """GrowthBook's library, and the figures of its own tests."""

    def test_one_look_at_few_visitors(self):
        found = row(14, 28, 16, 30)
        assert found["lift"] == 0.066667
        # theirs: 0.80707, Student's t on the lift itself
        assert found["p_value"] == pytest.approx(0.80707, abs=0.005)

    @pytest.mark.parametrize(
        "counts", [(5000, 50_000, 5200, 50_000), (900_000, 2_000_000, 904_000, 2_000_000)]
    )
    def test_one_look_at_many_visitors(self, counts):
        xa, na, xb, nb = counts
        theirs = TwoSidedTTest(ProportionStatistic(na, xa), ProportionStatistic(nb, xb))
        found = compare(Arm(xb, nb), Arm(xa, na))
        assert found.p_value == pytest.approx(theirs.p_value, abs=0.005)
        assert found.interval == pytest.approx(theirs.confidence_interval, abs=0.001)

    def test_sequential(self):
        found = row(1396, 3000, 2422, 3461)
        assert found["lift"] == 0.50386
        # on the log scale the interval is not symmetric around the lift
        assert found["lift_interval_always_valid"] == pytest.approx((0.40098, 0.60675), abs=0.004)

    @pytest.mark.parametrize(
        "counts", [(14, 28, 16, 30), (1396, 3000, 1422, 3461), (9, 1000, 30, 900)]
    )
    def test_the_confidence_sequence_is_the_same_function(self, counts):
        xa, na, xb, nb = counts
        theirs = SequentialTwoSidedTTest(
            ProportionStatistic(na, xa),
            ProportionStatistic(nb, xb),
            SequentialConfig(sequential_tuning_parameter=5000),
        )
        low, high = theirs.confidence_interval
        assert boundary(na + nb) == pytest.approx((high - low) / 2 / theirs.variance**0.5)
        ours = Comparison(theirs.point_estimate, theirs.variance, 0.0, na + nb)
        assert ours.p_value_always_valid == pytest.approx(theirs.p_value)

    def test_chance_to_beat_the_baseline(self):
        theirs = EffectBayesianABTest(ProportionStatistic(100, 49), ProportionStatistic(100, 51))
        chance = row(49, 100, 51, 100)["chance_to_beat_baseline"]
        assert chance == pytest.approx(0.60918, abs=0.005)
        assert chance == pytest.approx(theirs.compute_result().chance_to_win, abs=0.005)

    def test_power(self):
        theirs = [0.073, 0.0965, 0.1204, 0.14458, 0.16895]
        ours = [power(0.1, 0.05, 1500 * week) for week in range(1, 6)]
        assert ours == pytest.approx(theirs, rel=0.025)

    def test_holm(self):
        p_values = [0.01, 0.04, 0.03, 0.005]
        assert holm(p_values) == pytest.approx([0.03, 0.06, 0.06, 0.02])
        assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


class TestAgainstStatsmodelsAndScipy:
    @pytest.mark.parametrize(
        ("successes", "trials"), [(0, 10), (7, 34), (312, 5020), (999, 1000), (50, 50)]
    )
    def test_rate_interval_is_wilsons(self, successes, trials):
        theirs = proportion_confint(successes, trials, method="wilson")
        assert Arm(successes, trials).interval == pytest.approx(theirs, abs=1e-12)

    @pytest.mark.parametrize(
        "counts", [(1000, 10_000, 1080, 10_000), (51_000, 100_000, 51_500, 101_000)]
    )
    def test_one_look(self, counts):
        xa, na, xb, nb = counts
        theirs = confint_proportions_2indep(xb, nb, xa, na, compare="ratio", method="log")
        found = compare(Arm(xb, nb), Arm(xa, na))
        assert found.interval == pytest.approx([bound - 1 for bound in theirs], abs=1e-4)
        assert found.p_value == pytest.approx(proportions_ztest([xb, xa], [nb, na])[1], rel=0.02)

    @pytest.mark.parametrize("freedom", range(1, 20))
    def test_chi_square(self, freedom):
        for statistic in (0.0, 0.1, 3.0, 20.0, 200.0):
            assert chi_square_tail(statistic, freedom) == pytest.approx(
                scipy_stats.chi2.sf(statistic, freedom), rel=1e-9
            )

    @pytest.mark.parametrize(
        ("counts", "p_value"),
        [((600, 400), 2.5396e-10), ((505, 495), 0.75183), ((821_588, 815_482), 1.8218e-6)],
    )
    def test_sample_ratio(self, counts, p_value):
        found = sample_ratio(dict(zip("ab", counts, strict=True)), 0.0)
        assert found["p_value"] == pytest.approx(p_value, rel=1e-4)
        assert found["alarm"] == (p_value < 0.001)

    def test_no_alarm_at_what_is_merely_unusual(self):
        found = sample_ratio({"a": 540, "b": 460}, 0.0)
        assert found["p_value"] == pytest.approx(0.0114, abs=1e-4)
        assert not found["alarm"]

    def test_sample_ratio_of_several(self):
        counts, weights = [5100, 2400, 2600], [0.5, 0.25, 0.25]
        found = sample_ratio(
            dict(zip("abc", counts, strict=True)), 0.0, dict(zip("abc", weights, strict=True))
        )
        theirs = scipy_stats.chisquare(counts, np.array(weights) * sum(counts))
        assert found["p_value"] == pytest.approx(theirs.pvalue, rel=1e-4)

    @pytest.mark.parametrize(
        ("rate", "lift"), [(0.2, 0.25), (0.1, 0.05), (0.02, 0.1), (0.5, -0.02)]
    )
    def test_sample_size(self, rate, lift):
        effect = proportion_effectsize(rate * (1 + lift), rate)
        theirs = NormalIndPower().solve_power(effect, power=0.8, alpha=0.05)
        assert sample_size(rate, lift).fixed.per_variant == pytest.approx(theirs, rel=0.02)

    @pytest.mark.parametrize("size", [30, 1000, 100_000])
    def test_chances_and_losses_are_nearly_those_of_beta_posteriors(self, size):
        arms = {"a": Arm(size // 10, size), "b": Arm(size // 8, size), "c": Arm(size // 9, size)}
        beliefs = {label: posterior(arm) for label, arm in arms.items()}
        betas = [
            scipy_stats.beta(1 + arm.successes, 1 + size - arm.successes) for arm in arms.values()
        ]
        draws = np.stack([beta.rvs(400_000, random_state=7 + i) for i, beta in enumerate(betas)])
        best, found = draws.max(axis=0), standings(beliefs, "unique")
        losses = [(best - own).mean() for own in draws]
        for index, standing in enumerate(found.values()):
            exact = (draws[index] == best).mean()
            assert standing.chance_to_be_best == pytest.approx(exact, abs=0.015)
            assert standing.expected_loss == pytest.approx(losses[index], abs=0.05 * max(losses))
        chance = chance_to_beat(beliefs["b"], beliefs["a"])
        assert chance == pytest.approx((draws[1] > draws[0]).mean(), abs=0.012)

    @pytest.mark.parametrize("baseline", ["a", "b"])
    def test_of_two_the_best_is_who_beats_the_other_however_sure(self, baseline):
        trials, goals = {"a": 10_000, "b": 10_000}, {"buy": {"a": 5000, "b": 4000}}
        (goal,) = analyse(trials, goals, baseline=baseline, relative_error=0)["goals"]
        (row,) = [row for row in goal["results"] if row["label"] != baseline]
        assert row["chance_to_be_best"] == row["chance_to_beat_baseline"] > 0


class TestCountingError:
    def test_it_widens_every_interval(self):
        exact, counted = (
            row(50_000, 100_000, 50_400, 100_000, relative_error=e) for e in (0, ONE_SHARD)
        )
        for field in ("rate_interval", "lift_interval", "lift_interval_always_valid"):
            assert counted[field][0] < exact[field][0] < exact[field][1] < counted[field][1]
        assert counted["p_value"] > exact["p_value"]
        assert abs(counted["chance_to_beat_baseline"] - 0.5) < abs(
            exact["chance_to_beat_baseline"] - 0.5
        )

    def test_four_full_counters_add_their_variances(self):
        arm = Arm(10**9, 2 * 10**9, ONE_SHARD)
        assert compare(arm, arm).error == pytest.approx(2 * ONE_SHARD, rel=1e-4)

    def test_a_counter_with_few_elements_errs_less(self):
        assert counting_variance(100, ONE_SHARD) ** 0.5 == pytest.approx(0.0056, abs=1e-4)
        assert counting_variance(10**7, ONE_SHARD) ** 0.5 == pytest.approx(ONE_SHARD)
        assert counting_variance(0, 0.0) == 0

    def test_it_is_no_noise_that_looks_average_out(self):
        # ten times the visitors with a lift of half a counting error: no nearer to significant
        p_values = [
            compare(
                Arm(5.02e7 * k, 1e8 * k, ONE_SHARD), Arm(5e7 * k, 1e8 * k, ONE_SHARD)
            ).p_value_always_valid
            for k in (1, 10, 100)
        ]
        assert p_values == [1.0, 1.0, 1.0]

    def test_its_share_speeds_the_clock(self):
        assert intrinsic_time(1000, 1.0, 0.0) == 1000
        assert intrinsic_time(1000, 1.0, 1.0) == 4000

    def test_sample_ratio_allows_for_it(self):
        counts = {"a": 1_010_000, "b": 1_000_000}
        assert sample_ratio(counts, 0.0)["alarm"]
        assert not sample_ratio(counts, ONE_SHARD)["alarm"]
        full = {"a": 10**9 + 10**7, "b": 10**9 - 10**7}
        z = 2e7 / math.hypot(2e9**0.5, ONE_SHARD * 1e9 * 2**0.5)
        assert sample_ratio(full, ONE_SHARD)["p_value"] == pytest.approx(
            math.erfc(z / 2**0.5), rel=1e-3
        )

    @pytest.mark.parametrize("error", [0.0, SHARDS_64])
    def test_a_skew_is_caught(self, error):
        assert sample_ratio({"a": 51_000, "b": 49_000}, error)["alarm"]

    def test_rate_interval(self):
        low, high = Arm(10**8, 10**9, ONE_SHARD).interval
        assert (high - low) / 2 / 0.1 == pytest.approx(1.96 * ONE_SHARD * 2**0.5, rel=0.01)

    def test_a_proportion_stays_one(self):
        found = row(100_300, 100_000, 99_000, 100_000, relative_error=ONE_SHARD)
        arm = Arm(100_300, 100_000, ONE_SHARD)
        assert arm.rate == 1
        assert arm.interval[1] == 1
        assert found["p_value"] > 0.05


class TestOneTest:
    """The p-value and the interval of a row are two readings of one test."""

    @given(
        st.tuples(*[st.integers(0, 3000)] * 2),
        st.tuples(*[st.integers(1, 3000)] * 2),
        st.sampled_from([0.0, SHARDS_64, ONE_SHARD]),
    )
    def test_they_never_disagree(self, successes, trials, error):
        found = compare(Arm(successes[1], trials[1], error), Arm(successes[0], trials[0], error))
        for p_value, interval in (
            (found.p_value, found.interval),
            (found.p_value_always_valid, found.interval_always_valid),
        ):
            if interval is not None and abs(p_value - 0.05) > 1e-9:
                assert (p_value < 0.05) == (not interval[0] <= 0 <= interval[1])

    def test_always_valid_is_the_wider(self):
        found = row(500, 5000, 600, 5000)
        low, high = found["lift_interval"]
        assert (
            found["lift_interval_always_valid"][0]
            < low
            < high
            < found["lift_interval_always_valid"][1]
        )
        assert found["p_value_always_valid"] > found["p_value"]

    def test_z_equivalents(self):
        published = {100: 6.6944, 1000: 3.3639, 5000: 3.0352, 50_000: 3.2417, 1_000_000: 3.6565}
        for visitors, errors in published.items():
            assert boundary(visitors) == pytest.approx(errors, abs=1e-4)


class TestVerdict:
    def test_winner(self):
        found = verdict({"a": 50_000, "b": 50_000}, {"a": 5000, "b": 5600})
        assert (found["state"], found["winner"]) == ("winner", "b")
        assert found["reason"] == "b beats a: its lift is between +5.3% and +19.1%."

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
        trials, successes = {"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1050}
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
        two = verdict({"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1050})
        three = verdict(dict.fromkeys("abc", 10_000), {"a": 1000, "b": 1050, "c": 1000})
        assert three["visitors_needed"] / 30_000 > 1.05 * two["visitors_needed"] / 20_000

    def test_visitors_needed_that_are_too_many_or_never_enough(self):
        small = {"a": 10_000, "b": 10_000}, {"a": 1000, "b": 1001}
        assert verdict(*small)["visitors_needed"] is None
        assert "over 10 million" in verdict(*small)["reason"]
        hidden = {"a": 100_000, "b": 100_000}, {"a": 50_000, "b": 50_400}
        assert verdict(*hidden)["visitors_needed"] is not None
        assert verdict(*hidden, relative_error=ONE_SHARD)["visitors_needed"] is None

    @pytest.mark.parametrize(
        ("trials", "successes", "baseline", "reason"),
        [
            ({}, {}, None, "only one variant"),
            ({"a": 10}, {"a": 1}, "a", "only one variant"),
            ({"a": 10, "b": 10}, {"a": 1}, None, "no baseline"),
            ({"a": 0, "b": 10}, {"b": 1}, "a", "has no visitors"),
            ({"a": 10, "b": 0}, {"a": 1}, "a", "Only a has visitors"),
            ({"a": 10, "b": 10}, {"a": 0, "b": 0}, "a", "Nobody has reached"),
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

    def test_many_times_a_visitor(self):
        found = analyse(
            {"a": 1000, "b": 1000}, {"g": {"a": 2500, "b": 400}}, baseline="a", relative_error=0
        )
        goal = found["goals"][0]
        assert goal["kind"] == "total"
        assert [result["rate"] for result in goal["results"]] == [2.5, 0.4]
        low, high = goal["results"][0]["rate_interval"]
        # twice a geometric count's variance
        assert (high - low) / 2 == pytest.approx(1.96 * (2 * 2.5 * 3.5 / 1000) ** 0.5, rel=0.01)

    def test_a_goal_named_as_total_is_one(self):
        counts = {"a": 1000, "b": 1000}, {"g": {"a": 200, "b": 250}}
        plain, named = (
            analyse(*counts, baseline="a", relative_error=0, totals=names)["goals"][0]
            for names in ((), ("g",))
        )
        assert (plain["kind"], named["kind"]) == ("unique", "total")
        assert named["results"][1]["p_value"] > plain["results"][1]["p_value"]

    def test_counting_error_makes_no_total(self):
        found = analyse(
            {"a": 10**6}, {"g": {"a": 10**6 + 20_000}}, baseline="a", relative_error=ONE_SHARD
        )
        assert found["goals"][0]["kind"] == "unique"
        found = analyse(
            {"a": 10**6}, {"g": {"a": 10**6 + 60_000}}, baseline="a", relative_error=ONE_SHARD
        )
        assert found["goals"][0]["kind"] == "total"

    def test_a_variant_without_weight_stays_out_of_the_ratio(self):
        found = sample_ratio({"a": 500, "b": 510, "c": 90_000}, 0.0, {"a": 1, "b": 1})
        assert found == {
            "p_value": pytest.approx(0.753, abs=0.001),
            "alarm": False,
            "weights": {"a": 0.5, "b": 0.5},
        }

    def test_a_weighted_variant_that_never_came_is_a_mismatch(self):
        assert sample_ratio({"a": 500, "b": 510}, 0.0, {"a": 1, "b": 1, "c": 1})["alarm"]

    def test_too_few_visitors_for_a_ratio(self):
        assert sample_ratio({"a": 60, "b": 20}, 0.0)["p_value"] is None
        assert sample_ratio({"a": 60}, 0.0)["p_value"] is None

    def test_matrix(self):
        counts = {"a": 9000, "b": 9000, "c": 9000}, {"g": {"a": 900, "b": 1000, "c": 1100}}
        (goal,) = matrix(*counts, relative_error=0)
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
        (goal,) = matrix({"a": 10, "b": 0}, {"g": {"a": 1}}, relative_error=0)
        assert goal["pairs"] == []


class TestSampleSize:
    def test_published(self):
        # Evan Miller's calculator, unpooled: 1,091
        assert sample_size(0.2, 0.25).fixed.per_variant == pytest.approx(1091, rel=0.012)

    @pytest.mark.parametrize("error", [0.0, SHARDS_64])
    def test_it_inverts_the_power(self, error):
        found = sample_size(0.1, 0.05, power=0.9, alpha=0.01, relative_error=error)
        for need, free in ((found.fixed, False), (found.free_looks, True)):
            reached = power(0.1, 0.05, need.per_variant, 0.01, error, free_looks=free)
            assert reached == pytest.approx(0.9, abs=1e-4)

    def test_counting_error_and_variants_cost_visitors(self):
        plain = sample_size(0.1, 0.02)
        counted = sample_size(0.1, 0.02, relative_error=SHARDS_64)
        four = sample_size(0.1, 0.02, variants=4)
        assert counted.fixed.per_variant > plain.fixed.per_variant
        assert counted.free_looks.per_variant > counted.fixed.per_variant
        assert four.fixed.per_variant == sample_size(0.1, 0.02, alpha=0.05 / 3).fixed.per_variant
        assert four.fixed.total == 4 * four.fixed.per_variant

    def test_a_lift_below_the_counting_error_is_never_found(self):
        found = sample_size(0.5, 0.02, relative_error=ONE_SHARD)
        assert (found.fixed, found.free_looks) == (None, None)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"rate": 0},
            {"rate": 1.2},
            {"lift": 0},
            {"lift": -1},
            {"lift": 20},
            {"variants": 1},
            {"power": 0.01},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, wrong):
        with pytest.raises(ValueError):
            sample_size(**{"rate": 0.1, "lift": 0.1} | wrong)


count = st.one_of(st.integers(0, 20), st.integers(0, 10**9))
labels = st.lists(st.text(min_size=1, max_size=4), max_size=12, unique=True)


def numbers(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return [number for item in value for number in numbers(item)]
    return [value] if isinstance(value, float) else []


@settings(max_examples=150, deadline=None)
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
    json.dumps([found, matrix(trials, goals, relative_error=error)], allow_nan=False)
    for goal in found["goals"]:
        assert len(goal["results"]) == len(variants)
        chances = [row["chance_to_be_best"] for row in goal["results"] if row["trials"]]
        assert not chances or sum(chances) == pytest.approx(1, abs=1e-3)
        for row in goal["results"]:
            for field in ("rate_interval", "lift_interval", "lift_interval_always_valid"):
                assert row[field] is None or row[field][0] <= row[field][1]
            if row["rate_interval"]:
                # to the digits shown
                low, high = row["rate_interval"]
                assert low * (1 - 1e-4) <= row["rate"] <= high * (1 + 1e-4) + 1e-12
            for field in row:
                if field.startswith(("p_value", "chance")) and row[field] is not None:
                    assert 0 <= row[field] <= 1


# Arms of unequal size: a feature that one visitor in a hundred is shown.


def false_positives(na, nb, rate):
    """Of one look and of an always-valid test taken once, enumerated exactly."""
    counts = [
        np.arange(
            int(scipy_stats.binom.ppf(1e-9, n, rate)),
            1 + int(scipy_stats.binom.ppf(1 - 1e-9, n, rate)),
        )
        for n in (na, nb)
    ]
    chances = [scipy_stats.binom.pmf(xs, n, rate) for xs, n in zip(counts, (na, nb), strict=True)]
    once = always = 0.0
    for xa, pa in zip(counts[0].tolist(), chances[0], strict=True):
        for xb, pb in zip(counts[1].tolist(), chances[1], strict=True):
            found = compare(Arm(xb, nb), Arm(xa, na))
            once += pa * pb * (found.p_value < 0.05)
            always += pa * pb * (found.p_value_always_valid < 0.05)
    return once, always


@pytest.mark.parametrize(
    ("na", "nb", "rate"),
    [(900, 100, 0.02), (9900, 100, 0.001), (9900, 100, 0.01), (9500, 500, 0.002), (900, 100, 0.98)],
)
def test_unequal_arms_err_no_more_often(na, nb, rate):
    once, always = false_positives(na, nb, rate)
    assert once <= 0.05
    assert always <= 0.005


def test_looking_often_at_unequal_arms_does_not_raise_the_false_positives():
    draws = np.random.default_rng(29)
    looks, runs, ever = 100, 400, 0
    steps_a, steps_b = (draws.binomial(n // looks, 0.01, (runs, looks)) for n in (99_000, 1_000))
    for xs_a, xs_b in zip(steps_a.cumsum(1).tolist(), steps_b.cumsum(1).tolist(), strict=True):
        ever += any(
            compare(Arm(xb, 10 * look), Arm(xa, 990 * look)).p_value_always_valid < 0.05
            for look, (xa, xb) in enumerate(zip(xs_a, xs_b, strict=True), start=1)
        )
    assert ever / runs <= 0.05


def test_one_visitor_wins_nothing():
    trials = {"A": 1000, "B": 1}
    found = analyse(trials, {"g": {"A": 1}}, baseline="A", relative_error=0.001, weights=trials)
    _, b = found["goals"][0]["results"]
    assert found["goals"][0]["verdict"]["state"] == "keep_collecting"
    assert b["lift"] == -1
    assert b["p_value"] > 0.05


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**6)), min_size=2, max_size=2))
def test_an_interval_holds_the_lift_and_its_side(arms):
    (na, xa), (nb, xb) = ((n, min(x, n)) for n, x in arms)
    found = row(xa, na, xb, nb)
    for interval, p_value in (
        (found["lift_interval"], found["p_value"]),
        (found["lift_interval_always_valid"], found["p_value_always_valid"]),
    ):
        if found["lift"] is not None and interval is not None:
            assert interval[0] <= found["lift"] <= interval[1]
            assert (p_value < 0.05) == (not interval[0] <= 0 <= interval[1])


def test_a_stray_takes_no_part():
    trials, successes = {"a": 5000, "b": 5000, "!typo": 1}, {"a": 500, "b": 700, "!typo": 1}
    found = analyse(trials, {"g": successes}, baseline="a", relative_error=0.001, strays={"!typo"})
    alone = analyse(
        {"a": 5000, "b": 5000}, {"g": {"a": 500, "b": 700}}, baseline="a", relative_error=0.001
    )
    assert found["srm"] == alone["srm"]
    assert found["goals"][0]["verdict"] == alone["goals"][0]["verdict"]
    stray, *others = found["goals"][0]["results"]
    assert others == alone["goals"][0]["results"]
    assert (stray["trials"], stray["lift"], stray["chance_to_be_best"]) == (1, None, None)


def test_an_open_comparison_is_named_beside_the_decided_ones():
    found = analyse(
        dict.fromkeys("ABC", 100_000),
        {"g": {"A": 10_000, "B": 9_000, "C": 10_010}},
        baseline="A",
        relative_error=0.001,
    )["goals"][0]["verdict"]
    assert found["reason"].startswith(
        "B did worse. The difference between C and A may still be chance"
    )
    assert found["visitors_needed"] is None
