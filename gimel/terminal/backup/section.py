"""The parts of a backup: sections, each with one record for each key in Redis."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from gimel.backend.counting.keys import Keys
from gimel.backend.errors import GimelError
from gimel.terminal.backup.kinds import KINDS, kind_of
from gimel.terminal.text import plain


class BackupError(GimelError):
    """A backup cannot be written, read or merged. The message says why and what to do."""


class Section(NamedTuple):
    """A namespace, or one experiment in it.

    `is_legacy`: the experiment's names stand unescaped in its keys. `is_deleted`: it was deleted,
    and only the record of its keys is left. `summary`: what a person reads in the file.
    """

    namespace: str
    experiment: str | None = None
    is_legacy: bool = False
    is_deleted: bool = False
    summary: dict[str, Any] | None = None

    @property
    def keys(self) -> Keys:
        """The keys of the experiment."""
        return _keys(self.namespace, self.experiment or "", self.is_legacy)

    @property
    def label(self) -> str:
        """The names, harmless in a terminal."""
        return plain("/".join(name for name in self[:2] if name is not None))

    def kind_of(self, key: str, type: str) -> str | None:
        """Return the kind of a key of this section, as KINDS names it. None: it has no such key."""
        keys = None if self.experiment is None else self.keys
        return kind_of(key, type, self.namespace, keys)


@lru_cache(1)
def _keys(namespace: str, experiment: str, is_legacy: bool) -> Keys:
    # A section may have a million records, each of which asks.
    return Keys(namespace, experiment, legacy=is_legacy)


class Record(NamedTuple):
    """One key and its value: the bytes of a string, a set or list of texts, or a dict of texts.

    Of a key that many sections share, such as a namespace's set of experiments, the value holds
    only what belongs to this section.
    """

    key: str
    kind: str
    value: Any

    @property
    def type(self) -> str:
        """The type of the value in Redis."""
        return KINDS[self.kind]


Sections = Iterator[tuple[Section, Iterator[Record]]]
