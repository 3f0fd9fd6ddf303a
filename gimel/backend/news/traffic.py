"""The rule for stopped traffic: no visitor, though many came in the same hours of earlier days.

The rule looks at the same hours of each of the seven days before, so a night or a weekend is no
stop. The day with the fewest visitors decides. A day without snapshots has no visitors, so the rule
reports no stop then. docs/alarms.md says how often the rule errs and how long it takes.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gimel.backend.experiment.history import Snapshot

# Visitors in the same hours of every earlier day. If a fifth of them can be expected on a very
# quiet day, none come with a probability below e^-10. Before there is a week of history, the
# weekend may still be unknown, and then a fiftieth can be expected.
_FEWEST, _FEWEST_IN_FIRST_WEEK = 50, 500
_DAY, _DAYS = timedelta(days=1), 7
# The history has every hour of so many days.
_HOURLY = timedelta(days=10)


def traffic_stopped_since(
    experiment: Mapping[str, Any], past: "Sequence[Snapshot]", now: datetime | None = None
) -> str | None:
    """Return the field of this name of `GET /experiment`, given its other fields and its history.

    It is None as long as visitors come, and while the experiment does not run.
    """
    if experiment["state"] != "running":
        return None
    now = now or datetime.now(UTC)
    visitors = sum(each["trials"] for each in experiment["variants"])
    since = stopped_since([*((each.time, each.visitors) for each in past), (now, visitors)], now)
    return since.isoformat() if since else None


def stopped_since(past: Sequence[tuple[datetime, int]], now: datetime) -> datetime | None:
    """Return since when no visitor has come, or None if that is nothing unusual.

    `past` has the number of visitors until each time, the oldest first and the present one last.
    """
    if not past:
        return None
    visitors = past[-1][1]
    since = next(time for time, number in past if number == visitors)
    shifts = [day * _DAY for day in range(1, _DAYS + 1) if day * _DAY >= now - since]
    begin = max(past[0][0], now - _HOURLY)
    known = [shift for shift in shifts if begin <= since - shift]
    earlier = [_visitors_between(past, since - shift, now - shift) for shift in known]
    fewest = _FEWEST if _DAYS * _DAY in known else _FEWEST_IN_FIRST_WEEK
    return since if earlier and min(earlier) >= fewest else None


def _visitors_between(past: Sequence[tuple[datetime, int]], start: datetime, end: datetime) -> int:
    """Return how many visitors came between the first and the last count of this time."""
    seen = [number for time, number in past if start <= time <= end]
    return seen[-1] - seen[0] if seen else 0
