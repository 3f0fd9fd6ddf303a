"""E-values of counts: evidence against a division of the counts that stays valid at any look.

An e-value is at most 1 on average if the hypothesis is true, at every look. It exceeds 1/alpha at
some look with a probability of at most alpha (Ville's inequality), so 1/e is a p-value for any
number of looks. The e-values here are mixtures of likelihood ratios for multinomial counts, with a
Dirichlet distribution over the alternatives (Lindon & Malek 2022, arXiv 2011.03567).
docs/statistics.md derives how the counting error enters.
"""

from collections.abc import Sequence
from math import exp, lgamma, log, log1p
from operator import add


def log_mixture(counts: Sequence[float], parameters: Sequence[float]) -> float:
    """Return the log of a multinomial likelihood, averaged over a Dirichlet distribution.

    The likelihood is that of one order of arrival: it has no multinomial coefficient.
    """
    total, concentration = sum(counts), sum(parameters)
    each = sum(map(lgamma, map(add, counts, parameters))) - sum(map(lgamma, parameters))
    return lgamma(concentration) - lgamma(concentration + total) + each


def discount(
    counts: Sequence[float], parameters: Sequence[float], counting_ratio: float
) -> tuple[list[float], list[float]]:
    """Return the counts and the Dirichlet parameters that allow for the counting error.

    `counting_ratio` is the variance from counting over the variance from sampling, κ. Counts that
    are divided by 1 + κ vary as much as counts without counting error do. Dividing the parameters
    by (1 + κ)³ puts the evidence on the clock of `comparison.intrinsic_time`.
    """
    divisor = 1 + counting_ratio
    return [count / divisor for count in counts], [each / divisor**3 for each in parameters]


class ConversionSplit:
    """The evidence in how the conversions of two arms divide between the two.

    If the first arm's rate is e^ℓ times that of the second, a conversion is the first arm's with
    the log odds ℓ + log(visitors₁/visitors₂), whatever the rates are and however they change over
    time (Lindon & Malek 2022). The counts are not supposed to be normally distributed, so this
    finds differences between few conversions.
    """

    def __init__(
        self,
        conversions: tuple[float, float],
        visitors: tuple[float, float],
        counting_variance: float,
    ) -> None:
        """Mix over alternatives around equal rates, worth half a conversion of the smaller arm.

        `counting_variance` is that of the log of the ratio of the two rates.
        """
        self._conversions, self._visitors = conversions, visitors
        total = conversions[0] + conversions[1]
        odds = visitors[0] / visitors[1]
        # The binomial variance of the log odds is at least 4/conversions, whatever the shares.
        divisor = 1 + counting_variance * total / 4
        # What `discount` and `log_mixture` return, in half the time.
        first, second = conversions[0] / divisor, conversions[1] / divisor
        smaller = 0.5 / divisor**3
        a, b = max(1.0, odds) * smaller, max(1.0, 1 / odds) * smaller
        self._log_mixture = (
            lgamma(a + first)
            - lgamma(a)
            + lgamma(b + second)
            - lgamma(b)
            + lgamma(a + b)
            - lgamma(a + b + first + second)
        )
        self._first, self._total = first, first + second
        self._log_odds = log(odds)

    def grown(self, factor: float, counting_variance: float) -> "ConversionSplit":
        """Return the split of `factor` times as many conversions and visitors."""
        (first, second), visitors = self._conversions, self._visitors
        return ConversionSplit((first * factor, second * factor), visitors, counting_variance)

    def log_e_value(self, log_ratio: float) -> tuple[float, float]:
        """Return the log of the e-value against a log ratio of the rates, and its derivative.

        It is a convex function of the log ratio.
        """
        log_odds = self._log_odds + log_ratio
        # log(1 + odds), without overflow
        normaliser = max(log_odds, 0.0) + log1p(exp(-abs(log_odds)))
        value = self._log_mixture - self._first * log_odds + self._total * normaliser
        return value, self._total * exp(log_odds - normaliser) - self._first
