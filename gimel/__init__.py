"""Gimel: an A/B testing backend on your own AWS account.

An event's way in:

    AlephBet in the browser ── GET /e ──> API Gateway ──> Lambda gimel-track
                                                             │
        http.py      proxy event -> fields, each one checked │
        gimel.py     the handlers: track, all, experiment, delete, dashboard
        counters.py  fields -> PFADD of one shard            v
                                                       Redis or Valkey
        stats.py     and its counts -> rates, lifts, verdicts

A deploy's way out:

    config.json ── config.py ──> deploy.py: observe ─> plan ─> apply ─> probe
                                    │  bundle.py  the zip of the runtime
                                    │  aws.py     AWS's answers, its waits
                                    v
                              your AWS account

Around them: cli.py (the commands), local.py (the same handlers on this machine, through
wsgi.py), snippet.py (the HTML to paste), preflight.py (what may stand in a deploy's way),
client.py (reads a backend over HTTP), report.py (what the terminal shows), dashboard/ (the page).

Two floors. The runtime (gimel.py, http.py, counters.py, stats.py, dashboard/) ships to Lambda
and imports redis and the standard library. The rest is tooling: it may import the runtime, never
the other way round.
"""

from typing import Any

__version__ = "2.0.0"

_HANDLERS = frozenset({"all", "delete", "experiment", "track"})


def __getattr__(name: str) -> Any:
    """Resolve `gimel.track` and its like, the handler names that gimel 1.x gave to Lambda."""
    if name not in _HANDLERS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gimel import gimel

    return getattr(gimel, name)
