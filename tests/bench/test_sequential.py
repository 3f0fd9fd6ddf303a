"""The quick form of bench/sequential.py: error rates and power are what they claim, seeds fixed."""

import pytest

from bench import calibrate, sequential
from tests.support.inference import percent, within

pytestmark = pytest.mark.slow


@pytest.fixture
def bench():
    return calibrate.quick()


def test_sample_ratio_alarms_at_any_look(bench):
    bench.sizes = (1_000, 100_000)
    _, *rows = sequential.ratio_alarms(bench)
    caught = {}
    for size, _, intended, truth, *alarms in rows:
        if truth == "as intended":
            for cell in alarms:
                assert percent(cell) <= within(0.001, bench.alarms // 2), (size, intended)
        else:
            caught[size, truth] = [percent(cell) for cell in alarms]
    assert min(caught["100,000", "51/49"][:2]) > 0.9
    assert min(caught["1,000,000", "51/49"][:2]) == 1
    assert min(caught["1,000", "60/40"]) > 0.9


def test_rare_goals_are_significant_no_more_often(bench):
    bench.sizes = (100_000,)
    _, *rows = sequential.rare_goals(bench)
    for row in rows:
        for cell in row[2:]:
            assert percent(cell) <= within(0.05, bench.looked), row


def test_rare_goals_are_found_early_and_others_as_often(bench, monkeypatch):
    differences = [each for each in sequential.DIFFERENCES if each[0] <= 400_000][::3]
    monkeypatch.setattr(sequential, "DIFFERENCES", differences)
    _, rare, *others = sequential.rare_power(bench)
    _, _, rates, alone, both, *_ = rare
    assert rates == "0% v 0.03%"
    assert percent(alone) < 0.05
    assert percent(both) > 0.8
    for row in others:
        *_, alone, both, missed = row
        assert percent(both) > percent(alone) - 0.03, row
        assert percent(missed) <= within(0.05, bench.looked), row
