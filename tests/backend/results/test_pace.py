"""The pace of an experiment and the days that more visitors take."""

from datetime import UTC, datetime, timedelta

import pytest

from gimel.backend.results.pace import Pace, pace_of

NOW = datetime(2026, 11, 29, 12, tzinfo=UTC)


def days_ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


def test_it_needs_a_day() -> None:
    assert pace_of([]).per_day is None
    assert pace_of([(NOW, 100)]).per_day is None
    assert pace_of([(days_ago(0.9), 0), (NOW, 100)]).per_day is None
    assert pace_of([(days_ago(2), 0), (NOW, 100)]).per_day == pytest.approx(50)
    assert pace_of([(days_ago(2), 100), (NOW, 100)]).per_day is None


def test_it_is_that_of_the_last_week() -> None:
    history = [(days_ago(30), 0), (days_ago(8), 50_000), (days_ago(7), 60_000), (NOW, 67_000)]
    assert pace_of(history).per_day == pytest.approx(1000)


def test_days_are_a_range() -> None:
    pace = Pace(1000, NOW)
    assert pace.days((11_000, 11_000)) == (9, 14)
    assert pace.days((1, 1)) == (1, 1)
    assert Pace(None, NOW).days((1, 1)) is None
    assert Pace(0.001, NOW).days((9000, 9000)) is None


def test_dates_are_written_out() -> None:
    assert Pace(1000, NOW).date_of(3500) == "3 December"
    assert Pace(1000, NOW).date_of(40_000) == "8 January 2027"
    assert Pace(None, NOW).date_of(1) is None
