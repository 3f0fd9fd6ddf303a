"""A memory for things whose names strangers choose. It is bounded in bytes.

A name may have 256 characters of 4 bytes, so a bound on the number of names is no bound on memory.
"""

from collections.abc import Mapping
from sys import getsizeof
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")

# Bytes of an entry in a dict
_ENTRY = 100


class Memory(dict[K, V]):
    """A dict that holds at most `most` bytes. Before it would hold more, it forgets everything.

    Several threads may use it; then the bound is approximate.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._bytes = 0

    def remember(self, key: K, value: V) -> None:
        """Set the value of a key."""
        if key not in self:
            size = _ENTRY + bytes_of(key) + bytes_of(value)
            if self._bytes + size > self._most:
                self.clear()
            self._bytes += size
        self[key] = value

    def clear(self) -> None:
        """Forget everything."""
        super().clear()
        self._bytes = 0


def bytes_of(thing: object) -> int:
    """Return the bytes of a value, with those of all that it holds."""
    size = getsizeof(thing)
    if isinstance(thing, Mapping):
        size += sum(map(bytes_of, thing.values()))
    if isinstance(thing, tuple | frozenset | Mapping):
        size += sum(map(bytes_of, thing))
    return size
