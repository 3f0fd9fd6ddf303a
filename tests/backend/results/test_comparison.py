"""Each variant against the baseline: by published figures, by other libraries, by enumeration."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from scipy.optimize import brentq
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import (
    confint_proportions_2indep,
    proportion_confint,
    proportions_ztest,
)

from gimel.backend.results.comparison import (
    Arm,
    boundary,
    compare,
    counter_variance,
    holm,
    intrinsic_time,
)
from tests.support.inference import ONE_SHARD, SHARDS_64, row


class TestAgainstPublishedFigures:
    """The figures of the tests of GrowthBook's library."""

    def test_one_look_at_few_visitors(self):
        found = row(14, 28, 16, 30)
        assert found["lift"] == 0.066667
        # theirs: 0.80707, Student's t on the lift itself
        assert found["p_value"] == pytest.approx(0.80707, abs=0.005)

    def test_sequential(self):
        found = row(1396, 3000, 2422, 3461)
        assert found["lift"] == 0.50386
        # On the log scale the interval is not symmetric around the lift.
        test = replace(compare(Arm(2422, 3461), Arm(1396, 3000)), split=None)
        assert test.lift_interval_always_valid == pytest.approx((0.40098, 0.60675), abs=0.004)
        # The evidence of rare goals costs little.
        assert found["lift_interval_always_valid"] == pytest.approx((0.40098, 0.60675), abs=0.006)

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
        assert Arm(successes, trials).rate_interval == pytest.approx(theirs, abs=1e-12)

    @pytest.mark.parametrize(
        "counts", [(1000, 10_000, 1080, 10_000), (51_000, 100_000, 51_500, 101_000)]
    )
    def test_one_look(self, counts):
        xa, na, xb, nb = counts
        theirs = confint_proportions_2indep(xb, nb, xa, na, compare="ratio", method="log")
        found = compare(Arm(xb, nb), Arm(xa, na))
        assert found.lift_interval == pytest.approx([bound - 1 for bound in theirs], abs=1e-4)
        assert found.p_value == pytest.approx(proportions_ztest([xb, xa], [nb, na])[1], rel=0.02)


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
        assert compare(arm, arm).standard_error == pytest.approx(2 * ONE_SHARD, rel=1e-4)

    def test_a_counter_with_few_elements_errs_less(self):
        assert counter_variance(100, ONE_SHARD) ** 0.5 == pytest.approx(0.0056, abs=1e-4)
        assert counter_variance(10**7, ONE_SHARD) ** 0.5 == pytest.approx(ONE_SHARD)
        assert counter_variance(0, 0.0) == 0

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

    def test_rate_interval(self):
        low, high = Arm(10**8, 10**9, ONE_SHARD).rate_interval
        assert (high - low) / 2 / 0.1 == pytest.approx(1.96 * ONE_SHARD * 2**0.5, rel=0.01)

    def test_a_proportion_stays_one(self):
        found = row(100_300, 100_000, 99_000, 100_000, relative_error=ONE_SHARD)
        arm = Arm(100_300, 100_000, ONE_SHARD)
        assert arm.rate == 1
        assert arm.rate_interval[1] == 1
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
            (found.p_value, found.lift_interval),
            (found.p_value_always_valid, found.lift_interval_always_valid),
        ):
            if interval is not None and abs(p_value - 0.05) > 1e-9:
                assert (p_value < 0.05) == (not interval[0] <= 0 <= interval[1])

    @given(
        st.tuples(*[st.integers(0, 300)] * 2),
        st.tuples(*[st.integers(300, 10**6)] * 2),
        st.sampled_from([0.0, SHARDS_64, ONE_SHARD]),
    )
    def test_the_ends_of_the_always_valid_interval_have_a_p_value_of_5_percent(
        self, successes, trials, error
    ):
        found = compare(Arm(successes[1], trials[1], error), Arm(successes[0], trials[0], error))

        def excess(log_ratio):
            return found._log_evidence(found.split, log_ratio)[0] - np.log(20)

        centre, reach = found.log_ratio, 30 * found.standard_error
        ends = [brentq(excess, centre, centre + side * reach) for side in (-1, 1)]
        if found.lift_interval_always_valid is None:
            assert ends[0] <= 0 <= ends[1]
            assert found.p_value_always_valid >= 0.05
        else:
            # As lifts: near −100 %, a float does not hold enough of the logarithm.
            expected = np.expm1(ends)
            assert found.lift_interval_always_valid == pytest.approx(expected, rel=1e-3, abs=1e-6)

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


class TestRareGoals:
    """The evidence in the conversions alone, averaged with that of the log ratio."""

    def test_none_against_few_is_decided_early(self):
        for base, arm in (((0, 50_000), (12, 50_000)), ((12, 50_000), (0, 50_000))):
            found = compare(Arm(*arm, SHARDS_64), Arm(*base, SHARDS_64))
            assert found.p_value_always_valid < 0.05
            assert replace(found, split=None).p_value_always_valid == 1

    def test_it_is_the_weighted_mean_of_the_two(self):
        found = compare(Arm(30, 50_000), Arm(60, 40_000))
        assert found.p_value_always_valid < 1
        of_log_ratio = found._log_ratio_evidence(found.z_score)[0]
        of_split = found.split.log_e_value(0.0)[0]
        assert 1 / found.p_value_always_valid == pytest.approx(
            0.875 * np.exp(of_log_ratio) + 0.125 * np.exp(of_split)
        )

    def test_a_comparison_that_grows_is_that_of_larger_counts(self):
        arms, larger = ([Arm(40 * k, 900 * k), Arm(30 * k, 1000 * k)] for k in (1, 8))
        grown, directly = compare(*arms).grown(8, 0.0), compare(*larger)
        # Smoothing shifts the log ratio of small counts.
        assert grown.p_value_always_valid == pytest.approx(directly.p_value_always_valid, rel=0.2)
        assert grown.split.log_e_value(0.2) == pytest.approx(directly.split.log_e_value(0.2))


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


@pytest.mark.slow
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
