"""The design of an experiment: what was fixed before the data, and how it goes on."""

from collections.abc import Mapping
from typing import NamedTuple

from gimel.backend.results.between import Measure
from gimel.backend.results.decision import FinalLook
from gimel.backend.results.pace import Pace


class Aim(NamedTuple):
    """The purpose of a goal. `margin`: the harm to a guardrail that is acceptable; None means 0."""

    role: str = "primary"
    better: str = "higher"
    margin: float | None = None

    @property
    def sign(self) -> int:
        """1 if a higher rate is better, otherwise -1."""
        return -1 if self.better == "lower" else 1


class Design(NamedTuple):
    """What was fixed before the data, and how the experiment goes on.

    `aims`: by goal; a goal without an aim is primary. `final`: the final look of the plan, if it
    has been. `waits_for`: how many events that are not counted yet put it off. `final_measures`:
    how goals that a visitor may reach many times are measured in it.
    """

    planned_visitors: int | None = None
    aims: Mapping[str, Aim] = {}
    final: FinalLook | None = None
    waits_for: str = ""
    final_measures: Mapping[str, Measure] = {}
    pace: Pace = Pace()
    is_running: bool = True
