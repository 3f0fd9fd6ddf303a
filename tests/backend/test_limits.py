"""What an open endpoint may create, and that what exists goes on counting at the limit."""

import pytest
import redis

from gimel.backend.counting.counters import Counters
from gimel.backend.limits import RESERVED, Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.handler_requests import call, post
from tests.support.servers import url_of
from tests.support.traffic import traffic

LIMITS = Limits(namespaces=2, experiments=3, variants=2, goals=2)


def counters_of(store: redis.Redis, limits: Limits = LIMITS) -> Counters:
    """As a new process would: it remembers nothing."""
    return Counters(Connection(url_of(store)), limits=limits)


def event(experiment: str, goal: str = "participate", variant: str = "a", *, uuid: str = "1",
          namespace: str = "alephbet") -> Event:  # fmt: skip
    return Event(namespace, experiment, goal, variant, uuid)


def in_namespaces(*namespaces: str) -> list[Event]:
    return [event("e", namespace=namespace) for namespace in namespaces]


def dump(store: redis.Redis) -> dict[str, bytes]:
    return {key: store.dump(key) for key in store.scan_iter()}


# (what exists, one more than may be, the reason)
CASES = {
    "namespaces": (in_namespaces("n1", "n2"), in_namespaces("n3")[0],
                   "there are 2 namespaces already"),
    "experiments": ([event("e1"), event("e2"), event("e3")], event("e4"),
                    "the namespace has 3 experiments already"),
    "variants": ([event("e"), event("e", variant="b")], event("e", variant="c"),
                 "the experiment has 2 variants already"),
    "goals": ([event("e"), event("e", "signup")], event("e", "buy"),
              "the experiment has 2 goals already"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_one_more_than_the_limit_is_refused_and_leaves_no_trace(
    store: redis.Redis, case: str
) -> None:
    existing, one_more, reason = CASES[case]
    for each in existing:
        assert counters_of(store).add([each]) == {}
    before = dump(store)
    assert counters_of(store).add([one_more]) == {0: reason}
    assert dump(store) == before


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("fixed_salt")
def test_within_one_batch_the_first_are_made(store: redis.Redis, case: str) -> None:
    existing, one_more, reason = CASES[case]
    assert counters_of(store).add([*existing, one_more]) == {len(existing): reason}
    made = dump(store)
    store.flushall()
    counters_of(store).add(existing)
    assert dump(store).keys() == made.keys()


@pytest.mark.parametrize("case", CASES)
def test_what_exists_goes_on_counting_at_the_limit(store: redis.Redis, case: str) -> None:
    existing, one_more, reason = CASES[case]
    counters_of(store).add(existing)
    again = [each._replace(uuid="2") for each in existing]
    assert counters_of(store).add([*again, one_more]) == {len(again): reason}
    for each in existing:
        (found,) = counters_of(store).read(each.namespace, [each.experiment])
        count = found.trials if each.goal == "participate" else found.goals[each.goal]
        assert count[each.variant] == 2


@pytest.mark.parametrize("case", CASES)
def test_over_the_limit_already_nothing_is_lost(store: redis.Redis, case: str) -> None:
    existing, one_more, _ = CASES[case]
    counters_of(store, Limits()).add([*existing, one_more])
    assert counters_of(store).add([*existing, one_more]) == {}


@pytest.mark.parametrize("case", CASES)
def test_deleting_makes_room(store: redis.Redis, case: str) -> None:
    existing, one_more, _ = CASES[case]
    counters = counters_of(store)
    counters.add(existing)
    assert counters.add([one_more])
    counters.delete(existing[0].namespace, existing[0].experiment)
    assert counters.add([one_more]) == {}


def test_a_refused_event_is_judged_anew_after_some_seconds(store: redis.Redis) -> None:
    now = [0.0]
    counters = Counters(Connection(url_of(store)), limits=LIMITS, clock=lambda: now[0])
    existing, one_more, reason = CASES["experiments"]
    counters.add(existing)
    assert counters.add([one_more]) == {0: reason}
    counters_of(store).delete("alephbet", "e1")
    now[0] = 4.9
    with traffic(store) as seen:
        assert counters.add([one_more]) == {0: reason}
    assert seen.commands == {}, "a flood of it costs Redis nothing"
    now[0] = 5.1
    assert counters.add([one_more]) == {}


def test_a_refusal_that_is_new_costs_one_round_trip(store: redis.Redis) -> None:
    counters = counters_of(store)
    existing, one_more, reason = CASES["experiments"]
    counters.add(existing)
    with traffic(store) as seen:
        assert counters.add([one_more]) == {0: reason}
    assert seen.round_trips == 1


def test_an_existing_namespace_takes_no_new_ones_place(store: redis.Redis) -> None:
    counters_of(store).add(in_namespaces("n1"))
    batch = [event("another", namespace="n1"), *in_namespaces("n2", "n3")]
    assert counters_of(store).add(batch) == {2: "there are 2 namespaces already"}


def test_several_experiments_of_a_new_namespace_are_one_namespace(store: redis.Redis) -> None:
    batch = [event(name, namespace=namespace) for namespace in ("n1", "n2") for name in "abcd"]
    reason = "the namespace has 3 experiments already"
    assert counters_of(store).add(batch) == {3: reason, 7: reason}


def test_a_goal_of_the_limit_takes_every_variant(store: redis.Redis) -> None:
    pairs = [(goal, variant) for goal in ("participate", "signup") for variant in "ab"]
    assert counters_of(store).add([event("e", *pair) for pair in pairs]) == {}
    (found,) = counters_of(store).read("alephbet")
    assert (found.trials, found.goals) == ({"a": 1, "b": 1}, {"signup": {"a": 1, "b": 1}})


def test_a_namespace_of_gimel_1_goes_on_at_the_limit(store: redis.Redis) -> None:
    counters_of(store).add(in_namespaces("n1", "n2"))
    key = "old:counters:e:participate:a"
    store.sadd("old:experiments", "e")
    store.sadd("old:e:counter_keys", key)
    store.pfadd(key, "1")
    assert counters_of(store).add([event("e", namespace="old", uuid="2")]) == {}
    assert counters_of(store).read("old")[0].trials == {"a": 2}


EVENT = {"experiment": "e", "variant": "v", "event": "participate", "uuid": "1"}


def test_a_limit_is_a_429_that_says_when_to_come_back(backend: redis.Redis) -> None:
    post([EVENT | {"variant": f"v{n}"} for n in range(20)])
    reason = "the experiment has 20 variants already"
    answer = call("GET", "/e", EVENT | {"variant": "one more"})
    assert (answer.status, answer.body) == (429, {"error": reason, "field": None})
    assert int(answer.headers["retry-after"]) > 0
    answer = post([EVENT | {"variant": "one more"}])
    rejected = [{"index": 0, "error": reason, "field": None, "retry": True}]
    assert (answer.status, answer.body) == (
        429,
        {
            "accepted": 0,
            "ignored": 0,
            "reasons": {},
            "rejected": rejected,
            "error": reason,
            "field": None,
        },
    )
    answer = post([EVENT | {"variant": "v0"}, EVENT | {"variant": "one more"}])
    assert (answer.status, answer.body) == (
        200,
        {
            "accepted": 1,
            "ignored": 0,
            "reasons": {},
            "rejected": [{"index": 1, "error": reason, "field": None, "retry": True}],
        },
    )


def test_places_in_a_batch_are_those_that_were_sent(backend: redis.Redis) -> None:
    batch = [{}, *[EVENT | {"variant": f"v{n:02}"} for n in range(20)], EVENT, {}]
    answer = post(batch)
    assert answer.status == 200
    assert answer.body["accepted"] == 20
    assert [each["index"] for each in answer.body["rejected"]] == [0, 21, 22]


def test_the_defaults_hold_for_the_handlers(backend: redis.Redis) -> None:
    fields = {"namespace": 20, "experiment": 200, "event": 50, "variant": 20}
    for field, most in fields.items():
        backend.flushall()
        batch = [EVENT | {field: f"{n:03}"} for n in range(most + 1)]
        # A loaded machine may not begin 200 experiments in 1.2 s: the sender sends them again.
        for _ in range(10):
            if (answer := post(batch)).status == 200:
                break
        assert answer.body["accepted"] == most
        assert [each["index"] for each in answer.body["rejected"]] == [most]


@pytest.mark.parametrize("name", RESERVED)
def test_strangers_cannot_shut_out_the_namespaces_that_gimel_itself_needs(
    store: redis.Redis, name: str
) -> None:
    counters = counters_of(store)
    strangers = [f"n{number}" for number in range(LIMITS.namespaces)]
    assert counters.add(in_namespaces(*strangers)) == {}
    assert counters.add(in_namespaces("one more", name)).keys() == {0}


def test_how_full_it_is(store: redis.Redis) -> None:
    counters = counters_of(store)
    assert counters.fullness()["namespaces"] == (0, 2)
    counters.add([event("e1"), event("e1", variant="b"), event("e2", "goal")])
    counters.add([event("e3", namespace="n")])
    assert counters.fullness() == {
        "namespaces": (2, 2),
        "experiments": (2, 3),
        "variants": (2, 2),
        "goals": (1, 2),
    }
