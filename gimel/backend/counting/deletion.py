"""Deleting an experiment: its mark first, then its counts, then its names.

Late events of a marked experiment do not count. Each step begins when the one before it stands, and
the settings go last: they say what the counters are made of. So an interrupted delete can be
repeated, and it goes on where it stopped.

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
    keys_of,
    marked_while_full,
)
from gimel.backend.counting.reading import Found
from gimel.backend.redis.connection import Command, Connection

_AT_ONCE = 1000


def delete(connection: Connection, namespace: str, found: Found, *, forget: bool = False) -> bool:
    """Delete an experiment. Return whether there was anything to delete.

    Its late events do not count, unless `forget`: then the name may be used again. Raises
    redis.RedisError; if that is an OutOfMemoryError, nothing that counts was deleted, or the
    experiment is marked and its counts are gone.
    """
    name, keys = found.keys.name, found.keys
    exists = bool(found.counters or found.settings)
    if exists and not forget:
        _mark(connection, namespace, found)
    ((*parts,),) = connection.query([("SMEMBERS", keys.deleted_parts)])
    parts += found.parts
    connection.query([("UNLINK", key) for key in keys_of(parts)])
    if not forget:
        connection.execute([*_records(namespace, found, parts, exists=exists)])
    unmarked = connection.execute([*_unmarking(namespace, found, forget=forget)])
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


def _records(namespace: str, found: Found, parts: list[str], *, exists: bool) -> Iterator[Command]:
    """Yield what records the deleted experiment.

    A process that remembers the counters keeps writing to their keys. The set of parts is the only
    record of these keys.
    """
    if exists:
        yield "SADD", deleted_experiments(namespace), found.keys.name
    for start in range(0, len(parts), _AT_ONCE):
        yield "SADD", found.keys.deleted_parts, *parts[start : start + _AT_ONCE]


def _unmarking(namespace: str, found: Found, *, forget: bool) -> Iterator[Command]:
    """Yield what removes the marks that are not needed any more."""
    lasting, *while_full = deletion_marks(namespace)
    for marks in [lasting, *while_full] if forget else while_full:
        yield "SREM", marks, found.keys.name
    if forget:
        yield "UNLINK", found.keys.deleted_parts
