"""Chances and expected losses, against posteriors drawn at random."""

from itertools import product

import numpy as np
import pytest
from scipy import stats as scipy_stats
from scipy.integrate import trapezoid

from gimel.backend.results.analysis import analyse
from gimel.backend.results.comparison import Arm
from gimel.backend.results.design import Aim, Design
from gimel.backend.results.posterior import chance_to_beat, posterior_of, summarise_posteriors

SIZES = (5, 20, 50, 200, 1000, 5000)
RATES = (0, 0.02, 0.1, 0.2, 0.5, 0.8, 0.98, 1)


class TestAgainstStatsmodelsAndScipy:
    @pytest.mark.parametrize("size", [30, 1000, 100_000])
    def test_chances_and_losses_are_nearly_those_of_beta_posteriors(self, size):
        arms = {"a": Arm(size // 10, size), "b": Arm(size // 8, size), "c": Arm(size // 9, size)}
        beliefs = {label: posterior_of(arm) for label, arm in arms.items()}
        betas = [
            scipy_stats.beta(1 + arm.successes, 1 + size - arm.successes) for arm in arms.values()
        ]
        draws = np.stack([beta.rvs(400_000, random_state=7 + i) for i, beta in enumerate(betas)])
        best, found = draws.max(axis=0), summarise_posteriors(beliefs, is_share=True)
        losses = [(best - own).mean() for own in draws]
        for index, standing in enumerate(found.values()):
            exact = (draws[index] == best).mean()
            assert standing.chance_to_be_best == pytest.approx(exact, abs=0.015)
            assert standing.expected_loss == pytest.approx(losses[index], abs=0.05 * max(losses))
        chance = chance_to_beat(beliefs["b"], beliefs["a"])
        assert chance == pytest.approx((draws[1] > draws[0]).mean(), abs=0.012)

    @pytest.mark.parametrize(("fewest", "error"), [(0, 0.03), (20, 0.006), (100, 0.003)])
    def test_the_chance_to_beat_the_baseline_is_nearly_that_of_two_betas(self, fewest, error):
        """`fewest`: conversions and failures of each arm. docs/statistics.md names the errors."""
        angles = np.linspace(0, np.pi / 2, 10_001)[1:-1]
        rates = np.sin(angles) ** 2
        for size, rate, times, shift in product(SIZES, RATES, (0.2, 1, 5), (-2, -1, 0, 1, 2)):
            spread = (rate * (1 - rate) / size * (1 + 1 / times)) ** 0.5
            other_size = round(size * times)
            successes = round(min(1, max(0, rate + shift * spread)) * other_size)
            arms = (round(rate * size), size), (successes, other_size)
            if min(min(x, n - x) for x, n in arms) < fewest:
                continue
            one, other = (scipy_stats.beta(1 + x, 1 + n - x) for x, n in arms)
            density = one.pdf(rates) * np.sin(2 * angles)
            exact = trapezoid(other.cdf(rates) * density, angles)
            found = chance_to_beat(*(posterior_of(Arm(x, n)) for x, n in arms))
            assert found == pytest.approx(exact, abs=error), arms

    @pytest.mark.parametrize("baseline", ["a", "b"])
    def test_of_two_the_best_is_who_beats_the_other_however_sure(self, baseline):
        trials, goals = {"a": 10_000, "b": 10_000}, {"buy": {"a": 5000, "b": 4000}}
        (goal,) = analyse(trials, goals, baseline=baseline, relative_error=0)["goals"]
        (other,) = [each for each in goal["results"] if each["label"] != baseline]
        assert other["chance_to_be_best"] == other["chance_to_beat_baseline"] > 0


class TestLowerIsBetter:
    @pytest.mark.parametrize("labels", ["ab", "abc"])
    def test_of_the_opposite_outcome_the_chances_are_the_same(self, labels):
        """The fewest refunds are the most visitors without a refund."""
        arms = {label: Arm(120 + 15 * number, 1000) for number, label in enumerate(labels)}
        kept = {label: Arm(1000 - arm.successes, 1000) for label, arm in arms.items()}
        lowest, highest = (
            summarise_posteriors(
                {label: posterior_of(arm) for label, arm in each.items()}, is_share=True, sign=sign
            )
            for each, sign in ((arms, -1), (kept, 1))
        )
        assert lowest["a"].chance_to_be_best > 0.5
        for label in labels:
            assert lowest[label] == pytest.approx(highest[label], rel=1e-3, abs=1e-6)

    def test_the_fewest_are_the_best_in_the_answer(self):
        design = Design(aims={"refund": Aim(better="lower")})
        trials, goals = {"a": 1000, "b": 1000}, {"refund": {"a": 120, "b": 90}}
        found = analyse(trials, goals, baseline="a", relative_error=0, design=design)
        a, b = found["goals"][0]["results"]
        assert b["chance_to_be_best"] == b["chance_to_beat_baseline"] > 0.95
        assert a["expected_loss"] > b["expected_loss"] > 0
