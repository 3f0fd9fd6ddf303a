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
from gimel.backend.counting.keys import MOVING, ExperimentName
from gimel.backend.redis.connection import Connection
from gimel.terminal.backup.merging import Merger, Settings
from gimel.terminal.backup.reading import Reader
from gimel.terminal.backup.section import BackupError, Section

Say = Callable[[str], None]
# Seconds without anything new after which the old Redis counts as unused. A function runs for 29 s
# at most, and a late one may still write there.
QUIET_SECONDS = 30.0
_PAUSE = 2.0
# Seconds of late events after which the move gives up: the old Redis is still in use
_PATIENCE = 600.0


class Move:
    """A move from one Redis to another. Its methods raise BackupError and redis.RedisError."""

    def __init__(self, source: Connection, target: Connection, say: Say) -> None:
        self._source = source
        self._target = target
        self._say = say
        # Each is said once, although copies are repeated.
        self._said: set[str] = set()
        # What is not copied, and why
        self.problems: dict[str, str] = {}
        self.compared = 0
        # What is being copied
        self.at = ""

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
        for section, records in Reader(self._source, say=self._say_once).sections():
            base: Settings | None = None
            self.at = section.label
            try:
                if section.experiment is not None and not section.is_deleted:
                    base = copied.pop(_name(section), None)
                    if not self._may_copy(merger, section, base, is_switched=is_switched):
                        continue
                for record in records:
                    # Marks of deleted experiments may have been removed at the target since.
                    if record.kind != "<ns>:deleted" or not is_switched:
                        merger.add(section, record, base)
                merger.flush()
            except BackupError as error:
                self.problems[section.label] = str(error)
        for name, settings in copied.items():
            self._delete_copy(merger, Section(*name), settings)
        self.compared = merger.compared
        return merger.new

    def finish(self, quiet: float = QUIET_SECONDS) -> None:
        """Copy what arrives late, until nothing new has arrived for `quiet` seconds.

        The last copy compares every register and member, and finds each of them at the target. If
        there are problems, the move stays begun: the same command can finish it later.
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
        if not self.problems:
            self._ask(self._target, ("UNLINK", MOVING))

    def _may_copy(
        self, merger: Merger, section: Section, base: Settings | None, *, is_switched: bool
    ) -> bool:
        """Return whether to copy an experiment, after recording that it is copied.

        Raises BackupError if the one at the target is another one.
        """
        theirs = Merger(self._source).settings_of(section)
        if base and _beginning(base) not in ((None, None), _beginning(theirs)):
            raise BackupError(
                f"experiment {section.label} was begun anew during the move, and the new Redis has "
                "a copy of what it was before: move again, into an empty Redis"
            )
        if merger.is_deleted(section):
            if is_switched or Merger(self._source).is_deleted(section):
                return False
            merger.unmark(section)
        was_copied = is_switched and base is not None
        if was_copied and not (merger.is_listed(section) or merger.settings_of(section)):
            return False
        if problem := merger.conflict(section, theirs):
            raise BackupError(problem)
        if not was_copied:
            name = json.dumps(_name(section))
            self._ask(self._target, ("HSET", MOVING, name, json.dumps(theirs)))
        return True

    def _copied(self) -> dict[ExperimentName, dict[str, str]]:
        """Return the settings of each experiment when it was copied last."""
        found = self._ask(self._target, ("HGETALL", MOVING))
        names = {tuple(json.loads(name)): text for name, text in found.items() if name}
        return {(space, name): json.loads(text) for (space, name), text in names.items()}

    def _delete_copy(self, merger: Merger, section: Section, settings: Settings) -> None:
        """Delete at the target the copy of an experiment that was deleted at the source.

        If it is missing there and is not marked as deleted, the source may have lost it: the copy
        stays.
        """
        if not Merger(self._source).is_deleted(section):
            self._say_once(
                f"! {section.label} is no longer in the old Redis. Its copy stays: delete it after "
                "the switch if you do not want it"
            )
            return
        if _beginning(merger.settings_of(section)) == _beginning(settings):
            Counters(self._target).delete(*_name(section))
            self._say_once(f"Deleted the copy of {section.label}, which was deleted meanwhile.")

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)

    @staticmethod
    def _ask(connection: Connection, command: tuple[str, ...]) -> Any:
        return connection.run(lambda: connection.execute([command]))[0]


def _name(section: Section) -> ExperimentName:
    return section.namespace, section.experiment or ""


def _beginning(settings: Settings) -> tuple[str | None, str | None]:
    """Return what an experiment gets at its beginning; a name that is used again gets another."""
    return settings.get("salt"), settings.get("created_at")
