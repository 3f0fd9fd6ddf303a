"""Where an experiment's keys are, in today's layout and in that of gimel 1.x and lamed."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from gimel.backend.redis.connection import Command

PARTICIPATE = "participate"
NAMESPACES = "gimel:namespaces"


def escape(name: str) -> str:
    """The name as it stands in a key."""
    return name.replace("%", "%25").replace(":", "%3A").replace("#", "%23")


def _unescape(part: str) -> str:
    return part.replace("%23", "#").replace("%3A", ":").replace("%25", "%")


def as_it_is(name: str) -> str:
    """The name as gimel 1.x put it into a key; escaped where it would spell another's escapes."""
    return name if _unescape(name) == name else escape(name)


def start_of(key: str) -> Command:
    """The command that tells what is at an old counter's key: the start of its value."""
    # 20 digits are the longest integer there is.
    return "GETRANGE", key, "0", "19"


def is_hyperloglog(start: bytes) -> bool:
    """Whether a value that starts so is a HyperLogLog, as gimel 1.x counts; lamed's is a number."""
    return start.startswith(b"HYLL")


def deleted(namespace: str) -> str:
    """The set of a namespace's deleted experiments."""
    return f"{escape(namespace)}:deleted"


class Layout:
    """Where one experiment's keys are. `legacy` is the layout of gimel 1.x: names as they are."""

    def __init__(self, namespace: str, experiment: str, *, legacy: bool = False) -> None:
        self._part = str if legacy else escape
        self.legacy = legacy
        self.name = experiment
        of_name = as_it_is if legacy else escape
        space, name = of_name(namespace), of_name(experiment)
        self.experiments = f"{space}:experiments"
        self.all_counters = f"{space}:counter_keys"
        self.counters = f"{space}:{name}:counter_keys"
        self._prefix = f"{space}:counters:{name}:"
        escaped = escape(namespace), escape(experiment)
        self.settings = "{}:{}:settings".format(*escaped)
        self._sets_prefix = "{}:counters:{}:".format(*escaped)

    def counter(self, goal: str, variant: str) -> str:
        """The key of a counter: its shard 0, what `counter_keys` lists."""
        return f"{self._prefix}{self._part(goal)}:{self._part(variant)}"

    def sets(self, goal: str, variant: str) -> str:
        """How the keys of a counter's sets begin: escaped in either layout, so they are its own."""
        return f"{self._sets_prefix}{escape(goal)}:{escape(variant)}"

    def parse(self, keys: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Each counter's key with its goal and variant."""
        tails = self._tails(keys)
        variants = _participants(tails)
        for key, tail in tails.items():
            if self.legacy:
                yield key, *_legacy_names(tail, variants)
            else:
                goal, _, variant = tail.partition(":")
                yield key, _unescape(goal), _unescape(variant)

    def ambiguous(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Those `goal:variant` of gimel 1.x that may be meant in more than one way."""
        tails = self._tails(keys) if self.legacy else {}
        variants = _participants(tails)
        return tuple(tail for tail in tails.values() if _is_ambiguous(tail, variants))

    def _tails(self, keys: Iterable[str]) -> Mapping[str, str]:
        return {key: key.removeprefix(self._prefix) for key in sorted(keys)}


def _participants(tails: Mapping[str, str]) -> list[str]:
    """The variants that somebody took part in."""
    opening = f"{PARTICIPATE}:"
    return [tail[len(opening) :] for tail in tails.values() if tail.startswith(opening)]


def _legacy_names(tail: str, variants: list[str]) -> tuple[str, str]:
    """Goal and variant of a gimel 1.x key, where a name may itself hold the colon between them.

    Participations tell the variants: everything behind `participate:`. A goal's key ends in one of
    those; the longest wins.
    """
    if tail.startswith(f"{PARTICIPATE}:"):
        return PARTICIPATE, tail[len(PARTICIPATE) + 1 :]
    for variant in sorted(variants, key=len, reverse=True):
        if tail.endswith(f":{variant}"):
            return tail[: -len(variant) - 1], variant
    goal, _, variant = tail.rpartition(":")
    return goal, variant


def _is_ambiguous(tail: str, variants: list[str]) -> bool:
    """Whether another cut of the tail into goal and variant is as likely as the one taken.

    A key with one colon has one cut. Of several, only those count that end in a variant known from
    its participations, as long as there is one.
    """
    if tail.count(":") < 2:
        return False
    cuts = list(accumulate(tail.split(":"), "{}:{}".format))[:-1]
    known = [cut for cut in cuts if tail[len(cut) + 1 :] in variants]
    return len(known) != 1
