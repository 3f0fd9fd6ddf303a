"""The counters: Gimel's data model in Redis or Valkey. No other module names a key.

Every key, `<ns>`, `<experiment>`, `<goal>` and `<variant>` escaped (`:` `#` `%` as %3A %23 %25):

    gimel:namespaces                                   set: the namespaces in use, as they are
    <ns>:experiments                                   set: names of experiments, as they are
    <ns>:<experiment>:settings                         hash: shards, created_at, baseline, state, …
    <ns>:<experiment>:counter_keys                     set: the key of every counter's shard 0
    <ns>:counters:<experiment>:<goal>:<variant>        HyperLogLog: shard 0
    <ns>:counters:<experiment>:<goal>:<variant>#<i>    HyperLogLog: shard i, from 1
    <ns>:counter_keys                                  set: written by gimel 1.x, only cleaned here

A counter is the sum of its shards, each a HyperLogLog; a hash of the uuid picks the shard, so a
repeated event meets the shard it met before and counts once. An experiment whose settings say no
number of shards was made by gimel 1.x: one shard, its names in the keys as they are.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from math import inf
from typing import Any
from zlib import crc32

from gimel.connection import Connection, answers
from gimel.experiments import Experiment
from gimel.http import Event
from gimel.limits import DEFAULT_LIMITS, Limits, Pair
from gimel.settings import Settings

DEFAULT_SHARDS = 64
PARTICIPATE = "participate"
_REMEMBERED_SECONDS = 60.0
_REMEMBERED_COUNTERS = 10_000
# namespace, experiment, goal, variant: what Event starts with
_Counter = tuple[str, str, str, str]
# when to look again, key of shard 0, shards (0: the experiment is stopped)
_Trusted = tuple[float, str, int]
_NEVER: _Trusted = (-inf, "", 1)
_NAMESPACES = "gimel:namespaces"


def _escape(name: str) -> str:
    return name.replace("%", "%25").replace(":", "%3A").replace("#", "%23")


def _unescape(part: str) -> str:
    return part.replace("%23", "#").replace("%3A", ":").replace("%25", "%")


def _as_it_is(name: str) -> str:
    """The name as gimel 1.x put it into a key; escaped where it would spell another's escapes."""
    return name if _unescape(name) == name else _escape(name)


def shard_of(uuid: str, shards: int) -> int:
    """The shard that an event with this uuid goes to, the same in every process for ever."""
    return crc32(uuid.encode()) % shards


def _shard_key(counter: str, shard: int) -> str:
    return f"{counter}#{shard}" if shard else counter


def _is_running(settings: Mapping[str, str]) -> bool:
    return settings.get("state", "running") == "running"


class _Layout:
    """Where one experiment's keys are. `legacy` is the layout of gimel 1.x: names as they are."""

    def __init__(self, namespace: str, experiment: str, *, legacy: bool = False) -> None:
        self._part = str if legacy else _escape
        self.legacy = legacy
        self.name = experiment
        of_name = _as_it_is if legacy else _escape
        space, name = of_name(namespace), of_name(experiment)
        self.experiments = f"{space}:experiments"
        self.all_counters = f"{space}:counter_keys"
        self.settings = f"{_escape(namespace)}:{_escape(experiment)}:settings"
        self.counters = f"{space}:{name}:counter_keys"
        self._prefix = f"{space}:counters:{name}:"

    def counter(self, goal: str, variant: str) -> str:
        return f"{self._prefix}{self._part(goal)}:{self._part(variant)}"

    def parse(self, keys: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Each counter's key with its goal and variant."""
        tails = {key: key.removeprefix(self._prefix) for key in sorted(keys)}
        opening = f"{PARTICIPATE}:"
        variants = [tail[len(opening) :] for tail in tails.values() if tail.startswith(opening)]
        for key, tail in tails.items():
            if self.legacy:
                yield key, *_legacy_names(tail, variants)
            else:
                goal, _, variant = tail.partition(":")
                yield key, _unescape(goal), _unescape(variant)


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


class _Registration:
    """What Redis holds of one experiment when some of its counters ask to be registered."""

    def __init__(self, namespace: str, experiment: str) -> None:
        self.names = (namespace, experiment)
        self._layouts = [_Layout(*self.names, legacy=legacy) for legacy in (False, True)]

    def ask(self, pipeline: Any) -> None:
        """Queue the commands whose replies `hear` takes."""
        namespace, experiment = self.names
        pipeline.hgetall(self._layouts[0].settings)
        pipeline.sismember(_NAMESPACES, namespace)
        pipeline.scard(_NAMESPACES)
        for layout in self._layouts:
            pipeline.sismember(layout.experiments, experiment)
            pipeline.scard(layout.experiments)
            pipeline.smembers(layout.counters)

    def hear(self, replies: Iterator[Any]) -> None:
        self.settings: dict[str, str] = next(replies)
        self.in_namespaces: int = next(replies)
        self.namespaces: int = next(replies)
        new, old = [list(islice(replies, 3)) for _ in self._layouts]
        legacy = bool(old[0] and "shards" not in self.settings)
        self.layout = self._layouts[legacy]
        self.in_experiments, self.experiments, self.counters = old if legacy else new
        self.opens_namespace = not self.in_namespaces and not self.experiments

    def refusals(
        self, limits: Limits, pairs: list[Pair], begun: "list[_Registration]"
    ) -> dict[Pair, str]:
        """Which (goal, variant) pairs may not be made. `begun`: what the same call makes anew."""
        siblings = sum(other.names[0] == self.names[0] for other in begun)
        opened = {other.names[0] for other in begun if other.opens_namespace}
        reason = None
        if self.opens_namespace and not siblings:
            reason = limits.refuse_namespace(self.names[0], self.namespaces + len(opened))
        if not self.in_experiments and reason is None:
            reason = limits.refuse_experiment(self.experiments + siblings)
        if reason:
            return dict.fromkeys(pairs, reason)
        known = [(goal, variant) for _, goal, variant in self.layout.parse(self.counters)]
        return limits.refuse_counters(known, pairs)

    def write(self, pipeline: Any, pairs: list[Pair], shards: int) -> bool:
        """Queue what is missing of these counters. Returns whether anything is.

        Settings come first: an experiment without them would be taken for one of gimel 1.x.
        """
        namespace, experiment = self.names
        missing = {self.layout.counter(*pair) for pair in pairs} - self.counters
        if not _is_running(self.settings):
            return False
        if not missing and self.in_experiments and self.in_namespaces:
            return False
        if not self.layout.legacy:
            # Another process may be first, with another number of shards: what it wrote holds.
            pipeline.hsetnx(self.layout.settings, "shards", str(shards))
            now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
            pipeline.hsetnx(self.layout.settings, "created_at", now)
        pipeline.sadd(_NAMESPACES, namespace)
        pipeline.sadd(self.layout.experiments, experiment)
        if missing:
            pipeline.sadd(self.layout.counters, *sorted(missing))
        pipeline.hgetall(self.layout.settings)
        return True


class Counters:
    """The counters of one Redis. Safe to share between threads.

    Every method raises redis.RedisError when Redis does not answer or refuses.
    """

    def __init__(
        self,
        connection: Connection,
        shards: int = DEFAULT_SHARDS,
        limits: Limits = DEFAULT_LIMITS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._shards = shards
        self._limits = limits
        self._clock = clock
        self._remembered: dict[_Counter, _Trusted] = {}

    def add(self, events: Sequence[Event]) -> dict[int, str]:
        """Count the events: one round trip when their counters are remembered.

        Those of a stopped experiment are taken and not counted, at the latest
        `_REMEMBERED_SECONDS` after it was stopped.
        Returns the events refused by a limit, as {place in `events`: reason}.
        """
        now = self._clock()
        trusted = {event[:4]: self._remembered.get(event[:4], _NEVER) for event in events}
        unknown = [counter for counter, (until, _, _) in trusted.items() if until <= now]
        refusals = self._register(unknown, now, trusted) if unknown else {}
        additions: list[tuple[str, str]] = []
        refused: dict[int, str] = {}
        for place, event in enumerate(events):
            counter = event[:4]
            if counter in refusals:
                refused[place] = refusals[counter]
                continue
            _, key, shards = trusted[counter]
            if shards:
                additions.append((_shard_key(key, shard_of(event.uuid, shards)), event.uuid))
        self._connection.pfadd(additions)
        return refused

    # Registering: the slow path, once a minute for each counter of a process.

    def _register(
        self, wanted: list[_Counter], now: float, trusted: dict[_Counter, _Trusted]
    ) -> dict[_Counter, str]:
        """Make the counters exist, in two round trips however many there are.

        Those made are remembered and put into `trusted`; those that a limit refuses are returned,
        each with the reason.
        """
        if len(self._remembered) + len(wanted) > _REMEMBERED_COUNTERS:
            self._remembered.clear()
        pairs: dict[Pair, list[Pair]] = {}
        for namespace, experiment, goal, variant in wanted:
            pairs.setdefault((namespace, experiment), []).append((goal, variant))
        registrations = self._look_up(list(pairs))
        refused: dict[_Counter, str] = {}
        begun: list[_Registration] = []
        for found in registrations:
            reasons = found.refusals(self._limits, pairs[found.names], begun)
            refused |= {(*found.names, *pair): reason for pair, reason in reasons.items()}
            pairs[found.names] = [pair for pair in pairs[found.names] if pair not in reasons]
            if pairs[found.names] and not found.in_experiments:
                begun.append(found)
        self._create(registrations, pairs)
        for found in registrations:
            shards = int(found.settings.get("shards", 1)) if _is_running(found.settings) else 0
            for pair in pairs[found.names]:
                until, key = now + _REMEMBERED_SECONDS, found.layout.counter(*pair)
                trusted[(*found.names, *pair)] = (until, key, shards)
        self._remembered |= {each: trusted[each] for each in wanted if each not in refused}
        return refused

    def _look_up(self, experiments: list[Pair]) -> list[_Registration]:
        registrations = [_Registration(*names) for names in experiments]
        pipeline = self._connection.pipeline()
        for found in registrations:
            found.ask(pipeline)
        replies = iter(answers(pipeline))
        for found in registrations:
            found.hear(replies)
        return registrations

    def _create(self, registrations: list[_Registration], pairs: dict[Pair, list[Pair]]) -> None:
        """Write what is missing, and read the settings that hold once it is written."""
        pipeline = self._connection.pipeline()
        written = [
            found
            for found in registrations
            if pairs[found.names] and found.write(pipeline, pairs[found.names], self._shards)
        ]
        # Each one's commands end with its HGETALL, the only reply that is a dict.
        settings = [reply for reply in pipeline.execute() if isinstance(reply, dict)]
        for found, current in zip(written, settings, strict=True):
            found.settings = current

    def read(self, namespace: str, names: Sequence[str] | None = None) -> list[Experiment]:
        """The named experiments, or all of them by name, in at most 3 round trips."""
        if names is None:
            _, names = self.names(namespace)
        layouts = self._layouts(namespace, names)
        pipeline = self._connection.pipeline()
        for layout, settings, keys in layouts:
            shards = int(settings.get("shards", 1))
            for key, _, _ in layout.parse(keys):
                for shard in range(shards):
                    pipeline.pfcount(_shard_key(key, shard))
        counts = iter(pipeline.execute())
        return [
            _experiment(name, layout, settings, keys, counts)
            for name, (layout, settings, keys) in zip(names, layouts, strict=True)
        ]

    def names(self, namespace: str) -> tuple[list[str], list[str]]:
        """All namespaces, and the names of one's experiments, in one round trip."""
        pipeline = self._connection.pipeline()
        pipeline.smembers(_NAMESPACES)
        for space in {_escape(namespace), _as_it_is(namespace)}:
            pipeline.smembers(f"{space}:experiments")
        namespaces, *experiments = answers(pipeline)
        return sorted(namespaces), sorted(set().union(*experiments))

    def _layouts(
        self, namespace: str, names: Sequence[str]
    ) -> list[tuple[_Layout, dict[str, str], set[str]]]:
        """Each experiment's layout, settings and counter keys, in one round trip."""
        pairs = [
            (_Layout(namespace, name), _Layout(namespace, name, legacy=True)) for name in names
        ]
        pipeline = self._connection.pipeline()
        for new, old in pairs:
            pipeline.hgetall(new.settings)
            pipeline.smembers(new.counters)
            pipeline.sismember(old.experiments, old.name)
            pipeline.smembers(old.counters)
        replies = answers(pipeline)
        found = zip(pairs, *(replies[start::4] for start in range(4)), strict=True)
        return [
            (old if legacy else new, settings, old_keys if legacy else new_keys)
            for (new, old), settings, new_keys, is_old, old_keys in found
            for legacy in [is_old and "shards" not in settings]
        ]

    def configure(self, namespace: str, name: str, changes: Mapping[str, str | None]) -> None:
        """Change fields of an experiment's settings; None removes one."""
        key = _Layout(namespace, name).settings
        pipeline = self._connection.pipeline()
        for field, value in changes.items():
            if value is None:
                pipeline.hdel(key, field)
            else:
                pipeline.hset(key, field, value)
        pipeline.execute()

    def delete(self, namespace: str, name: str) -> bool:
        """Forget an experiment. Returns whether there was one.

        The experiment's name and settings go last, so that a broken delete can be done again.
        """
        ((layout, settings, keys),) = self._layouts(namespace, [name])
        pipeline = self._connection.pipeline()
        for key in sorted(keys):
            for shard in range(int(settings.get("shards", 1))):
                pipeline.unlink(_shard_key(key, shard))
            pipeline.srem(layout.all_counters, key)
        pipeline.unlink(layout.counters)
        pipeline.unlink(layout.settings)
        pipeline.srem(layout.experiments, name)
        for legacy in (False, True):
            pipeline.scard(_Layout(namespace, name, legacy=legacy).experiments)
        *_, removed, new_left, old_left = answers(pipeline)
        if not new_left and not old_left:
            pipeline.srem(_NAMESPACES, namespace)
            pipeline.execute()
        for counter in list(self._remembered):
            if counter[:2] == (namespace, name):
                self._remembered.pop(counter, None)
        return bool(removed or keys or settings)


def _experiment(
    name: str, layout: _Layout, settings: dict[str, str], keys: set[str], counts: Iterator[Any]
) -> Experiment:
    """Put an experiment together from its settings and from the counts of its shards, in order."""
    shards = int(settings.get("shards", 1))
    by_goal: dict[str, dict[str, int]] = {}
    for _, goal, variant in layout.parse(keys):
        by_goal.setdefault(goal, {})[variant] = sum(next(counts) for _ in range(shards))
    labels = sorted({variant for variants in by_goal.values() for variant in variants})
    filled = {
        goal: {label: variants.get(label, 0) for label in labels}
        for goal, variants in by_goal.items()
    }
    return Experiment(
        name=name,
        shards=shards,
        created_at=settings.get("created_at"),
        settings=Settings.of(settings),
        trials=filled.pop(PARTICIPATE, dict.fromkeys(labels, 0)),
        goals=filled,
    )
