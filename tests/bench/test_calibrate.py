"""The quick form of bench/calibrate.py: error rates are what they claim, seeds fixed.

The full form's tables stand in docs/statistics-tables.md.
"""

import pytest

from bench import calibrate
from gimel.terminal.sample_size import power
from tests.support.inference import percent, within

pytestmark = pytest.mark.slow


@pytest.fixture
def bench():
    return calibrate.quick()


def test_one_look_errs_at_most_as_often_as_it_says(bench):
    _, *rows = calibrate.one_look(bench)
    for row in rows:
        for cell in row[2:5]:
            assert percent(cell) <= within(0.05, bench.runs), row
    # what Gimel is for: the textbook test on one HyperLogLog, 100,000 visitors, rate 50 %
    assert percent(rows[-1][5]) > 0.4


def test_looking_as_often_as_one_likes_does_not_raise_the_false_positives(bench):
    bench.sizes = (100_000,)
    _, *rows = calibrate.many_looks(bench)
    for row in rows:
        for cell in row[2:5]:
            assert percent(cell) <= within(0.05, bench.looked), row
    assert percent(rows[-1][5]) > 0.2, "the fixed-horizon p-value must not stand repeated looks"


def test_intervals_hold_the_truth(bench):
    _, *rows = calibrate.coverage(bench)
    for row in rows:
        # a proportion's few possible counts cost Wilson's interval about 1 % at 20 conversions
        assert percent(row[3]) >= 0.935, row
        for cell in row[4:]:
            assert percent(cell) >= 1 - within(0.05, bench.runs), row


def test_several_variants_are_decided_no_more_often(bench):
    _, *rows = calibrate.several_variants(bench)
    for row in rows:
        assert percent(row[2]) <= within(0.05, bench.verdicts)


def test_64_shards_cost_little_power():
    assert power(0.1, 0.012, 1e6, relative_error=0.0081 / 8) >= 0.9 * power(0.1, 0.012, 1e6)


def test_counting_error_and_its_drift_are_within_what_is_supposed(bench):
    _, *rows = calibrate.drift(bench)
    for _, error, supposed, correlation, least in rows:
        assert percent(error) <= percent(supposed) * 1.1
        assert float(correlation) > float(least)
