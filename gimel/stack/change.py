"""A step of a deploy: a line for people and the calls to AWS that make it.

What a call needs to know and only an earlier one will tell (an id, a version) stands in its
arguments as `Later`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MASK = "***"
# The variables of a function that may be shown; whatever else is added holds a secret until it is
# named here.
OPEN_VARIABLES = frozenset(
    {
        "GIMEL_COUNTING",
        "GIMEL_LIMITS",
        "GIMEL_QUEUE",
        "GIMEL_REDIS_CLUSTER",
        "GIMEL_SHARDS",
        "RES_OPTIONS",
    }
)


class Later(str):
    """A text with {names} that are known when it is sent: see `Call.saves`."""


def later(name: str) -> Later:
    """What an earlier call will have saved under the name."""
    return Later("{" + name + "}")


@dataclass(frozen=True)
class Call:
    """A call to AWS: a client's method, what to keep of its answer, what to wait for.

    `before`: what is known of the arguments as they are. `if_exists`: what it removes may not be
    there.
    """

    service: str
    operation: str
    arguments: Mapping[str, Any] = field(repr=False)
    saves: Mapping[str, str] = field(default_factory=dict)
    waiter: str | None = None
    if_exists: bool = False
    before: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """Each field that is sent: what it is now (None: not there, or not known) and will be.

        Fields that stay as they are are left out, secrets masked.
        """
        before, after = dict(_flat(self.before)), dict(_flat(self.arguments))
        return {
            name: (_shown(name, before.get(name)), _shown(name, after.get(name)))
            for name in before | after
            if name not in before or name not in after or before[name] != after[name]
        }


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flat(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, inner


def _shown(name: str, value: Any) -> Any:
    """The value, unless it is a secret: the read key, or a variable of a function."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    head, _, variable = name.rpartition(".")
    secret = name == "Value" or (head == "Environment.Variables" and variable not in OPEN_VARIABLES)
    return MASK if secret and value is not None else value


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

    def describe(self) -> dict[str, Any]:
        """The change for machines, field by field."""
        return {
            "change": self.verb,
            "what": self.what,
            "why": self.why,
            "calls": [
                {
                    "call": f"{call.service}:{call.operation}",
                    "fields": {
                        name: {"before": before, "after": after}
                        for name, (before, after) in call.fields().items()
                    },
                }
                for call in self.calls
            ],
        }
