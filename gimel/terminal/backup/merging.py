"""Adding sections to a Redis in use. What exists there stays, and nothing is counted twice.

Redis merges HyperLogLogs, sets are added to, and numbers rise to the higher one. Settings that are
missing are written, and others stay. Adding the same again changes nothing, so a command that was
stopped can be run again. Settings come before counters: a process that meets an experiment without
settings takes it for one of gimel 1.x.

A generation of an exact counter's sets gets the time when it was written here, not that of the
original. So it settles only when this Redis cannot lose it any more: see
`gimel.backend.counting.exact`.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from redis.crc import key_slot

from gimel.backend.counting.hyperloglog import is_hyperloglog
from gimel.backend.counting.keys import Keys, deletion_marks, is_generation, keys_of
from gimel.backend.counting.salt import beginning
from gimel.backend.errors import GimelError
from gimel.backend.experiment.changes import changes_between
from gimel.backend.experiment.definition import Definition
from gimel.backend.experiment.history import BEGAN, is_hour, questions, visitors_in
from gimel.backend.redis.connection import Command, Connection
from gimel.backend.results.record import is_earlier
from gimel.terminal.backup.registers import is_covered
from gimel.terminal.backup.section import BackupError, Record, Section
from gimel.terminal.text import plain

_AT_ONCE = 200
_MEMBERS_AT_ONCE = 1000
_TEMPORARY = ":gimel-import"
Settings = Mapping[str, str]


class _Raw(str):
    """A value whose characters stand for bytes. Commands to Redis are texts otherwise."""

    __slots__ = ()

    def encode(self, encoding: str = "", errors: str = "") -> bytes:
        """Return the bytes, whatever the encoding."""
        return super().encode("latin-1")


class Merger:
    """One Redis that sections are added to.

    `restored`: experiments that were deleted there and are to exist again. `new`: how many
    HyperLogLogs, members and fields were missing there. `compared`: how many were looked at.
    """

    def __init__(self, connection: Connection, restored: Sequence[str] = ()) -> None:
        self._connection = connection
        self._restored = restored
        self._waiting: list[Record] = []
        self.new = 0
        self.compared = 0

    def settings_of(self, section: Section) -> dict[str, str]:
        """Return the settings that the experiment has here."""
        (found,) = self._ask([("HGETALL", section.keys.settings)])
        return dict(found)

    def is_deleted(self, section: Section) -> bool:
        """Return whether the experiment was deleted here, and is not to be restored."""
        if section.experiment in self._restored:
            return False
        return self._is_marked(section)

    def _is_marked(self, section: Section) -> bool:
        marks, name = deletion_marks(section.namespace), section.experiment or ""
        return any(self._ask([("SISMEMBER", each, name) for each in marks]))

    def unmark(self, section: Section) -> None:
        """Remove all marks that say that the experiment was deleted."""
        marks, name = deletion_marks(section.namespace), section.experiment or ""
        self._ask([("SREM", each, name) for each in marks])

    def is_listed(self, section: Section) -> bool:
        """Return whether the experiment exists here."""
        return bool(self._listed(section.namespace, [section.experiment or ""]))

    def _listed(self, namespace: str, names: Sequence[str]) -> set[str]:
        """Return those of the experiments that exist here."""
        asked = [
            (Keys(namespace, name, legacy=is_legacy).experiments, name)
            for name in names
            for is_legacy in (False, True)
        ]
        replies = self._ask([("SISMEMBER", *each) for each in asked])
        return {name for (_, name), is_member in zip(asked, replies, strict=True) if is_member}

    def conflict(self, section: Section, theirs: Settings) -> str | None:
        """Return why the experiment here is not the one with these settings, or None."""
        here = self.settings_of(section)
        if not ("shards" in here or self.is_listed(section)):
            return None
        what = _difference(section, here, theirs)
        return f"experiment {section.label} {what}" if what else None

    def add(self, section: Section, record: Record, base: Settings | None = None) -> None:
        """Add a record. Values of counters wait for others, see `flush`.

        `base`: the settings when they were last copied. Raises BackupError.
        """
        kind = record.kind.rpartition(":")[2]
        if record.type == "string":
            self._waiting.append(record)
            if len(self._waiting) >= _AT_ONCE:
                self.flush()
        elif record.type == "set":
            self._add_members(section, record)
        elif record.type == "hash":
            self._add_hash(section, record, base or {})
        elif kind == "changes":
            self._add_changes(record)
        else:
            self._add_list(record)

    def _add_hash(self, section: Section, record: Record, base: Settings) -> None:
        kind = record.kind.rpartition(":")[2]
        if kind == "settings":
            self._add_settings(section, record, base)
        elif kind == "history":
            self._add_history(section, record)
        elif kind == "verdicts":
            self._add_verdicts(record)
        elif kind == "ignored":
            self._raise_numbers(record)
        else:
            self._add_fields(record)

    def revive(self, section: Section) -> None:
        """Remove what late events have left of a deleted experiment that is to be restored."""
        parts = section.keys.deleted_parts
        if section.experiment in self._restored and self._is_marked(section):
            (found,) = self._ask([("SMEMBERS", parts)])
            self._ask([("UNLINK", key) for key in [*keys_of(found), parts]])

    def finish(self, section: Section) -> None:
        """End a section: write what waits, and let a restored experiment count again."""
        self.flush()
        if section.experiment in self._restored and not section.is_deleted:
            self.unmark(section)

    def flush(self) -> None:
        """Write the HyperLogLogs and numbers that wait. Raises BackupError."""
        records, self._waiting = self._waiting, []
        self.compared += len(records)
        found = self._ask([("GET", record.key) for record in records])
        lower = [each for each, here in zip(records, found, strict=True) if _is_lower(each, here)]
        self.new += len(lower)
        # Most keys of a new Redis are missing: one command writes each of them.
        missing = [each for each, here in zip(records, found, strict=True) if here is None]
        replies = self._ask([("SET", each.key, _raw(each.value), "NX") for each in missing])
        written = {each.key for each, done in zip(missing, replies, strict=True) if done}
        lower = [each for each in lower if each.key not in written]
        while lower:
            self._ask([command for each in lower for command in _merge(each)])
            # Read again: another import may have used the same temporary keys.
            found = self._ask([("GET", each.key) for each in lower])
            lower = [each for each, here in zip(lower, found, strict=True) if _is_lower(each, here)]

    def _add_members(self, section: Section, record: Record) -> None:
        members = record.value
        if record.kind == "<ns>:deleted":
            # What was deleted elsewhere and exists here stays.
            listed = self._listed(section.namespace, members)
            members = [name for name in members if name not in listed]
        self.compared += len(members)
        commands: list[Command] = [
            ("SADD", record.key, *members[start : start + _MEMBERS_AT_ONCE])
            for start in range(0, len(members), _MEMBERS_AT_ONCE)
        ]
        self.new += sum(self._ask(commands))

    def _add_settings(self, section: Section, record: Record, base: Settings) -> None:
        """Write each field that is missing, or that only the other side has changed."""
        (here,) = self._ask([("HGETALL", record.key)])
        fields = {field for field in {*record.value, *base} if not is_generation(field)}
        changes: dict[str, str | None] = {
            field: record.value.get(field)
            for field in sorted(fields, key=lambda field: field != "salt")
            if here.get(field) == base.get(field) != record.value.get(field)
        }
        now = str(int(time.time()))
        changes |= {each: now for each in record.value if is_generation(each) and each not in here}
        commands: list[Command] = []
        for field, value in changes.items():
            if value is None:
                commands.append(("HDEL", record.key, field))
            else:
                write = "HSET" if field in here else "HSETNX"
                commands.append((write, record.key, field, value))
        *_, after = self._ask([*commands, ("HGETALL", record.key)])
        self.new += len(changes)
        if what := _difference(section, after, record.value):
            raise BackupError(f"experiment {section.label} {what}")

    def _add_changes(self, record: Record) -> None:
        """Add the recorded changes that are missing, the newest first as before."""
        (here,) = self._ask([("LRANGE", record.key, "0", "-1")])
        known = {each.decode() for each in here or ()}
        missing = [each for each in record.value if each not in known]
        newer = [each for each in missing if known and each > max(known)]
        older = [each for each in missing if each not in newer]
        commands: list[Command] = [("LPUSH", record.key, each) for each in reversed(newer)]
        commands += [("RPUSH", record.key, each) for each in older]
        self._ask(commands)
        self.new += len(missing)

    def _add_history(self, section: Section, record: Record) -> None:
        """Write the missing snapshots. Of two of the same hour, keep the one with more visitors.

        They do not count as new: otherwise a move would wait for snapshots too.
        """
        here, *settings = self._ask(questions(section.keys))
        if record.value.get(BEGAN) != beginning(*settings):
            return
        commands: list[Command] = []
        if here and here.get(BEGAN) != record.value[BEGAN]:
            # An experiment of this name was deleted by an earlier version.
            commands, here = [("UNLINK", record.key)], {}
        for field, text in record.value.items():
            if field not in here:
                commands.append(("HSETNX", record.key, field, text))
            elif is_hour(field) and visitors_in(record.value, field) > visitors_in(here, field):
                commands.append(("HSET", record.key, field, text))
        self._ask(commands)

    def _add_verdicts(self, record: Record) -> None:
        """Write the fields that are missing. Of two records of one question, the earlier stays."""
        self._add_fields(record)
        (here,) = self._ask([("HGETALL", record.key)])
        earlier = [
            ("HSET", record.key, field, text)
            for field, text in record.value.items()
            if is_earlier(field, text, dict(here).get(field, text))
        ]
        self._ask(earlier)
        self.new += len(earlier)

    def _raise_numbers(self, record: Record) -> None:
        """Raise each number to the higher one: the tallies say "at least"."""
        (here,) = self._ask([("HGETALL", record.key)])
        differences = {
            field: int(number) - int(dict(here).get(field, 0))
            for field, number in record.value.items()
        }
        more = [(field, str(by)) for field, by in differences.items() if by > 0]
        self._ask([("HINCRBY", record.key, *each) for each in more])

    def _add_fields(self, record: Record) -> None:
        """Write the fields that are missing."""
        commands = [("HSETNX", record.key, *field) for field in record.value.items()]
        self.new += sum(self._ask(commands))

    def _add_list(self, record: Record) -> None:
        """Write a list that is missing."""
        if self._ask([("LLEN", record.key)]) == [0]:
            self._ask([("RPUSH", record.key, *record.value)])

    def _ask(self, commands: Sequence[Command]) -> list[Any]:
        replies: list[Any] = self._connection.run(lambda: self._connection.execute(commands))
        return replies


def _difference(section: Section, here: Settings, theirs: Settings) -> str | None:
    """Return why two experiments of one name are different experiments, or None."""
    if not section.is_legacy and "shards" not in theirs:
        # An owner's settings of an experiment that has no event.
        return None
    if here.get("salt") != theirs.get("salt"):
        return (
            "began here on its own, with another salt: its counts cannot be merged. To have the "
            "other one here: `gimel delete NAME`, wait a minute, `gimel import FILE NAME`"
        )
    for field in ("counting", "shards"):
        if here.get(field, theirs.get(field)) != theirs.get(field, here.get(field)):
            return f"has {field} {plain(here[field])} here and {plain(theirs[field])} there"
    mine, other = Definition.from_hash(here), Definition.from_hash(theirs)
    complaint = _not_allowed(mine, other) and _not_allowed(other, mine)
    return f"has another definition here: {plain(complaint)}" if complaint else None


def _not_allowed(old: Definition, new: Definition) -> str | None:
    try:
        changes_between(old, new, has_events=True)
    except GimelError as error:
        return str(error)
    return None


def _is_lower(record: Record, here: bytes | None) -> bool:
    """Return whether the counter here lacks something of the record's. Raises BackupError."""
    if here is None:
        return True
    if is_hyperloglog(record.value) != is_hyperloglog(here):
        raise BackupError(f"key {plain(record.key)} holds a counter of another kind here")
    if is_hyperloglog(here):
        try:
            return not is_covered(record.value, here)
        except ValueError:
            raise BackupError(f"key {plain(record.key)} holds a damaged HyperLogLog") from None
    return int(record.value) > int(here)


def _merge(record: Record) -> Iterator[Command]:
    if not is_hyperloglog(record.value):
        yield "SET", record.key, _raw(record.value)
        return
    temporary = _beside(record.key)
    yield "SET", temporary, _raw(record.value)
    yield "PFMERGE", record.key, temporary
    yield "UNLINK", temporary


def _raw(value: bytes) -> str:
    return _Raw(value.decode("latin-1"))


def _beside(key: str) -> str:
    """Return the name of a temporary key in the same slot: PFMERGE wants both on one server.

    https://valkey.io/topics/cluster-spec/ : if a key holds {…}, only that part decides.
    """
    opening, closing = key.find("{"), key.find("}", key.find("{") + 1)
    if 0 <= opening < closing - 1:
        return key + _TEMPORARY
    if "}" not in key:
        return f"{{{key}}}{_TEMPORARY}"
    wanted, number = key_slot(key.encode()), 0
    while key_slot(f"{number}{_TEMPORARY}".encode()) != wanted:
        number += 1
    return f"{number}{_TEMPORARY}"
