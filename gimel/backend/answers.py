"""Answers about experiments: read from Redis, analysed, and with what still waits to be counted.

The routes for reading call this module. Events need none of it.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gimel.backend import wire
from gimel.backend.access import scope_of
from gimel.backend.counting.declaring import recorded_changes
from gimel.backend.counting.tally import read_tally
from gimel.backend.experiment.history import history
from gimel.backend.news.traffic import traffic_stopped_since
from gimel.backend.process import ask_backlog, connection, counters, queue
from gimel.backend.queue import Backlog
from gimel.backend.results import record
from gimel.backend.results.analysis import GoalMatrix, compare_all_pairs
from gimel.backend.results.backlog import Waiting, note_backlog
from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.results.measures import measures_of
from gimel.backend.results.past import describe_past
from gimel.backend.wire import HTTPError, ProxyEvent, Response, respond

NO_EXPERIMENT = HTTPError(404, "there is no such experiment in this namespace", "experiment")


def backlog_fields(backlog: Backlog | None) -> dict[str, Any]:
    """Return what is not counted yet, in the fields of an answer."""
    names = ("waiting", "set_aside")
    return {name: getattr(backlog, name)._asdict() if backlog else None for name in names}


def describe(
    found: Iterable[ExperimentCounts],
    namespace: str,
    backlog: Backlog | None,
    *,
    is_summary: bool = False,
) -> list[dict[str, Any]]:
    """Describe experiments. Record new verdicts; say of others that waiting events change them."""

    def whole(name: str) -> ExperimentCounts:
        return counters().read(namespace, [name])[0]

    waiting = Waiting(namespace, backlog) if queue() else None
    described = record.describe(
        connection(), namespace, found, waiting, whole if is_summary else None
    )
    for each in described:
        each["waiting_events"] = None
        if backlog:
            note_backlog(each, namespace, backlog)
    return described


def page_of(names: list[str], limit: int | None, after: str | None) -> tuple[list[str], str | None]:
    """Return one page of the names, and the name after which the next page begins."""
    if limit is None and after is None:
        return names, None
    names = sorted(each for each in set(names) if after is None or each > after)
    page = names[:limit]
    return page, page[-1] if len(page) < len(names) else None


def names_in(scope: str) -> list[str]:
    """Return the names in a comma-separated scope. Raises HTTPError 400 on a bad name."""
    return [wire.name({"scope": part}, "scope") for part in scope.split(",") if part]


def answer_one(event: ProxyEvent, namespace: str, name: str, matrix: str | None = None) -> Response:
    """Answer with one experiment, its definition and what happened to that.

    With a goal as `matrix`, compare every variant with every other on it. Raises HTTPError 404.
    """
    backlog = ask_backlog()
    past = history(connection(), (namespace, name))
    counts = replace(_read_one(namespace, name), past=[(each.time, each.trials) for each in past])
    (found,) = describe([counts], namespace, backlog)
    found["key_scope"] = scope_of(event) or "owner"
    found["traffic_stopped_since"] = traffic_stopped_since(found, past)
    found |= backlog_fields(backlog)
    ignored = read_tally(connection(), namespace, name)
    changes = recorded_changes(connection(), (namespace, name))
    if matrix is not None:
        found["matrix"] = _matrix(counts, matrix)
    answer = respond(found | {"ignored": ignored._asdict(), "changes": changes})
    return wire.fitted(event, answer)


def _matrix(found: ExperimentCounts, goal: str) -> GoalMatrix:
    """Compare every variant that takes part with every other. Raises HTTPError 404."""
    if goal not in found.goals:
        raise HTTPError(404, "this goal of the experiment was not reached yet", "matrix")
    left_out = found.negligible_variants - {found.baseline}
    trials = {label: count for label, count in found.trials.items() if label not in left_out}
    reached = {goal: found.goals[goal]}
    error, measures = found.relative_error, measures_of(found)
    (compared,) = compare_all_pairs(trials, reached, relative_error=error, measures=measures)
    return compared


def freeze(found: ExperimentCounts, namespace: str, decision: str) -> None:
    """Record the figures of a decision that is about to be stored."""
    (described,) = describe([found], namespace, ask_backlog())
    record.freeze(connection(), namespace, found, described, decision)


def _read_one(namespace: str, name: str) -> ExperimentCounts:
    """Return one experiment's counts. Raises HTTPError 404."""
    (found,) = counters().read(namespace, [name])
    if not found.exists:
        raise NO_EXPERIMENT
    return found


def answer_history(event: ProxyEvent, namespace: str, name: str, goal: str | None) -> Response:
    """Answer with the history of one goal, the primary goal if none is named.

    Raises HTTPError 404.
    """
    past = history(connection(), (namespace, name))
    found = _read_one(namespace, name)
    goal = goal or found.primary_goal
    if goal is not None and goal not in found.goals and found.settings.goal(goal) is None:
        raise HTTPError(404, "there is no such goal in this experiment", "goal")
    (described,) = describe([found], namespace, ask_backlog())
    points = describe_past(found, past, goal, datetime.now(UTC))
    result = next((each for each in described["goals"] if each["goal"] == goal), None)
    answer = {field: described[field] for field in ("experiment", "baseline", "plan")}
    answer |= {field: result and result[field] for field in ("goal", "kind", "better")}
    answer |= {"recorded": result and result["verdict"]["recorded"], "snapshots": points}
    return wire.fitted(event, respond(answer))
