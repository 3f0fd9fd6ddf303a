"""The sample-ratio alarm: are visitors split between the variants as intended, at any look?

The evidence is an e-value of the visitors' counts (`e_values`), the counting error included.
docs/statistics.md derives it and shows how often it errs.
"""

from collections.abc import Mapping, Sequence
from math import exp, log, log1p
from typing import TypedDict

from gimel.backend.results.comparison import counter_variance, five_digits
from gimel.backend.results.e_values import discount, log_mixture

# Sample ratio mismatch (SRM): an alarm is raised below this p-value.
SRM_ALPHA = 0.001

# The causes are from Fabijan et al. 2019, "Diagnosing sample ratio mismatch in online controlled
# experiments".
ALARM = (
    "Visitors are not split between the variants as intended (sample ratio mismatch), so the lifts "
    "cannot be trusted. The usual causes: a redirect, an error or a slow page loses events of one "
    "variant; bots or cached pages get one variant more often; the weights were changed, or the "
    "code splits by other weights. To find the cause, show every visitor the same page, whatever "
    "the variant. If the split is still wrong, look at how visitors are assigned; otherwise one "
    "variant loses events: compare its events with the web server's log, by browser and by day."
)

# With fewer visitors expected in a variant, there is next to nothing to say.
_MIN_EXPECTED = 50
# The Dirichlet parameters of the alternatives, in visitors per variant. The first part of the
# evidence looks for small skews, the second for gross ones.
_CONCENTRATIONS = 1000.0, 20.0
_WEIGHT_OF_SMALL_SKEWS = 0.75


class SampleRatio(TypedDict):
    """The test of whether visitors are split between the variants as intended.

    `p_value` is 1 over the evidence at this look, at most 1. It is valid for any number of looks.
    `weights` are the intended shares and sum to 1. `reason` explains an alarm.
    """

    p_value: float | None
    alarm: bool
    reason: str | None
    weights: dict[str, float]


def sample_ratio(
    trials: Mapping[str, int], relative_error: float, weights: Mapping[str, float] | None = None
) -> SampleRatio:
    """Test whether the visitors' shares match the weights.

    `weights` are equal if None. A variant without a weight takes no part. `relative_error` is the
    relative standard error of a counter, 0 for exact counting.
    """
    intended = dict.fromkeys(trials, 1.0) if weights is None else weights
    shares = {label: weight for label, weight in intended.items() if weight > 0}
    total_weight = sum(shares.values())
    shares = {label: weight / total_weight for label, weight in shares.items()}
    counts = [float(trials.get(label, 0)) for label in shares]
    p_value = None
    if len(shares) > 1 and sum(counts) * min(shares.values()) >= _MIN_EXPECTED:
        p_value = min(1.0, exp(-_log_e_value(counts, list(shares.values()), relative_error)))
    is_alarm = p_value is not None and p_value < SRM_ALPHA
    return {
        "p_value": None if p_value is None else five_digits(p_value),
        "alarm": is_alarm,
        "reason": ALARM if is_alarm else None,
        "weights": {label: round(share, 6) for label, share in shares.items()},
    }


def _log_e_value(counts: Sequence[float], shares: Sequence[float], relative_error: float) -> float:
    """Return the log of the evidence against the shares, a weighted mean of two e-values."""
    ratio = _counting_ratio(sum(counts), shares, relative_error)
    small, gross = (
        _log_bayes_factor(counts, shares, concentration * len(shares), ratio)
        for concentration in _CONCENTRATIONS
    )
    small, gross = small + log(_WEIGHT_OF_SMALL_SKEWS), gross + log(1 - _WEIGHT_OF_SMALL_SKEWS)
    return max(small, gross) + log1p(exp(-abs(small - gross)))


def _log_bayes_factor(
    counts: Sequence[float], shares: Sequence[float], concentration: float, counting_ratio: float
) -> float:
    parameters = [concentration * share for share in shares]
    counts, parameters = discount(counts, parameters, counting_ratio)
    log_likelihood = sum(n * log(share) for n, share in zip(counts, shares, strict=True))
    return log_mixture(counts, parameters) - log_likelihood


def _counting_ratio(visitors: float, shares: Sequence[float], relative_error: float) -> float:
    """Return the largest ratio of counting variance to sampling variance, in any direction.

    In units of its random split's standard error, each count has the counting variance κ. Only
    differences from the intended shares matter, so a dominant variant's κ counts in part. The bound
    is exact for two variants, and if the two largest are equal.
    """
    if not relative_error:
        return 0.0
    expected = [visitors * share for share in shares]
    ratios = sorted(n * counter_variance(n, relative_error) for n in expected)
    return ratios[-2] + (ratios[-1] - ratios[-2]) * (1 - max(shares))
