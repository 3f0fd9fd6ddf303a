"""Moving experiments of gimel 1.x and lamed to today's layout, where that loses nothing.

If no name holds a character that keys escape, the keys of both layouts are the same. Then a move is
one field in the experiment's settings: the counts stay where they are, other processes go on
counting, and stopping half-way or moving twice does no harm. Otherwise the experiment stays in the
old layout, where it is read and counted as before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.exact import EXACT
from gimel.backend.counting.hyperloglog import HYPERLOGLOG, is_hyperloglog, start_of
from gimel.backend.counting.keys import (
    EXPERIMENTS_PATTERN,
    NAMESPACES,
    Keys,
    escape,
    namespace_of,
)
from gimel.backend.redis.connection import Command, Connection
from gimel.backend.results.counts import ExperimentCounts


@dataclass(frozen=True)
class Finding:
    """An experiment, which program made it, and why it stays in the old layout (None: it moves)."""

    namespace: str
    experiment: ExperimentCounts
    maker: str
    stays: str | None


def migrate(connection: Connection, namespace: str | None, *, dry_run: bool) -> Iterator[Finding]:
    """Move what can be moved, in one namespace or all. Yield each experiment of the old layout.

    Raises redis.RedisError.
    """
    counters = Counters(connection)
    namespaces = all_namespaces(connection) if namespace is None else [namespace]
    for space in namespaces:
        _, names = counters.names(space)
        for name in names:
            keys = Keys(space, name, legacy=True)
            starts = _starts(connection, keys)
            if starts is None:
                continue
            (found,) = counters.read(space, [name])
            stays = _obstacle(space, found, starts)
            if not dry_run and stays is None:
                _move(connection, space, keys, starts)
            yield Finding(space, found, _maker(starts), stays)


def all_namespaces(connection: Connection) -> list[str]:
    """Return all namespaces. gimel 1.x and lamed kept no list of them."""
    old = set(map(namespace_of, connection.scan(EXPERIMENTS_PATTERN, "set")))
    (listed,) = connection.query([("SMEMBERS", NAMESPACES)])
    return sorted((old - set(map(escape, listed))) | listed)


def _starts(connection: Connection, keys: Keys) -> dict[str, bytes] | None:
    """Return each counter's first bytes, by key; None if the experiment is in today's layout."""
    ask_whether_new: Command = ("HEXISTS", keys.settings, "shards")
    commands: list[Command] = [
        ("SISMEMBER", keys.experiments, keys.name),
        ("SMEMBERS", keys.counters),
        ask_whether_new,
    ]
    is_old, counters, is_new = connection.query(commands)
    if is_new or not is_old:
        return None
    # Ask again: in a cluster, the server of a new experiment may have replied too early.
    again = [ask_whether_new, *map(start_of, sorted(counters))]
    is_new, *starts = connection.query(again)
    return None if is_new else dict(zip(sorted(counters), starts, strict=True))


def _makers(starts: Mapping[str, bytes]) -> set[str]:
    return {"gimel 1.x" if is_hyperloglog(each) else "lamed" for each in starts.values() if each}


def _maker(starts: Mapping[str, bytes]) -> str:
    return " and ".join(sorted(_makers(starts))) or "gimel 1.x or lamed"


def _obstacle(namespace: str, found: ExperimentCounts, starts: Mapping[str, bytes]) -> str | None:
    names = [namespace, found.name, *found.trials, *found.goals]
    if found.ambiguous:
        return "its names can be read in more than one way: " + ", ".join(found.ambiguous)
    if any(escape(name) != name for name in names):
        return "its names hold : # or %, which keys of today escape"
    if len(_makers(starts)) > 1:
        return "some of its counters are of gimel 1.x, some of lamed"
    return None


def _move(connection: Connection, namespace: str, keys: Keys, starts: Mapping[str, bytes]) -> None:
    counting = EXACT if "lamed" in _makers(starts) else HYPERLOGLOG
    commands: list[Command] = [
        ("SADD", NAMESPACES, namespace),
        ("HSETNX", keys.settings, "counting", counting),
        # This is the move itself. What follows only tidies up.
        ("HSETNX", keys.settings, "shards", "1"),
        *(("SREM", keys.counters_of_namespace, key) for key in starts),
    ]
    connection.execute(commands)
