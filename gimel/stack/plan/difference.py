"""The comparison of settings: what AWS returns with what Gimel wants."""

import contextlib
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

NO_DEFAULTS: Mapping[str, Any] = MappingProxyType({})


def differences(
    wanted: Mapping[str, Any],
    observed: Mapping[str, Any],
    defaults: Mapping[str, Any] = NO_DEFAULTS,
) -> dict[str, Any]:
    """Return the settings whose observed value differs, each with its wanted value.

    `defaults` are the values that AWS gives to settings which Gimel does not send. AWS may omit
    them from its answer.
    """
    different = {
        name: value
        for name, value in wanted.items()
        if comparable(observed.get(name)) != comparable(value)
    }
    for name, value in defaults.items():
        found = comparable(observed.get(name))
        if name not in wanted and found not in (None, comparable(value)):
            different[name] = value
    return different


def comparable(value: Any) -> Any:
    """Return the value in the form that all of AWS's spellings of it share.

    AWS may add empty values such as "AllowCredentials": false, order a list in its own way, and
    write JSON or a number as another text. An empty value becomes None.
    """
    if isinstance(value, str) and value.startswith('{"'):
        with contextlib.suppress(ValueError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        inner = {name: comparable(each) for name, each in value.items()}
        return {name: each for name, each in inner.items() if each is not None} or None
    if isinstance(value, list | tuple):
        return sorted(map(comparable, value), key=str) or None
    if value is None or value is False or value == "":
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "true" if value is True else str(value)
