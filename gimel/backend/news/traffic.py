"""The rule for stopped traffic: no visitor, though many came in the same hours of earlier days.

Compared with the same hours of each of the last seven days, a night or a weekend is no stop. The
poorest of these days counts. A day on which snapshots are missing counts as poor: nothing is told
then. docs/alarms.md says how often the rule errs and how long it takes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

# Visitors in the same hours of every earlier day. If a fifth of them can be expected on a very
# quiet day, none come with a probability below e^-10. Before there is a week of history, the
# weekend may be still unknown, and a fiftieth be expected.
_FEWEST, _FEWEST_IN_FIRST_WEEK = 50, 500
_DAY, _DAYS = timedelta(days=1), 7


def stopped_since(past: Sequence[tuple[datetime, int]], now: datetime) -> datetime | None:
    """Return since when no visitor has come, or None if that is nothing unusual.

    `past` has the number of visitors until each time, the oldest first and the present one last.
    """
    if not past:
        return None
    visitors = past[-1][1]
    since = next(time for time, number in past if number == visitors)
    shifts = [day * _DAY for day in range(1, _DAYS + 1) if day * _DAY >= now - since]
    known = [shift for shift in shifts if past[0][0] <= since - shift]
    earlier = [_visitors_between(past, since - shift, now - shift) for shift in known]
    fewest = _FEWEST if past[0][0] <= since - _DAYS * _DAY else _FEWEST_IN_FIRST_WEEK
    return since if earlier and min(earlier) >= fewest else None


def _visitors_between(past: Sequence[tuple[datetime, int]], start: datetime, end: datetime) -> int:
    """Return how many visitors came between the first and the last count of this time."""
    seen = [number for time, number in past if start <= time <= end]
    return seen[-1] - seen[0] if seen else 0
