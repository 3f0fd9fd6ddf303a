"""The sample-ratio alarm: by independent formulas, with counting error, and at the edges."""

import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import gammaln, logsumexp
from scipy.stats import beta, chisquare

from gimel.backend.results.sample_ratio import sample_ratio
from tests.support.inference import ONE_SHARD, SHARDS_64


def found_for(*counts, error=0.0, weights=None):
    labels = "abcdefghijklmnop"[: len(counts)]
    named = None if weights is None else dict(zip(labels, weights, strict=True))
    return sample_ratio(dict(zip(labels, counts, strict=True)), error, named)


def bayes_factor(counts, shares, concentration):
    """Lindon & Malek's (2022), from their formula, with the prior concentration × shares."""
    counts, prior = np.array(counts), concentration * np.array(shares)
    log_marginal = (
        gammaln(prior.sum())
        - gammaln((prior + counts).sum())
        + (gammaln(prior + counts) - gammaln(prior)).sum()
    )
    return log_marginal - (counts * np.log(shares)).sum()


@pytest.mark.parametrize(
    ("counts", "shares"),
    [
        ((821_588, 815_482), (0.5, 0.5)),
        ((51_000, 49_000), (0.5, 0.5)),
        ((5300, 2400, 2300), (0.5, 0.25, 0.25)),
        ((9700, 340, 0), (0.97, 0.02, 0.01)),
    ],
)
def test_it_is_a_mean_of_two_published_bayes_factors(counts, shares):
    factors = [bayes_factor(counts, shares, each * len(counts)) for each in (1000, 20)]
    evidence = np.exp(logsumexp(factors, b=[0.75, 0.25]))
    found = found_for(*counts, weights=shares)
    assert found["p_value"] == pytest.approx(min(1, 1 / evidence), rel=1e-4)
    assert found["alarm"] == (1 / evidence < 0.001)


def test_the_bayes_factor_is_a_mean_of_likelihood_ratios():
    def likelihood_ratio(share):
        return math.exp(600 * math.log(2 * share) + 400 * math.log(2 * (1 - share)))

    for concentration in (1000, 20):
        prior = beta(concentration, concentration)
        integral, _ = quad(lambda share: likelihood_ratio(share) * prior.pdf(share), 0.3, 0.9)  # noqa: B023
        assert bayes_factor((600, 400), (0.5, 0.5), 2 * concentration) == pytest.approx(
            math.log(integral), rel=1e-6
        )


def test_gross_and_small_skews_are_caught():
    for counts in ((600, 400), (51_200, 48_800), (821_588, 815_482)):
        assert found_for(*counts)["alarm"]
        assert chisquare(counts).pvalue < 0.001


def test_no_alarm_at_what_is_merely_unusual():
    found = found_for(540, 460)
    assert chisquare((540, 460)).pvalue < 0.05
    assert found["p_value"] > 0.05
    assert not found["alarm"]


class TestCountingError:
    def test_it_is_allowed_for(self):
        assert found_for(1_010_000, 1_000_000)["alarm"]
        assert not found_for(1_010_000, 1_000_000, error=ONE_SHARD)["alarm"]

    @pytest.mark.parametrize("error", [0.0, SHARDS_64])
    def test_a_skew_is_caught(self, error):
        assert found_for(51_000, 49_000, error=error)["alarm"]

    def test_more_visitors_do_not_turn_it_into_a_skew(self):
        for visitors in (10**6, 10**8, 10**12):
            found = found_for(int(1.01 * visitors), visitors, error=ONE_SHARD)
            assert found["p_value"] == 1

    def test_a_skew_beyond_it_is_caught_with_one_shard(self):
        assert found_for(1_100_000, 1_000_000, error=ONE_SHARD)["alarm"]


class TestEdges:
    def test_a_variant_without_weight_stays_out(self):
        found = sample_ratio({"a": 500, "b": 510, "c": 90_000}, 0.0, {"a": 1, "b": 1})
        weights = {"a": 0.5, "b": 0.5}
        assert found == {"p_value": 1, "alarm": False, "reason": None, "weights": weights}

    def test_a_weighted_variant_that_never_came_is_a_mismatch(self):
        assert sample_ratio({"a": 500, "b": 510}, 0.0, {"a": 1, "b": 1, "c": 1})["alarm"]
        assert sample_ratio({"a": 500, "b": 510}, SHARDS_64, {"a": 1, "b": 1, "c": 1})["alarm"]

    def test_many_variants(self):
        assert found_for(*[1000] * 12)["p_value"] == 1
        assert found_for(*[1000] * 11, 1300)["alarm"]

    def test_too_few_visitors(self):
        assert found_for(60, 20)["p_value"] is None
        assert found_for(60)["p_value"] is None
        assert sample_ratio({}, 0.0)["p_value"] is None
