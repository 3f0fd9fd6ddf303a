"""The health of an experiment: whether its events arrive as they should.

Each check is a sentence, and what to do if something is wrong. A check that cannot be made yet is
left out. Sentences quote names as they are: the caller must escape them for its output.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import hypot
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gimel.backend.counting.admission import (
    FULL,
    NO_GOAL,
    NO_KEY,
    NO_VALUE,
    NO_VARIANT,
    NO_VISITOR,
)
from gimel.backend.counting.exact import CEILING
from gimel.backend.results.sentences import (
    CHECK_GOAL,
    CHECK_SENDING,
    FIND_OUT_WHY_THEY_WAIT,
    FIX_THE_SPLIT,
    SEND_PARTICIPATION,
    no_visitor_since,
)

if TYPE_CHECKING:
    from gimel.backend.experiment.history import Snapshot
    from gimel.backend.results.counts import ExperimentCounts

Kind = Literal[
    "split",
    "traffic",
    "last_events",
    "silent_variant",
    "participation",
    "goals",
    "ignored",
    "waiting",
]
Level = Literal["ok", "warning", "alarm"]
# Where so many are expected, there are none with a probability below e^-10.
_SURPRISING = 10
# Fewer conversions than from one visitor in a hundred are no surprise.
_LOWEST_RATE = 0.01
# The share of the visitors from which on ignored events are more than strays
_MANY_IGNORED = 0.01
# Standard errors by which conversions may be counted as more than their visitors
_ERRORS = 3
# A new experiment may be without visitors for so long.
_PATIENCE = timedelta(days=1)
# Variants that a sentence lists
_LISTED = 4

_AFTER_IGNORED: dict[str, str] = {
    NO_VARIANT: "Check the names of the variants in the page: only the declared ones count.",
    NO_GOAL: "Check the names of the goals in the page, or declare the goal with `gimel create`.",
    NO_KEY: "Send this goal from your server, with a key.",
    NO_VISITOR: "Send the field `visitor` with each event of this goal.",
    NO_VALUE: "Send the field `value` with each event of this goal.",
    FULL: "Count with HyperLogLogs in the next experiment: an exact counter ends at ten times the "
    f"planned visitors, or at {CEILING:,} without a plan.",
}


class Check(NamedTuple):
    """A check of an experiment. `next_step` is None if nothing is to be done."""

    kind: Kind
    level: Level
    sentence: str
    next_step: str | None = None


class _Point(NamedTuple):
    """The counts at one time."""

    time: datetime
    trials: Mapping[str, int]
    goals: Mapping[str, Mapping[str, int]]

    def of(self, label: str, goals: Sequence[str]) -> list[int]:
        counts = [self.trials, *(self.goals.get(goal, {}) for goal in goals)]
        return [each.get(label, 0) for each in counts]


def health_of(
    experiment: Mapping[str, Any],
    found: "ExperimentCounts",
    past: "Sequence[Snapshot]",
    now: datetime,
) -> list[dict[str, Any]]:
    """Return the checks of an experiment, given the other fields of `GET /experiment`.

    `found`: its counts, `past`: its history, the oldest first.
    """
    points = [*(_Point(*each) for each in past), _Point(now, found.trials, found.goals)]
    checks = [
        *_split(experiment),
        *_traffic(experiment, now),
        *_last_events(experiment, found, points),
        *_silent_variants(experiment, points),
        *_participation(experiment, found),
        *_goals(experiment),
        *_ignored(experiment),
        *_waiting(experiment),
    ]
    return [check._asdict() for check in checks]


def _labels(experiment: Mapping[str, Any]) -> list[str]:
    return [each["label"] for each in experiment["variants"] if not each["stray"]]


def _visitors(experiment: Mapping[str, Any]) -> int:
    return sum(each["trials"] for each in experiment["variants"])


def _split(experiment: Mapping[str, Any]) -> Iterator[Check]:
    srm = experiment["srm"]
    if srm["alarm"]:
        yield Check("split", "alarm", srm["reason"], FIX_THE_SPLIT)
    elif srm["p_value"] is not None:
        yield Check("split", "ok", "Visitors are split between the variants as intended.")


def _traffic(experiment: Mapping[str, Any], now: datetime) -> Iterator[Check]:
    if experiment["state"] != "running":
        return
    if since := experiment["traffic_stopped_since"]:
        sentence = no_visitor_since(since)
        yield Check("traffic", "alarm", sentence[0].upper() + sentence[1:], CHECK_SENDING)
    elif _visitors(experiment):
        yield Check("traffic", "ok", "Visitors keep coming, as far as earlier days tell.")
    else:
        begun = _parsed(experiment["created_at"])
        level: Level = "warning" if begun and now - begun >= _PATIENCE else "ok"
        yield Check("traffic", level, "No visitor has come yet.", SEND_PARTICIPATION)


def _last_events(
    experiment: Mapping[str, Any], found: "ExperimentCounts", points: Sequence[_Point]
) -> Iterator[Check]:
    """Say between which two counts the last event of each variant came."""
    if not _visitors(experiment):
        return
    times: dict[str, list[str]] = {}
    for label in _labels(experiment):
        times.setdefault(_last_rise(label, points, found.created_at), []).append(label)
    if len(times) == 1:
        parts = [f"each variant {when}" for when in times]
    else:
        parts = [f"{_listed(labels)} {when}" for when, labels in times.items()]
    yield Check("last_events", "ok", f"Last events: {'; '.join(parts)}.")


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _LISTED} more" if len(labels) > _LISTED else ""
    return ", ".join(labels[:_LISTED]) + more


def _last_rise(label: str, points: Sequence[_Point], created_at: str | None) -> str:
    """Return when the counts of a variant last rose: the snapshots know it between two of them."""
    goals = sorted({goal for point in points for goal in point.goals})
    for before, after in reversed([*pairwise(points)]):
        # A snapshot of a very large experiment leaves some goals out.
        common = [goal for goal in goals if goal in before.goals and goal in after.goals]
        counts = zip(before.of(label, common), after.of(label, common), strict=True)
        if any(later > earlier for earlier, later in counts):
            return _between(before.time, None if after is points[-1] else after.time)
    if not any(points[-1].of(label, goals)):
        return "none yet"
    last = None if len(points) == 1 else points[0].time
    return _between(_parsed(created_at), last)


def _parsed(moment: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(moment or "")
    except ValueError:
        return None


def _between(start: datetime | None, end: datetime | None) -> str:
    if start and end:
        return f"between {_text(start)} and {_text(end)} UTC"
    if start:
        return f"since {_text(start)} UTC"
    return f"before {_text(end)} UTC" if end else "at an unknown time"


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def _silent_variants(experiment: Mapping[str, Any], points: Sequence[_Point]) -> Iterator[Check]:
    """Warn of a variant without visitors while so many came to the others that it had its share."""
    if experiment["state"] != "running":
        return
    labels, weights = _labels(experiment), experiment["srm"]["weights"]
    for label in labels:
        share = weights.get(label, 0)
        trials = points[-1].trials.get(label, 0)
        since = next(each for each in points if each.trials.get(label, 0) == trials)
        others = sum(
            points[-1].trials.get(each, 0) - since.trials.get(each, 0)
            for each in labels
            if each != label
        )
        if share < 1 and others * share / (1 - share) >= _SURPRISING:
            when = f"since {_text(since.time)} UTC" if trials else "yet"
            sentence = f"{label} has had no visitor {when}, while {others:,} came to others."
            step = f"Check that the page still shows {label} and sends its events."
            yield Check("silent_variant", "warning", sentence, step)


def _participation(experiment: Mapping[str, Any], found: "ExperimentCounts") -> Iterator[Check]:
    """Warn of goals that more visitors reach than take part."""
    error, settings = found.relative_error, found.settings
    # The kind in the answer is total as well where conversions exceed the visitors.
    many = {goal.name for goal in settings.goals if goal.kind != "unique"} | {*settings.totals}
    wrong = [
        (goal["goal"], row["label"])
        for goal in experiment["goals"]
        for row in goal["results"]
        if goal["goal"] not in many
        and row["successes"] - row["trials"]
        > _ERRORS * error * hypot(row["successes"], row["trials"])
    ]
    if wrong:
        (goal, label), *others = wrong
        more = f" The same is true of {len(others)} more." if others else ""
        sentence = f"More visitors of {label} reach {goal} than take part.{more}"
        yield Check("participation", "warning", sentence, SEND_PARTICIPATION)
    elif experiment["goals"] and _visitors(experiment):
        yield Check("participation", "ok", "No goal is reached by more visitors than take part.")


def _goals(experiment: Mapping[str, Any]) -> Iterator[Check]:
    """Warn of goals that are not reached although so many visitors came that it is surprising."""
    expected = f"although {_visitors(experiment):,} visitors came."
    if not experiment["goals"]:
        if _visitors(experiment) * _LOWEST_RATE >= _SURPRISING:
            yield Check("goals", "warning", f"No goal has been reached, {expected}", CHECK_GOAL)
        return
    warnings = [each for goal in experiment["goals"] for each in _missing(experiment, goal)]
    if not any(row["trials"] for goal in experiment["goals"] for row in goal["results"]):
        return
    yield from warnings
    if not warnings:
        yield Check("goals", "ok", "Every goal that should have been reached by now was reached.")


def _missing(experiment: Mapping[str, Any], goal: Mapping[str, Any]) -> Iterator[Check]:
    rows = goal["results"]
    reached, visitors = sum(r["successes"] for r in rows), sum(r["trials"] for r in rows)
    if not reached:
        if goal["role"] == "primary" and visitors * _LOWEST_RATE >= _SURPRISING:
            sentence = f"{goal['goal']} has not been reached, although {visitors:,} visitors came."
            yield Check("goals", "warning", sentence, CHECK_GOAL)
        return
    for row in rows:
        others = visitors - row["trials"]
        # A visitor reaches a goal of another kind many times, which makes a rate no probability.
        if row["successes"] or not others or goal["kind"] != "unique":
            continue
        expected = row["trials"] * reached / others
        if expected >= _SURPRISING:
            sentence = (
                f"No visitor of {row['label']} has reached {goal['goal']}. By the rate of the "
                f"other variants, about {expected:,.0f} would have."
            )
            step = f"Check that the page sends {goal['goal']} where it shows {row['label']}."
            yield Check("goals", "warning", sentence, step)


def _ignored(experiment: Mapping[str, Any]) -> Iterator[Check]:
    reasons = experiment["ignored"]["reasons"]
    if not reasons:
        if experiment["declared"]:
            yield Check("ignored", "ok", "No event was ignored.")
        return
    total = sum(reasons.values())
    said = ", ".join(_reasons(reasons, experiment["ignored"]["last"]))
    sentence = f"At least {total:,} event{'s'[: total != 1]} ignored: {said}."
    faults = sum(number for reason, number in reasons.items() if reason in _AFTER_IGNORED)
    if FULL in reasons or faults > _MANY_IGNORED * _visitors(experiment):
        worst = max(reasons.keys() & _AFTER_IGNORED.keys(), key=lambda each: reasons[each])
        yield Check("ignored", "warning", sentence, _AFTER_IGNORED[worst])
    else:
        yield Check("ignored", "ok", sentence)


def _reasons(reasons: Mapping[str, int], last: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yield each reason, the most frequent first, with its number and the last name behind it."""
    for reason, number in sorted(reasons.items(), key=lambda each: -each[1]):
        culprit = "variant" if reason == NO_VARIANT else "goal" if reason in _AFTER_IGNORED else ""
        names = [each[culprit] for each in last if culprit and each["reason"] == reason]
        facts = [f"{number:,}"] if len(reasons) > 1 else []
        facts += [f"last: {name}" for name in names[:1]]
        yield f"{reason} ({', '.join(facts)})" if facts else reason


def _waiting(experiment: Mapping[str, Any]) -> Iterator[Check]:
    events, pile = experiment["waiting_events"], experiment["waiting"]
    if events is None and pile is None:
        return
    noun, number = ("message", pile["messages"]) if events is None else ("event", events)
    if number:
        waits = f"1 {noun} waits" if number == 1 else f"{number:,} {noun}s wait"
        yield Check("waiting", "warning", f"{waits} to be counted.", FIND_OUT_WHY_THEY_WAIT)
    else:
        yield Check("waiting", "ok", "No event waits to be counted.")
