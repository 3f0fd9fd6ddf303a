"""Moving experiments of gimel 1.x and lamed to today's layout, where that loses nothing.

Where no name has a character that keys escape, the keys of both layouts are the same. Then a move
is one field in the experiment's settings: the counts stay where they are, whoever counts meanwhile
goes on, and stopping half-way or moving twice does no harm. Otherwise the experiment stays as it
is: it is read and goes on counting all the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import NAMESPACES, Layout, escape, is_hyperloglog, start_of
from gimel.backend.counting.ways import EXACT, HYPERLOGLOG
from gimel.backend.redis.connection import Command, Connection, heard
from gimel.backend.results.counts import ExperimentCounts

_EXPERIMENTS = ":experiments"


@dataclass(frozen=True)
class Finding:
    """An experiment, who made it, and why it stays in the old layout (None: it moves)."""

    namespace: str
    experiment: ExperimentCounts
    maker: str
    stays: str | None


def migrate(connection: Connection, namespace: str | None, *, dry_run: bool) -> Iterator[Finding]:
    """Move what can be moved, of one namespace or of all; yield each experiment of the old layout.

    Raises redis.RedisError.
    """
    counters = Counters(connection)
    namespaces = _namespaces(connection) if namespace is None else [namespace]
    for space in namespaces:
        _, names = counters.names(space)
        for name in names:
            layout = Layout(space, name, legacy=True)
            starts = _starts(connection, layout)
            if starts is None:
                continue
            (found,) = counters.read(space, [name])
            stays = _obstacle(space, found, starts)
            if not dry_run and stays is None:
                _move(connection, space, layout, starts)
            yield Finding(space, found, _maker(starts), stays)


def _namespaces(connection: Connection) -> list[str]:
    """All namespaces; gimel 1.x and lamed kept no list of them."""
    suffix = len(_EXPERIMENTS)
    old = {key[:-suffix] for key in connection.scan(f"*{_EXPERIMENTS}", "set")}
    (listed,) = heard(connection.ask([("SMEMBERS", NAMESPACES)]))
    return sorted((old - set(map(escape, listed))) | listed)


def _starts(connection: Connection, layout: Layout) -> dict[str, bytes] | None:
    """How each counter starts, by key; None where the experiment is in today's layout."""
    ask_whether_new: Command = ("HEXISTS", layout.settings, "shards")
    commands: list[Command] = [
        ("SISMEMBER", layout.experiments, layout.name),
        ("SMEMBERS", layout.counters),
        ask_whether_new,
    ]
    is_old, keys, is_new = heard(connection.ask(commands))
    if is_new or not is_old:
        return None
    # Again: of a cluster, the server of one that is being made may have answered too early.
    again = [ask_whether_new, *map(start_of, sorted(keys))]
    is_new, *starts = heard(connection.ask(again))
    return None if is_new else dict(zip(sorted(keys), starts, strict=True))


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


def _move(
    connection: Connection, namespace: str, layout: Layout, starts: Mapping[str, bytes]
) -> None:
    counting = EXACT if "lamed" in _makers(starts) else HYPERLOGLOG
    commands: list[Command] = [
        ("SADD", NAMESPACES, namespace),
        ("HSETNX", layout.settings, "counting", counting),
        # The move itself. What comes after it is tidying.
        ("HSETNX", layout.settings, "shards", "1"),
        *(("SREM", layout.all_counters, key) for key in starts),
    ]
    connection.tell(commands)
