"""Rates and lifts in options: 0.05 and 5% are the same, and 5 is most likely a mistake."""

import sys
from typing import Any

import click
from click.types import FloatParamType

from gimel.terminal.text import plain


class Percentage(FloatParamType):
    """A number, or a percentage: 0.05 or 5%."""

    name = "percentage"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number. Raises click.BadParameter."""
        if isinstance(value, float):
            return value
        number = value.strip().removesuffix("%").rstrip()
        try:
            # A division by 100 would round.
            return float(f"{number}e-2" if "%" in value else number)
        except ValueError:
            self.fail(f"{plain(value)!r} must look like 0.05 or 5%", param, ctx)


class Lift(Percentage):
    """A lift. Above 100 %, it must be a percentage, or be confirmed in a terminal."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the lift. Raises click.BadParameter."""
        lift = super().convert(value, param, ctx)
        # While a shell completes a command, nothing may be asked.
        is_parsing = ctx is not None and ctx.resilient_parsing
        if "%" in str(value) or not 1 < abs(lift) < float("inf") or is_parsing:
            return lift
        meaning = f"{percent(lift, '+')}, and not {percent(lift / 100, '+')}"
        if not (sys.stdin.isatty() and click.confirm(f"A lift of {lift:g} is {meaning}. Go on?")):
            self.fail(
                f"a lift of {lift:g} is {meaning}: type {lift:g}% or {100 * lift:g}%", param, ctx
            )
        return lift


PERCENTAGE, LIFT = Percentage(), Lift()


def percent(number: float, sign: str = "") -> str:
    """Return a number as a percentage, for a sentence."""
    return f"{100 * number:{sign}.5g} %"
