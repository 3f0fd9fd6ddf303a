"""Moving experiments of gimel 1.x and lamed to today's layout, where that loses nothing.

Where no name has a character that keys escape, the keys of both layouts are the same. Then a move
is one field in the experiment's settings: the counts stay where they are, whoever counts meanwhile
goes on, and stopping half-way or moving twice does no harm. Otherwise the experiment stays as it
is: it is read and goes on counting all the same.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gimel.connection import Connection, answers
from gimel.counters import Counters
from gimel.counting import EXACT, HYPERLOGLOG
from gimel.experiments import Experiment
from gimel.layout import NAMESPACES, Layout, ask_for_start, escape, is_hyperloglog

_EXPERIMENTS = ":experiments"


@dataclass(frozen=True)
class Finding:
    """An experiment, who made it, and why it stays in the old layout (None: it moves)."""

    namespace: str
    experiment: Experiment
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
    pipeline = connection.pipeline()
    pipeline.smembers(NAMESPACES)
    (listed,) = answers(pipeline)
    return sorted((old - set(map(escape, listed))) | listed)


def _starts(connection: Connection, layout: Layout) -> dict[str, bytes] | None:
    """How each counter starts, by key; None where the experiment is in today's layout."""
    pipeline = connection.pipeline()
    pipeline.sismember(layout.experiments, layout.name)
    pipeline.smembers(layout.counters)
    pipeline.hexists(layout.settings, "shards")
    is_old, keys, is_new = answers(pipeline)
    if is_new or not is_old:
        return None
    # Again: of a cluster, the server of one that is being made may have answered too early.
    pipeline.hexists(layout.settings, "shards")
    for key in sorted(keys):
        ask_for_start(pipeline, key)
    is_new, *starts = answers(pipeline)
    return None if is_new else dict(zip(sorted(keys), starts, strict=True))


def _makers(starts: Mapping[str, bytes]) -> set[str]:
    return {"gimel 1.x" if is_hyperloglog(each) else "lamed" for each in starts.values() if each}


def _maker(starts: Mapping[str, bytes]) -> str:
    return " and ".join(sorted(_makers(starts))) or "gimel 1.x or lamed"


def _obstacle(namespace: str, found: Experiment, starts: Mapping[str, bytes]) -> str | None:
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
    pipeline = connection.pipeline()
    pipeline.sadd(NAMESPACES, namespace)
    pipeline.hsetnx(layout.settings, "counting", counting)
    # The move itself. What comes after it is tidying.
    pipeline.hsetnx(layout.settings, "shards", "1")
    for key in starts:
        pipeline.srem(layout.all_counters, key)
    pipeline.execute()
