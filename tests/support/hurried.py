"""The applications, in a process that tries to write snapshots three times a second."""

from gimel import background
from gimel.rsgi import app as rsgi_app
from gimel.wsgi import app

background._SNAPSHOT_PERIOD = 0.3

__all__ = ["app", "rsgi_app"]
