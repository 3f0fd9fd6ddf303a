"""The record of an experiment: its plan's final look, its first verdicts, and decisions' figures.

The first decisive verdict on a goal is written once and stays. Later reads show it, and beside it
what happened since. The routes call `describe`, and whatever else looks at counts calls `observe`.
Both write only what is new. If several processes write at the same time, the first wins, and all
show what it wrote.

When an owner decides, `freeze` writes the figures of that moment. They stay when a decision changes
its winner or reason.

While events wait to be counted, the final look waits as well, for at most a day. The field
`fulfilled` says since when.

A field of the record names what was asked: the experiment's beginning, and for a verdict also the
goal with its role, kind and direction, the baseline and the equivalence. If an owner changes one of
these, the question is a new one and gets a record of its own.
"""

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from redis.exceptions import ResponseError

from gimel.backend.counting.keys import ExperimentName, Keys
from gimel.backend.log import log
from gimel.backend.redis.connection import Connection
from gimel.backend.redis.errors import MOVED
from gimel.backend.results import sentences
from gimel.backend.results.decision import FinalLook
from gimel.backend.results.record_validity import FIGURES, is_valid
from gimel.backend.results.verdict import DECISIVE

if TYPE_CHECKING:
    from gimel.backend.results.analysis import Analysis, GoalResult
    from gimel.backend.results.backlog import Waiting
    from gimel.backend.results.counts import ExperimentCounts

Fields = Mapping[str, str]
# Events that are not counted yet put a final look off for at most this long.
_LONGEST_WAIT = timedelta(hours=24)
_FIGURES = ("winner", "variant", "interval", "lift", "lift_expected", "look")
_REMAINING = ("visitors_needed", "visitors_needed_range", "days_needed")
# Rows of figures, one for each variant of a goal, that a decision freezes; each takes 200 bytes.
_MOST_ROWS = 1000
_ROLES = ("primary", "guardrail", "secondary")
_KEPT = ("state", "winner", "variant", "interval", "lift", "lift_expected", "look", "reason")


class Observed(NamedTuple):
    """An experiment that was looked at, with its record as it is in Redis now.

    `withheld`: the states that are not shown, because Redis could not store their record.
    """

    found: "ExperimentCounts"
    analysis: "Analysis"
    withheld: Collection[str] = ()

    def describe(self) -> dict[str, Any]:
        """Return the experiment in the fields of `GET /experiment`."""
        described = self.found.describe(self.analysis)
        for goal in described["goals"]:
            verdict = goal["verdict"]
            if verdict["recorded"] is None and verdict["state"] in self.withheld:
                verdict |= dict.fromkeys((*_FIGURES, *_REMAINING))
                verdict["state"] = "keep_collecting"
                verdict["reason"] = sentences.NOT_RECORDED
                verdict["next_step"] = sentences.LET_REDIS_RECORD
        return described


def describe(
    connection: Connection,
    namespace: str,
    experiments: "Iterable[ExperimentCounts]",
    waiting: "Waiting | None" = None,
    whole: "Callable[[str], ExperimentCounts] | None" = None,
) -> list[dict[str, Any]]:
    """Return each experiment in the fields of `GET /experiment`. Record what is new.

    `waiting` events put a final look off, and a verdict that they can change is not recorded yet.
    If `experiments` are summaries, `whole` reads one with all its goals, for a final look, and only
    the primary goals are returned. Raises redis.RedisError.
    """
    now = datetime.now(UTC)
    # A connection that streams counts writes nothing, so take them all first.
    seen = [Observed(found, found.analyse(now)) for found in experiments]
    described = [
        _observe(connection, namespace, each, now, waiting, whole).describe() for each in seen
    ]
    return described if whole is None else list(map(_shortened, described))


def _shortened(described: dict[str, Any]) -> dict[str, Any]:
    """Return the experiment with its primary goals alone."""
    goals = [goal for goal in described["goals"] if goal["role"] == "primary"]
    names = {goal["goal"] for goal in goals}
    if described["decision"] and (figures := described["decision"]["figures"]):
        figures["goals"] = [goal for goal in figures["goals"] if goal["goal"] in names]
    return described | {"goals": goals}


def observe(
    connection: Connection,
    namespace: str,
    found: "ExperimentCounts",
    now: datetime,
    waiting: "Waiting | None" = None,
) -> Observed:
    """Record what is new about an experiment, all of whose goals were counted.

    Raises redis.RedisError.
    """
    return _observe(connection, namespace, Observed(found, found.analyse(now)), now, waiting)


def _observe(
    connection: Connection,
    namespace: str,
    seen: Observed,
    now: datetime,
    waiting: "Waiting | None" = None,
    whole: "Callable[[str], ExperimentCounts] | None" = None,
) -> Observed:
    found, analysis, _ = seen
    name = namespace, found.name
    if is_final_look(found):
        looked_at = _look(connection, name, found, now, waiting, whole)
        if looked_at is None:
            return Observed(found, analysis, (*DECISIVE, "keep_collecting"))
        found = looked_at
        analysis = found.analyse(now)
    # A summary corrects for too few secondary goals and guardrails, or for too few variants.
    goals = [goal for goal in analysis["goals"] if whole is None or goal["role"] == "primary"]
    recordable: Analysis = {**analysis, "goals": [] if found.variants_left_out else goals}
    if new := new_verdicts(found, recordable, now, waiting):
        records = _write(connection, name, new)
        if records is None:
            return Observed(found, analysis, DECISIVE)
        found = replace(found, records=records)
    return Observed(found, analysis)


def _look(
    connection: Connection,
    name: ExperimentName,
    found: "ExperimentCounts",
    now: datetime,
    waiting: "Waiting | None",
    whole: "Callable[[str], ExperimentCounts] | None",
) -> "ExperimentCounts | None":
    """Take the final look, or put it off while events wait. None if Redis refuses the record.

    It is put off until a day after the plan was first seen fulfilled: a queue may never be empty.
    """
    if waits_for := waiting.describe(found.name) if waiting else "":
        field, records = f"fulfilled {found.began}", found.records
        if field not in records:
            written = _write(connection, name, {field: json.dumps({"at": _time(now)})})
            if written is None:
                return None
            records = written
        since = _read(records, field)
        if since and _time(now - _LONGEST_WAIT) < since["at"]:
            return replace(found, records=records, waits_for=waits_for)
    counts = whole(found.name) if whole else found
    if not is_final_look(counts):
        # The experiment was deleted between the two reads.
        return found
    frozen = _write(connection, name, {_final_field(found): _frozen(counts, now)})
    return None if frozen is None else replace(found, records=frozen)


def _write(connection: Connection, experiment: ExperimentName, fields: Fields) -> Fields | None:
    """Write fields that are missing. Return the whole record; None if Redis refuses it."""
    key = Keys(*experiment).verdicts
    commands = [("HSETNX", key, *field) for field in fields.items()]
    try:
        *_, records = connection.execute([*commands, ("HGETALL", key)])
    except MOVED:
        raise
    except ResponseError as error:
        log("error", record=type(error).__name__)
        return None
    _remove_if_deleted(connection, experiment)
    return dict(records)


def _remove_if_deleted(connection: Connection, experiment: ExperimentName) -> None:
    """Remove what was written after a delete, which removes the counters before the record."""
    both = (Keys(*experiment, legacy=legacy) for legacy in (False, True))
    if not any(connection.query([("EXISTS", each.counters) for each in both])):
        connection.query([("UNLINK", Keys(*experiment).verdicts)])


def _read(records: Fields, field: str) -> dict[str, Any] | None:
    """Return what a field holds; None if there is no such field, or it cannot be read."""
    text = records.get(field)
    if text is None or not is_valid(field, text):
        return None
    value: dict[str, Any] = json.loads(text)
    return value


def is_earlier(field: str, text: str, than: str) -> bool:
    """Return whether a value of a field was recorded before another one, or only it is readable."""
    one, other = (_read({field: each}, field) for each in (text, than))
    return one is not None and (other is None or one["at"] < other["at"])


def is_final_look(found: "ExperimentCounts") -> bool:
    """Return whether these are the first counts that fulfil the plan."""
    return found.is_plan_fulfilled and found.final_look is None


def new_verdicts(
    found: "ExperimentCounts",
    analysis: "Analysis",
    now: datetime,
    waiting: "Waiting | None" = None,
) -> dict[str, str]:
    """Return the fields that record the decisive verdicts which no field has yet."""
    equivalence = found.settings.equivalence
    return {
        field: _recorded(found, goal, now)
        for goal in analysis["goals"]
        if goal["verdict"]["state"] in DECISIVE
        and (field := _verdict_field(found, goal)) not in found.records
        and not (waiting and waiting.may_change(found.name, goal, equivalence, _cap(found, goal)))
    }


def _cap(found: "ExperimentCounts", goal: "GoalResult") -> float:
    """Return the most that one event adds to a goal."""
    declared = found.settings.goal(goal["goal"])
    return (declared.cap if declared else None) or 1.0


def _final_field(found: "ExperimentCounts") -> str:
    return f"final {found.began}"


def verdicts_about(records: Fields, goal: str | None, variant: str | None) -> list[str]:
    """Return the fields with verdicts on a goal, or those that name a variant."""
    found = []
    for field in records:
        record = _read(records, field) if field.startswith("verdict ") else None
        if record is None:
            continue
        asked = json.loads(field.partition(" ")[2])
        named = (asked[-1],) if goal is not None else (record["winner"], record["variant"])
        if (goal if goal is not None else variant) in named:
            found.append(field)
    return found


def _verdict_field(found: "ExperimentCounts", goal: "GoalResult") -> str:
    asked = [found.began, found.baseline, found.settings.equivalence]
    asked += [goal[part] for part in ("role", "kind", "better", "goal")]
    return f"verdict {json.dumps(asked)}"


def _frozen(found: "ExperimentCounts", now: datetime) -> str:
    counts = {"trials": found.trials, "goals": found.goals, "samples": found.samples}
    return json.dumps({"at": _time(now)} | counts, separators=(",", ":"))


def final_look_of(found: "ExperimentCounts") -> FinalLook | None:
    """Return the recorded final look of an experiment."""
    look = _read(found.records, _final_field(found))
    if look is None:
        return None
    return FinalLook(look["at"], look["trials"], look["goals"], look["samples"])


def _recorded(found: "ExperimentCounts", goal: "GoalResult", now: datetime) -> str:
    """Return the record of a verdict. That of the final look is dated then."""
    verdict: Mapping[str, Any] = goal["verdict"]
    at, visitors = _time(now), found.visitors
    if verdict["look"] == "final" and found.final_look:
        at, visitors = found.final_look.at, found.final_look.visitors
    kept = {field: verdict[field] for field in _KEPT}
    return json.dumps({"at": at, "visitors": visitors} | kept)


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def show_record(found: "ExperimentCounts", goal: "GoalResult") -> dict[str, Any]:
    """Return the verdict on a goal as it is shown: the recorded one, with what happened since.

    A sample-ratio alarm is shown in its place. `since` is the sentence of the reason that says when
    the verdict was recorded, and what happened since.
    """
    verdict: dict[str, Any] = {**goal["verdict"], "since": None}
    verdict["recorded"] = record = _read(found.records, _verdict_field(found, goal))
    if record is None or verdict["state"] == "do_not_trust":
        return verdict
    since = sentence = sentences.since(
        record["at"], record["visitors"], found.visitors, _clause(record, goal)
    )
    is_same = all(verdict[field] == record[field] for field in ("state", "winner"))
    step = verdict["next_step"] if is_same else sentences.step_after(record, found.baseline or "")
    if not is_same and verdict["state"] in DECISIVE:
        sentence += f" By now: {verdict['reason']}"
        step = sentences.FIND_OUT
    verdict |= {field: record[field] for field in _KEPT}
    verdict |= dict.fromkeys(_REMAINING)
    reason = f"{record['reason']} {sentence}"
    return verdict | {"reason": reason, "since": since, "next_step": step}


def _clause(record: Mapping[str, Any], goal: "GoalResult") -> str:
    """Return what the lift of the recorded variant is now, as part of a sentence."""
    row = next((each for each in goal["results"] if each["label"] == record["variant"]), None)
    if row is None or row["lift"] is None:
        return ""
    return sentences.lift_since(row["label"], row["lift"], row["lift_interval_always_valid"])


def freeze(
    connection: Connection,
    namespace: str,
    found: "ExperimentCounts",
    described: Mapping[str, Any],
    decision: str,
) -> None:
    """Record the figures of a decision, unless it has some. Raises redis.RedisError.

    `described`: the experiment in the fields of `GET /experiment`. `decision`: that which is about
    to be stored in the settings.
    """
    at = json.loads(decision)["frozen_at"]
    goals: list[dict[str, Any]] = []
    rows = 0
    for goal in sorted(described["goals"], key=lambda goal: _ROLES.index(goal["role"])):
        rows += len(goal["results"])
        if rows <= _MOST_ROWS:
            goals.append(_figures(goal))
    left_out = len(described["goals"]) - len(goals)
    figures = {"at": at, "goals": goals, "goals_left_out": left_out}
    text = json.dumps(figures, separators=(",", ":"))
    field = _figures_field(found, at)
    connection.execute([("HSETNX", Keys(namespace, found.name).verdicts, field, text)])


def _figures_field(found: "ExperimentCounts", frozen_at: str) -> str:
    return f"decision {found.began} {frozen_at}"


def _figures(goal: Mapping[str, Any]) -> dict[str, Any]:
    verdict = {field: goal["verdict"][field] for field in ("state", "winner")}
    rows = [{field: row[field] for field in FIGURES} for row in goal["results"]]
    return {field: goal[field] for field in ("goal", "role", "kind")} | verdict | {"variants": rows}


def show_decision(found: "ExperimentCounts") -> dict[str, Any] | None:
    """Return the decision, with the figures that were frozen, of the variants and goals in `found`.

    So a summary stays small.
    """
    decision = found.settings.decision
    if decision is None:
        return None
    figures = _read(found.records, _figures_field(found, decision.frozen_at))
    if figures:
        figures["goals"] = [
            goal | {"variants": [row for row in goal["variants"] if row["label"] in found.trials]}
            for goal in figures["goals"]
            if goal["goal"] in found.goals
        ]
    winner, reason, at, _ = decision
    return {"winner": winner, "reason": reason, "at": at, "figures": figures}
