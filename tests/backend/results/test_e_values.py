"""E-values of conversions: by independent formulas, and by their mean under the hypothesis."""

import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import betabinom, binom, multinomial

from gimel.backend.results.e_values import ConversionSplit, discount, log_mixture


@pytest.mark.parametrize(
    ("conversions", "visitors"), [((9, 0), (100, 100)), ((3, 40), (1000, 9000)), ((0, 0), (5, 5))]
)
def test_it_is_the_ratio_of_a_beta_binomial_to_a_binomial(conversions, visitors):
    total, share = sum(conversions), visitors[0] / sum(visitors)
    a = 0.5 * share / min(share, 1 - share)
    b = 0.5 * (1 - share) / min(share, 1 - share)
    split = ConversionSplit(conversions, visitors, 0.0)
    for log_ratio in (-1.0, 0.0, 0.3):
        odds = visitors[0] / visitors[1] * math.exp(log_ratio)
        expected = betabinom(total, a, b).logpmf(conversions[0]) - binom(
            total, odds / (1 + odds)
        ).logpmf(conversions[0])
        assert split.log_e_value(log_ratio)[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("counts", "log_marginal", "log_likelihood"),
    [
        ((2, 2, 1), -6.4457198193855785, -5.27460083993072),
        ((60, 63, 32), -19.96484521090386, -15.781031228536165),
    ],
)
def test_it_is_that_of_lindons_library(counts, log_marginal, log_likelihood):
    """The figures of the tests of ssrm, Optimizely's library, for a uniform distribution."""
    own_likelihood = sum(n * math.log(s) for n, s in zip(counts, (0.4, 0.4, 0.2), strict=True))
    found = log_mixture(counts, (1, 1, 1)) - own_likelihood
    assert found == pytest.approx(log_marginal - log_likelihood)


def test_the_mean_of_an_e_value_is_one():
    """Over every order in which ten visitors may come to three variants."""
    shares, parameters = (0.5, 0.3, 0.2), (10.0, 6.0, 4.0)
    total = 0.0
    for counts in product(range(11), repeat=3):
        if sum(counts) == 10:
            log_likelihood = sum(n * math.log(s) for n, s in zip(counts, shares, strict=True))
            evidence = math.exp(log_mixture(counts, parameters) - log_likelihood)
            total += evidence * multinomial(10, shares).pmf(counts)
    assert total == pytest.approx(1)


@given(
    st.tuples(st.integers(0, 500), st.integers(0, 500)),
    st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)),
    st.floats(-5, 5),
)
def test_the_derivative(conversions, visitors, log_ratio):
    split = ConversionSplit(conversions, visitors, 1e-5)
    _, slope = split.log_e_value(log_ratio)
    (low, _), (high, _) = (split.log_e_value(log_ratio + step) for step in (-1e-5, 1e-5))
    assert slope == pytest.approx((high - low) / 2e-5, abs=1e-2)


def test_counting_error_divides_counts_and_parameters():
    assert discount([30.0, 60.0], [8.0, 8.0], 1.0) == ([15.0, 30.0], [1.0, 1.0])


def test_counting_error_weakens_the_evidence():
    counts = (50_600, 50_000), (100_000, 100_000)
    without, with_error = (ConversionSplit(*counts, v).log_e_value(0.0)[0] for v in (0.0, 1e-4))
    assert with_error < without
