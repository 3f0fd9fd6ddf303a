"""Waiting for what comes in its own time. How long it takes says how busy the machine is."""

import time
from collections.abc import Callable

# Seconds after which what has not come will not come.
SECONDS = 60.0


def wait(until: Callable[[], bool], seconds: float = SECONDS) -> None:
    """Return once the condition holds. Raises AssertionError if it never does."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "what was waited for has not come"
        time.sleep(0.02)
