"""An experiment as it was read: settings and counts, and what the wire says of it."""

from dataclasses import dataclass, field
from typing import Any

from gimel.backend.counting.ways import EXACT
from gimel.backend.experiment.definition import ExperimentSettings

# Redis's documentation: the standard error of one HyperLogLog of 16,384 registers.
SHARD_ERROR = 0.0081
# Below this share of the largest variant's visitors, one without a weight is a typo or a prank.
_STRAY = 0.01
_CONVENTIONAL_BASELINES = ("control", "baseline", "original")


def relative_error(shards: int) -> float:
    """Relative standard error of a counter of so many shards."""
    return float(SHARD_ERROR / shards**0.5)


@dataclass(frozen=True)
class Experiment:
    """One experiment.

    `trials` maps each variant to its visitors; `goals` maps each goal to its conversions by
    variant, zeros included. `ambiguous`: the names of gimel 1.x that may be meant otherwise.
    """

    name: str
    shards: int = 1
    created_at: str | None = None
    settings: ExperimentSettings = field(default_factory=ExperimentSettings)
    trials: dict[str, int] = field(default_factory=dict)
    goals: dict[str, dict[str, int]] = field(default_factory=dict)
    ambiguous: tuple[str, ...] = ()

    @property
    def exists(self) -> bool:
        """Whether anything was ever counted for it."""
        return bool(self.trials)

    @property
    def relative_error(self) -> float:
        """Relative standard error of each of its counts."""
        return 0.0 if self._is_exact else relative_error(self.shards)

    @property
    def _is_exact(self) -> bool:
        return self.settings.counting == EXACT

    @property
    def baseline(self) -> str | None:
        """The chosen baseline; else a variant of a conventional name; else the first by name."""
        candidates = [self.settings.baseline, *_CONVENTIONAL_BASELINES]
        candidates += sorted(self.trials.keys() - self.strays)
        return next((label for label in candidates if label in self.trials), None)

    @property
    def strays(self) -> set[str]:
        """Variants with next to no visitors. The endpoint is open: anyone can make one.

        Weights, once set, say which variants are meant, and then none is a stray.
        """
        if self.settings.weights is not None:
            return set()
        least = _STRAY * max(self.trials.values(), default=0)
        return {label for label, count in self.trials.items() if count < least}

    @property
    def primary_goal(self) -> str | None:
        """The chosen goal; else the first by name."""
        return self.settings.primary_goal or min(self.goals, default=None)

    def describe(self) -> dict[str, Any]:
        """The experiment with its inference, as the wire says it."""
        # Here, for it costs a cold start 7 ms, and events need no inference.
        from gimel.backend.results.analysis import analyse

        baseline, strays = self.baseline, self.strays
        analysis = analyse(
            self.trials,
            self.goals,
            baseline=baseline,
            relative_error=self.relative_error,
            weights=self.settings.weights,
            equivalence=self.settings.equivalence,
            totals=self.settings.totals,
            strays=strays - {baseline},
        )
        return {
            "experiment": self.name,
            "created_at": self.created_at,
            "state": self.settings.state,
            "baseline": baseline,
            "primary_goal": self.primary_goal,
            "equivalence": self.settings.equivalence,
            "variants": [
                {"label": label, "trials": count, "stray": label in strays}
                for label, count in sorted(self.trials.items())
            ],
            "counting": {
                "method": self.settings.counting,
                "shards": None if self._is_exact else self.shards,
                "relative_error": round(self.relative_error, 6),
            },
            "ambiguous": self.ambiguous,
            **analysis,
        }
