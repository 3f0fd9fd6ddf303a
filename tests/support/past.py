"""Experiments with a past: counted by a backend's Redis, with snapshots at past hours."""

import time
from typing import Any

from gimel.backend.counting import declaring
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import PARTICIPATE, Keys
from gimel.backend.experiment.changes import changes_between
from gimel.backend.experiment.definition import parse_definition
from gimel.backend.experiment.snapshots import SnapshotWriter
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import MAX_BATCH, Event

# Visitors of a variant so far, and how many of them reached each goal
Counts = dict[str, tuple[int, dict[str, int]]]
HOUR = 3600.0


def write_past(
    redis_url: str,
    experiment: tuple[str, str],
    definition: dict[str, Any],
    past: dict[int, Counts],
) -> None:
    """Declare an experiment, count it, and take snapshots so many hours ago.

    `past` maps hours ago, the most first, to the counts until then. It began an hour before the
    first of them.
    """
    connection = Connection(redis_url)
    counters = Counters(connection)
    namespace, name = experiment
    (found,) = counters.read(namespace, [name])
    changes = changes_between(
        found.settings, parse_definition(definition, found.settings), has_events=False
    )
    declaring.change(connection, experiment, changes, "owner")
    declaring.begin(connection, experiment, counters.shards, "exact")
    now = time.time()
    began = declaring.time_text(now - (max(past, default=0) + 1) * HOUR)
    connection.execute([("HSET", Keys(*experiment).settings, "created_at", began)])
    writer = SnapshotWriter(connection, counters)
    for age, counts in past.items():
        events = [
            Event(namespace, name, goal, variant, f"{visitor} {goal}", f"{variant} {visitor}")
            for variant, (visitors, goals) in counts.items()
            for goal, number in {PARTICIPATE: visitors, **goals}.items()
            for visitor in range(number)
        ]
        for start in range(0, len(events), MAX_BATCH):
            counters.add(events[start : start + MAX_BATCH])
        assert writer.write(now - age * HOUR, 60.0)
