"""Everything that Gimel has in a Redis, section by section, while events flow.

What was counted before the reading began is in it; what is counted meanwhile may be. Exact counters
are read from the first generation of sets to the last, because reads elsewhere move members that
way and add them before they remove them. A section whose experiment is deleted or begun anew
meanwhile ends in BackupError.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import dropwhile
from typing import Any, TypeVar

from gimel.backend.counting.conversation import converse
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.hyperloglog import is_hyperloglog
from gimel.backend.counting.keys import (
    ABOVE_CAP,
    DECLARED,
    NAMESPACES,
    ExperimentName,
    Generation,
    Keys,
    declared_name,
    deleted_experiments,
    deletion_marks,
    experiments_keys,
    generations_in,
    ignored_events,
    ignored_names,
    shard_endings,
)
from gimel.backend.counting.migration import all_namespaces
from gimel.backend.counting.reading import Found, find
from gimel.backend.redis.connection import Command, Connection
from gimel.terminal.backup.checking import is_count
from gimel.terminal.backup.kinds import owner_of
from gimel.terminal.backup.section import BackupError, Record, Section, Sections
from gimel.terminal.text import plain

T = TypeVar("T")

# Keys that are read at once. A HyperLogLog takes up to 12 KB, a set usually up to 4 KB.
_AT_ONCE = 200
_READ = {"string": ("GET",), "set": ("SMEMBERS",), "hash": ("HGETALL",), "list": ("LRANGE",)}


class Reader:
    """One Redis, read. `say` gets a line for each thing that is left out.

    `namespace`: only this namespace. `experiments`: only these, of all namespaces or of that one.
    """

    def __init__(
        self,
        connection: Connection,
        namespace: str | None = None,
        experiments: Sequence[str] = (),
        say: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._connection = connection
        self._namespace = namespace
        self._wanted = set(experiments)
        # What is being read
        self.at = ""
        self._say = say

    def sections(self, *, with_counts: bool = False) -> Sections:
        """Yield each section with its records, which must be taken before the next section.

        `with_counts`: the sections get a summary. Raises BackupError if a wanted experiment does
        not exist or the wanted namespace holds nothing, and redis.RedisError.
        """
        is_empty = True
        for each in self._sections(with_counts=with_counts):
            is_empty = False
            yield each
        if is_empty and self._namespace is not None and not self._wanted:
            raise BackupError(f"this Redis has nothing of namespace {plain(self._namespace)}")

    def _sections(self, *, with_counts: bool) -> Sections:
        found = self._find_names()
        missing = self._wanted - {name for names in found.values() for name in names}
        if missing:
            where = "" if self._namespace is None else f"namespace {plain(self._namespace)} of "
            raise BackupError(f"there is no experiment {plain(min(missing))} in {where}this Redis")
        for namespace, names in sorted(found.items()):
            if not self._wanted:
                section = Section(namespace)
                self.at = section.label
                if records := list(self._of_namespace(section)):
                    yield section, iter(records)
            for name in sorted(names):
                self.at = Section(namespace, name).label
                yield from self._of_name(namespace, name, with_counts=with_counts)

    def _find_names(self) -> dict[str, set[str]]:
        """Return the names of the wanted experiments by namespace, deleted ones included.

        Namespaces with nothing but marks of deleted experiments are in no list, and neither is an
        experiment that has settings and no event: their keys are found by a scan.
        """
        # "" has the tally of namespaces that nobody uses.
        known = {"", *self._query(lambda: all_namespaces(self._connection))}
        settings = self._owners("*:settings", "hash")
        marks = self._owners("*:deleted", "set")
        known |= {namespace for namespace, name in marks if name is None}
        known |= {each for each, name in settings if name is not None and self._is_ours(each, name)}
        found: dict[str, set[str]] = {each: set() for each in known}
        for namespace in known:
            sets = [*experiments_keys(namespace), *deletion_marks(namespace)]
            found[namespace].update(*self._ask([("SMEMBERS", key) for key in sets]))
        for namespace, name in [*settings, *marks]:
            if namespace in found and name is not None:
                found[namespace].add(name)
        return {
            namespace: {name for name in names if not self._wanted or name in self._wanted}
            for namespace, names in found.items()
            if self._namespace in (None, namespace)
        }

    def _owners(self, pattern: str, kind: str) -> set[tuple[str, str | None]]:
        keys = self._query(lambda: list(self._connection.scan(pattern, kind)))
        return {owner for owner in map(owner_of, keys) if owner}

    def _is_ours(self, namespace: str, name: str) -> bool:
        """Return whether Gimel wrote these settings: each change of settings is recorded."""
        (changes,) = self._ask([("LLEN", Keys(namespace, name).changes)])
        return bool(changes)

    def _of_name(self, namespace: str, name: str, *, with_counts: bool) -> Sections:
        found = self._look_up(namespace, name)
        (is_listed,) = self._ask([("SISMEMBER", found.keys.experiments, name)])
        if is_listed or found.settings or found.counters:
            section = Section(namespace, name, found.keys.legacy)
            if with_counts:
                section = section._replace(summary=self._summary(namespace, name))
            yield section, self._of_experiment(section, found)
        (parts,) = self._ask([("SMEMBERS", found.keys.deleted_parts)])
        if parts:
            section = Section(namespace, name, is_deleted=True)
            yield section, self._values(section, [found.keys.deleted_parts], "set")

    def _look_up(self, namespace: str, name: str) -> Found:
        (found,) = self._query(lambda: converse(self._connection, [find(namespace, name)]))
        return found

    def _summary(self, namespace: str, name: str) -> dict[str, Any]:
        (counts,) = self._query(lambda: Counters(self._connection).read(namespace, [name]))
        return {
            "created_at": counts.created_at,
            "state": counts.settings.state,
            "definition": counts.settings.describe(),
            "counts": {"participate": counts.trials, **counts.goals},
        }

    def _of_namespace(self, section: Section) -> Iterator[Record]:
        marks = self._ask([("SMEMBERS", key) for key in deletion_marks(section.namespace)])
        if marked := set().union(*filter(None, marks)):
            yield Record(deleted_experiments(section.namespace), "<ns>:deleted", sorted(marked))
        yield from self._values(section, [ignored_events(section.namespace)], "hash")
        yield from self._values(section, [ignored_names(section.namespace)], "list")

    def _of_experiment(self, section: Section, found: Found) -> Iterator[Record]:
        keys = found.keys
        yield from self._values(section, [keys.settings], "hash")
        yield from self._values(section, [keys.changes], "list")
        yield from self._values(section, [keys.history], "hash")
        yield from self._values(section, [keys.verdicts], "hash")
        if not (found.counters or keys.legacy or "shards" in found.settings):
            # It had no event yet. If it begins meanwhile, its names must not go without the
            # settings it gets then: a process would take it for an experiment of gimel 1.x.
            return
        yield from self._shared(section, found)
        counters = sorted(found.counters)
        # Amounts are in HyperLogLogs also where the experiment counts exactly.
        endings = (*shard_endings(1 if keys.legacy else found.shards), ABOVE_CAP)
        strings = (counter + ending for counter in counters for ending in endings)
        yield from self._values(section, strings, "string")
        read: set[tuple[str, Generation]] = set()
        settings = found.settings
        while unread := _unread(settings, read):
            for counter, generation in unread:
                yield from self._values(section, generation.keys(counter), "set")
            read.update(unread)
            # A member may have moved to a generation that began meanwhile.
            (settings,) = self._ask([("HGETALL", keys.settings)])
            if _unread(settings, read):
                yield from self._values(section, [keys.settings], "hash")
        self._check_unchanged(section, found)

    def _shared(self, section: Section, found: Found) -> Iterator[Record]:
        """Yield what the experiment adds to the sets that it shares with others."""
        keys, declared = found.keys, declared_name(_name(section))
        members = {
            NAMESPACES: [section.namespace],
            keys.experiments: [keys.name],
            DECLARED: [declared],
            keys.counters_of_namespace: sorted(found.counters),
        }
        if found.counters:
            yield Record(keys.counters, "<ns>:<experiment>:counter_keys", sorted(found.counters))
        asked = [(key, member) for key, of_key in members.items() for member in of_key]
        replies = self._ask([("SISMEMBER", *each) for each in asked])
        held: dict[str, list[str]] = {}
        for (key, member), is_member in zip(asked, replies, strict=True):
            if is_member == 1:
                held.setdefault(key, []).append(member)
        for key, of_key in held.items():
            yield Record(key, str(section.kind_of(key, "set")), of_key)

    def _check_unchanged(self, section: Section, found: Found) -> None:
        now = self._look_up(*_name(section))
        fields = ("salt", "shards", "counting", "created_at")
        same = all(now.settings.get(each) == found.settings.get(each) for each in fields)
        if not same or not found.counters <= now.counters:
            raise BackupError(
                f"experiment {section.label} was deleted or begun anew meanwhile: "
                "run the command again"
            )

    def _values(self, section: Section, keys: Iterable[str], type: str) -> Iterator[Record]:
        """Yield a record for each of these keys that exists and has this type."""
        some: list[str] = []
        for key in keys:
            some.append(key)
            if len(some) == _AT_ONCE:
                yield from self._existing(section, some, type)
                some = []
        yield from self._existing(section, some, type)

    def _existing(self, section: Section, keys: list[str], type: str) -> Iterator[Record]:
        rest = ("0", "-1") if type == "list" else ()
        replies = self._ask([(*_READ[type], key, *rest) for key in keys])
        for key, value in zip(keys, replies, strict=True):
            if not value:
                continue
            if type == "string" and not (is_hyperloglog(value) or is_count(value)):
                self._say(f"! left out key {plain(key)}: it holds no count of Gimel's")
                continue
            if type == "set":
                value = sorted(value)
            elif type == "list":
                value = [each.decode() for each in value]
            yield Record(key, str(section.kind_of(key, type)), value)

    def _ask(self, commands: list[Command]) -> list[Any]:
        return self._query(lambda: self._connection.query(commands))

    def _query(self, work: Callable[[], list[T]]) -> list[T]:
        # Runs it again if another server has the keys now.
        return self._connection.run(work)


def _name(section: Section) -> ExperimentName:
    return section.namespace, section.experiment or ""


def _unread(
    settings: dict[str, str] | None, read: set[tuple[str, Generation]]
) -> list[tuple[str, Generation]]:
    """Return each counter's generations from the first unread one on, in which members move."""
    found: list[tuple[str, Generation]] = []
    for counter, known in sorted(generations_in(settings or {}).items()):
        of_counter = [(counter, generation) for generation in known]
        found += dropwhile(read.__contains__, of_counter)
    return found
