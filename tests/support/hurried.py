"""The applications, in a process that tries to write snapshots three times a second.

An hour that is done is looked at again.
"""

from gimel import background
from gimel.rsgi import app as rsgi_app
from gimel.wsgi import app

_snapshot = background.snapshot


def _snapshot_again(last_failure: str = "") -> str:
    background._done = 0
    return _snapshot(last_failure)


background._SNAPSHOT_PERIOD = 0.3
background.snapshot = _snapshot_again

__all__ = ["app", "rsgi_app"]
