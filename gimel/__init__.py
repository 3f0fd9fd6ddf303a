"""Gimel: an A/B testing backend on your own AWS account.

Three paths lead through the code. The docstring of each package explains that package's part of
them.

    an event    page ─> API Gateway ─> aws_lambda ─> gimel ─> backend.intake ─> counting ─> Redis
    a result    Redis ─> backend.counting ─> backend.results ─> gimel ─> client ─> terminal
    a deploy    config.json ─> config ─> stack: wanted, observe, plan, apply ─> AWS

`gimel.py` holds the routes and their handlers, `aws_lambda.py` what Lambda calls, `wsgi.py` the
same handlers behind any WSGI server, `rsgi.py` behind granian, `local/` the whole backend on this
machine. `cli.py` holds the commands, `client.py` a backend's routes as methods, and `sdk/` the
library with which Python servers send events: `from gimel import Client`.

This file, `gimel.py`, `aws_lambda.py` and `backend/` ship to Lambda. They import redis and the
standard library only. An import goes down this list, never up: cli, terminal and local, deploy,
stack, config, alephbet, client and snippet and rsgi and sdk, wsgi, background, aws_lambda, gimel,
backend. pyproject.toml holds both rules, and `make check` checks them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gimel.sdk import Client as Client

__version__ = "2.0.0"

_HANDLERS = frozenset({"all", "delete", "experiment", "track"})


def __getattr__(name: str) -> Any:
    """Resolve `gimel.Client`, and the handler names that gimel 1.x gave to Lambda.

    What ships to Lambda thus imports no library for senders.
    """
    if name == "Client":
        from gimel.sdk import Client

        return Client
    if name not in _HANDLERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gimel import gimel

    return getattr(gimel, name)
