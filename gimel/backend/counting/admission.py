"""Which events count: of a declared experiment its variants and goals, and nothing else.

The endpoint for events is open. So an event for a name that nobody declared is answered 200, as
AlephBet needs, and ignored: it costs Redis nothing, and its owner sees how many there were.
"""

from collections.abc import Mapping
from typing import NamedTuple

from gimel.backend.counting.keys import PARTICIPATE, Cell
from gimel.backend.wire import Event


class Ignored(str):
    """Why an event does not count although its request is in order."""


NO_EXPERIMENT = Ignored("undeclared experiment")
NO_VARIANT = Ignored("undeclared variant")
NO_GOAL = Ignored("undeclared goal")
NO_KEY = Ignored("goal needs a key")
NO_VISITOR = Ignored("goal needs a visitor")
NO_VALUE = Ignored("goal needs a value")
FULL = Ignored("exact counter is full")
BOT = Ignored("bot")
# Of events without a variant, which an experiment that is a flag assigns
NOT_IN_TRAFFIC = Ignored("visitor not in traffic")
STOPPED = Ignored("experiment is stopped")


class Rule(NamedTuple):
    """How events of one goal count, and what an event needs in order to count.

    `counts_events`: every event counts, not every visitor. `needs_key`: the request must bear a
    key. `needs_visitor`: the event must have the field `visitor`. `cap`: the event must have the
    field `value`, and adds at most this amount.
    """

    counts_events: bool = False
    needs_key: bool = False
    needs_visitor: bool = False
    cap: float | None = None

    def refuse(self, event: Event) -> Ignored | None:
        """Return why the event does not count, or None."""
        if self.needs_key and not event.is_vouched:
            return NO_KEY
        if self.needs_visitor and not event.visitor:
            return NO_VISITOR
        return NO_VALUE if self.cap is not None and event.value is None else None


ONCE, EACH = Rule(), Rule(counts_events=True)


class Admission(NamedTuple):
    """The variants and goals that count in one declared experiment, and its planned visitors."""

    variants: frozenset[str]
    goals: Mapping[str, Rule]
    plan: int | None

    def refuse(self, cell: Cell) -> Ignored | None:
        """Return why the counter of this goal and variant does not exist, or None."""
        goal, variant = cell
        if variant not in self.variants:
            return NO_VARIANT
        return None if goal in self.goals else NO_GOAL


def admission_of(settings: Mapping[str, str]) -> Admission | None:
    """Return what counts, given the fields of an experiment's hash; None if it is undeclared."""
    if "variants" not in settings:
        return None
    # Imported here: it costs a cold start a millisecond, and undeclared experiments need none.
    from gimel.backend.experiment.definition import Definition

    definition = Definition.from_hash(settings)
    goals = {
        goal.name: Rule(
            counts_events=goal.kind != "unique",
            needs_key=goal.source == "server",
            needs_visitor=goal.kind != "unique",
            cap=goal.cap,
        )
        for goal in definition.goals
    }
    variants = frozenset(definition.variant_names)
    return Admission(variants, {PARTICIPATE: ONCE, **goals}, definition.planned_visitors)
