"""The quick form of bench/calibrate_rule.py: the decision rule errs as rarely as it says."""

import numpy as np
import pytest

from bench import calibrate, calibrate_rule
from gimel.backend.results.analysis import analyse
from gimel.backend.results.comparison import Arm, compare, tuning
from gimel.backend.results.decision import FinalLook, decide
from gimel.backend.results.design import Design
from tests.support.inference import SHARDS_64, percent, within


@pytest.fixture
def bench():
    return calibrate.quick()


@pytest.mark.slow
def test_the_decision_rule_keeps_its_error_and_most_of_the_power(bench, monkeypatch):
    bench.looked = 400
    monkeypatch.setattr(calibrate_rule, "CASES", ((16_000, 0.1), (672_000, 0.1)))
    _, *rows = calibrate_rule.decision(bench)
    rows = [row for row in rows if row[1] == calibrate_rule.RULE.name]
    assert len(rows) == 2
    for row in rows:
        assert all(percent(cell) <= within(0.05, bench.looked) for cell in row[4:7]), row
        assert float(row[3]) > 0.93, row
        assert float(row[7]) < 1, row


@pytest.mark.slow
def test_what_to_expect_of_a_winner_is_nearer_to_the_truth(bench, monkeypatch):
    bench.looked = 400
    monkeypatch.setattr(calibrate_rule, "CASES", ((62_000, 0.1),))
    _, *rows = calibrate_rule.expected_lift(bench)
    for row in rows:
        shown, expected = float(row[4]), float(row[5])
        assert shown > 1.1, row
        assert abs(expected - 1) < abs(shown - 1), row


@pytest.mark.slow
def test_a_range_of_visitors_is_rare_without_an_effect_and_seldom_too_low_with_one(bench):
    bench.looked = 600
    _, *rows = calibrate_rule.visitors_needed(bench)
    for _, lift, _, shown, below, inside, above, ratio in rows:
        if lift == "+0%":
            assert percent(shown) <= within(0.05, 300)
        else:
            assert percent(shown) > 0.4
            assert percent(inside) > 0.4
            assert percent(above) < 0.35
            assert percent(below) < 0.45
            assert 0.6 < float(ratio) < 1.5


@pytest.mark.slow
def test_small_lifts_are_smaller_than_expected_and_that_is_smaller_than_shown(bench):
    _, *rows = calibrate_rule.small_lifts(bench)
    for row in rows:
        shown, expected, true = map(percent, row[2:])
        assert 0 < true < expected < shown


def ever_found(rng, runs, looks, size, rate):
    """Return in how many experiments with two primary goals and three variants a lift is found.

    Nothing differs. The plan ends at two thirds of the looks.
    """
    labels, plan = "abc", 3 * size * looks * 2 // 3
    found = 0
    for _ in range(runs):
        reached = rng.binomial(size, rate, (looks, 2, len(labels))).cumsum(axis=0)
        final = None
        for look in range(looks):
            trials = dict.fromkeys(labels, size * (look + 1))
            goals = {
                name: dict(zip(labels, map(int, counts), strict=True))
                for name, counts in zip("gh", reached[look], strict=True)
            }
            if final is None and sum(trials.values()) >= plan:
                final = FinalLook("", trials, goals)
            analysis = analyse(
                trials, goals, baseline="a", relative_error=0.0, design=Design(plan, final=final)
            )
            if any(goal["verdict"]["state"] in ("winner", "loser") for goal in analysis["goals"]):
                found += 1
                break
    return found


@pytest.mark.slow
def test_goals_and_variants_together_err_as_rarely():
    runs = 300
    assert ever_found(np.random.default_rng(3), runs, 12, 2000, 0.1) / runs <= within(0.05, runs)


@pytest.mark.parametrize(
    "counts", [(5200, 50_000, 5000, 49_800), (15, 50_000, 0, 50_100), (40, 5000, 300, 45_000)]
)
def test_the_vectorised_comparison_of_the_simulation_is_the_products(counts):
    x_b, n_b, x_a, n_a = (np.array([[float(each)]]) for each in counts)
    theirs = calibrate_rule.compare((x_b, n_b), (x_a, n_a), SHARDS_64)
    ours = compare(Arm(*counts[:2], SHARDS_64), Arm(*counts[2:], SHARDS_64))
    assert theirs.log_ratio[0, 0] == pytest.approx(ours.log_ratio)
    assert theirs.standard_error[0, 0] == pytest.approx(ours.standard_error)
    assert theirs.time[0, 0] == pytest.approx(ours.time)
    evidence = calibrate_rule._log_evidence(theirs, tuning(100_000, 0.01))[0, 0]
    p_value = ours.tuned(100_000, 0.01).p_value_always_valid
    assert min(1, np.exp(-evidence)) == pytest.approx(p_value)


@pytest.mark.parametrize("reached", [5000, 5150, 5210, 5280, 5400])
def test_the_rule_of_the_simulation_is_the_products(reached):
    counts = np.full((1, 300), float(reached)), np.full((1, 300), 50_000.0)
    base = np.full((1, 300), 5000.0), np.full((1, 300), 50_000.0)
    paths = calibrate_rule.compare(counts, base, SHARDS_64)
    tests = {("g", "b"): compare(*(Arm(x, 50_000, SHARDS_64) for x in (reached, 5000)))}
    found = decide(tests, planned_visitors=100_000, final=tests)["g", "b"]
    assert (calibrate_rule.RULE.first(paths, 100_000)[0] < 300) == found.is_significant
