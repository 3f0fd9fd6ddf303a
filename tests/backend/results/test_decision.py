"""The decision rule: both parts, Holm's correction over goals and variants, and the shrinkage."""

from itertools import pairwise
from math import exp, log, sqrt

import numpy as np
import pytest
from scipy import integrate, stats
from statsmodels.stats.multitest import multipletests

from gimel.backend.results.comparison import Arm, Comparison, boundary, compare, tuning
from gimel.backend.results.decision import (
    ANY_TIME_ALPHA,
    FINAL_ALPHA,
    decide,
    likely_signal,
    normal_quantile,
    shrinkage,
)
from tests.support.inference import SHARDS_64


def at(z: float, visitors: int = 10_000) -> Comparison:
    """Return a comparison that is so many standard errors from no difference."""
    return Comparison(z * 0.05, 0.05**2, 0.0, visitors)


class TestParts:
    def test_the_parts_spend_five_percent(self):
        assert pytest.approx(0.05) == ANY_TIME_ALPHA + FINAL_ALPHA

    def test_looks_at_any_time_have_the_published_sequence_tuned_to_the_plan(self):
        # Waudby-Smith et al., eq. 9, with rho² as GrowthBook chooses it
        for time, tuned_to in ((100, 5000), (5000, 5000), (1_000_000, 62_000)):
            rho_squared = (-2 * log(0.01) + log(1 - 2 * log(0.01))) / tuned_to
            scaled = time * rho_squared
            theirs = sqrt(2 * (scaled + 1) / scaled * log(sqrt(scaled + 1) / 0.01))
            assert boundary(time, 0.01, tuning(tuned_to, 0.01)) == pytest.approx(theirs)

    def test_it_is_tightest_at_the_plan(self):
        rho_squared = tuning(62_000, 0.01)
        bounds = [boundary(62_000 * part, 0.01, rho_squared) for part in (0.3, 0.6, 1, 2, 5)]
        assert min(bounds) == bounds[2]
        assert bounds[2] == pytest.approx(3.57, abs=0.005)
        assert bounds[2] < boundary(62_000, 0.01)

    @pytest.mark.parametrize("z", [2.5, 3.3, 3.8, 6.0])
    def test_interval_and_p_value_agree(self, z):
        for final in (None, {("g", "b"): at(z)}):
            found = decide({("g", "b"): at(z)}, planned_visitors=10_000, final=final)["g", "b"]
            assert found.interval is not None
            assert found.is_significant == (found.interval[0] > 0)

    @pytest.mark.parametrize("reached", [3, 8, 15, 60, 400])
    def test_they_agree_about_counts_too(self, reached):
        """The division of few conversions is evidence as well, in p-value and interval."""
        arms = Arm(reached, 100_000, SHARDS_64), Arm(2, 100_000, SHARDS_64)
        for steps in (1, 4):
            tests = {("g", "b"): compare(*arms)}
            found = decide(tests, planned_visitors=400_000, size=steps)["g", "b"]
            low = -1.0 if found.interval is None else found.interval[0]
            assert found.is_significant == (low > 0)

    def test_a_rare_goal_is_found_early(self):
        tests = {("g", "b"): compare(Arm(15, 50_000), Arm(0, 50_000))}
        assert decide(tests, planned_visitors=400_000)["g", "b"].is_significant

    def test_the_final_look_is_an_ordinary_test_at_four_percent(self):
        tests = {("g", "b"): at(2.06)}
        assert not decide(tests, planned_visitors=10_000)["g", "b"].is_significant
        found = decide(tests, planned_visitors=10_000, final=tests)["g", "b"]
        assert found.is_significant
        assert found.is_final
        assert found.p_value == pytest.approx(2 * stats.norm.sf(2.06))
        below = {("g", "b"): at(2.05)}
        assert not decide(below, planned_visitors=10_000, final=below)["g", "b"].is_significant

    def test_later_counts_do_not_change_the_final_look(self):
        final = {("g", "b"): at(2.2)}
        for now in (0.0, -2.0, 2.5):
            found = decide({("g", "b"): at(now)}, planned_visitors=10_000, final=final)["g", "b"]
            assert found.log_ratio == final["g", "b"].log_ratio
        nothing = {("g", "b"): at(0.5)}
        later = decide({("g", "b"): at(5.0)}, planned_visitors=10_000, final=nothing)["g", "b"]
        assert later.is_significant
        assert not later.is_final

    def test_without_a_plan_it_is_the_always_valid_test(self):
        tests = {("g", label): at(z) for label, z in (("b", 3.4), ("c", 3.1), ("d", 1.0))}
        found = decide(tests)
        p_values = [each.p_value_always_valid for each in tests.values()]
        theirs = multipletests(p_values, method="holm")[1]
        assert [each.p_value for each in found.values()] == pytest.approx(list(theirs))


class TestCorrection:
    def test_holm_over_goals_and_variants_in_each_part(self):
        scores = {("g", "b"): 3.9, ("g", "c"): 2.3, ("h", "b"): 2.4, ("h", "c"): 0.1}
        tests = {key: at(z) for key, z in scores.items()}
        for final in (None, tests):
            found = decide(tests, planned_visitors=15_000, variants=3, final=final)
            one_look = [each.p_value for each in tests.values()]
            tuned = [each.tuned(10_000, ANY_TIME_ALPHA) for each in tests.values()]
            any_time = [each.p_value_always_valid for each in tuned]
            at_end = multipletests(one_look, method="holm")[1]
            always = multipletests(any_time, method="holm")[1]
            for key, end, any_look in zip(tests, at_end, always, strict=True):
                is_found = any_look < ANY_TIME_ALPHA or (final is not None and end < FINAL_ALPHA)
                assert found[key].is_significant == is_found
                assert found[key].p_value == pytest.approx(end if found[key].is_final else any_look)

    def test_what_is_not_found_is_ruled_out_together(self):
        tests = {("g", "b"): at(1.0), ("g", "c"): at(-0.5), ("g", "d"): at(4.0)}
        found = decide(tests, planned_visitors=10_000, variants=4, final=tests)
        z = stats.norm.isf(FINAL_ALPHA / 2 / 2)
        for key, score in ((("g", "b"), 1.0), (("g", "c"), -0.5)):
            assert found[key].interval == pytest.approx(
                [exp(0.05 * (score - z)) - 1, exp(0.05 * (score + z)) - 1]
            )

    def test_a_comparison_without_counts_costs_as_much(self):
        tests = {("g", "b"): at(2.2)}
        alone = decide(tests, planned_visitors=10_000, final=tests)["g", "b"]
        of_four = decide(tests, planned_visitors=10_000, final=tests, size=4)["g", "b"]
        assert alone.is_significant
        assert not of_four.is_significant
        assert of_four.p_value == pytest.approx(4 * alone.p_value)

    def test_intervals_get_wider_with_the_number_of_comparisons(self):
        tests = {("g", "b"): at(1.0)}
        highs = []
        for size in (1, 2, 6):
            found = decide(tests, planned_visitors=10_000, final=tests, size=size)["g", "b"]
            assert found.interval is not None
            highs.append(found.interval[1])
            z = stats.norm.isf(FINAL_ALPHA / size / 2)
            assert found.interval[1] == pytest.approx(exp(0.05 + z * 0.05) - 1)
        assert all(low < high for low, high in pairwise(highs))


@pytest.mark.parametrize("tail", [0.49, 0.025, 0.02, 1e-4, 1e-12])
def test_the_quantile_is_scipys(tail):
    assert normal_quantile(tail) == pytest.approx(stats.norm.isf(tail), rel=1e-9, abs=1e-9)


class TestShrinkage:
    @pytest.mark.parametrize("z", [0.3, 1.96, 2.8, 3.57, 6.0])
    def test_it_is_the_posterior_mean_of_the_published_mixture(self, z):
        weights, deviations = (0.32, 0.31, 0.30, 0.07), (0.61, 1.42, 2.16, 5.64)

        def prior(signal):
            parts = zip(weights, deviations, strict=True)
            return sum(weight * stats.norm.pdf(signal, 0, deviation) for weight, deviation in parts)

        def joint(signal):
            return prior(signal) * stats.norm.pdf(z - signal)

        mean = integrate.quad(lambda signal: signal * joint(signal), -60, 60, points=[z])[0]
        total = integrate.quad(joint, -60, 60, points=[z])[0]
        assert shrinkage(z) == pytest.approx(mean / total / z, rel=1e-6)

    @pytest.mark.parametrize("z", [-3.0, 0.0, 1.96, 3.3, 60.0])
    def test_the_quantiles_are_those_of_the_same_posterior(self, z):
        signals = np.linspace(-80, 80, 400_001)
        parts = zip((0.32, 0.31, 0.30, 0.07), (0.61, 1.42, 2.16, 5.64), strict=True)
        prior = sum(weight * stats.norm.pdf(signals, 0, deviation) for weight, deviation in parts)
        cumulated = np.cumsum(prior * stats.norm.pdf(z - signals))
        for probability in (0.25, 0.5, 0.75):
            found = signals[np.searchsorted(cumulated, probability * cumulated[-1])]
            assert likely_signal(z, probability) == pytest.approx(found, abs=0.001)

    def test_a_result_that_is_just_significant_exaggerates_by_the_published_factor(self):
        # "we would expect it to overestimate the true effect by a factor of 1.7"
        assert 1 / shrinkage(1.96) == pytest.approx(1.7, abs=0.12)

    def test_it_is_between_0_and_1_and_rises(self):
        factors = [shrinkage(z) for z in (0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 40.0, 500.0)]
        assert all(0 < low < high < 1 for low, high in pairwise(factors[:-1]))
        assert factors[-1] == pytest.approx(factors[-2], abs=0.01)
        assert shrinkage(-2.0) == shrinkage(2.0)
