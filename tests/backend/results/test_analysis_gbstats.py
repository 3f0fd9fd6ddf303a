"""The inference against GrowthBook's library, where it can be installed."""

import pytest

from gimel.backend.results.comparison import (
    Arm,
    Comparison,
    boundary,
    compare,
)
from tests.support.inference import row

WHY = "gbstats needs pandas 1, which has no wheels for Python 3.12 and later"
bayesian = pytest.importorskip("gbstats.bayesian.tests", reason=WHY)
frequentist = pytest.importorskip("gbstats.frequentist.tests", reason=WHY)
models = pytest.importorskip("gbstats.models.statistics", reason=WHY)


@pytest.mark.parametrize(
    "counts", [(5000, 50_000, 5200, 50_000), (900_000, 2_000_000, 904_000, 2_000_000)]
)
def test_one_look_at_many_visitors(counts):
    xa, na, xb, nb = counts
    theirs = frequentist.TwoSidedTTest(
        models.ProportionStatistic(na, xa), models.ProportionStatistic(nb, xb)
    )
    found = compare(Arm(xb, nb), Arm(xa, na))
    assert found.p_value == pytest.approx(theirs.p_value, abs=0.005)
    assert found.lift_interval == pytest.approx(theirs.confidence_interval, abs=0.001)


@pytest.mark.parametrize("counts", [(14, 28, 16, 30), (1396, 3000, 1422, 3461), (9, 1000, 30, 900)])
def test_the_confidence_sequence_is_the_same_function(counts):
    xa, na, xb, nb = counts
    theirs = frequentist.SequentialTwoSidedTTest(
        models.ProportionStatistic(na, xa),
        models.ProportionStatistic(nb, xb),
        frequentist.SequentialConfig(sequential_tuning_parameter=5000),
    )
    low, high = theirs.confidence_interval
    assert boundary(na + nb) == pytest.approx((high - low) / 2 / theirs.variance**0.5)
    ours = Comparison(theirs.point_estimate, theirs.variance, 0.0, na + nb)
    assert ours.p_value_always_valid == pytest.approx(theirs.p_value)


def test_chance_to_beat_the_baseline():
    theirs = bayesian.EffectBayesianABTest(
        models.ProportionStatistic(100, 49), models.ProportionStatistic(100, 51)
    )
    chance = row(49, 100, 51, 100)["chance_to_beat_baseline"]
    assert chance == pytest.approx(0.60918, abs=0.005)
    assert chance == pytest.approx(theirs.compute_result().chance_to_win, abs=0.005)
