"""Deleting an experiment: its mark first, then its counts, then its names.

Late events of a marked experiment do not count. Each step begins when the one before it stands, and
the settings go last: they say what the counters are made of. So an interrupted delete can be
repeated, and it goes on where it stopped.

A single goal or variant can be deleted as well: its counters, and what the history and the record
of verdicts say of it. Later events make it anew.

A full Redis refuses what needs memory, such as SADD. It does not refuse SMOVE and UNLINK (measured
on Valkey 9.1 and Redis 7.0), so a delete works there, and makes room.
"""

from collections.abc import Iterator
from contextlib import suppress

from redis.exceptions import OutOfMemoryError, RedisError

from gimel.backend.counting.keys import (
    DECLARED,
    NAMESPACES,
    Keys,
    declared_name,
    deleted_experiments,
    deletion_marks,
    is_generation,
    keys_of,
    marked_while_full,
    parts,
)
from gimel.backend.counting.reading import Found
from gimel.backend.counting.tally import delete_tally
from gimel.backend.redis.connection import Command, Connection

_AT_ONCE = 1000


def delete(connection: Connection, namespace: str, found: Found, *, forget: bool = False) -> bool:
    """Delete an experiment. Return whether there was anything to delete.

    Its late events do not count, unless `forget`: then the name may be used again. Raises
    redis.RedisError. After an OutOfMemoryError, either no count was deleted, or the experiment is
    marked and all its counts were deleted.
    """
    name, keys = found.keys.name, found.keys
    exists = bool(found.counters or found.settings)
    if exists and not forget:
        _mark(connection, namespace, found)
    ((*deleted,),) = connection.query([("SMEMBERS", keys.deleted_parts)])
    deleted += found.parts
    connection.query([("UNLINK", key) for key in keys_of(deleted)])
    if not forget:
        connection.execute([*_records(namespace, found, deleted, exists=exists)])
    unmarked = connection.execute([*_unmarking(namespace, found, forget=forget)])
    delete_tally(connection, namespace, name)
    # Last, so that an interrupted delete finds them again
    last: list[Command] = [
        *(("SREM", keys.counters_of_namespace, key) for key in sorted(found.counters)),
        ("UNLINK", keys.changes),
        ("SREM", DECLARED, declared_name((namespace, name))),
        ("SREM", keys.experiments, name),
        ("UNLINK", keys.counters),
        ("UNLINK", keys.settings),
        # After the counters: what writes these meanwhile looks afterwards whether they are there.
        ("UNLINK", keys.verdicts),
        ("UNLINK", keys.history),
    ]
    last += [("SCARD", Keys(namespace, name, legacy=old).experiments) for old in (False, True)]
    *_, removed, _, _, _, _, new_left, old_left = connection.query(last)
    if not new_left and not old_left:
        connection.execute([("SREM", NAMESPACES, namespace)])
    return bool(removed or exists or (forget and any(unmarked)))


def delete_part(
    connection: Connection, found: Found, goal: str | None, variant: str | None
) -> bool:
    """Delete the counters of one goal, or of one variant. Return whether there were any.

    A process that remembers a counter writes to its keys for up to a minute. So the parts are
    recorded like those of a deleted experiment, and deleting the experiment removes such keys. The
    settings keep the generations of exact counters: what such a process adds to them counts again
    once the counter is listed anew. Raises redis.RedisError; deleting it again goes on.
    """
    keys = found.keys
    cells = {
        key: keys.sets(*cell)
        for key, *cell in keys.parse(found.counters)
        if goal in (None, cell[0]) and variant in (None, cell[1])
    }
    if not cells:
        return False
    sets = {*cells.values()}
    generations = [field for field in found.settings if is_generation(field)]
    of_cells = {field: "" for field in generations if field.split(" ", 2)[2] in sets}
    deleted = parts(cells, found.shards, of_cells)
    connection.query([("UNLINK", key) for key in keys_of(deleted)])
    connection.execute([*_record_parts(keys, deleted)])
    if goal is not None and found.settings.get("first_goal") == goal:
        connection.execute([("HDEL", keys.settings, "first_goal")])
    _forget_past(connection, found, goal, variant)
    # Last, so that an interrupted delete finds them again
    lists = keys.counters_of_namespace, keys.counters
    connection.query([("SREM", each, *sorted(cells)) for each in lists])
    return True


def _forget_past(
    connection: Connection, found: Found, goal: str | None, variant: str | None
) -> None:
    """Remove a goal or a variant from the history, and the recorded verdicts about it."""
    # Imported here: events need neither.
    from gimel.backend.experiment.history import leave_out
    from gimel.backend.results.record import verdicts_about

    keys = found.keys
    (held,) = connection.query([("HGETALL", keys.history)])
    commands: list[Command] = []
    for field, value in leave_out(dict(held), goal, variant).items():
        write = ("HDEL", keys.history, field)
        commands.append(write if value is None else ("HSET", *write[1:], value))
    verdicts = verdicts_about(found.records, goal, variant)
    commands += [("HDEL", keys.verdicts, field) for field in verdicts]
    connection.execute(commands)


def _mark(connection: Connection, namespace: str, found: Found) -> None:
    """Mark the experiment as deleted. Raises OutOfMemoryError if a full Redis has no way to."""
    name, listed = found.keys.name, found.keys.experiments
    try:
        connection.execute([("SADD", deleted_experiments(namespace), name)])
    except OutOfMemoryError:
        mark = marked_while_full(listed)
        # A refused SMOVE changes nothing: the slots differ, or the key is of gimel 1.x.
        with suppress(RedisError):
            connection.execute([("SMOVE", listed, mark, name)])
        if not any(connection.query([("SISMEMBER", mark, name)])):
            raise


def _records(
    namespace: str, found: Found, deleted: list[str], *, exists: bool
) -> Iterator[Command]:
    """Yield what records the deleted experiment.

    A process that remembers the counters keeps writing to their keys. The set of parts is the only
    record of these keys.
    """
    if exists:
        yield "SADD", deleted_experiments(namespace), found.keys.name
    yield from _record_parts(found.keys, deleted)


def _record_parts(keys: Keys, deleted: list[str]) -> Iterator[Command]:
    for start in range(0, len(deleted), _AT_ONCE):
        yield "SADD", keys.deleted_parts, *deleted[start : start + _AT_ONCE]


def _unmarking(namespace: str, found: Found, *, forget: bool) -> Iterator[Command]:
    """Yield what removes the marks that are not needed any more."""
    lasting, *while_full = deletion_marks(namespace)
    for marks in [lasting, *while_full] if forget else while_full:
        yield "SREM", marks, found.keys.name
    if forget:
        yield "UNLINK", found.keys.deleted_parts
