"""Checks of what a file holds. A checksum proves nothing about a file that was crafted.

A later delete unlinks every key that an experiment's sets and settings name, so those must be its
own. A value must have exactly the type that Gimel writes.
"""

import base64
import re
from typing import Any

from gimel.backend.counting.keys import DECLARED, NAMESPACES, Keys, declared_name, is_generation
from gimel.backend.experiment.history import is_valid
from gimel.backend.results.record_validity import is_valid as is_valid_record
from gimel.terminal.backup.kinds import KINDS
from gimel.terminal.backup.registers import registers_of
from gimel.terminal.backup.section import Record, Section

SETTINGS = "<ns>:<experiment>:settings"
HISTORY = "<ns>:<experiment>:history"
# Redis counts in signed integers of 64 bits.
_HIGHEST = 2**63 - 1
_MOST_SHARDS = 4096
# Sets of one generation. Each takes hundreds of members before the next generation begins.
_MOST_SETS = 2**20
_INTEGER = re.compile("0|-?[1-9][0-9]{0,18}")
_SALT = re.compile("[0-9a-fA-F]{32}")


def is_count(value: bytes) -> bool:
    """Return whether a string of Redis is a number that a counter can have."""
    return value.isdigit() and len(value) <= len(str(_HIGHEST)) and int(value) <= _HIGHEST


def decoded(value: Any, kind: str) -> Any:
    """Return a value of a file as Redis has it. Raises ValueError."""
    type_here = KINDS[kind]
    if type_here == "string" and isinstance(value, str):
        found = base64.b64decode(value, validate=True)
        registers_of(found)
        return found
    if type_here == "string" and type(value) is int and 0 <= value <= _HIGHEST:
        return str(value).encode()
    wanted = {"hash": dict, "set": list, "list": list}.get(type_here)
    if wanted is None or not isinstance(value, wanted) or not value:
        raise ValueError("not a value of this type")
    texts = list(value.values()) if isinstance(value, dict) else value
    if not all(isinstance(each, str) for each in texts) or not _is_valid(value, kind):
        raise ValueError("not a text, or not one of this kind")
    return value


def _is_valid(value: Any, kind: str) -> bool:
    """Return whether the texts of a value say what Gimel writes there."""
    if kind == "<ns>:ignored":
        return all(_is_integer(each, 0) for each in value.values())
    if kind == HISTORY:
        return all(is_valid(*each) for each in value.items())
    if kind.endswith("<n>:<i>"):
        return all(_is_integer(each, -_HIGHEST - 1) for each in value)
    if kind == "<ns>:<experiment>:verdicts":
        return all(is_valid_record(*field) for field in value.items())
    if kind != SETTINGS:
        return True
    since = [value[field] for field in value if is_generation(field)]
    return (
        _is_integer(value.get("shards", "1"), 1, _MOST_SHARDS)
        and ("salt" not in value or _SALT.fullmatch(value["salt"]) is not None)
        and all(each == "" or _is_integer(each, 0) for each in since)
    )


def _is_integer(text: str, lowest: int, highest: int = _HIGHEST) -> bool:
    return _INTEGER.fullmatch(text) is not None and lowest <= int(text) <= highest


def is_own(section: Section, record: Record) -> bool:
    """Return whether all keys and names that a record mentions belong to its section."""
    keys, members = section.keys, record.value
    if record.kind in ("<ns>:<experiment>:counter_keys", "<ns>:counter_keys"):
        return all(_is_counter(keys, member) for member in members)
    if record.kind == "<ns>:<experiment>:deleted":
        return all(_is_part(section, member) for member in members)
    if record.kind == SETTINGS:
        return all(_is_part(section, field) for field in members if is_generation(field))
    names = {
        NAMESPACES: section.namespace,
        DECLARED: declared_name((section.namespace, keys.name)),
        "<ns>:experiments": keys.name,
    }
    return record.kind not in names or members == [names[record.kind]]


def _is_counter(keys: Keys, key: str) -> bool:
    """Return whether a key is one of the experiment's counters: `<prefix><goal>:<variant>`.

    In the layout of gimel 1.x, goal and variant may hold more colons.
    """
    prefix = keys.counter("", "").removesuffix(":")
    rest = key.removeprefix(prefix)
    if not key.startswith(prefix) or ":" not in rest:
        return False
    return keys.legacy or (rest.count(":") == 1 and "#" not in rest)


def _is_part(section: Section, part: str) -> bool:
    """Return whether a text names a part of the experiment's counters, as `keys.parts` does."""
    kind, _, rest = part.partition(" ")
    number, _, key = rest.partition(" ")
    of_today, of_1x = (
        Keys(section.namespace, section.experiment or "", legacy=legacy) for legacy in (False, True)
    )
    if kind == "shards":
        is_counter = _is_counter(of_today, key) or _is_counter(of_1x, key)
        return is_counter and _is_integer(number, 1, _MOST_SHARDS)
    is_set = kind in ("sets", "grown") and _is_counter(of_today, key)
    return is_set and _is_integer(number, 1, _MOST_SETS)
