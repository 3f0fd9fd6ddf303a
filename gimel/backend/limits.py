"""Limits on what strangers can create: pure checks, applied when a counter is registered."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from gimel.backend.counting.keys import Cell
from gimel.backend.wire import DEFAULT_NAMESPACE

PROBE_NAMESPACE = "gimel-probe"
PREFLIGHT_NAMESPACE = "gimel-preflight"
DEMO_NAMESPACE = "demo"

# Gimel's own probes, which count on a closed stack too
OWN_NAMESPACES = (PROBE_NAMESPACE, PREFLIGHT_NAMESPACE)
# These namespaces can always be created, even after strangers have used up the limit.
RESERVED = (DEFAULT_NAMESPACE, PROBE_NAMESPACE, PREFLIGHT_NAMESPACE, DEMO_NAMESPACE)


class Limits(NamedTuple):
    """Maximum namespaces in total, experiments per namespace, variants and goals per experiment.

    `memory`: Redis's memory in MB, for a Redis that does not report its own limit; 0: not known.
    """

    namespaces: int = 20
    experiments: int = 200
    variants: int = 20
    goals: int = 50
    memory: int = 0

    @classmethod
    def of(cls, text: str | None) -> "Limits":
        """Return the limits that a JSON object sets. Those that it leaves out are the defaults."""
        return cls(**json.loads(text or "{}"))

    def refuse_namespace(self, name: str, existing: int) -> str | None:
        """Return why another namespace is refused, or None."""
        if name in RESERVED or existing < self.namespaces:
            return None
        return f"there are {existing} namespaces already"

    def refuse_experiment(self, existing: int) -> str | None:
        """Return why another experiment in the namespace is refused, or None."""
        if existing < self.experiments:
            return None
        return f"the namespace has {existing} experiments already"

    def refuse_counters(self, existing: Iterable[Cell], wanted: list[Cell]) -> dict[Cell, str]:
        """Return the refused cells (goal and variant) among the wanted ones, and why."""
        existing = list(existing)
        goals = {goal for goal, _ in existing}
        variants = {variant for _, variant in existing}
        refused: dict[Cell, str] = {}
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
