"""How much an open endpoint may create: pure checks, applied when a counter is registered."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from gimel.backend.wire import DEFAULT_NAMESPACE

PROBE_NAMESPACE = "gimel-probe"
PREFLIGHT_NAMESPACE = "gimel-preflight"
DEMO_NAMESPACE = "demo"
Pair = tuple[str, str]

# Whatever strangers have made of the open endpoint, these may always be begun.
RESERVED = (DEFAULT_NAMESPACE, PROBE_NAMESPACE, PREFLIGHT_NAMESPACE, DEMO_NAMESPACE)


class Limits(NamedTuple):
    """The most there may be of each: in all, a namespace, an experiment, an experiment."""

    namespaces: int = 20
    experiments: int = 200
    variants: int = 20
    goals: int = 50

    @classmethod
    def of(cls, text: str | None) -> "Limits":
        """The limits that a JSON object sets; those that it leaves out are the defaults."""
        return cls(**json.loads(text or "{}"))

    def refuse_namespace(self, name: str, existing: int) -> str | None:
        """Why one namespace more may not be, if so."""
        if name in RESERVED or existing < self.namespaces:
            return None
        return f"there are {existing} namespaces already"

    def refuse_experiment(self, existing: int) -> str | None:
        """Why the namespace may not have one experiment more, if so."""
        if existing < self.experiments:
            return None
        return f"the namespace has {existing} experiments already"

    def refuse_counters(self, existing: Iterable[Pair], wanted: list[Pair]) -> dict[Pair, str]:
        """Which of the wanted (goal, variant) pairs an experiment may not have, and why."""
        existing = list(existing)
        goals = {goal for goal, _ in existing}
        variants = {variant for _, variant in existing}
        refused: dict[Pair, str] = {}
        for goal, variant in wanted:
            if goal not in goals and len(goals) >= self.goals:
                refused[goal, variant] = f"the experiment has {self.goals} goals already"
            elif variant not in variants and len(variants) >= self.variants:
                refused[goal, variant] = f"the experiment has {self.variants} variants already"
            else:
                goals.add(goal)
                variants.add(variant)
        return refused


DEFAULT_LIMITS = Limits()
