"""Declaring: what an owner writes into an experiment's settings, with a record of each change."""

import json
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gimel.backend.counting.hyperloglog import HYPERLOGLOG
from gimel.backend.counting.keys import (
    DECLARED,
    NAMESPACES,
    ExperimentName,
    Keys,
    declared_name,
    deletion_marks,
)
from gimel.backend.counting.salt import new_salt
from gimel.backend.redis.connection import Command, Connection

# Changes that are kept of each experiment
_CHANGES = 100
# Characters that are kept of each changed field
_LONGEST = 2000


def time_text(seconds: float) -> str:
    """Return a time in Unix seconds as the settings hold it, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def is_deleted(connection: Connection, experiment: ExperimentName) -> bool:
    """Return whether the experiment was deleted, so that its events do not count."""
    namespace, name = experiment
    return any(connection.query([("SISMEMBER", each, name) for each in deletion_marks(namespace)]))


def begin(connection: Connection, experiment: ExperimentName, shards: int, counting: str) -> None:
    """Make a declared experiment exist, before its first event. Limits do not bind it.

    An experiment that an earlier version, gimel 1.x or lamed began gets no salt: with one, each of
    its visitors would count again.
    """
    namespace, name = experiment
    keys, old = Keys(*experiment), Keys(*experiment, legacy=True)
    settings, old_counters = connection.query([("HGETALL", keys.settings), ("SCARD", old.counters)])
    # A closed stack looks at this set first.
    commands: list[Command] = [("SADD", DECLARED, declared_name(experiment))]
    if "shards" not in settings and not old_counters:
        now = time_text(time.time())
        commands += [
            ("HSETNX", keys.settings, "counting", counting or HYPERLOGLOG),
            # Before the shards, as `registration` writes them.
            ("HSETNX", keys.settings, "salt", new_salt()),
            ("HSETNX", keys.settings, "shards", str(shards)),
            ("HSETNX", keys.settings, "created_at", now),
        ]
    if not old_counters:
        # Settings alone may be what a limit left of a refused experiment.
        commands.append(("SADD", keys.experiments, name))
    connection.execute([*commands, ("SADD", NAMESPACES, namespace)])


def change(
    connection: Connection,
    experiment: ExperimentName,
    changes: Mapping[str, str | None],
    scope: str | None,
) -> None:
    """Change fields of an experiment's settings; None removes one. Record when and by which key.

    The counting method is chosen once: a second choice changes nothing.
    """
    if not changes:
        return
    keys = Keys(*experiment)
    commands: list[Command] = []
    for field, value in changes.items():
        if value is None:
            commands.append(("HDEL", keys.settings, field))
        else:
            write = "HSETNX" if field == "counting" else "HSET"
            commands.append((write, keys.settings, field, value))
    now = time_text(time.time())
    fields = {field: _shortened(value) for field, value in changes.items()}
    record = {"at": now, "scope": scope, "fields": fields}
    commands.append(("LPUSH", keys.changes, json.dumps(record, ensure_ascii=False)))
    commands.append(("LTRIM", keys.changes, "0", str(_CHANGES - 1)))
    connection.execute(commands)


def _shortened(value: str | None) -> str | None:
    """Return the value as the record keeps it: a hundred changes must fit into an answer."""
    return value if value is None or len(value) <= _LONGEST else value[: _LONGEST - 1] + "…"


def recorded_changes(connection: Connection, experiment: ExperimentName) -> list[dict[str, Any]]:
    """Return the changes of an experiment's definition, the newest first."""
    command = ("LRANGE", Keys(*experiment).changes, "0", str(_CHANGES - 1))
    (found,) = connection.query([command])
    return [json.loads(record) for record in found]
