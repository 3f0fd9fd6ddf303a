"""Moving everything from one Redis to another, while events flow.

Counters only grow, so copying twice loses nothing: once while the old Redis is in use, and once
more when nothing uses it any longer. Settings can change and experiments can be deleted meanwhile.
So the new Redis keeps the settings of each experiment as they were copied, in `gimel:moving`. They
tell which side has changed a setting since.
"""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any

from gimel.backend.counting.counters import Counters
from gimel.backend.counting.keys import MOVING, ExperimentName, declared_name, deleted_experiments
from gimel.backend.redis.connection import Connection
from gimel.terminal.backup.merging import Merger, Settings
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.section import BackupError, Section
from gimel.terminal.text import plain

Say = Callable[[str], None]
# Seconds without anything new after which the old Redis counts as unused. A function runs for 29 s
# at most, and a late one may still write there.
QUIET_SECONDS = 30.0
_PAUSE = 2.0
# Seconds after which the old Redis is said to be still in use
_PATIENCE = 600.0


class Move:
    """A move from one Redis to another. Its methods raise BackupError and redis.RedisError."""

    def __init__(self, source: Connection, target: Connection, say: Say) -> None:
        self._source = source
        self._target = target
        self._say = say
        # Said once each: copies are repeated.
        self._said: set[str] = set()
        # What is not copied, and why
        self.problems: dict[str, str] = {}
        self.compared = 0

    def begin(self) -> None:
        """Mark the target. Raises BackupError if it is the source."""
        token = secrets.token_hex(8)
        self._ask(self._target, ("HSET", MOVING, "", token))
        if self._ask(self._source, ("HGET", MOVING, "")) == token.encode():
            self._ask(self._target, ("HDEL", MOVING, ""))
            raise BackupError(
                "both addresses lead to one Redis: give the old one with --redis-url, the new one "
                "with --to"
            )

    def copy(self, *, is_switched: bool = False) -> int:
        """Copy everything once. Return how many HyperLogLogs, members and fields were new.

        `is_switched`: the backend uses the target already. Then what was deleted or changed there
        stays so.
        """
        merger, copied = Merger(self._target), self._copied()
        self.problems = {}
        seen: set[str] = set()
        for section, records in Reader(self._source, say=self._say_once).sections():
            base = None
            if section.experiment is not None and not section.is_deleted:
                name = declared_name(_name(section))
                seen.add(name)
                base = copied.get(name)
                if not self._may_copy(merger, section, base, is_switched):
                    continue
            try:
                for record in records:
                    # Marks of deleted experiments may have been removed at the target since.
                    if record.kind != "<ns>:deleted" or not is_switched:
                        merger.add(section, record, base)
            except BackupError as error:
                self.problems[section.label] = str(error)
            merger.finish(section)
        self._delete({name: copied[name] for name in copied.keys() - seen})
        self.compared = merger.compared
        return merger.new

    def finish(self, quiet: float = QUIET_SECONDS) -> None:
        """Copy what arrives late, until nothing new has arrived for `quiet` seconds.

        The last copy compares every register and member, and finds each of them at the target.
        """
        if not self._ask(self._target, ("EXISTS", MOVING)):
            raise BackupError("no move to this Redis has begun: run it without --finish first")
        began = last = time.monotonic()
        while True:
            is_quiet = time.monotonic() - last >= quiet
            if new := self.copy(is_switched=True):
                last = time.monotonic()
                self._say(f"copied what arrived late: {new:,} changes")
            elif is_quiet:
                break
            if last - began > _PATIENCE:
                raise BackupError(
                    "events still arrive at the old Redis: let everything use the new one, then "
                    "run the command again"
                )
            time.sleep(min(_PAUSE, quiet / 10))
        self._ask(self._target, ("UNLINK", MOVING))

    def _may_copy(
        self, merger: Merger, section: Section, base: Settings | None, is_switched: bool
    ) -> bool:
        """Return whether to copy an experiment, after recording that it is copied."""
        (theirs,) = self._source.run(
            lambda: self._source.query([("HGETALL", section.keys.settings)])
        )
        is_gone = not merger.is_listed(section) and not merger.settings_of(section)
        if merger.is_deleted(section) or (is_switched and base is not None and is_gone):
            return False
        if problem := merger.conflict(section, theirs):
            here = merger.settings_of(section)
            if is_switched or base is None or here.get("salt") != base.get("salt"):
                self.problems[section.label] = problem
                return False
            # It was begun anew at the source: what was copied of it before is obsolete.
            Counters(self._target).delete(*_name(section), forget=True)
            base = None
        if not is_switched or base is None:
            kept = json.dumps([*_name(section), dict(theirs)])
            self._ask(self._target, ("HSET", MOVING, declared_name(_name(section)), kept))
        return True

    def _copied(self) -> dict[str, dict[str, str]]:
        """Return the settings of each experiment when it was copied last."""
        found = self._ask(self._target, ("HGETALL", MOVING))
        return {name: json.loads(text)[2] for name, text in found.items() if name}

    def _delete(self, gone: dict[str, dict[str, str]]) -> None:
        """Delete at the target the copies of experiments that the source has no longer."""
        found = self._ask(self._target, ("HGETALL", MOVING))
        for name, settings in gone.items():
            namespace, experiment, _ = json.loads(found[name])
            section = Section(namespace, experiment)
            here = Merger(self._target).settings_of(section)
            marks = deleted_experiments(namespace)
            is_marked = self._ask(self._source, ("SISMEMBER", marks, experiment)) == 1
            if here and here.get("salt") == settings.get("salt"):
                Counters(self._target).delete(namespace, experiment, forget=not is_marked)
                self._say(f"deleted the copy of {section.label}: it was deleted meanwhile")
            self._ask(self._target, ("HDEL", MOVING, name))

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(plain(line))

    @staticmethod
    def _ask(connection: Connection, command: tuple[str, ...]) -> Any:
        return connection.run(lambda: connection.execute([command]))[0]


def _name(section: Section) -> ExperimentName:
    return section.namespace, section.experiment or ""
