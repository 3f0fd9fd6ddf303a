"""The counts of one experiment as read from Redis, and the answer of `GET /experiment`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gimel.backend.counting.exact import EXACT
from gimel.backend.counting.hyperloglog import HYPERLOGLOG, relative_error
from gimel.backend.experiment.definition import Definition
from gimel.backend.log import log

if TYPE_CHECKING:
    from gimel.backend.results.analysis import Analysis
    from gimel.backend.results.decision import FinalLook
    from gimel.backend.results.design import Design

# A variant with a smaller share of the largest variant's visitors is probably a typo or a prank.
_NEGLIGIBLE_SHARE = 0.01
# Standard errors of a count by which the visitors of a fulfilled plan may fall short of it
_ERRORS = 3
_CONVENTIONAL_BASELINES = ("control", "baseline", "original")


@dataclass(frozen=True)
class ExperimentCounts:
    """The counts of one experiment, with the settings that are needed to interpret them.

    `trials` maps each variant to its number of visitors. `goals` maps each goal to its number of
    conversions by variant, zeros included. `ambiguous` lists names of gimel 1.x, in the form
    `goal:variant`, that can be read in more than one way. `has_events` is whether any event was
    counted, `variants_left_out` how many variants a summary leaves out. `first_goal` is the goal
    that an undeclared experiment saw first. `is_salted`: what it counts is hashed with a secret.
    `began` tells the experiment from others that had its name before.

    Of a goal of the kind value, `goals` has the elements that its amounts added (see
    `counting.amounts`), and `above_cap` how many amounts were above the cap. `samples` has, of the
    declared goals that a visitor may reach many times and of participation, the counts in each
    sample of visitors. It is empty if there are no samples.
    `records` holds its final look, first verdicts and figures of a decision, see `record`.
    `waits_for` says how many events that are not counted yet put the final look off, or "". `past`
    has visitors by variant at past times, the oldest first, if the caller read the history.
    """

    name: str
    shards: int = 1
    created_at: str | None = None
    settings: Definition = field(default_factory=Definition)
    trials: dict[str, int] = field(default_factory=dict)
    goals: dict[str, dict[str, int]] = field(default_factory=dict)
    ambiguous: tuple[str, ...] = ()
    has_events: bool = False
    variants_left_out: int = 0
    began: str = ""
    first_goal: str | None = None
    is_salted: bool = False
    samples: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    above_cap: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    records: Mapping[str, str] = field(default_factory=dict)
    waits_for: str = ""
    past: Sequence[tuple[datetime, Mapping[str, int]]] = ()

    @property
    def exists(self) -> bool:
        """Whether the experiment is declared or has any counter."""
        return bool(self.trials)

    @property
    def relative_error(self) -> float:
        """Relative standard error of each count; 0 for exact counting."""
        return 0.0 if self._is_exact else relative_error(self.shards)

    @property
    def _is_exact(self) -> bool:
        return self.settings.counting == EXACT

    @property
    def baseline(self) -> str | None:
        """The baseline that the owner chose, else a variant with a conventional name.

        Without either, it is the first variant by name that is not negligible. It is None if there
        is no variant.
        """
        if self.settings.baseline_name in self.trials:
            return self.settings.baseline_name
        variants = self.trials.keys() - self.negligible_variants
        candidates = [*_CONVENTIONAL_BASELINES, *sorted(variants)]
        return next((label for label in candidates if label in variants), None)

    @property
    def negligible_variants(self) -> set[str]:
        """Variants that take no part in any test.

        Of a declared experiment, these are the variants that are not declared. Otherwise they are
        those with next to no visitors: anyone can make one, because the endpoint is open.
        """
        if self.settings.is_declared:
            return self.trials.keys() - set(self.settings.variant_names)
        threshold = _NEGLIGIBLE_SHARE * max(self.trials.values(), default=0)
        return {label for label, count in self.trials.items() if count < threshold}

    @property
    def primary_goal(self) -> str | None:
        """The primary goal that the owner chose, else the first goal seen.

        Experiments of earlier versions did not record it: theirs is the first by name.
        """
        return self.settings.primary_goal or self.first_goal or min(self.goals, default=None)

    @property
    def _weights(self) -> dict[str, float] | None:
        """The weights of the variants that take part, if any were set."""
        weights = self.settings.weights
        left_out = set() if self.settings.is_declared else self.negligible_variants
        if weights is None:
            return None
        return {label: weight for label, weight in weights.items() if label not in left_out}

    @property
    def primary_goals(self) -> tuple[str, ...]:
        """The goals that decide, together."""
        if self.settings.is_declared:
            return self.settings.primary_goals
        return (self.primary_goal,) if self.primary_goal is not None else ()

    @property
    def visitors(self) -> int:
        """The visitors of the variants that take part, all together."""
        left_out = self.negligible_variants
        return sum(count for label, count in self.trials.items() if label not in left_out)

    @property
    def planned_visitors(self) -> int | None:
        """The plan, which only an experiment that was declared before its first event has."""
        return None if self.settings.declared_late else self.settings.planned_visitors

    @property
    def is_plan_fulfilled(self) -> bool:
        """Whether there is a plan, and its visitors have come as far as counting can tell.

        Exactly as many visitors as planned may be counted as fewer.
        """
        plan, fewest = self.planned_visitors, 1 - _ERRORS * self.relative_error
        return plan is not None and self.visitors >= int(plan * fewest)

    @property
    def final_look(self) -> "FinalLook | None":
        """The counts that were frozen when the plan was fulfilled."""
        from gimel.backend.results.record import final_look_of

        return final_look_of(self)

    def analyse(self, now: datetime | None = None) -> "Analysis":
        """Return the inference from these counts. `now` and `created_at` give the pace.

        If counts that cannot be right make it fail, say so in the log and leave the goals out: the
        other experiments of the same answer must not suffer.
        """
        try:
            return self._analyse(now or datetime.now(UTC))
        except ArithmeticError as error:
            log("error", analysis=type(error).__name__)
            return replace(self, goals={}, records={})._analyse(now or datetime.now(UTC))

    def _analyse(self, now: datetime) -> "Analysis":
        # The import costs a cold start 7 ms, and events need no inference.
        from gimel.backend.results.analysis import analyse
        from gimel.backend.results.measures import measures_of

        baseline = self.baseline
        return analyse(
            self.trials,
            self.goals,
            baseline=baseline,
            relative_error=self.relative_error,
            weights=self._weights,
            equivalence=self.settings.equivalence,
            measures=measures_of(self),
            excluded=self.negligible_variants - {baseline},
            design=self._design(now),
        )

    def _design(self, now: datetime) -> "Design":
        from gimel.backend.results.design import Aim, Design
        from gimel.backend.results.measures import measures_of
        from gimel.backend.results.pace import pace_of

        aims = {goal: Aim("secondary") for goal in self.goals}
        if self.settings.is_declared:
            aims |= {
                goal.name: Aim(goal.role, goal.better, goal.margin) for goal in self.settings.goals
            }
        elif self.primary_goal is not None:
            aims[self.primary_goal] = Aim()
        final = self.final_look
        return Design(
            planned_visitors=self.planned_visitors,
            aims=aims,
            final=final,
            waits_for="" if final else self.waits_for,
            final_measures=measures_of(self._at(final)) if final else {},
            pace=pace_of([*self._seen_before(now), (now, self.visitors)]),
            is_running=self.settings.state == "running",
        )

    def _at(self, look: "FinalLook") -> "ExperimentCounts":
        """Return the experiment with the counts of its final look."""
        goals = {goal: dict(counts) for goal, counts in look.goals.items()}
        return replace(self, trials=dict(look.trials), goals=goals, samples=look.samples)

    def _seen_before(self, now: datetime) -> list[tuple[datetime, int]]:
        """Return past times with the visitors until then: a day of history, or the beginning."""
        left_out = self.negligible_variants
        if self.past and now - self.past[0][0] >= timedelta(days=1):
            return [
                (time, sum(count for label, count in trials.items() if label not in left_out))
                for time, trials in self.past
            ]
        try:
            begun = datetime.fromisoformat(self.created_at or "")
        except ValueError:
            return []
        return [(begun, 0)] if begun.tzinfo else []

    def describe(self, analysis: "Analysis | None" = None) -> dict[str, Any]:
        """Return the settings, counts and inference in the fields of `GET /experiment`.

        `analysis` is what `analyse` returned. Nothing is recorded: `record.describe` does that.
        """
        from gimel.backend.results.record import show_decision, show_record
        from gimel.backend.results.roles import complete
        from gimel.backend.results.sentences import decided

        analysis = analysis or self.analyse()
        baseline, negligible, final = self.baseline, self.negligible_variants, self.final_look
        goals: list[dict[str, Any]] = [
            goal | {"verdict": show_record(self, goal)} for goal in analysis["goals"]
        ]
        complete(goals, self.primary_goals)
        if self.settings.decision:
            step = decided(self.settings.decision.winner)
            for goal in goals:
                goal["verdict"]["next_step"] = step
        return {
            "experiment": self.name,
            "declared": self.settings.is_declared,
            "created_at": self.created_at,
            "state": self.settings.state,
            "decision": show_decision(self),
            "baseline": baseline,
            "primary_goal": self.primary_goal,
            "equivalence": self.settings.equivalence,
            "plan": self.planned_visitors
            and {
                "visitors": self.planned_visitors,
                "final_look": final and {"at": final.at, "visitors": final.visitors},
            },
            "variants": [
                {"label": label, "trials": count, "stray": label in negligible}
                for label, count in sorted(self.trials.items())
            ],
            "variants_left_out": self.variants_left_out,
            "counting": {
                "method": self.settings.counting or HYPERLOGLOG,
                "shards": None if self._is_exact else self.shards,
                "relative_error": round(self.relative_error, 6),
            },
            "ambiguous": self.ambiguous,
            "salted": self.is_salted,
            "definition": self.settings.describe() if self.settings.is_declared else None,
            "srm": analysis["srm"],
            "goals": goals,
        }
