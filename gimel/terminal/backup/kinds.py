"""The kinds of keys that Gimel has in Redis: a table beside `gimel.backend.counting.keys`.

A backup has to know each kind. tests/terminal/backup/test_reading.py compares the table with the
docstring of that module, and with what experiments of every sort leave in Redis.
"""

from urllib.parse import unquote

from gimel.backend.counting.keys import (
    ABOVE_CAP,
    DECLARED,
    MOVING,
    NAMESPACES,
    NEWS,
    SNAPSHOTS,
    WRITER,
    Generation,
    Keys,
    deleted_experiments,
    ignored_events,
    ignored_names,
)

_COUNTER = "<ns>:counters:<experiment>:<goal>:<variant>"
_SETS = "<ns>:{counters:<experiment>:<goal>:<variant>#<i mod 16>}<n>:<i>"
_ABOVE_CAP = f"{_COUNTER}{ABOVE_CAP}"
# Sets of data model 2
SCATTERED_SETS = f"{_COUNTER}#<n>:<i>"
# Each kind, as the docstring of `keys` spells it, and its type in Redis
KINDS = {
    NAMESPACES: "set",
    DECLARED: "set",
    MOVING: "hash",
    # What one Redis is doing at the moment: no backup holds it.
    SNAPSHOTS: "hash",
    WRITER: "string",
    NEWS: "hash",
    "<ns>:ignored": "hash",
    "<ns>:ignored_names": "list",
    "<ns>:experiments": "set",
    "<ns>:deleted": "set",
    # read and written as `<ns>:deleted`
    "<ns>:{<ns>:experiments}:deleted": "set",
    "<ns>:<experiment>:deleted": "set",
    "<ns>:<experiment>:settings": "hash",
    "<ns>:<experiment>:changes": "list",
    "<ns>:<experiment>:history": "hash",
    "<ns>:<experiment>:verdicts": "hash",
    "<ns>:<experiment>:counter_keys": "set",
    _COUNTER: "string",
    f"{_COUNTER}#<i>": "string",
    _ABOVE_CAP: "string",
    _SETS: "set",
    "<ns>:counter_keys": "set",
    SCATTERED_SETS: "set",
}


def kind_of(key: str, type: str, namespace: str, experiment: Keys | None) -> str | None:
    """Return the kind of a key of a namespace or of one of its experiments, given its type.

    None: there is no such key.
    """
    kinds = _of_experiment(experiment, key, type) if experiment else _of_namespace(namespace)
    kind = kinds.get(key)
    return kind if kind and KINDS[kind] == type else None


def _of_namespace(namespace: str) -> dict[str, str]:
    return {
        ignored_events(namespace): "<ns>:ignored",
        ignored_names(namespace): "<ns>:ignored_names",
        deleted_experiments(namespace): "<ns>:deleted",
    }


def _of_experiment(keys: Keys, key: str, type: str) -> dict[str, str]:
    found = {
        keys.settings: "<ns>:<experiment>:settings",
        keys.changes: "<ns>:<experiment>:changes",
        keys.history: "<ns>:<experiment>:history",
        keys.verdicts: "<ns>:<experiment>:verdicts",
        keys.deleted_parts: "<ns>:<experiment>:deleted",
        keys.counters: "<ns>:<experiment>:counter_keys",
        keys.counters_of_namespace: "<ns>:counter_keys",
        keys.experiments: "<ns>:experiments",
        NAMESPACES: NAMESPACES,
        DECLARED: DECLARED,
    }
    # What the keys of all counters begin with: without goal and variant, a colon is left.
    prefixes = [each("", "").removesuffix(":") for each in (keys.counter, keys.sets)]
    if key not in found and key.startswith(tuple(prefixes)):
        shard = f"{_COUNTER}#<i>" if "#" in key else _COUNTER
        shard = _ABOVE_CAP if key.endswith(ABOVE_CAP) else shard
        found[key] = SCATTERED_SETS if type == "set" else shard
    prefix_of_sets = Generation(1).prefix(keys.sets("", "")).removesuffix(":#")
    if key.startswith(prefix_of_sets):
        found[key] = _SETS
    return found


def owner_of(key: str) -> tuple[str, str | None] | None:
    """Return the namespace and the experiment, if any, that a key of settings or marks names."""
    names = [unquote(part) for part in key.split(":")[:-1]]
    if not 1 <= len(names) <= 2:
        return None
    return names[0], names[1] if len(names) == 2 else None
