"""Every key that Gimel has in Redis or Valkey. No other module spells one.

`<ns>`, `<experiment>`, `<goal>` and `<variant>` are escaped: `:` `#` `%` become %3A %23 %25.

    gimel:namespaces                                   set: the namespaces in use, unescaped
    gimel:declared                                     set: `<ns>:<experiment>` of each declared one
    gimel:moving                                       hash: while `gimel move` runs, the settings
                                                       of each experiment as it was copied here
    <ns>:ignored                                       hash: numbers of ignored events by reason
    <ns>:ignored_names                                 list: the last names in ignored events
    <ns>:experiments                                   set: names of experiments, unescaped
    <ns>:deleted                                       set: names of deleted experiments, unescaped;
                                                       their late events do not count
    <ns>:<experiment>:deleted                          set: the parts of a deleted experiment's
                                                       counters, until its name is forgotten
    <ns>:<experiment>:settings                         hash: counting, shards, created_at, salt, …
                                                       `sets <n> <counter>`: it has n sets
    <ns>:<experiment>:changes                          list: changes of the definition, newest first
    <ns>:<experiment>:counter_keys                     set: the key of every counter's shard 0
    <ns>:counters:<experiment>:<goal>:<variant>        HyperLogLog: shard 0. For an exact counter: a
                                                       number carried over from lamed, if anything
    <ns>:counters:<experiment>:<goal>:<variant>#<i>    HyperLogLog: shard i, from 1
    <ns>:counters:<experiment>:<goal>:<variant>#<n>:<i>
                                                       set of integers: set i of n, exact counting
    <ns>:counter_keys                                  set: written by gimel 1.x, only cleaned here

If the settings name no number of shards, gimel 1.x or lamed made the experiment: its names stand
unescaped in its keys. A counter of gimel 1.x is one HyperLogLog. A counter of lamed is a number: it
stays where it is, and what is added to it is counted exactly.

What is added to a counter is a hash with the experiment's salt, see `salt`. If the settings hold no
salt, an earlier version began the experiment: its HyperLogLogs hold uuids as they are.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import accumulate

# Rises when an earlier version would count into these keys in another way. 2: the salt.
DATA_MODEL = 2

PARTICIPATE = "participate"
NAMESPACES = "gimel:namespaces"
DECLARED = "gimel:declared"
MOVING = "gimel:moving"
_EXPERIMENTS = ":experiments"
# matches the sets of experiments of all namespaces
EXPERIMENTS_PATTERN = f"*{_EXPERIMENTS}"

# An experiment's namespace and name
ExperimentName = tuple[str, str]
# A counter within its experiment: goal and variant
Cell = tuple[str, str]
# For each counter that is counted exactly: the sizes of its generations, the newest last
Generations = dict[str, list[int]]


def escape(name: str) -> str:
    """Return the name as it stands in a key."""
    return name.replace("%", "%25").replace(":", "%3A").replace("#", "%23")


def _unescape(part: str) -> str:
    return part.replace("%23", "#").replace("%3A", ":").replace("%25", "%")


def legacy_name(name: str) -> str:
    """Return the name as gimel 1.x put it into a key.

    That is the name itself, unless it would spell the escaped form of another name.
    """
    return name if _unescape(name) == name else escape(name)


def namespace_of(experiments_key: str) -> str:
    """Return the namespace, as it stands in the key of its set of experiments."""
    return experiments_key.removesuffix(_EXPERIMENTS)


def experiments_keys(namespace: str) -> list[str]:
    """Return the keys of a namespace's sets of experiments, of both layouts."""
    return sorted({space + _EXPERIMENTS for space in (escape(namespace), legacy_name(namespace))})


def deleted_experiments(namespace: str) -> str:
    """Return the key of the set of a namespace's deleted experiments."""
    return f"{escape(namespace)}:deleted"


def declared_name(experiment: ExperimentName) -> str:
    """Return an experiment as the set of declared experiments names it."""
    return ":".join(map(escape, experiment))


def ignored_events(namespace: str) -> str:
    """Return the key of a namespace's tally of ignored events."""
    return f"{escape(namespace) or 'gimel'}:ignored"


def ignored_names(namespace: str) -> str:
    """Return the key of the last names in a namespace's ignored events."""
    return f"{escape(namespace) or 'gimel'}:ignored_names"


class Keys:
    """The keys of one experiment. `legacy`: in the layout of gimel 1.x, names unescaped."""

    def __init__(self, namespace: str, experiment: str, *, legacy: bool = False) -> None:
        self._part = str if legacy else escape
        self.legacy = legacy
        self.name = experiment
        whole = legacy_name if legacy else escape
        space, name = whole(namespace), whole(experiment)
        self.experiments = space + _EXPERIMENTS
        self.counters_of_namespace = f"{space}:counter_keys"
        self.counters = f"{space}:{name}:counter_keys"
        self._prefix = f"{space}:counters:{name}:"
        escaped = escape(namespace), escape(experiment)
        self.settings = "{}:{}:settings".format(*escaped)
        self.deleted_parts = "{}:{}:deleted".format(*escaped)
        self.changes = "{}:{}:changes".format(*escaped)
        self._sets_prefix = "{}:counters:{}:".format(*escaped)

    def counter(self, goal: str, variant: str) -> str:
        """Return the key of a counter's shard 0, which `counters` lists."""
        return f"{self._prefix}{self._part(goal)}:{self._part(variant)}"

    def sets(self, goal: str, variant: str) -> str:
        """Return the prefix of the keys of a counter's sets, escaped in both layouts."""
        return f"{self._sets_prefix}{escape(goal)}:{escape(variant)}"

    def parse(self, keys: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Yield each counter's key with its goal and variant."""
        tails = self._tails(keys)
        variants = _participants(tails)
        for key, tail in tails.items():
            if self.legacy:
                yield key, *_legacy_cell(tail, variants)
            else:
                goal, _, variant = tail.partition(":")
                yield key, _unescape(goal), _unescape(variant)

    def ambiguous(self, keys: Iterable[str]) -> tuple[str, ...]:
        """Return each `goal:variant` of gimel 1.x that can be read in more than one way."""
        tails = self._tails(keys) if self.legacy else {}
        variants = _participants(tails)
        return tuple(tail for tail in tails.values() if _is_ambiguous(tail, variants))

    def _tails(self, keys: Iterable[str]) -> Mapping[str, str]:
        return {key: key.removeprefix(self._prefix) for key in sorted(keys)}


def _participants(tails: Mapping[str, str]) -> list[str]:
    """Return the variants that have participations."""
    opening = f"{PARTICIPATE}:"
    return [tail[len(opening) :] for tail in tails.values() if tail.startswith(opening)]


def _legacy_cell(tail: str, variants: list[str]) -> Cell:
    """Return goal and variant of a gimel 1.x key, where a name may itself hold a colon.

    The keys of participations name the variants: the text after `participate:`. A goal's key ends
    in one of these names. If several fit, take the longest.
    """
    if tail.startswith(f"{PARTICIPATE}:"):
        return PARTICIPATE, tail[len(PARTICIPATE) + 1 :]
    for variant in sorted(variants, key=len, reverse=True):
        if tail.endswith(f":{variant}"):
            return tail[: -len(variant) - 1], variant
    goal, _, variant = tail.rpartition(":")
    return goal, variant


def _is_ambiguous(tail: str, variants: list[str]) -> bool:
    """Return whether another split of the tail into goal and variant is as likely.

    A tail with one colon has one split. Among several splits, only those with a known variant
    count. If no variant is known, all splits count.
    """
    if tail.count(":") < 2:
        return False
    goals = list(accumulate(tail.split(":"), "{}:{}".format))[:-1]
    known = [goal for goal in goals if tail[len(goal) + 1 :] in variants]
    return len(known) != 1


# The keys that a counter is made of: its own key or prefix, and an ending.


@cache
def shard_endings(shards: int) -> tuple[str, ...]:
    """Return the endings of the keys of a counter's HyperLogLogs."""
    return ("", *[f"#{shard}" for shard in range(1, shards)])


@cache
def set_endings(sets: int) -> tuple[str, ...]:
    """Return the endings of the keys of one generation of a counter's sets."""
    return tuple([f"#{sets}:{index}" for index in range(sets)])


def set_key(counter: str, sets: int, index: int) -> str:
    """Return the key of one set of the generation with `sets` sets."""
    return f"{counter}#{sets}:{index}"


def set_keys(counter: str, generations: Iterable[int]) -> Iterator[str]:
    """Yield the keys of all sets of these generations."""
    for sets in generations:
        yield from (counter + ending for ending in set_endings(sets))


def generation_field(counter: str, sets: int) -> str:
    """Return the field of the settings which says that a counter has a generation of `sets`."""
    return f"sets {sets} {counter}"


def generations_in(settings: Mapping[str, str]) -> Generations:
    """Return each exact counter's generations, read from its experiment's settings."""
    found: Generations = {}
    for field in settings:
        if field.startswith("sets "):
            _, sets, counter = field.split(" ", 2)
            found.setdefault(counter, []).append(int(sets))
    return {counter: sorted(generations) for counter, generations in found.items()}


def parts(counters: Iterable[str], shards: int, settings: Mapping[str, str]) -> list[str]:
    """Return what an experiment's counters are made of, as text that `keys_of` understands."""
    sharded = [f"shards {shards} {counter}" for counter in sorted(counters)]
    return sharded + [field for field in settings if field.startswith("sets ")]


def keys_of(parts: Iterable[str]) -> Iterator[str]:
    """Yield every key that holds, or may hold, a part of a count."""
    for part in parts:
        kind, number, counter = part.split(" ", 2)
        if kind == "sets":
            yield from set_keys(counter, [int(number)])
        else:
            yield from (counter + ending for ending in shard_endings(int(number)))
