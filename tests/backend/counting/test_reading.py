"""Reading in pages and in summary: what is in an answer, and what it costs Redis."""

import json
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from gimel.backend import process
from gimel.backend.counting.counters import Counters
from gimel.backend.counting.declaring import change
from gimel.backend.counting.keys import Keys
from gimel.backend.experiment.definition import parse_definition
from gimel.backend.redis.connection import Connection
from gimel.backend.wire import Event
from tests.support.handler_requests import call, post
from tests.support.hypothesis_settings import on_one_server
from tests.support.servers import url_of
from tests.support.traffic import traffic

EVENT = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}
DEFINITION = {
    "variants": [{"name": "red"}, {"name": "blue"}, {"name": "never seen"}],
    "goals": [{"name": "buy"}, {"name": "a refund", "role": "guardrail"}, {"name": "share"}],
}


def fill(experiments: list[str], variants: str = "ab", goals: tuple[str, ...] = ()) -> None:
    """Count two visitors of each variant, and one conversion for each goal."""
    cells = [(goal, v, "1") for goal in ("participate", *goals) for v in variants]
    cells += [("participate", v, "2") for v in variants]
    events = [
        Event("alephbet", name, goal, variant, uuid)
        for name in experiments
        for goal, variant, uuid in cells
    ]
    process.counters().add(events)


def read(**query: object) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the answer's meta and its experiments."""
    answer = call("GET", "/experiments", {name: str(value) for name, value in query.items()})
    assert answer.status == 200
    return answer.body[0]["meta"], answer.body[1:]


def names(**query: object) -> list[str]:
    return [each["experiment"] for each in read(**query)[1]]


def declare(name: str) -> None:
    changes: Any = parse_definition(DEFINITION).to_hash()
    change(process.connection(), ("alephbet", name), changes, "owner")


def summary_of(whole: dict[str, Any]) -> dict[str, Any]:
    """Return the part of a full answer that a summary has."""
    goals = [goal for goal in whole["goals"] if goal["goal"] == whole["primary_goal"]]
    return whole | {"goals": goals}


# Pages


def test_pages_come_in_the_order_of_names(backend: redis.Redis) -> None:
    fill(["b", "a", "C", "é", "a b"])
    meta, page = read(limit=2)
    assert [each["experiment"] for each in page] == ["C", "a"]
    assert (meta["next"], meta["total"]) == ("a", 5)
    meta, page = read(limit=2, after="a")
    assert [each["experiment"] for each in page] == ["a b", "b"]
    assert (meta["next"], meta["total"]) == ("b", 5)
    meta, page = read(limit=2, after="b")
    assert [each["experiment"] for each in page] == ["é"]
    assert (meta["next"], meta["total"]) == (None, 5)


def test_a_page_that_ends_with_the_last_name_has_no_next(backend: redis.Redis) -> None:
    fill(["a", "b"])
    assert read(limit=2)[0]["next"] is None
    assert read(limit=1, after="a")[0]["next"] is None
    assert read(after="a") == read(limit=1000, after="a")
    assert read(limit=5, after="zzz")[1] == []


def test_a_page_goes_on_after_a_name_that_is_gone(backend: redis.Redis) -> None:
    fill(["a", "b", "c"])
    call("DELETE", "/delete", {"experiment": "b"})
    assert names(after="b") == ["c"]


def test_a_scope_is_read_in_pages_too(backend: redis.Redis) -> None:
    fill(["a", "b", "c", "d"])
    meta, page = read(scope="d,a,c,a", limit=2)
    assert [each["experiment"] for each in page] == ["a", "c"]
    assert (meta["next"], meta["total"]) == ("c", 4)
    assert names(scope="d,a,c,a", limit=2, after="c") == ["d"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("limit", value) for value in ("0", "1001", "", "-1", "+1", "1.0", "ten", " 5", "٣")),
        ("limit", "9" * 5000),
        ("after", ""),
        *(("view", value) for value in ("", "full", "Summary")),
    ],
)
def test_a_bad_value_is_named(backend: redis.Redis, field: str, value: str) -> None:
    answer = call("GET", "/experiments", {field: value})
    assert (answer.status, answer.body["field"]) == (400, field)
    assert field in answer.body["error"]


@on_one_server
@given(
    names=st.lists(st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1,
                           max_size=4).filter(str.strip), unique=True, max_size=9),
    limit=st.integers(1, 4),
)  # fmt: skip
def test_the_pages_together_are_all_experiments(
    backend: redis.Redis, names: list[str], limit: int
) -> None:
    backend.flushall()
    process.reset()
    fill(names, "a")
    _, expected = read()
    pages: list[dict[str, Any]] = []
    query: dict[str, Any] = {"limit": limit}
    while True:
        meta, page = read(**query)
        pages += page
        assert meta["total"] == len(names)
        if meta["next"] is None:
            break
        assert len(page) == limit
        query["after"] = meta["next"]
    assert pages == expected
    assert [each["experiment"] for each in pages] == sorted(names)


# Summaries


def test_a_summary_is_the_full_answer_for_the_primary_goal(backend: redis.Redis) -> None:
    fill(["chosen", "first by name"], goals=("buy", "click", "sign up"))
    fill(["no goal"])
    post([EVENT | {"experiment": "chosen", "variant": "only buys", "event": "buy"}])
    call("POST", "/settings", {"experiment": "chosen"}, body='{"primary_goal": "click"}')
    _, whole = read()
    _, summaries = read(view="summary")
    assert summaries == [summary_of(each) for each in whole]
    goals = {each["experiment"]: [goal["goal"] for goal in each["goals"]] for each in summaries}
    assert goals == {"chosen": ["click"], "first by name": ["buy"], "no goal": []}


CELLS = st.tuples(st.sampled_from("abc"), st.sampled_from(["participate", "g", "h:i", "j"]))


@on_one_server
@given(
    cells=st.lists(CELLS, min_size=1, max_size=30),
    settings=st.fixed_dictionaries(
        {}, optional={"primary_goal": st.sampled_from("gj"), "weights": st.just({"a": 1, "b": 3})}
    ),
    way=st.sampled_from(["exact", "hyperloglog"]),
)
def test_any_summary_is_the_full_answer_for_the_primary_goal(
    backend: redis.Redis, cells: list[tuple[str, str]], settings: dict[str, Any], way: str
) -> None:
    backend.flushall()
    process.reset()
    call("POST", "/settings", {"experiment": "e"}, body=json.dumps({"counting": way}))
    uuids = enumerate(cells)
    post([EVENT | {"variant": v, "event": g, "uuid": str(uuid)} for uuid, (v, g) in uuids])
    changes = {name: value if name == "primary_goal" else json.dumps(value)
               for name, value in settings.items()}  # fmt: skip
    change(process.connection(), ("alephbet", "e"), changes, "owner")
    _, whole = read()
    _, summaries = read(view="summary")
    assert summaries == [summary_of(each) for each in whole]


def test_a_summary_of_an_experiment_from_gimel_1(backend: redis.Redis) -> None:
    for variant in ("a", "b:c"):
        for goal in ("participate", "buy", "x:y"):
            key = Keys("alephbet", "old", legacy=True).counter(goal, variant)
            backend.pfadd(key, "1", "2")
            backend.sadd("alephbet:old:counter_keys", key)
    backend.sadd("alephbet:experiments", "old")
    (whole,) = read()[1]
    assert len(whole["goals"]) == 2
    assert read(view="summary")[1] == [summary_of(whole)]


def test_a_summary_counts_two_goals_whatever_else_there_is(backend: redis.Redis) -> None:
    fill(["e"], goals=tuple(f"goal {number}" for number in range(30)))
    with traffic(backend) as seen:
        read(view="summary")
    # participation and the first goal, of two variants, in 64 shards
    assert seen.commands["pfcount"] == 2 * 2 * 64
    with traffic(backend) as seen:
        read()
    assert seen.commands["pfcount"] == 31 * 2 * 64


def test_an_exact_summary_reads_two_goals_too(backend: redis.Redis) -> None:
    call("POST", "/settings", {"experiment": "e"}, body='{"counting": "exact"}')
    fill(["e"], goals=tuple(f"goal {number}" for number in range(30)))
    with traffic(backend) as seen:
        read(view="summary")
    assert seen.commands["scard"] == 2 * 2 * 64
    with traffic(backend) as seen:
        read()
    assert seen.commands["scard"] == 31 * 2 * 64


@pytest.mark.parametrize("experiments", [1, 100])
def test_a_summary_takes_three_round_trips(backend: redis.Redis, experiments: int) -> None:
    fill([f"e{number:03}" for number in range(experiments)], goals=("buy", "sign up"))
    with traffic(backend) as seen:
        assert len(read(view="summary", limit=100)[1]) == experiments
    assert seen.round_trips <= 3


def test_a_page_reads_its_own_experiments_only(backend: redis.Redis) -> None:
    fill([f"e{number}" for number in range(9)])
    with traffic(backend) as seen:
        read(limit=2, after="e3")
    assert seen.commands["pfcount"] == 2 * 2 * 64
    # their settings and records, and the tally of ignored events
    assert seen.commands["hgetall"] == 5


def test_a_summary_has_at_most_as_many_variants_as_the_limit(
    backend: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(["e"], "abcdefg", ("buy",))
    change(
        process.connection(),
        ("alephbet", "e"),
        {"baseline": "g", "weights": '{"g": 1, "f": 2}'},
        "owner",
    )
    monkeypatch.setenv("GIMEL_LIMITS", '{"variants": 3}')
    process.reset()
    with traffic(backend) as seen:
        (found,) = read(view="summary")[1]
    assert [each["label"] for each in found["variants"]] == ["a", "f", "g"]
    assert (found["variants_left_out"], found["baseline"]) == (4, "g")
    assert seen.commands["pfcount"] == 2 * 3 * 64
    (whole,) = read()[1]
    assert (len(whole["variants"]), whole["variants_left_out"]) == (7, 0)


# Declared experiments


def test_each_experiment_says_whether_it_is_declared(backend: redis.Redis) -> None:
    fill(["declared", "undeclared"])
    declare("declared")
    for query in ({}, {"view": "summary"}):
        found = {each["experiment"]: each["declared"] for each in read(**query)[1]}
        assert found == {"declared": True, "undeclared": False}


@pytest.mark.parametrize("late", [False, True])
def test_of_a_declared_experiment_the_declared_part_is_read(
    backend: redis.Redis, late: bool
) -> None:
    counters = Counters(Connection(url_of(backend)))
    if not late:
        declare("e")
    for variant in ("red", "blue", "Blue"):
        for goal in ("participate", "buy", "junk", "a junk"):
            counters.add([Event("alephbet", "e", goal, variant, str(n)) for n in range(5)])
    declare("e")
    with traffic(backend) as seen:
        (whole,) = read()[1]
    assert [(each["label"], each["trials"], each["stray"]) for each in whole["variants"]] == [
        ("blue", 5, False),
        ("never seen", 0, False),
        ("red", 5, False),
    ]
    assert [goal["goal"] for goal in whole["goals"]] == ["a refund", "buy", "share"]
    assert (whole["primary_goal"], whole["baseline"]) == ("buy", "red")
    assert seen.commands["pfcount"] == 2 * 2 * 64
    assert read(view="summary")[1] == [summary_of(whole)]


def test_a_declared_variant_that_never_loads_raises_the_alarm(backend: redis.Redis) -> None:
    declare("e")
    process.counters().add(
        [Event("alephbet", "e", "participate", v, str(n)) for v in ("red", "blue")
         for n in range(200)]
    )  # fmt: skip
    assert read()[1][0]["srm"]["alarm"] is True


def test_a_stray_variant_changes_nothing_where_weights_are_set(backend: redis.Redis) -> None:
    visitors = [("a", n) for n in range(900)] + [("b", n) for n in range(300)]
    counters = process.counters()
    counters.add([Event("alephbet", "e", "participate", v, str(n)) for v, n in visitors])
    counters.add([Event("alephbet", "e", "buy", v, str(n)) for v, n in visitors if n < 90])
    call("POST", "/settings", {"experiment": "e"}, body='{"weights": {"a": 3, "b": 1}}')
    (before,) = read()[1]
    assert before["goals"][0]["verdict"]["state"] == "winner"
    post(EVENT | {"variant": "0 made up", "uuid": "x"})
    (after,) = read()[1]
    assert after["variants"][0] == {"label": "0 made up", "trials": 1, "stray": True}
    assert after["goals"][0]["verdict"] == before["goals"][0]["verdict"]
    assert after["srm"] == before["srm"]
