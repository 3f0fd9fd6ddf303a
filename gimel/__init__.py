"""Gimel: an A/B testing backend on your own AWS account.

An event's way in:

    AlephBet in the browser ── GET /e ──> API Gateway ──> Lambda gimel-track
                                                             │
        http.py        proxy event -> fields, each one checked
        direct.py      what Lambda calls; who else may: gimel 1.x's REST API, a look at Redis.
                       start.py gets it going for events
        gimel.py       the handlers: track, all, experiment, settings, delete, dashboard
        limits.py      how much an open endpoint may create
        counters.py    fields -> one command; nobody else names a key. Its parts: counting.py (the
                       two ways of counting), registration.py, layout.py (names in keys)
        intake.py      counted or, when Redis fails, queued (spill.py; on this machine spool.py)
        connection.py  the kept connection; line.py: bounded in time; cluster.py: to a cluster
                                                             v
                                                       Redis or Valkey

and the counts' way out, through GET /experiments:

        experiments.py  an experiment as it was read, and what the wire says of it
        settings.py     what the engine was told about it
        stats.py        counts -> rates, lifts, p-values, chances, verdicts, by way of
                        comparison.py (tests), posterior.py (chances), verdict.py (sentences)
        dashboard/      the page

A deploy's way out:

    config.json ── config.py ──> deploy.py: observe ──> plan ──> apply ──> probe
                                              │                    │
                                              v                    v
                                          your AWS account, through aws.py

        config_stack.py the settings of what is deployed
        bundle.py       the zip of the runtime
        stack.py        what a stack is made of: names, settings, JSON documents
        observe.py      what there is of it on AWS (seen.py); queues.py: of its queues
        plan.py         (wanted, seen) -> changes; plan_role.py, plan_api.py, plan_queue.py: the
                        role's, the API's, the queue's; plan_owner.py: whose a thing is; change.py:
                        what a change is
        apply.py        the changes, made side by side
        teardown.py     seen -> the changes of `gimel destroy`
        operate.py      rollback, status, logs, the read key
        permissions.py  what the one who deploys needs to be allowed, and whether it is
        debug.py        what --debug tells of each call to AWS
        client.py       a backend's routes as methods: for the probe and the commands

The commands are in cli.py and cli_stack.py (those of a deployed stack), with cli_group.py (how they
end when they fail or are stopped), preflight.py (what may stand in a deploy's way), snippet.py (the
HTML to paste), power.py (sample sizes), report.py and results.py (what the terminal shows),
migration.py (experiments of gimel 1.x and lamed).
local.py serves the same handlers on this machine, through wsgi.py; demo.py fills it.

Two floors. The runtime (the first two lists) ships to Lambda and imports redis and the standard
library. The rest is tooling: it may import the runtime, never the other way round.
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
