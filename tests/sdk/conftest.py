"""A fresh log for each test of the library."""

import pytest

from gimel.sdk import sender


@pytest.fixture(autouse=True)
def _log_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test sees each message, although a process logs it once."""
    monkeypatch.setattr(sender, "_logged", set())
