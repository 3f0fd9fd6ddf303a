"""One row and one verdict of an analysis, a counter's errors, and shares in simulations."""

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


def percent(cell: str) -> float:
    """The share in a cell of a calibration table."""
    return float(cell.rstrip("%")) / 100


def within(nominal: float, runs: int) -> float:
    """The nominal share and three and a half standard errors of its simulation."""
    return nominal + 3.5 * (nominal * (1 - nominal) / runs) ** 0.5
