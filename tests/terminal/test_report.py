"""What `gimel status` says about ignored events."""

from typing import Any

import pytest

from gimel.terminal.report import describe_ignored


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
