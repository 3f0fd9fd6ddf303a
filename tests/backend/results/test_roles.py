"""Roles: primary goals decide, secondary ones say that they do not, guardrails go along."""

from typing import Any

import pytest

from gimel.backend.experiment.definition import Definition, Goal, Variant
from gimel.backend.results.counts import ExperimentCounts

TRIALS = {"blue": 50_000, "red": 50_000}
WINS = {"blue": 5000, "red": 5600}
SAME = {"blue": 5000, "red": 5010}


def described(goals: dict[Goal, dict[str, int]], **settings: Any) -> dict[str, Any]:
    definition = Definition(
        variants=(Variant("blue"), Variant("red")), goals=tuple(goals), counting="exact", **settings
    )
    counts = {goal.name: successes for goal, successes in goals.items()}
    found = ExperimentCounts(
        "e", settings=definition, trials=TRIALS, goals=counts, has_events=True
    ).describe()
    return {goal["goal"]: goal for goal in found["goals"]}


def primary(name: str = "signup", **more: Any) -> Goal:
    return Goal(name, "primary", **more)


def refund(**more: Any) -> Goal:
    return Goal("refund", "guardrail", **{"better": "lower", "margin": 0.02} | more)


class TestPrimaryGoals:
    def test_several_are_corrected_together(self):
        barely = {"blue": 5000, "red": 5325}
        assert described({primary(): barely})["signup"]["verdict"]["state"] == "winner"
        five = {primary(): barely} | {primary(f"goal {number}"): SAME for number in range(4)}
        assert described(five)["signup"]["verdict"]["state"] == "keep_collecting"

    def test_secondary_ones_cost_them_nothing(self):
        barely = {"blue": 5000, "red": 5325}
        goals = {primary(): barely} | {Goal(f"goal {number}"): SAME for number in range(4)}
        assert described(goals)["signup"]["verdict"]["state"] == "winner"

    @pytest.mark.parametrize(
        ("successes", "winner"), [(WINS, None), ({"blue": 5600, "red": 5000}, "red")]
    )
    def test_a_goal_for_which_lower_is_better(self, successes, winner):
        found = described({primary(better="lower"): successes})["signup"]["verdict"]
        assert found["winner"] == winner
        assert found["state"] == ("winner" if winner else "loser")

    def test_the_best_of_several_for_which_lower_is_better(self):
        definition = Definition(
            variants=tuple(map(Variant, "abc")), goals=(primary(better="lower"),), counting="exact"
        )
        (goal,) = ExperimentCounts(
            "e",
            settings=definition,
            trials=dict.fromkeys("abc", 50_000),
            goals={"signup": {"a": 5600, "b": 5000, "c": 4700}},
        ).describe()["goals"]
        assert goal["verdict"]["winner"] == "c"
        assert goal["verdict"]["next_step"] == "Ship c, and remove the experiment's code."


class TestSecondaryGoals:
    def test_they_say_that_they_do_not_decide(self):
        found = described({primary(): SAME, Goal("share"): WINS})["share"]["verdict"]
        assert found["state"] == "winner"
        assert found["reason"].endswith("Secondary goals are corrected together and do not decide.")
        assert found["next_step"] == "Decide by signup."

    def test_they_are_corrected_together(self):
        barely = {"blue": 5000, "red": 5325}
        alone = described({primary(): SAME, Goal("share"): barely})
        assert alone["share"]["verdict"]["state"] == "winner"
        others = {Goal(f"goal {number}"): SAME for number in range(4)}
        among = described({primary(): SAME, Goal("share"): barely, **others})
        assert among["share"]["verdict"]["state"] == "keep_collecting"

    def test_the_other_goals_of_an_undeclared_experiment_are_secondary(self):
        found = ExperimentCounts(
            "e", trials=TRIALS, goals={"signup": WINS, "share": WINS}, first_goal="signup"
        ).describe()
        roles = {goal["goal"]: goal["role"] for goal in found["goals"]}
        assert roles == {"signup": "primary", "share": "secondary"}


class TestGuardrails:
    @pytest.mark.parametrize(
        ("refunds", "state"),
        [
            ({"blue": 20_000, "red": 19_500}, "held"),
            ({"blue": 20_000, "red": 20_050}, "open"),
            ({"blue": 20_000, "red": 22_000}, "broken"),
            ({"blue": 2, "red": 2}, "open"),
        ],
    )
    def test_their_state_is_that_of_the_whole_interval(self, refunds, state):
        found = described({primary(): WINS, refund(): refunds})
        assert found["refund"]["guardrail"] == {"red": state}
        assert found["signup"]["guardrail"] is None
        verdict = found["signup"]["verdict"]
        assert verdict["winner"] == "red"
        if state == "held":
            assert "refund" not in verdict["reason"] + verdict["next_step"]
        else:
            assert f"Guardrails: refund is {state}." in verdict["reason"]
            start = {
                "open": "Look at the open guardrail refund first. Ship red",
                "broken": "Do not ship red: the guardrail refund is broken.",
            }[state]
            assert verdict["next_step"].startswith(start)

    def test_the_margin_follows_what_is_better(self):
        fewer = {"blue": 20_000, "red": 18_000}
        more = {"blue": 20_000, "red": 22_000}
        for better, worse_counts in (("lower", more), ("higher", fewer)):
            found = described({primary(): SAME, refund(better=better): worse_counts})
            assert found["refund"]["guardrail"] == {"red": "broken"}
        assert described({primary(): SAME, refund(better="higher"): more})["refund"][
            "guardrail"
        ] == {"red": "held"}

    def test_without_a_margin_no_harm_is_acceptable(self):
        kept = {"blue": 20_000, "red": 20_000}
        assert described({primary(): SAME, refund(margin=None): kept})["refund"]["guardrail"] == {
            "red": "open"
        }
        harm = {"blue": 20_000, "red": 20_900}
        assert described({primary(): SAME, refund(margin=None): harm})["refund"]["guardrail"] == {
            "red": "broken"
        }

    def test_they_accompany_every_verdict_of_primary_goals(self):
        found = described({primary(): SAME, refund(): {"blue": 20_000, "red": 22_000}})
        assert "Guardrails: refund is broken." in found["signup"]["verdict"]["reason"]
        assert found["signup"]["verdict"]["state"] == "keep_collecting"

    def test_of_many_variants_their_number_is_said(self):
        labels = ["base", *(f"v{number}" for number in range(1, 8))]
        definition = Definition(
            variants=tuple(map(Variant, labels)), goals=(primary(), refund()), counting="exact"
        )
        (goal, _) = ExperimentCounts(
            "e",
            settings=definition,
            trials=dict.fromkeys(labels, 50_000),
            goals={"refund": dict.fromkeys(labels, 20_000) | {"v5": 23_000}, "signup": {}},
        ).describe()["goals"]
        assert (
            goal["verdict"]["reason"]
            .partition("As a guardrail: ")[2]
            .startswith("6 variants are open, v5 is broken. ")
        )
