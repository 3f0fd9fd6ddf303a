"""Variance between samples of visitors: against SciPy, simulated visitors, and odd counts."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from gimel.backend.results.analysis import analyse, compare_all_pairs
from gimel.backend.results.between import (
    Measure,
    SampledArm,
    compare_sampled,
    normal_distance,
    spread_of,
    t_distance,
    t_quantile,
    t_tails,
)
from gimel.backend.results.comparison import counter_variance
from gimel.backend.results.posterior import posterior_of
from tests.support.inference import SHARDS_64

SAMPLES = 64
FREEDOM = [5, 63, 64.5, 90, 126, 255.7, 510]


def drawn(seed, visitors=10_000, mean=0.4, samples=SAMPLES):
    """What one arm's visitors do, and the samples that they are in."""
    rng = np.random.default_rng(seed)
    sample = rng.integers(0, samples, visitors)
    done = rng.negative_binomial(0.2, 1 / (1 + mean / 0.2), visitors)
    return done, sample


def arm_of(done, sample, samples=SAMPLES, **fields):
    conversions = np.bincount(sample, done, samples).tolist()
    visitors = np.bincount(sample, minlength=samples).tolist()
    spread = spread_of(conversions, visitors)
    return SampledArm(sum(conversions), len(done), 0.0, "total", spread, **fields)


class TestStudent:
    @pytest.mark.parametrize("freedom", FREEDOM)
    def test_tails_are_scipys(self, freedom):
        for distance in (0, 1e-6, 0.1, 0.5, 1, 1.96, 3, 5, 8, 12, 30):
            theirs = 2 * scipy_stats.t.sf(distance, freedom)
            assert t_tails(distance, freedom) == pytest.approx(theirs, rel=1e-9, abs=1e-300)

    @pytest.mark.parametrize("freedom", FREEDOM[1:])
    def test_quantile_is_scipys(self, freedom):
        assert t_quantile(freedom) == pytest.approx(scipy_stats.t.ppf(0.975, freedom), rel=1e-9)

    @pytest.mark.parametrize("freedom", FREEDOM[1:])
    def test_the_normals_distance_has_the_same_tail(self, freedom):
        for distance in (0.5, 2, 3.5, 5, 8):
            exact = -scipy_stats.norm.ppf(scipy_stats.t.sf(distance, freedom))
            assert normal_distance(distance, freedom) == pytest.approx(exact, rel=4e-4)
            assert t_distance(normal_distance(distance, freedom), freedom) == pytest.approx(
                distance, rel=1e-12
            )
        assert normal_distance(-2, freedom) == -normal_distance(2, freedom)


class TestAgainstScipy:
    def test_one_look_is_welchs_test_of_the_samples(self):
        """With many visitors a sample, the jackknife is the variance of the samples' means."""
        arms = [drawn(1, 400_000), drawn(2, 400_000, mean=0.404)]
        found = compare_sampled(arm_of(*arms[1]), arm_of(*arms[0]))
        rates = [
            np.bincount(sample, done, SAMPLES) / np.bincount(sample, minlength=SAMPLES)
            for done, sample in arms
        ]
        theirs = scipy_stats.ttest_ind(rates[1], rates[0], equal_var=False)
        assert found.p_value == pytest.approx(theirs.pvalue, rel=0.03)
        assert found.degrees_of_freedom == pytest.approx(theirs.df, rel=0.02)

    def test_the_variance_is_that_of_the_visitors(self):
        """Over many experiments, the mean of the estimates is the variance that visitors have."""
        estimates, exact = [], []
        for seed in range(300):
            done, sample = drawn(seed, 4_000)
            estimates.append(arm_of(done, sample).spread.relative_variance)
            exact.append(done.var() / done.mean() ** 2 / len(done))
        assert np.mean(estimates) == pytest.approx(np.mean(exact), rel=0.04)

    def test_256_samples_agree(self):
        done, sample = drawn(3, 40_000, samples=256)
        fine, coarse = arm_of(done, sample, 256), arm_of(done, sample % 64)
        assert fine.spread.samples == 256
        assert fine.spread.relative_variance == pytest.approx(
            coarse.spread.relative_variance, rel=0.5
        )


class TestComparison:
    def test_p_values_and_intervals_agree(self):
        base = arm_of(*drawn(4))
        for mean in np.linspace(0.28, 0.56, 60):
            found = compare_sampled(arm_of(*drawn(5, mean=mean)), base)
            low, high = found.lift_interval
            assert (found.p_value < 0.05) == (not low <= 0 <= high)
            low, high = found.lift_interval_always_valid
            assert (found.p_value_always_valid < 0.05) == (not low <= 0 <= high)
            assert found.p_value <= found.p_value_always_valid

    def test_it_takes_no_part_in_the_evidence_of_rare_goals_and_grows(self):
        found = compare_sampled(arm_of(*drawn(5, mean=0.42)), arm_of(*drawn(4)))
        assert found.split is None
        grown = found.grown(100, 0.0)
        assert grown.standard_error == pytest.approx(found.standard_error / 10)
        assert grown.degrees_of_freedom == found.degrees_of_freedom
        assert grown.p_value_always_valid < found.p_value_always_valid

    def test_counting_error_makes_the_clock_faster_and_adds_nothing_twice(self):
        done, sample = drawn(6, 200_000)
        exact = arm_of(done, sample)
        counted = SampledArm(
            exact.successes, exact.trials, SHARDS_64, "total", exact.spread, 1.0, SHARDS_64
        )
        ours, theirs = compare_sampled(counted, counted), compare_sampled(exact, exact)
        assert ours.standard_error == pytest.approx(theirs.standard_error)
        assert ours.time > theirs.time == exact.trials * 2
        of_one = [counter_variance(each, SHARDS_64) for each in (exact.successes, exact.trials)]
        assert ours.counting_variance == pytest.approx(2 * sum(of_one))

    def test_a_small_arm_without_the_few_who_do_most_does_not_look_sure(self):
        done, sample = drawn(7, 90_000)
        base, some = arm_of(done, sample), drawn(8, 10_000)
        quiet = arm_of(np.minimum(some[0], 1), some[1])
        found = compare_sampled(quiet, base)
        per_visitor = base.spread.relative_variance * base.trials
        assert found.standard_error**2 > 0.8 * per_visitor / quiet.trials

    def test_too_few_visitors_who_reached_it_give_no_interval(self):
        done, sample = np.zeros(5_000), np.arange(5_000) % SAMPLES
        done[:24] = 100
        base = arm_of(*drawn(9, 5_000))
        few = arm_of(done, sample)
        found = compare_sampled(few, base)
        assert (found.p_value, found.p_value_always_valid) == (1, 1)
        assert found.lift_interval is found.lift_interval_always_valid is few.rate_interval is None
        assert posterior_of(few) is None
        done[24] = 1
        assert compare_sampled(arm_of(done, sample), base).lift_interval is not None


class TestOddSamples:
    @pytest.mark.parametrize(
        ("conversions", "visitors"),
        [
            ([0.0] * 64, [0.0] * 64),
            ([0.0] * 64, [5.0] * 64),
            ([9.0] + [0.0] * 63, [5.0] * 64),
            ([5.0] * 64, [320.0] + [0.0] * 63),
            ([5.0] * 64, [0.0] * 64),
        ],
        ids=["nobody", "no conversion", "one sample", "visitors in one", "no visitors"],
    )
    def test_say_nothing(self, conversions, visitors):
        spread = spread_of(conversions, visitors)
        assert not spread.is_reached
        assert 0 < spread.relative_variance <= 1

    def test_without_any_difference_are_not_sure_for_ever(self):
        spread = spread_of([5.0] * 64, [5.0] * 64)
        assert spread == (1 / 320**2, 64, True, False)

    @given(
        st.lists(st.tuples(*[st.integers(0, 10**7)] * 4), min_size=64, max_size=64),
        st.sampled_from(["total", "value"]),
    )
    def test_have_an_answer(self, samples, kind):
        counts = [[float(each) for each in column] for column in zip(*samples, strict=True)]
        trials = {"a": int(sum(counts[1])), "b": int(sum(counts[3]))}
        goals = {"g": {"a": sum(counts[0]), "b": sum(counts[2])}}
        spreads = {"a": spread_of(*counts[:2]), "b": spread_of(*counts[2:])}
        measures = {"g": Measure(kind, 0.05, 0.001, spreads)}
        found = analyse(
            trials, goals, baseline="a", relative_error=0.001, measures=measures, equivalence=0.01
        )
        pairs = compare_all_pairs(trials, goals, relative_error=0.001, measures=measures)
        json.dumps([found, pairs], allow_nan=False)
        for row in found["goals"][0]["results"]:
            for field in ("rate_interval", "lift_interval", "lift_interval_always_valid"):
                assert row[field] is None or row[field][0] <= row[field][1]
            for field in ("p_value", "p_value_always_valid", "chance_to_be_best"):
                assert row[field] is None or 0 <= row[field] <= 1


class TestHeavyVisitors:
    """A goal that a few visitors decide has no interval."""

    def samples(self, reach=0.2, heavy=()):
        rng = np.random.default_rng(5)
        shown = rng.multinomial(10_000, [1 / SAMPLES] * SAMPLES)
        reached = rng.binomial(shown, reach).astype(float)
        for sample, times in enumerate(heavy):
            reached[sample] += times
        return reached, shown.astype(float)

    @pytest.mark.parametrize("heavy", [[1000], [1000, 2000], [1000] * 5, [10**6]])
    @pytest.mark.parametrize("reach", [0.02, 0.2])
    def test_a_few_who_do_most_are_seen(self, reach, heavy):
        spread = spread_of(*self.samples(reach, heavy=heavy))
        assert (spread.is_heavy, spread.is_reached) == (True, False)

    @pytest.mark.parametrize(
        "heavy", [[], [100], [1000] * 20, [1000] * 64], ids=["none", "one", "twenty", "in each"]
    )
    def test_many_or_moderate_ones_have_a_variance(self, heavy):
        spread = spread_of(*self.samples(heavy=heavy))
        assert (spread.is_heavy, spread.is_reached) == (False, True)

    def test_one_amount_at_the_cap_is_not_heavy_and_hundreds_of_one_visitor_are(self):
        """Amounts of 3 elements each; the cap is 100 elements."""
        reached, shown = self.samples(0.005)
        for orders, is_heavy in ((1, False), (3, False), (200, True)):
            amounts = 3 * reached
            amounts[0] += 100 * orders
            assert amounts[0] > 0.1 * amounts.sum()
            assert spread_of(amounts, shown, 100).is_heavy == is_heavy


def test_chances_follow_the_variance_between_the_samples():
    arms = {"a": arm_of(*drawn(10)), "b": arm_of(*drawn(11, mean=0.42))}
    spreads = {label: arm.spread for label, arm in arms.items()}
    (goal,) = analyse(
        {label: int(arm.trials) for label, arm in arms.items()},
        {"g": {label: arm.successes for label, arm in arms.items()}},
        baseline="a",
        relative_error=0,
        measures={"g": Measure("total", spreads=spreads)},
    )["goals"]
    row = goal["results"][1]
    variance = sum(arm.spread.relative_variance for arm in arms.values())
    expected = scipy_stats.norm.cdf(math.log1p(row["lift"]) / variance**0.5)
    assert row["chance_to_beat_baseline"] == pytest.approx(expected, abs=0.01)
    assert (goal["kind"], goal["samples"]) == ("total", SAMPLES)
