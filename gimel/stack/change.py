"""The change, a step of a plan: one line that describes it and the calls to AWS that make it.

A call may need a value that only an earlier call returns, such as an id or a version. The earlier
call saves the value under a name (`Call.saves`), and the later call's arguments hold a `Template`
with that name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

MASK = "***"
# The environment variables of a function that may be printed. Every other variable counts as a
# secret.
OPEN_VARIABLES = frozenset(
    {
        "GIMEL_ACCEPT",
        "GIMEL_BOTS",
        "GIMEL_COUNTING",
        "GIMEL_EVENT_ROUTES",
        "GIMEL_LIMITS",
        "GIMEL_NOTIFY_FORM",
        "GIMEL_QUEUE",
        "GIMEL_REDIS_CLUSTER",
        "GIMEL_REDIS_IAM",
        "GIMEL_REDIS_SECRET",
        "GIMEL_SHARDS",
        "RES_OPTIONS",
    }
)


class Template(str):
    """A text with {names}. `apply` replaces each name with the value saved under it."""


def saved_value(name: str) -> Template:
    """Return a template for the value that an earlier call saves under the name."""
    return Template("{" + name + "}")


def fill(value: Any, saved: Mapping[str, str]) -> Any:
    """Return the value with each template in it replaced, at any depth."""
    if isinstance(value, Template):
        return value.format_map(saved)
    if isinstance(value, Mapping):
        return {name: fill(inner, saved) for name, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, saved) for inner in value]
    return value


@dataclass(frozen=True)
class Call:
    """A call to AWS: a client's method and its arguments.

    `saves` maps a name to the part of the answer that is saved under that name. `waiter` is the
    boto3 waiter to use after the call. A call with `until` is repeated until that is true of its
    answer; if `failure` is true instead, AWS has failed, and the call `reason` saves "reason". The
    values of `saves`, `until` and `failure` are jmespath expressions. `if_exists` means that the
    resource to delete may be missing. `before` holds the present values of the arguments, as far as
    they are known.
    """

    service: str
    operation: str
    arguments: Mapping[str, Any] = field(repr=False)
    saves: Mapping[str, str] = field(default_factory=dict)
    waiter: str | None = None
    until: str | None = None
    failure: str | None = None
    reason: "Call | None" = None
    if_exists: bool = False
    before: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def fields(self) -> dict[str, tuple[Any, Any]]:
        """Return the present and the new value of each field that the call changes.

        The present value is None if the field is missing or unknown. Secrets are masked.
        """
        before, after = dict(_flatten(self.before)), dict(_flatten(self.arguments))
        return {
            name: (_mask(name, before.get(name)), _mask(name, after.get(name)))
            for name in before | after
            if name not in before or name not in after or before[name] != after[name]
        }


def _flatten(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            yield from _flatten(inner, f"{prefix}{name}.")
        else:
            yield prefix + name, inner


def _mask(name: str, value: Any) -> Any:
    """Return the value, or the mask if it is a key or a secret environment variable."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    head, _, variable = name.rpartition(".")
    is_variable = head == "Environment.Variables"
    is_secret = name == "Value" or (is_variable and variable not in OPEN_VARIABLES)
    return MASK if is_secret and value is not None else value


@dataclass(frozen=True)
class Change:
    """A step of a plan: `verb` and `what` name it, `why` gives the reason. It prints no secret.

    Neighbouring changes in different lanes do not depend on each other and run in parallel.
    """

    verb: str
    what: str
    why: str
    calls: tuple[Call, ...]
    lane: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.what}: {self.why}"

    def describe(self) -> dict[str, Any]:
        """Return the change as JSON, field by field."""
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
