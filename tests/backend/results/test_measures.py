"""Goals that a visitor may reach many times, from the wire to the answer, on a real server."""

import json
import random
from typing import Any

import numpy as np
import pytest
import redis
from numpy.typing import NDArray
from scipy import stats as scipy_stats

from gimel.backend import process
from tests.support.handler_requests import call, post

CAP = 100
GOALS = [
    {"name": "signup"},
    {"name": "click", "kind": "total"},
    {"name": "revenue", "kind": "value", "cap": CAP},
]
VISITORS = 2_000
FIELDS = {"experiment": "e"}

pytestmark = pytest.mark.usefixtures("fixed_salt")

# What one arm's visitors did: clicks and amounts of each
Did = tuple[NDArray[np.int64], list[list[float]]]


def declare(**changes: Any) -> None:
    definition = {"variants": [{"name": "a"}, {"name": "b"}], "goals": GOALS} | changes
    assert call("PUT", "/experiment", FIELDS, body=json.dumps(definition)).status == 200


def did(seed: int, clicks: float = 3.0, amount: float = 20.0) -> Did:
    """Visitors of whom 30 % click, `clicks` times on average, and 20 % buy up to three times."""
    rng = np.random.default_rng(seed)
    times = np.where(rng.random(VISITORS) < 0.3, rng.geometric(1 / clicks, VISITORS), 0)
    orders = np.where(rng.random(VISITORS) < 0.2, rng.integers(1, 4, VISITORS), 0)
    return times, [rng.lognormal(np.log(amount), 1, number).tolist() for number in orders]


def events_of(variant: str, what: Did) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for number, (clicks, orders) in enumerate(zip(*what, strict=True)):
        of_visitor = FIELDS | {"variant": variant, "visitor": f"{variant}{number}"}
        found.append(of_visitor | {"event": "participate", "uuid": f"p{number}"})
        found += [
            of_visitor | {"event": "click", "uuid": f"c{number} {click}"} for click in range(clicks)
        ]
        found += [
            of_visitor | {"event": "revenue", "uuid": f"o{number} {order}", "value": value}
            for order, value in enumerate(orders)
        ]
    random.Random(1).shuffle(found)
    return found


def send(sent: list[dict[str, Any]]) -> None:
    for start in range(0, len(sent), 500):
        part = sent[start : start + 500]
        answer = post(part)
        assert (answer.status, answer.body["accepted"]) == (200, len(part)), answer.body


def goals_of(**query: str) -> dict[str, Any]:
    answer = call("GET", "/experiment", FIELDS | query)
    return {goal["goal"]: goal for goal in answer.body["goals"]}


def spent(what: Did) -> NDArray[np.float64]:
    """Each visitor's amounts, each up to the cap."""
    return np.array([sum(min(value, CAP) for value in orders) for orders in what[1]])


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
def test_from_the_wire_to_the_answer(backend: redis.Redis, counting: str) -> None:
    declare(counting=counting)
    arms = {"a": did(1), "b": did(2, clicks=4.5, amount=30.0)}
    sent = [each for variant, what in arms.items() for each in events_of(variant, what)]
    send(sent)
    before = goals_of()
    send(sent)
    assert goals_of() == before, "an event that comes again changes nothing"
    for goal, of_visitor in (("click", lambda what: what[0]), ("revenue", spent)):
        found = before[goal]
        assert found["samples"] == 64
        truth = {variant: of_visitor(what) for variant, what in arms.items()}
        for row in found["results"]:
            exact = truth[row["label"]]
            assert row["trials"] == pytest.approx(VISITORS, rel=0.005)
            assert row["rate"] == pytest.approx(exact.mean(), rel=0.01)
            assert row["successes"] == pytest.approx(exact.sum(), rel=0.01)
            low, high = row["rate_interval"]
            assert (high - low) / 2 == pytest.approx(
                1.96 * exact.std() / VISITORS**0.5, rel=0.35
            ), "the variance between the samples is that between the visitors"
            assert low < exact.mean() < high
        row = found["results"][1]
        lift = truth["b"].mean() / truth["a"].mean() - 1
        assert row["lift"] == pytest.approx(lift, abs=0.02)
        low, high = row["lift_interval"]
        assert low < lift < high
        welch = scipy_stats.ttest_ind(truth["b"], truth["a"], equal_var=False).pvalue
        assert np.log(row["p_value"]) == pytest.approx(np.log(welch), rel=0.5)
        assert found["verdict"]["state"] == "winner", found["verdict"]
        assert row["chance_to_be_best"] > 0.99
    for row in before["revenue"]["results"]:
        amounts = [value for orders in arms[row["label"]][1] for value in orders]
        assert row["above_cap"] == pytest.approx(sum(value > CAP for value in amounts), abs=3)
        assert row["above_cap"] > 10
        assert row["sum"] == pytest.approx(spent(arms[row["label"]]).sum(), rel=0.01)
    assert [row["sum"] for row in before["click"]["results"]] == [None, None]
    # Amounts take 64 HyperLogLogs, whichever way the experiment counts.
    assert backend.type("alephbet:counters:e:revenue:a#63") == "string"


def test_exact_totals_have_no_error(backend: redis.Redis) -> None:
    declare(counting="exact")
    what = did(3)
    send(events_of("a", what))
    row = goals_of()["click"]["results"][0]
    assert (row["successes"], row["trials"]) == (what[0].sum(), VISITORS)


def test_exact_sets_that_grew_fold_into_64_samples(backend: redis.Redis) -> None:
    """26,000 visitors need 256 sets; a read in between moves members up."""
    declare(counting="exact", goals=[{"name": "signup"}, {"name": "click", "kind": "total"}])
    events = [
        FIELDS | {"variant": "a", "visitor": str(n), "event": event, "uuid": f"{event}{n}"}
        for n in range(26_000)
        for event in ("participate", "click")
    ]
    send(events)
    process.reset()
    send(events[:1000])
    goal = goals_of()["click"]
    assert any(" 256 " in field for field in backend.hkeys("alephbet:e:settings"))
    assert goal["results"][0]["successes"] == goal["results"][0]["trials"] == 26_000
    # Each visitor clicked once, so the samples do not differ at all.
    assert goal["samples"] == 64
    assert goal["results"][0]["relative_variance"] == pytest.approx(1 / 26_000**2, rel=1e-3)


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
def test_amounts_and_visitors_are_in_the_same_samples(backend: redis.Redis, counting: str) -> None:
    """If every visitor spends the same, only the counters' errors make samples differ.

    In samples of others, the variance would be about 2/VISITORS.
    """
    declare(counting=counting)
    everybody: Did = np.zeros(VISITORS, int), [[float(CAP)]] * VISITORS
    send(events_of("a", everybody))
    row = goals_of()["revenue"]["results"][0]
    assert row["relative_variance"] < 0.02 / VISITORS
    assert row["rate"] == pytest.approx(CAP, rel=0.01)


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
def test_an_event_needs_a_visitor_and_an_amount(backend: redis.Redis, counting: str) -> None:
    declare(counting=counting)
    order = FIELDS | {"variant": "a", "event": "revenue", "uuid": "1"}
    for fields, reason in (
        (order | {"visitor": "ana"}, "goal needs a value"),
        (order | {"value": 3}, "goal needs a visitor"),
    ):
        assert post(fields).body["reasons"] == {reason: 1}
    assert call("GET", "/e", order | {"visitor": "ana", "value": "3.5"}).body["accepted"] == 1
    assert post(FIELDS | {"variant": "a", "event": "signup", "uuid": "1", "value": 7}).body[
        "accepted"
    ], "a goal that measures no amount ignores the field"
    rows = {name: goal["results"][0] for name, goal in goals_of().items()}
    assert rows["signup"]["successes"] == 1
    assert rows["revenue"]["sum"] == pytest.approx(3.5, abs=1)


# Each case: shards of the stack, the counting method if declared, visitors, and words of the reason
UNDECIDED: dict[str, tuple[int, str | None, int, str]] = {
    "named as a total": (64, None, 500, "do not say whose they are"),
    "more conversions than visitors": (64, None, 500, "more conversions than visitors"),
    "few shards": (16, "hyperloglog", 500, "have 16 shards"),
    "few shards beside exact sets": (16, "exact", 500, "have 16 shards"),
    "too early": (64, "hyperloglog", 20, "Too few visitors"),
}


@pytest.mark.parametrize("case", UNDECIDED)
def test_without_samples_there_is_no_verdict(
    backend: redis.Redis, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shards, counting, visitors, reason = UNDECIDED[case]
    monkeypatch.setenv("GIMEL_SHARDS", str(shards))
    process.reset()
    if counting:
        declare(counting=counting)
    for variant, times in (("a", 2), ("b", 4)):
        fields = FIELDS | {"variant": variant}
        for number in range(visitors):
            whose = {"visitor": f"{variant}{number}"} if counting else {}
            order = fields | {"event": "revenue", "value": 5} | whose
            send([fields | {"event": "participate", "uuid": f"{variant}{number}"} | whose])
            send([order | {"uuid": f"{variant}{number} {time}"} for time in range(times)])
    if case == "named as a total":
        body = json.dumps({"totals": ["revenue"]})
        assert call("POST", "/settings", FIELDS, body=body).status == 200
    goal = goals_of()["revenue"]
    assert goal["verdict"]["state"] == "keep_collecting"
    assert reason in goal["verdict"]["reason"]
    assert goal["verdict"]["visitors_needed"] is None
    for row in goal["results"]:
        assert row["rate_interval"] is row["lift_interval"] is row["chance_to_be_best"] is None
        assert row["lift_interval_always_valid"] is None
        assert row["p_value"] in (None, 1)


@pytest.mark.parametrize("goal", ["click", "revenue"])
def test_a_goal_that_a_few_visitors_decide_has_no_verdict(backend: redis.Redis, goal: str) -> None:
    """One visitor of b, a bot perhaps, clicks 4,000 times, or buys 1,000 times at the cap."""
    declare(counting="exact")
    for variant, seed in (("a", 1), ("b", 2)):
        times, orders = did(seed, amount=2.0)
        if variant == "b" and goal == "click":
            times[0] = 4000
        elif variant == "b":
            orders[0] = [CAP] * 1000
        send(events_of(variant, (times, orders)))
    found = goals_of()
    other = "revenue" if goal == "click" else "click"
    assert found[other]["results"][1]["lift_interval"] is not None
    verdict = found[goal]["verdict"]
    assert (verdict["state"], verdict["visitors_needed"]) == ("keep_collecting", None)
    assert verdict["reason"].startswith("A few visitors reach this goal so often that they decide")
    assert verdict["next_step"] == "Decide by signup."
    for row in found[goal]["results"]:
        assert row["rate"] > 0
        assert row["rate_interval"] is row["lift_interval"] is row["chance_to_be_best"] is None
        assert row["lift_interval_always_valid"] is row["relative_variance"] is None
        assert row["p_value"] in (None, 1)


def test_an_experiment_without_a_salt_says_so(backend: redis.Redis) -> None:
    backend.sadd("gimel:namespaces", "alephbet")
    backend.sadd("alephbet:experiments", "e")
    backend.sadd("alephbet:e:counter_keys", "alephbet:counters:e:participate:a")
    backend.hset("alephbet:e:settings", mapping={"counting": "hyperloglog", "shards": "64"})
    declare()
    for variant in "ab":
        send(events_of(variant, did(4)))
    for goal in ("click", "revenue"):
        found = goals_of()[goal]
        assert "An earlier version of Gimel began" in found["verdict"]["reason"]
        assert found["samples"] is None
        assert found["results"][0]["successes"] > 0
