"""The sentences of a verdict: why it is so, and what to do next.

They quote the names of variants and goals as they are. The caller must escape them for its output.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gimel.backend.results.comparison import Interval
from gimel.backend.results.lift import describe_lift, describe_range
from gimel.backend.results.remaining import MAX_VISITORS_NEEDED

# A lift beyond this, in either direction, is more often a mistake than an effect.
SURPRISING_LIFT = 0.5
# With this many visitors in each arm, such a lift is hardly a coincidence of small numbers.
ENOUGH_FOR_TWYMAN = 1000
# Of more variants than this, a sentence says their number.
_NAMED = 3
# The beginning of a sentence, by whether the goal decides
_LIFTS = {True: "Stop: lifts", False: "Lifts"}

FIX_THE_SPLIT = "Fix the split first: the numbers of this experiment do not decide anything."
NOT_DECIDING = "Secondary goals are corrected together and do not decide."
TWYMAN = (
    f"Check the set-up first: a lift beyond ±{SURPRISING_LIFT:.0%} is more often a mistake than an "
    "effect (Twyman's law)."
)
PLAN_IS_PAST = "It was not counted at the plan's final look, so only a clearer difference decides."
WAIT_FOR_EVENTS = "Wait until these events are counted: `gimel status` says what holds them up."
TOO_MANY = (
    "To confirm a difference this small would take over "
    f"{MAX_VISITORS_NEEDED // 1_000_000} million more visitors."
)
TOO_EARLY = "It is too early to say how many more visitors a decision takes."


def join_names(names: Sequence[str]) -> str:
    """Return the names, the last one after "and"."""
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def expect_less(lift_expected: float) -> str:
    """Return the sentence that a lift which was just found is exaggerated."""
    less = f"Expect less: at most about {describe_lift(lift_expected)}."
    return f"{less} A lift at the moment when it is found is exaggerated."


def ruled_out(interval: Interval | None, *, is_primary: bool) -> str:
    """Return the reason of an inconclusive verdict, from the interval of the final look."""
    if interval is None:
        return "The plan is fulfilled, and too few visitors reached this goal to rule out any lift."
    low, high = interval
    opening = f"The plan is fulfilled and no difference was found. {_LIFTS[is_primary]} above"
    return f"{opening} {describe_lift(high)} and below {describe_lift(low)} are ruled out."


def no_participation(label: str) -> str:
    """Return the reason where a variant's goal is reached and nobody takes part."""
    return (
        f"Visitors of {label} reach this goal, but no participation of {label} has arrived. "
        "The page sends the goal without the event participate, or sends it for another variant."
    )


CHECK_GOAL = "Check that the page sends this goal, if visitors should have reached it by now."
MEASURE_ANEW = "Decide by another goal, or measure this one in a new experiment."
CHECK_SENDING = (
    "Check that the page still sends events. If you have removed the experiment's code, end it "
    "with `gimel stop`."
)
FIND_OUT_WHY_THEY_WAIT = "They count once Redis takes them: `gimel status` says what holds them up."
SEND_PARTICIPATION = (
    "Send the event participate when a visitor is shown the variant, before any goal."
)


def no_visitor_since(moment: str) -> str:
    """Return the sentence on stopped traffic. `moment`: a time in UTC, in ISO 8601."""
    return f"no visitor has come since {moment[:16].replace('T', ' ')} UTC."


def guardrails(broken: Sequence[str], still_open: Sequence[str]) -> str:
    """Return the sentence about guardrails that do not hold. Empty if all hold."""
    parts = [
        f"{join_names(names)} {'is' if len(names) == 1 else 'are'} {state}"
        for names, state in ((broken, "broken"), (still_open, "open"))
        if names
    ]
    return f"Guardrails: {', '.join(parts)}." if parts else ""


def guardrail(states: Mapping[str, str]) -> str:
    """Return the sentence on how the variants keep within a guardrail's margin."""
    said = []
    for state in dict.fromkeys(states.values()):
        labels = [label for label, each in states.items() if each == state]
        names = join_names(labels) if len(labels) <= _NAMED else f"{len(labels)} variants"
        said.append(f"{names} {'is' if len(labels) == 1 else 'are'} {state}")
    return f"As a guardrail: {', '.join(said)}. "


def plan_remains(planned_visitors: int, more: int, days: tuple[int, int] | None) -> str:
    """Return the sentence on how long the plan still takes."""
    return f"The plan of {planned_visitors:,} visitors takes {more:,} more{_in_days(days)}."


def final_look_waits(waits_for: str) -> str:
    """Return the sentence on what puts the final look off: so many events, or messages of them."""
    verb = "is" if waits_for.startswith("1 ") else "are"
    opening = "The plan is fulfilled. Its final look waits for"
    return f"{opening} {waits_for} that {verb} not counted yet."


def visitors_remain(visitors: tuple[int, int], days: tuple[int, int] | None) -> str:
    """Return the sentence on how long a decision takes without a plan."""
    low, high = visitors
    number = f"{low:,} to {high:,}" if low != high else f"{high:,}"
    return (
        f"If there is a difference, a decision probably takes {number} more visitors"
        f"{_in_days(days)}."
    )


def _in_days(days: tuple[int, int] | None) -> str:
    if days is None:
        return ""
    low, high = days
    number = f"{low:,} to {high:,} days" if low != high else f"{high:,} day{'s'[: high != 1]}"
    return f" ({number} at the present pace)"


def ship(winner: str) -> str:
    """Return the next step after a winner."""
    return f"Ship {winner}, and remove the experiment's code."


def keep(baseline: str) -> str:
    """Return the next step after a loser."""
    return f"Keep {baseline}, and remove the experiment's code."


def stop(baseline: str) -> str:
    """Return the next step where nothing worth finding is left."""
    return (
        f"Stop: it makes no difference worth finding. Keep {baseline}, or choose the cheaper one."
    )


def stop_inconclusive(baseline: str) -> str:
    """Return the next step after a plan that found nothing."""
    return (
        f"Stop, and keep {baseline}. If a smaller lift is worth finding, plan a larger experiment "
        "with `gimel sample-size`."
    )


def step_after(record: Mapping[str, Any], baseline: str) -> str:
    """Return the next step after a recorded verdict that the present counts do not repeat."""
    if record["variant"] is not None:
        step = ship(record["winner"]) if record["winner"] is not None else keep(baseline)
        is_enough = record["visitors"] >= 2 * ENOUGH_FOR_TWYMAN
        is_surprising = is_enough and abs(record["lift"] or 0) > SURPRISING_LIFT
        return f"{TWYMAN} {step}" if is_surprising else step
    return stop(baseline) if record["state"] == "no_difference" else stop_inconclusive(baseline)


def with_guardrails(
    step: str, winner: str, broken: Sequence[str], still_open: Sequence[str]
) -> str:
    """Return the next step after a winner, as its guardrails allow it."""
    if broken:
        return f"Do not ship {winner}: the guardrail {join_names(broken)} is broken."
    return f"Look at the open guardrail {join_names(still_open)} first. {step}"


def wait(until: str | None) -> str:
    """Return the next step while visitors are missing. `until`: a date."""
    return f"Wait until about {until}." if until else "Wait for more visitors."


RESUME = "The experiment does not run: `gimel resume` it to collect more visitors."


def decided(winner: str) -> str:
    """Return the next step once the owner has decided the experiment."""
    return f"The experiment is decided: keep {winner}, and remove the experiment's code."


def decide_by(goals: Sequence[str]) -> str:
    """Return the next step of a goal that does not decide."""
    return f"Decide by {join_names(goals)}." if goals else "Decide by a primary goal."


NOT_RECORDED = (
    "A verdict or the plan's final look is due, but Redis could not record it, so no verdict is "
    "shown. Redis may be full, or its user may not write."
)
FIND_OUT = (
    "Find out what changed before you act: the recorded verdict and the present counts disagree."
)
LET_REDIS_RECORD = "Give Redis more memory or the right to write, then read again."


def since(at: str, visitors_then: int, visitors: int, clause: str) -> str:
    """Return the sentence on when a verdict was recorded, and what happened since."""
    when = f"Recorded on {at[:10]} at {visitors_then:,} visitors."
    more = visitors - visitors_then
    if more <= 0:
        return when
    return f"{when} Since then, {more:,} more came{clause}."


def lift_since(variant: str, lift: float, interval: Interval | None) -> str:
    """Return the clause on the lift that a variant has now."""
    range_now = f" ({describe_range(interval)})" if interval else ""
    return f": the lift of {variant} is now {describe_lift(lift)}{range_now}"
