"""Every key that Gimel has in Redis or Valkey. No other module spells one.

`<ns>`, `<experiment>`, `<goal>` and `<variant>` are escaped: `:` `#` `%` become %3A %23 %25.

    gimel:namespaces                                   set: the namespaces in use, unescaped
    gimel:declared                                     set: `<ns>:<experiment>` of each declared one
    gimel:moving                                       hash: while `gimel move` runs, the settings
                                                       of each experiment as it was copied here
    gimel:snapshots                                    hash: where the next snapshots begin
    gimel:snapshots:writer                             string: the one writer of snapshots; expires
    gimel:news                                         hash: messages to send, and the ids of those
                                                       that were sent: `gimel.backend.news.outbox`
    <ns>:ignored                                       hash: numbers of ignored events by reason
    <ns>:ignored_names                                 list: the last names in ignored events
    <ns>:experiments                                   set: names of experiments, unescaped
    <ns>:deleted                                       set: names of deleted experiments, unescaped;
                                                       their late events do not count
    <ns>:{<ns>:experiments}:deleted                    set: the same, marked while Redis was full
    <ns>:<experiment>:deleted                          set: the parts of a deleted experiment's
                                                       counters, until its name is forgotten; or of
                                                       goals and variants that were deleted alone
    <ns>:<experiment>:settings                         hash: counting, shards, created_at, salt, …
                                                       `grown <n> <counter>`: it has n sets since
                                                       this time (Unix seconds; 0: from the start)
    <ns>:<experiment>:changes                          list: changes of the definition, newest first
    <ns>:<experiment>:history                          hash: the counts by hour, see
                                                       `gimel.backend.experiment.history`
    <ns>:<experiment>:verdicts                         hash: the counts of the final look, when it
                                                       began to wait for events, and the first
                                                       verdict on each goal; written once
    <ns>:<experiment>:counter_keys                     set: the key of every counter's shard 0
    <ns>:counters:<experiment>:<goal>:<variant>        HyperLogLog: shard 0. For an exact counter: a
                                                       number carried over from lamed, if anything
    <ns>:counters:<experiment>:<goal>:<variant>#<i>    HyperLogLog: shard i, from 1
    <ns>:counters:<experiment>:<goal>:<variant>#above  HyperLogLog: the amounts above the cap, of a
                                                       goal of the kind value
    <ns>:{counters:<experiment>:<goal>:<variant>#<i mod 16>}<n>:<i>
                                                       set of integers: set i of n, exact counting;
                                                       { and } in names become %7B and %7D here
    <ns>:counter_keys                                  set: written by gimel 1.x, only cleaned here

If the settings name no number of shards, gimel 1.x or lamed made the experiment: its names stand
unescaped in its keys. A counter of gimel 1.x is one HyperLogLog. A counter of lamed is a number: it
stays where it is, and what is added to it is counted exactly.

What is added to a counter is a hash with the experiment's salt, see `salt`. If the settings hold no
salt, an earlier version began the experiment: its HyperLogLogs hold uuids as they are.

A cluster finds the slot of a key by the text between { and }. So a member of an exact counter can
move between generations within its slot, in one command (`exact`). Data model 2 had sets of other
keys, `<ns>:counters:<experiment>:<goal>:<variant>#<n>:<i>`, and the settings `sets <n> <counter>`.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import accumulate
from typing import NamedTuple

# Rises when an earlier version would count into these keys in another way. 2: the salt. 3: the sets
# of an exact counter share slots. 4: amounts.
DATA_MODEL = 4

PARTICIPATE = "participate"
NAMESPACES = "gimel:namespaces"
DECLARED = "gimel:declared"
MOVING = "gimel:moving"
SNAPSHOTS = "gimel:snapshots"
WRITER = "gimel:snapshots:writer"
NEWS = "gimel:news"
_EXPERIMENTS = ":experiments"
# matches the sets of experiments of all namespaces
EXPERIMENTS_PATTERN = f"*{_EXPERIMENTS}"

# An experiment's namespace and name
ExperimentName = tuple[str, str]
# A counter within its experiment: goal and variant
Cell = tuple[str, str]
# Slots of a cluster over which the sets of an exact counter are spread
_SLOTS = 16


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


def marked_while_full(experiments_key: str) -> str:
    """Return the key of the deleted experiments that were marked while Redis was full.

    Its slot in a cluster is that of the set of experiments, so that SMOVE can take a name from
    there. SMOVE works without memory, unlike SADD. If the namespace holds a }, the slots may
    differ.
    """
    if "}" in experiments_key:
        # Two colons: `<ns>:experiments:deleted` are the parts of an experiment "experiments".
        return f"{experiments_key}::deleted"
    return f"{namespace_of(experiments_key)}:{{{experiments_key}}}:deleted"


def deletion_marks(namespace: str) -> list[str]:
    """Return the keys of all sets of a namespace's deleted experiments."""
    return [deleted_experiments(namespace), *map(marked_while_full, experiments_keys(namespace))]


def declared_name(experiment: ExperimentName) -> str:
    """Return an experiment as the set of declared experiments names it."""
    return ":".join(map(escape, experiment))


def declared_experiment(text: str) -> ExperimentName:
    """Return the experiment that `declared_name` wrote."""
    namespace, _, name = text.partition(":")
    return _unescape(namespace), _unescape(name)


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
        self.history = "{}:{}:history".format(*escaped)
        self.verdicts = "{}:{}:verdicts".format(*escaped)
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

# The ending of the key that counts the amounts above a goal's cap
ABOVE_CAP = "#above"


@cache
def shard_endings(shards: int) -> tuple[str, ...]:
    """Return the endings of the keys of a counter's HyperLogLogs."""
    return ("", *[f"#{shard}" for shard in range(1, shards)])


class Generation(NamedTuple):
    """One generation of an exact counter's sets.

    `since`: when it was written into the settings, in Unix seconds; 0 with its counter.
    `is_scattered`: an earlier version wrote it, and each of its sets has a slot of its own.
    """

    sets: int
    since: int = 0
    is_scattered: bool = False

    def prefix(self, counter: str) -> str:
        """Return what the keys of the generation's sets begin with."""
        if self.is_scattered:
            return counter
        # A brace in a name must not begin or end the text that chooses the slot.
        space, _, rest = counter.replace("{", "%7B").replace("}", "%7D").partition(":")
        return f"{space}:{{{rest}#"

    @property
    def endings(self) -> tuple[str, ...]:
        """The endings of the keys of the generation's sets."""
        return _endings(self.sets, self.is_scattered)

    def key(self, prefix: str, member: int) -> str:
        """Return the key of the set that a member belongs to."""
        index = member % self.sets
        if self.is_scattered:
            return f"{prefix}#{self.sets}:{index}"
        return f"{prefix}{index % _SLOTS}}}{self.sets}:{index}"

    def keys(self, counter: str) -> list[str]:
        """Return the keys of the generation's sets."""
        prefix = self.prefix(counter)
        return [prefix + ending for ending in self.endings]

    def field(self, counter: str) -> str:
        """Return the field of the settings which says that a counter has this generation."""
        return f"{'sets' if self.is_scattered else 'grown'} {self.sets} {counter}"


@cache
def _endings(sets: int, is_scattered: bool) -> tuple[str, ...]:
    generation = Generation(sets, is_scattered=is_scattered)
    return tuple([generation.key("", index) for index in range(sets)])


# For each counter that is counted exactly: its generations, the newest last
Generations = dict[str, list[Generation]]
_GENERATION = ("sets ", "grown ")


def generations_in(settings: Mapping[str, str]) -> Generations:
    """Return each exact counter's generations, read from its experiment's settings."""
    found: Generations = {}
    for field, since in settings.items():
        if is_generation(field):
            kind, sets, counter = field.split(" ", 2)
            generation = Generation(int(sets), int(since or 0), kind == "sets")
            found.setdefault(counter, []).append(generation)
    # Members move out of the sets of an earlier version, and never into them.
    for generations in found.values():
        generations.sort(key=lambda each: (not each.is_scattered, each.sets))
    return found


def is_generation(field: str) -> bool:
    """Return whether a field of the settings says that a counter has a generation of sets."""
    return field.startswith(_GENERATION)


def parts(counters: Iterable[str], shards: int, settings: Mapping[str, str]) -> list[str]:
    """Return what an experiment's counters are made of, as text that `keys_of` understands."""
    sharded = [f"shards {shards} {counter}" for counter in sorted(counters)]
    return sharded + [field for field in settings if is_generation(field)]


def keys_of(parts: Iterable[str]) -> Iterator[str]:
    """Yield every key that holds, or may hold, a part of a count."""
    for part in parts:
        kind, number, counter = part.split(" ", 2)
        if kind == "shards":
            yield from (counter + ending for ending in shard_endings(int(number)))
            yield counter + ABOVE_CAP
        else:
            yield from Generation(int(number), is_scattered=kind == "sets").keys(counter)
