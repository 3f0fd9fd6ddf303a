"""Names of any text make keys that are never mistaken for one another."""

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gimel.backend.wire import Event
from tests.support.counting import counters_of, event, events, salted_shard_of
from tests.support.hypothesis_settings import on_one_server

SHARD_0 = [str(n) for n in range(1000) if salted_shard_of(str(n)) == 0]

# Names that look like the keys' own parts, and names of any text there is.
SPICE = st.lists(
    st.sampled_from([":", "#", "%", "%3A", "%25", "%23", "1", "a", "alephbet", "counters",
                     "counter_keys", "experiments", "settings", "gimel", "namespaces"]),
    min_size=1, max_size=6,
).map("".join)  # fmt: skip


TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=256)
NAME = st.one_of(SPICE, TEXT.filter(lambda text: bool(text.strip())))
TUPLE = st.tuples(NAME, NAME, NAME, NAME)
NAMES = [
    "button color",
    "my a/b test",
    "a:b#c%d",
    "%3A%23%25",
    """it's "quoted" \\ and `so`""",
    "צבע הכפתור",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "\u202ebidi\u202c \u200f",
    "e\u0301 and é",
    "x" * 256,
    "𝒳" * 256,
    "counter_keys",
    "a,b&c=d+e?f",
]


@pytest.mark.parametrize("name", NAMES)
def test_names_come_out_as_they_went_in(store: redis.Redis, name: str) -> None:
    counters = counters_of(store)
    fields = {"namespace": name, "experiment": name, "variant": name}
    counters.add([event(**fields), event(**fields, goal=name)])
    (found,) = counters_of(store).read(name)
    assert (found.name, found.trials, found.goals) == (name, {name: 1}, {name: {name: 1}})
    assert counters.delete(name, name, forget=True)
    assert store.dbsize() == 0


@on_one_server
@given(TUPLE)
def test_any_names_come_out_as_they_went_in(
    store: redis.Redis, names: tuple[str, str, str, str]
) -> None:
    store.flushall()
    namespace, experiment, goal, variant = names
    counters = counters_of(store)
    counters.add([Event(*names, "1")])
    (found,) = counters.read(namespace)
    assert (found.name, set(found.trials)) == (experiment, {variant})
    assert goal == "participate" or found.goals == {goal: {variant: 1}}
    assert counters.delete(namespace, experiment, forget=True)
    assert store.dbsize() == 0


@pytest.mark.slow
@settings(on_one_server, max_examples=200)
@given(st.lists(st.tuples(SPICE, SPICE, SPICE, SPICE), min_size=2, max_size=4, unique=True))
@pytest.mark.usefixtures("fixed_salt")
def test_different_names_never_share_a_counter(
    store: redis.Redis, tuples: list[tuple[str, str, str, str]]
) -> None:
    store.flushall()
    # Shard 0 has the key that gimel 1.x would have used: there, names may meet.
    for names, uuid_of_shard_0 in zip(tuples, SHARD_0, strict=False):
        assert counters_of(store).add([Event(*names, uuid_of_shard_0)]) == {}
    for namespace, experiment, goal, variant in tuples:
        (found,) = counters_of(store).read(namespace, [experiment])
        of_goal = found.trials if goal == "participate" else found.goals[goal]
        assert of_goal[variant] == 1
        mine = {(g, v) for n, e, g, v in tuples if (n, e) == (namespace, experiment)}
        assert {v for _, v in mine} == set(found.trials)
        assert {g for g, _ in mine} - {"participate"} == set(found.goals)
        listed = {each.name for each in counters_of(store).read(namespace)}
        assert listed == {e for n, e, _, _ in tuples if n == namespace}


def test_a_namespace_that_spells_an_escaped_one_is_another(store: redis.Redis) -> None:
    counters_of(store).add([event(namespace="a:b", uuid="1")])
    counters_of(store).add([event(namespace="a%3Ab", uuid="2")])
    for namespace in ("a:b", "a%3Ab"):
        (found,) = counters_of(store).read(namespace)
        assert (found.trials, found.shards) == ({"a": 1}, 64)
    counters_of(store).delete("a%3Ab", "e", forget=True)
    assert [found.trials for found in counters_of(store).read("a:b")] == [{"a": 1}]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        # What gimel 1.x would have called the second one's sets are counters of the first.
        ({"variant": "counter_keys"}, {"experiment": "counters:e:participate"}),
        ({"variant": "experiments"}, {"namespace": "alephbet:counters:e:participate"}),
    ],
)
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.usefixtures("fixed_salt")
def test_names_that_spell_another_key_break_nothing(
    store: redis.Redis, first: dict[str, str], second: dict[str, str], turned: bool
) -> None:
    pair = [event(uuid=SHARD_0[0], **fields) for fields in (first, second)]
    for each in reversed(pair) if turned else pair:
        assert counters_of(store).add([each]) == {}
    for each in pair:
        read = counters_of(store).read(each.namespace)
        assert {each.variant: 1} in [found.trials for found in read]
        assert counters_of(store).delete(each.namespace, each.experiment, forget=True)
    assert store.dbsize() == 0


@pytest.mark.usefixtures("fixed_salt")
def test_the_keys_are_those_that_the_module_lists(store: redis.Redis) -> None:
    counters = counters_of(store)
    shards = {str(n): salted_shard_of(str(n)) for n in range(300)}
    zero = next(n for n, shard in shards.items() if shard == 0)
    seven = next(n for n, shard in shards.items() if shard == 7)
    counters.add(events([zero, seven], namespace="my ns", experiment="a:b", goal="g%", variant="#"))
    counter = "my ns:counters:a%3Ab:g%25:%23"
    types = {key: store.type(key) for key in store.scan_iter()}
    assert types == {
        "gimel:namespaces": "set",
        "my ns:experiments": "set",
        "my ns:a%3Ab:settings": "hash",
        "my ns:a%3Ab:counter_keys": "set",
        counter: "string",
        f"{counter}#7": "string",
    }
    assert store.smembers("gimel:namespaces") == {"my ns"}
    assert store.smembers("my ns:experiments") == {"a:b"}
    assert store.smembers("my ns:a%3Ab:counter_keys") == {counter}
    assert store.pfcount(counter) == store.pfcount(f"{counter}#7") == 1
    assert store.hgetall("my ns:a%3Ab:settings").keys() == {
        *("counting", "created_at", "first_goal", "salt", "shards")
    }


@pytest.mark.parametrize("variant", ["settings", "counter_keys"])
@pytest.mark.usefixtures("fixed_salt")
def test_deleting_an_unknown_name_that_spells_a_key_spares_it(
    store: redis.Redis, variant: str
) -> None:
    counters_of(store).add([event(variant=variant, uuid=SHARD_0[0])])
    before = {key: store.dump(key) for key in store.scan_iter()}
    assert counters_of(store).delete("alephbet", "counters:e:participate", forget=True) is False
    assert {key: store.dump(key) for key in store.scan_iter()} == before
