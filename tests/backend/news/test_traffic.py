"""Stopped traffic: how often the rule errs where visitors come at random, and how fast it is."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from math import exp, lgamma, log

import pytest

from gimel.backend.news.traffic import stopped_since

# A Thursday: the first weekend comes before any other is known.
START = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
Past = list[tuple[datetime, int]]


def poisson(chance: random.Random, mean: float) -> int:
    """Draw a number of visitors."""
    if mean > 500:
        return max(0, round(chance.gauss(mean, mean**0.5)))
    level, number, total = chance.random(), 0, 0.0
    while True:
        total += exp(number * log(mean) - mean - lgamma(number + 1)) if mean else 1.0
        if total >= level or number > 2000:
            return number
        number += 1


def hours(
    chance: random.Random,
    per_day: float,
    *,
    weekend: float = 1.0,
    night: float = 0.1,
    spread: float = 0.0,
    days: int = 21,
    stop: int | None = None,
) -> Iterator[Past]:
    """Yield the history at each hour: Poisson arrivals, fewer at night and on weekends.

    `spread`: of the log of the pace, from day to day. `stop`: the hour from which nobody comes.
    """
    past: Past = []
    total = 0
    for day in range(days):
        pace = per_day / (17 + 7 * night) * exp(chance.gauss(0, spread))
        pace *= weekend if (day + 3) % 7 >= 5 else 1
        for hour in range(24):
            came = poisson(chance, pace * (night if hour < 7 else 1))
            total += came if stop is None or 24 * day + hour < stop else 0
            past.append((START + timedelta(days=day, hours=hour), total))
            yield past


def told(past: Past) -> bool:
    if past[-1][1] != past[-2:][0][1]:
        return False
    # As the history is kept: each hour of ten days, and one of each earlier day
    kept = [*past[-264:-240:24], *past[-240:]]
    return stopped_since(kept, past[-1][0]) is not None


@pytest.mark.parametrize(
    ("per_day", "options"),
    [
        (20, {"night": 1.0}),
        (100, {}),
        (1000, {"night": 0.02}),
        (300, {"weekend": 0.3, "spread": 0.3}),
        (1000, {"weekend": 0.05, "night": 0.02, "spread": 0.5}),
    ],
)
def test_visitors_who_come_at_random_are_no_stop(per_day: float, options: dict[str, float]) -> None:
    chance = random.Random(str(options))
    wrong = sum(any(told(past) for past in hours(chance, per_day, **options)) for _ in range(8))
    assert wrong == 0


@pytest.mark.parametrize("per_day", [100, 1000, 20_000])
def test_a_page_that_nobody_visits_on_weekends_has_not_stopped(per_day: int) -> None:
    chance = random.Random(per_day)
    for past in hours(chance, per_day, weekend=0.0, night=0.0, days=28):
        # The first weekend is not known to be one.
        assert len(past) < 10 * 24 or not told(past), past[-1]


@pytest.mark.parametrize(("per_day", "most"), [(100, 24), (1000, 9), (20_000, 2)])
def test_a_stop_is_noticed_after_fifty_visitors_who_did_not_come(per_day: int, most: int) -> None:
    chance = random.Random(per_day)
    for stop in (10 * 24, 10 * 24 + 9, 10 * 24 + 15):
        seen = hours(chance, per_day, stop=stop)
        first = next(hour for hour, past in enumerate(seen) if hour and told(past))
        # At night nobody is missed.
        night = 7 if stop % 24 == 0 or per_day < 1000 else 0
        assert stop <= first <= stop + most + night


def counts(*numbers: int) -> Past:
    return [(START + timedelta(hours=hour), number) for hour, number in enumerate(numbers)]


def test_without_an_earlier_day_nothing_is_known() -> None:
    assert stopped_since([], START) is None
    past = counts(*range(1000, 24_000, 1000), *[23_000] * 2)
    assert stopped_since(past, past[-1][0]) is None


def test_in_the_first_week_many_more_have_to_be_missed() -> None:
    def silence(per_hour: int, days: int) -> datetime | None:
        rising = [per_hour * hour for hour in range(24 * days + 1)]
        past = counts(*rising, *[rising[-1]] * 2)
        return stopped_since(past, past[-1][0])

    assert silence(100, 2) is None
    assert silence(300, 2) == START + timedelta(days=2)
    assert silence(100, 9) == START + timedelta(days=9)


def test_a_day_without_snapshots_proves_nothing() -> None:
    rising = [(START + timedelta(hours=hour), 100 * hour) for hour in range(24 * 9 + 1)]
    silent = [(START + timedelta(days=9, hours=hour), rising[-1][1]) for hour in (1, 2)]
    assert stopped_since([*rising, *silent], silent[-1][0])
    gap = [each for each in rising if not 24 * 4 - 2 < (each[0] - START) / timedelta(hours=1) < 110]
    assert stopped_since([*gap, *silent], silent[-1][0]) is None
