"""A step of a deploy: a line for people and the calls to AWS that make it.

What a call needs to know and only an earlier one will tell (an id, a version) stands in its
arguments as `Later`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Later(str):
    """A text with {names} that are known when it is sent: see `Call.saves`."""


def later(name: str) -> Later:
    """What an earlier call will have saved under the name."""
    return Later("{" + name + "}")


@dataclass(frozen=True)
class Call:
    """A call to AWS: a client's method, what to keep of its answer, what to wait for.

    `if_exists`: what it removes may not be there.
    """

    service: str
    operation: str
    arguments: Mapping[str, Any] = field(repr=False)
    saves: Mapping[str, str] = field(default_factory=dict)
    waiter: str | None = None
    if_exists: bool = False


@dataclass(frozen=True)
class Change:
    """A step of a deploy. Nothing that is printed of it holds a secret.

    Neighbours in lanes of different names do not depend on each other.
    """

    verb: str
    what: str
    why: str
    calls: tuple[Call, ...]
    lane: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.what}: {self.why}"
