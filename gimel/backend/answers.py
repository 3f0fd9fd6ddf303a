"""Answers about experiments: read from Redis, analysed, and with what still waits to be counted.

The routes for reading call this module. Events need none of it.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gimel.backend import wire
from gimel.backend.access import scope_of
from gimel.backend.counting import declaring
from gimel.backend.counting.declaring import recorded_changes
from gimel.backend.counting.keys import PARTICIPATE
from gimel.backend.counting.tally import read_tally
from gimel.backend.experiment.definition import Definition
from gimel.backend.experiment.history import history
from gimel.backend.news.traffic import traffic_stopped_since
from gimel.backend.process import ask_backlog, connection, counters, queue
from gimel.backend.queue import Backlog
from gimel.backend.results import record
from gimel.backend.results.analysis import GoalMatrix, compare_all_pairs
from gimel.backend.results.backlog import Waiting, note_backlog
from gimel.backend.results.counts import ExperimentCounts
from gimel.backend.results.health import health_of
from gimel.backend.results.measures import measures_of
from gimel.backend.results.past import describe_past
from gimel.backend.wire import HTTPError, ProxyEvent, Response, respond


def no_experiment(namespace: str, name: str) -> HTTPError:
    """Return the error of a request for an experiment that does not exist."""
    return HTTPError(404, f"there is no experiment {name} in namespace {namespace}", "experiment")


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
    """Describe experiments. Record new verdicts, and say which others waiting events may change."""

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
    """Answer with one experiment, its definition, the changes to it, and its health.

    With a goal as `matrix`, compare every variant with every other on it. Raises HTTPError 404.
    """
    backlog = ask_backlog()
    past = history(connection(), (namespace, name))
    counts = replace(_read_one(namespace, name), past=[(each.time, each.trials) for each in past])
    (found,) = describe([counts], namespace, backlog)
    found["key_scope"] = scope_of(event) or "owner"
    found["traffic_stopped_since"] = traffic_stopped_since(found, past)
    found |= backlog_fields(backlog)
    found["ignored"] = read_tally(connection(), namespace, name)._asdict()
    found["changes"] = recorded_changes(connection(), (namespace, name))
    found["health"] = health_of(found, counts, past, datetime.now(UTC))
    if matrix is not None:
        found["matrix"] = _matrix(counts, matrix)
    return wire.fitted(event, respond(found))


def _matrix(found: ExperimentCounts, goal: str) -> GoalMatrix:
    """Compare every variant that takes part with every other. Raises HTTPError 404."""
    if goal not in found.goals:
        raise HTTPError(404, "the experiment has no goal of this name that was reached", "matrix")
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
        raise no_experiment(namespace, name)
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


def delete_part(event: ProxyEvent, namespace: str, name: str) -> Response:
    """Delete the counts of the goal or the variant that the request names.

    Raises HTTPError 400, 404, or 409 if the name is declared or the counts are needed.
    """
    fields = wire.query(event)
    if "goal" in fields and "variant" in fields:
        raise HTTPError(400, "name a goal or a variant, not both", "variant")
    kind = "goal" if "goal" in fields else "variant"
    part = wire.name(fields, kind)
    found = _read_one(namespace, name)
    if complaint := _why_kept(found, kind, part):
        raise HTTPError(409, complaint, kind)
    reset = _settings_with_name(found.settings, kind, part)
    declaring.change(connection(), (namespace, name), reset, scope_of(event))
    deleted = counters().delete_part(namespace, name, fields.get("goal"), fields.get("variant"))
    note = f"Later events of this {kind} make it anew."
    return respond({"experiment": name, kind: part, "deleted": deleted, "note": note})


def _settings_with_name(settings: Definition, kind: str, name: str) -> dict[str, None]:
    """Return the settings of an undeclared experiment to reset, because they name this part."""
    if settings.is_declared:
        return {}
    if kind == "goal":
        return {"primary_goal": None} if name == settings.primary_goal else {}
    named = {"baseline": [settings.baseline], "weights": settings.weights or ()}
    return {field: None for field, names in named.items() if name in names}


def _why_kept(found: ExperimentCounts, kind: str, part: str) -> str | None:
    """Return why the counts of a goal or variant cannot be deleted alone, or None."""
    settings = found.settings
    if settings.decision:
        return "the experiment is decided, and these counts are its record"
    declared = settings.goal_names if kind == "goal" else settings.variant_names
    if part in declared:
        advice = "`gimel create NEW --like OLD` starts an experiment that can do without it"
        return f"this {kind} is declared: {advice}"
    if kind == "goal" and part == PARTICIPATE:
        return f"{PARTICIPATE} counts the visitors: delete the experiment instead"
    if settings.is_declared:
        return None
    others = found.trials.keys() if kind == "variant" else found.goals.keys()
    if set(others) == {part} and (kind == "variant" or not any(found.trials.values())):
        return "nothing else was counted: delete the experiment instead"
    return None
