"""Flags: the declared experiments with `"flag": true`, kept in memory and evaluated there.

Once a minute, a process reads the names of all declared experiments, and the definitions of each
namespace that is asked for. Nothing else asks Redis, so unknown flags and namespaces cost it
nothing, and only namespaces with a declared experiment take up memory. While Redis is away, the
last known flags are served.
"""

import time
from collections.abc import Callable, Mapping
from math import inf
from threading import Lock
from typing import Any, Literal, NamedTuple

from redis.exceptions import ConnectionError, RedisError

from gimel.backend.counting.keys import DECLARED, Keys, declared_experiment
from gimel.backend.experiment.assignment import assigned_variant, takes_part
from gimel.backend.experiment.definition import Definition
from gimel.backend.redis.connection import Connection

# OpenFeature's words: https://openfeature.dev/specification/types/#resolution-reason
Reason = Literal["SPLIT", "DEFAULT", "DISABLED", "STATIC"]

_KEPT_SECONDS = 60.0
# Seconds that a read may take, and seconds after a failure without another read
_READ_SECONDS, _REST_SECONDS = 0.5, 2.0
_FIELDS = ("flag", "variants", "baseline", "traffic", "state", "decision")


class Flag(NamedTuple):
    """The part of a definition that an evaluation needs. `values` and `weights` are by variant.

    `winner`: the variant that everybody gets since the experiment was decided.
    """

    experiment: str
    values: Mapping[str, Any]
    weights: Mapping[str, float]
    baseline: str
    traffic: float
    is_running: bool
    winner: str | None = None

    def assign(self, visitor: str) -> tuple[str, Reason]:
        """Return the visitor's variant, and why. The reason is SPLIT if the visitor takes part."""
        if self.winner is not None:
            return self.winner, "STATIC"
        if not self.is_running:
            return self.baseline, "DISABLED"
        if not takes_part(self.experiment, visitor, self.traffic):
            return self.baseline, "DEFAULT"
        return assigned_variant(self.experiment, visitor, self.weights), "SPLIT"


class Flags:
    """The flags of one Redis. Several threads may use it."""

    def __init__(self, connection: Connection, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection = connection
        self._clock = clock
        self._reading = Lock()
        self._rests_until = -inf
        # Until when the value is fresh, and the value: the flags of each namespace that was asked
        # for and, for None, the names of the declared experiments of each namespace
        self._kept: dict[str | None, tuple[float, Mapping[str, Any]]] = {}

    def of(self, namespace: str) -> Mapping[str, Flag]:
        """Return the flags of a namespace by name. Read them if they are older than a minute.

        Raises redis.RedisError if they are unknown and Redis does not reply within half a second.
        """
        names = self._fresh(None, self._read_names)
        if namespace not in names:
            return {}
        return self._fresh(namespace, lambda: self._read_flags(namespace, names[namespace]))

    def forget(self) -> None:
        """Read the flags anew when they are asked for, e.g. after a change of a definition."""
        with self._reading:
            self._kept = {of: (-inf, value) for of, (_, value) in self._kept.items()}

    def _fresh(self, of: str | None, read: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        """Return the kept value, or what `read` returns if that value is not fresh.

        One thread reads at a time. Others wait only if there is no value that they could return.
        """
        until, known = self._kept.get(of, (-inf, None))
        if until > self._clock():
            return known or {}
        if not self._reading.acquire(blocking=known is None):
            return known or {}
        try:
            return self._read(of, read)
        finally:
            self._reading.release()

    def _read(self, of: str | None, read: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any]:
        now = self._clock()
        until, known = self._kept.get(of, (-inf, None))
        if until > now and known is not None:
            # Another thread has read it meanwhile.
            return known
        failure: RedisError = ConnectionError("Redis did not reply a moment ago")
        if now >= self._rests_until:
            try:
                found = self._connection.run(read, _READ_SECONDS)
            except RedisError as error:
                failure = error
                self._rests_until = self._clock() + _REST_SECONDS
            else:
                self._kept[of] = (now + _KEPT_SECONDS, found)
                return found
        if known is None:
            raise failure
        return known

    def _read_names(self) -> Mapping[str, list[str]]:
        """Return the names of the declared experiments of each namespace."""
        (declared,) = self._connection.query([("SMEMBERS", DECLARED)])
        names: dict[str, list[str]] = {}
        for each in sorted(declared):
            namespace, name = declared_experiment(each)
            names.setdefault(namespace, []).append(name)
        for unused in self._kept.keys() - names.keys() - {None}:
            del self._kept[unused]
        return names

    def _read_flags(self, namespace: str, names: list[str]) -> Mapping[str, Flag]:
        asked = [("HMGET", Keys(namespace, name).settings, *_FIELDS) for name in names]
        found = zip(names, self._connection.query(asked), strict=True)
        flags = {name: _flag_of(name, values) for name, values in found}
        return {name: flag for name, flag in flags.items() if flag}


def _flag_of(name: str, values: list[bytes | None]) -> Flag | None:
    """Return the flag that an experiment's settings hold. None if they hold none.

    Settings that a later version wrote may lack, for this version, what an evaluation needs.
    """
    fields = zip(_FIELDS, values, strict=False)
    known = {field: value.decode(errors="replace") for field, value in fields if value is not None}
    definition = Definition.from_hash(known)
    weights = definition.weights or dict.fromkeys(definition.variant_names, 1.0)
    baseline = definition.baseline_name or ""
    winner = definition.decision and definition.decision.winner
    if not definition.flag or baseline not in weights or not any(weights.values()):
        return None
    return Flag(
        name,
        {variant.name: variant.value for variant in definition.variants},
        weights,
        baseline,
        definition.traffic,
        definition.state == "running",
        winner if winner in weights else None,
    )
