"""The result of one check."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Check:
    """The result of one check. `found` says what was found and, unless it is fine, what to do."""

    name: str
    state: Literal["ok", "warning", "failed"]
    found: str
