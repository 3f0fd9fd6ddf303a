"""Guardrails in summaries: their verdicts name them, and the guardrails themselves are left out."""

from typing import Any

import pytest
import redis

from tests.support.commands import count
from tests.support.handler_requests import call
from tests.support.planned import declare, read, verdict
from tests.support.traffic import traffic

REFUND = {"name": "refund", "role": "guardrail", "better": "lower", "margin": 0.02}
GOALS: list[dict[str, Any]] = [{"name": "signup", "role": "primary"}, REFUND, {"name": "share"}]
VISITORS = {"blue": 1000, "red": 1000}
SIGNUPS = {"blue": 100, "red": 200}


def summary() -> dict[str, Any]:
    found: dict[str, Any]
    _, found = call("GET", "/experiments", {"view": "summary"}).body
    return found


@pytest.mark.parametrize(
    ("refunds", "step"),
    [
        ({"blue": 50, "red": 200}, "Do not ship red: the guardrail refund is broken."),
        ({"blue": 50, "red": 50}, "Look at the open guardrail refund first. "),
        ({"blue": 300, "red": 50}, "Check the set-up first"),
    ],
)
def test_a_summary_ships_nothing_that_breaks_a_guardrail(
    backend: redis.Redis, refunds: dict[str, int], step: str
) -> None:
    declare(goals=GOALS, planned_visitors=None)
    count("e", VISITORS, {"signup": SIGNUPS, "refund": refunds, "share": SIGNUPS})
    short = summary()
    (goal,) = short["goals"]
    assert (goal["goal"], goal["verdict"]["state"]) == ("signup", "winner")
    assert goal["verdict"]["next_step"].startswith(step)
    assert short["goals"] == [each for each in read()["goals"] if each["role"] == "primary"]


def test_a_summary_records_no_verdict_on_a_guardrail(backend: redis.Redis) -> None:
    """It lacks the secondary goals that guardrails are corrected together with."""
    declare(goals=GOALS, planned_visitors=None)
    count("e", VISITORS, {"signup": SIGNUPS, "refund": SIGNUPS, "share": SIGNUPS})
    summary()
    (field,) = backend.hkeys("alephbet:e:verdicts")
    assert field.endswith('"signup"]')
    assert verdict(goal="refund")["recorded"]["visitors"] == 2000


def test_what_guardrails_cost_a_summary(backend: redis.Redis) -> None:
    declare(goals=GOALS, planned_visitors=None)
    count("e", VISITORS, {"signup": SIGNUPS, "refund": SIGNUPS, "share": SIGNUPS})
    summary()
    with traffic(backend) as seen:
        summary()
    # participation, the primary goal and the guardrail, of two variants, in 64 sets
    assert seen.commands["scard"] == 3 * 2 * 64
