"""The made-up experiments of the demo: two weeks of visitors, counted hour by hour.

They are declared and counted as real ones are, with a snapshot at each hour. Only the clock is
turned back.
"""

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from gimel.backend.counting import declaring
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE, Keys
from gimel.backend.experiment.changes import changes_between
from gimel.backend.experiment.definition import parse_definition
from gimel.backend.experiment.snapshots import SnapshotWriter
from gimel.backend.limits import DEMO_NAMESPACE as NAMESPACE
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import MAX_BATCH, Event

# Visitors of each hour of a day, in any unit
_DAY = (2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 10, 11, 10, 10, 10, 10, 11, 12, 13, 12, 9, 6, 4)
_HOUR = 3600
# Before the last ten days, history keeps the last snapshot of each day.
_HOURLY = 10 * 24
# The demo counts as complete with more than this share of its visitors.
_COMPLETE = 0.98


class Arm(NamedTuple):
    """A made-up variant: its number of visitors, and the rate of each goal."""

    variant: str
    visitors: int
    rates: dict[str, float]


class MadeUp(NamedTuple):
    """A made-up experiment that began some hours ago."""

    hours: int
    definition: dict[str, Any]
    arms: list[Arm]


def _made_up(hours: int, arms: list[Arm], **definition: Any) -> MadeUp:
    variants = [{"name": arm.variant, "weight": 1} for arm in arms]
    return MadeUp(hours, definition | {"variants": variants}, arms)


EXPERIMENTS = {
    "signup form": _made_up(
        14 * 24,
        [
            Arm("control", 11_840, {"signup": 0.084, "paid": 0.0121}),
            Arm("one field", 11_910, {"signup": 0.101, "paid": 0.0126}),
        ],
        hypothesis="A form with one field gets more visitors to sign up.",
        owner="ana",
        goals=[{"name": "signup", "role": "primary"}, {"name": "paid"}],
        planned_visitors=22_000,
    ),
    "pricing headline": _made_up(
        12 * 24,
        [
            Arm("control", 9_020, {"plan chosen": 0.518}),
            Arm("save 20 %", 8_960, {"plan chosen": 0.519}),
            Arm("pay as you go", 9_090, {"plan chosen": 0.517}),
        ],
        hypothesis="A headline about money makes visitors choose a plan.",
        owner="ben",
        goals=[{"name": "plan chosen", "role": "primary"}],
        planned_visitors=26_000,
        equivalence=0.06,
    ),
    "cookie banner": _made_up(
        10 * 24,
        [
            Arm("bottom", 7_900, {"accepted": 0.64, "article read": 0.31}),
            Arm("modal", 7_850, {"accepted": 0.55, "article read": 0.29}),
        ],
        hypothesis="A banner that must be answered is accepted more often.",
        goals=[{"name": "accepted", "role": "primary"}, {"name": "article read"}],
        planned_visitors=20_000,
    ),
    "one-click order": _made_up(
        9 * 24,
        [
            Arm("basket", 9_480, {"order": 0.052, "order cancelled": 0.011}),
            Arm("one click", 9_530, {"order": 0.066, "order cancelled": 0.024}),
        ],
        hypothesis="Without the basket, more visitors order.",
        owner="ana",
        goals=[
            {"name": "order", "role": "primary"},
            {"name": "order cancelled", "role": "guardrail", "better": "lower", "margin": 0.1},
        ],
        planned_visitors=18_000,
    ),
    "delivery promise": _made_up(
        8 * 24,
        [
            Arm("control", 5_210, {"order": 0.061}),
            Arm("tomorrow", 4_480, {"order": 0.071}),
        ],
        hypothesis="Visitors who read when it arrives order more often.",
        goals=[{"name": "order", "role": "primary"}],
        planned_visitors=20_000,
    ),
    "checkout / fewer steps": _made_up(
        30,
        [
            Arm("control", 443, {"order": 0.152}),
            Arm("two steps", 451, {"order": 0.166}),
        ],
        hypothesis="Two steps instead of four lose fewer orders.",
        owner="cem",
        goals=[{"name": "order", "role": "primary"}],
        planned_visitors=16_000,
    ),
}


def fill(connection: Connection, counters: Counters, now: float) -> None:
    """Declare and count the experiments, as if it had happened until `now`, in Unix seconds.

    Do nothing if they are complete. Otherwise first delete what an interrupted start left behind.
    """
    if _is_complete(counters):
        return
    for name, made in EXPERIMENTS.items():
        counters.delete(NAMESPACE, name, forget=True)
        _declare(connection, counters, name, made, now)
    counters.forget()
    writer = SnapshotWriter(connection, counters)
    arriving = {name: _events(name, made) for name, made in EXPERIMENTS.items()}
    longest = max(made.hours for made in EXPERIMENTS.values())
    for age in range(longest - 1, -1, -1):
        events = (
            event
            for name, made in EXPERIMENTS.items()
            if age < made.hours
            for event in next(arriving[name])
        )
        while batch := list(islice(events, MAX_BATCH)):
            counters.add(batch)
        time = now - age * _HOUR
        if age < _HOURLY or time // _HOUR % 24 == 23:
            writer.write(time, 60.0)


def _is_complete(counters: Counters) -> bool:
    found = counters.read(NAMESPACE, list(EXPERIMENTS))
    return all(
        each.visitors > _COMPLETE * sum(arm.visitors for arm in EXPERIMENTS[each.name].arms)
        for each in found
    )


def _declare(
    connection: Connection, counters: Counters, name: str, made: MadeUp, now: float
) -> None:
    (found,) = counters.read(NAMESPACE, [name])
    definition = parse_definition(made.definition, found.settings)
    changes = changes_between(found.settings, definition, has_events=False)
    experiment = NAMESPACE, name
    declaring.change(connection, experiment, changes, "owner")
    declaring.begin(connection, experiment, counters.shards, "")
    began = declaring.time_text(now - made.hours * _HOUR)
    connection.execute([("HSET", Keys(*experiment).settings, "created_at", began)])


def _events(name: str, made: MadeUp) -> Iterator[Iterator[Event]]:
    """Yield the events of each hour. They are the same at every start."""
    generator = random.Random(name)  # noqa: S311 - the same visitors every time, no secret
    weights = [_DAY[hour % 24] for hour in range(made.hours)]
    whole = sum(weights)
    done = 0
    for weight in weights:
        before, done = done, done + weight
        yield (
            event
            for arm in made.arms
            for number in range(arm.visitors * before // whole, arm.visitors * done // whole)
            for event in _of_visitor(name, arm, number, generator)
        )


def _of_visitor(name: str, arm: Arm, number: int, generator: random.Random) -> Iterator[Event]:
    visitor = f"{arm.variant} {number}"
    for goal in (PARTICIPATE, *arm.rates):
        if generator.random() < arm.rates.get(goal, 1.0):
            yield Event(NAMESPACE, name, goal, arm.variant, f"{visitor} {goal}", visitor)
