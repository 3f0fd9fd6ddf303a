"""The lines of `gimel status` on ignored events and on a Redis in trouble."""

from types import SimpleNamespace
from typing import Any, get_args

import pytest

from gimel.backend.redis.errors import Trouble
from gimel.stack.deployed import REDIS_TROUBLE
from gimel.terminal.report import describe_ignored, describe_redis


@pytest.mark.parametrize(
    ("namespace", "reasons", "line"),
    [
        ("alephbet", {"undeclared variant": 1200, "undeclared goal": 4},
         "at least 1,204 events in alephbet (undeclared variant 1,200, undeclared goal 4)"),
        ("", {"undeclared experiment": 1},
         "at least 1 event in namespaces that nobody uses (undeclared experiment 1)"),
        ("\x1b[2J", {"bot": 2}, "at least 2 events in \\u{1b}[2J (bot 2)"),
    ],
)  # fmt: skip
def test_ignored_events_are_counted_by_namespace(
    namespace: str, reasons: dict[str, Any], line: str
) -> None:
    assert describe_ignored(namespace, reasons) == line


@pytest.mark.parametrize("trouble", get_args(Trouble))
def test_a_redis_in_trouble_comes_with_what_to_do(trouble: str) -> None:
    status: Any = SimpleNamespace(redis={"trouble": trouble}, redis_seen_from="the functions")
    line = describe_redis(status)
    assert line == f"trouble, seen from the functions: {REDIS_TROUBLE[trouble]}"
    assert len(REDIS_TROUBLE[trouble]) > len(trouble) + 20
