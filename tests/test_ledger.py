"""The ledger of events, in its quick form: see bench/ledger.py."""

from pathlib import Path

import pytest

from bench import ledger
from gimel import gimel as handlers


def test_no_acknowledged_event_is_missing_and_none_is_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GIMEL_REDIS_URL", "GIMEL_KEY_SHA256", "GIMEL_SHARDS", "GIMEL_SPOOL"):
        monkeypatch.setenv(name, "")  # and back as it was, afterwards
    figures = ledger.run(20_000, 4, tmp_path)
    handlers.forget_connection()
    assert figures["acknowledged"] == 20_000
    assert figures["missing"] == 0
    assert figures["never sent"] == 0
    assert figures["queued"] > 0
    assert figures["slowest (s)"] < 2.5
    assert len(figures["faults"]) >= 3
