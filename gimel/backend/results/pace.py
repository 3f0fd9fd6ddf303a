"""The pace of an experiment: visitors a day, and the days that more of them take."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import NamedTuple

# A pace is known after a day, and it is that of the last week: weekdays differ.
_SHORTEST = timedelta(days=1)
_LONGEST = timedelta(days=7)
# The days come as a range of a quarter more or less.
_SPREAD = 1.25
_MAX_DAYS = 3650


class Pace(NamedTuple):
    """How fast visitors come, seen at `now`. None: not known."""

    per_day: float | None = None
    now: datetime = datetime(1970, 1, 1, tzinfo=UTC)

    def days(self, visitors: tuple[int, int]) -> tuple[int, int] | None:
        """Return the fewest and most days that so many visitors take."""
        if not self.per_day:
            return None
        fewest, most = (number / self.per_day for number in visitors)
        days = max(1, ceil(fewest / _SPREAD)), max(1, ceil(most * _SPREAD))
        return days if days[1] <= _MAX_DAYS else None

    def date_of(self, visitors: float) -> str | None:
        """Return the date when so many more visitors have come, e.g. "3 December"."""
        if not self.per_day or visitors / self.per_day > _MAX_DAYS:
            return None
        moment = self.now + timedelta(days=ceil(visitors / self.per_day))
        year = "" if moment.year == self.now.year else f" {moment.year}"
        return f"{moment.day} {moment:%B}{year}"


def pace_of(history: Sequence[tuple[datetime, int]]) -> Pace:
    """Return the pace from numbers of visitors and the times when they were counted.

    The times rise. The first may be the beginning of the experiment, without visitors.
    """
    if not history:
        return Pace()
    now, visitors = history[-1]
    since, before = history[0]
    for moment, number in history:
        if now - moment >= _LONGEST:
            since, before = moment, number
    if now - since < _SHORTEST or visitors <= before:
        return Pace(None, now)
    return Pace((visitors - before) / ((now - since) / timedelta(days=1)), now)
