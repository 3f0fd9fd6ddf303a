"""The quick form of bench/calibrate_amounts.py: totals and amounts are wrong as often as claimed.

The full form's tables stand in docs/statistics-tables.md.
"""

import pytest

from bench import calibrate
from bench.calibrate_amounts import EVEN, HEAVY, OTHER, amounts_heavy, amounts_unnamed, ever, once
from bench.repeated import Cell, Goal
from tests.support.inference import percent, within

pytestmark = pytest.mark.slow

RARE, OFTEN = Goal(0.02, 30), Goal(0.1, 5)
REVENUE = Goal(0.1, amount="lognormal")
DESIGNS = [EVEN[1], *OTHER]


@pytest.fixture
def bench():
    return calibrate.quick()


@pytest.mark.parametrize("goal", [RARE, REVENUE], ids=str)
@pytest.mark.parametrize("design", DESIGNS, ids=str)
def test_one_look_errs_at_most_as_often_as_it_says(bench, goal, design):
    found = percent(once(bench, Cell(goal, *design), bench.runs))
    assert 0.02 < found <= within(0.05, bench.runs)


@pytest.mark.parametrize("goal", [RARE, OFTEN, REVENUE], ids=str)
@pytest.mark.parametrize("design", [EVEN[0], EVEN[1], OTHER[0]], ids=str)
def test_looking_as_often_as_one_likes_does_not_raise_the_false_positives(bench, goal, design):
    runs = 2 * bench.looked
    assert percent(ever(bench, Cell(goal, *design, looks=100), runs)) <= within(0.05, runs)


def test_few_visitors_get_no_answer(bench):
    assert once(bench, Cell(RARE, 1_000, 1_000), bench.runs) == "0.00%"


def test_a_lift_is_found(bench):
    """A z-test that knows each visitor finds a lift of 17.7 % in four of five."""
    cell = Cell(OFTEN, 10_000, 10_000, lift=0.177)
    assert 0.74 < percent(once(bench, cell, bench.runs)) < 0.84


def test_what_nobody_named_looks_like_a_proportion(bench):
    bench.looked = 120
    _, *rows = amounts_unnamed(bench)
    for row in rows:
        assert percent(row[2]) > 0.2
        assert percent(row[3]) > 0.35


def test_a_few_heavy_visitors_raise_no_false_alarm_and_ordinary_ones_are_not_taken_for_them(bench):
    bench.looked = 300
    _, *rows = amounts_heavy(bench)
    heavy, ordinary = rows[: 3 * len(HEAVY)], rows[3 * len(HEAVY) :]
    for _, _, once_without, once_with, ever_without, ever_with, withheld in heavy[:6]:
        assert max(percent(once_without), percent(ever_without)) > 0.03
        assert percent(withheld) > 0.5
        assert max(percent(once_with), percent(ever_with)) <= 0.05
    for row in heavy:
        assert max(map(percent, (row[3], row[5]))) <= within(0.055, bench.looked)
    assert len(ordinary) > 5
    assert all(row[-1].startswith("0 of ") for row in ordinary)
