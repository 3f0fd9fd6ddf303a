"""One row and one verdict of an analysis, and the counting errors of a counter's shards."""

from typing import Any

from gimel.backend.results.analysis import analyse

ONE_SHARD = 0.0081
SHARDS_64 = ONE_SHARD / 8


def row(xa: int, na: int, xb: int, nb: int, **settings: Any) -> dict[str, Any]:
    """Variant b's row against baseline a."""
    found = analyse(
        {"a": na, "b": nb},
        {"goal": {"a": xa, "b": xb}},
        **{"baseline": "a", "relative_error": 0.0} | settings,
    )
    return found["goals"][0]["results"][1]


def verdict(trials: dict[str, int], successes: dict[str, int], **settings: Any) -> dict[str, Any]:
    found = analyse(
        trials, {"goal": successes}, **{"baseline": "a", "relative_error": 0} | settings
    )
    return found["goals"][0]["verdict"]
