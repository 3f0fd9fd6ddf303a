"""The data model: what is counted, under which keys, how exactly, at what cost in memory."""

import random
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from gimel.backend.counting.counters import Counters, shard_of
from gimel.backend.limits import Limits
from gimel.backend.redis.connection import Connection
from gimel.backend.results.experiment import SHARD_ERROR, Experiment
from gimel.backend.wire import Event
from tests.support.hypothesis_settings import on_one_server
from tests.support.proxy import proxy_of
from tests.support.servers import debian_redis, url_of

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
SHARD_0 = [str(n) for n in range(1000) if shard_of(str(n), 64) == 0]


def counters_of(store: redis.Redis, shards: int = 64) -> Counters:
    return Counters(Connection(url_of(store)), shards)


def event(**fields: str) -> Event:
    usual = {"namespace": "alephbet", "experiment": "e", "goal": "participate", "variant": "a"}
    return Event(**(usual | {"uuid": "1"} | fields))


def events(uuids: Iterable[object], **fields: str) -> list[Event]:
    return [event(uuid=str(each), **fields) for each in uuids]


def snapshot(store: redis.Redis) -> dict[str, list[Experiment]]:
    """All counts, whenever their experiments were made."""
    spaces = sorted(store.smembers("gimel:namespaces"))
    return {
        space: [
            Experiment(found.name, trials=found.trials, goals=found.goals)
            for found in counters_of(store).read(space)
        ]
        for space in spaces
    }


# Names


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


@settings(on_one_server, max_examples=200)
@given(st.lists(st.tuples(SPICE, SPICE, SPICE, SPICE), min_size=2, max_size=4, unique=True))
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


def test_the_keys_are_those_that_the_module_lists(store: redis.Redis) -> None:
    counters = counters_of(store)
    shards = {str(n): shard_of(str(n), 64) for n in range(300)}
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
    assert store.hgetall("my ns:a%3Ab:settings").keys() == {"counting", "shards", "created_at"}


# Counting

EVENTS = st.builds(
    Event,
    st.sampled_from(["alephbet", "n:2"]),
    st.sampled_from(["e", "e:2"]),
    st.sampled_from(["participate", "goal", "g:2"]),
    st.sampled_from(["a", "b"]),
    st.integers(0, 40).map(str),
)


@on_one_server
@given(st.lists(EVENTS, max_size=60), st.randoms(use_true_random=False))
def test_order_repetition_and_interleaving_change_no_count(
    store: redis.Redis, sent: list[Event], chance: random.Random
) -> None:
    store.flushall()
    counters_of(store).add(sorted(set(sent)))
    expected = snapshot(store)
    store.flushall()
    shuffled = sent + chance.choices(sent, k=len(sent)) if sent else []
    chance.shuffle(shuffled)
    processes = [counters_of(store, shards) for shards in (64, 16, 1)]
    shards_of_first: dict[tuple[str, ...], int] = {}
    while shuffled:
        size = chance.randint(1, 5)
        batch, shuffled = shuffled[:size], shuffled[size:]
        chance.choice(processes).add(batch)
        for each in batch:
            (found,) = processes[0].read(each.namespace, [each.experiment])
            assert shards_of_first.setdefault(each[:2], found.shards) == found.shards
    got = snapshot(store)
    # Below 41 ids a HyperLogLog, and so a sum of them, is exact but for a collision: none here.
    assert got == expected


def test_counts_are_distinct_visitors(store: redis.Redis) -> None:
    counters = counters_of(store)
    counters.add(events([1, 2, 3, 2, 1]))
    counters.add(events([1, 4], variant="b"))
    counters.add(events([2], goal="signup"))
    assert counters.read("alephbet") == [
        Experiment(
            "e", 64, store.hget("alephbet:e:settings", "created_at"),
            trials={"a": 3, "b": 2}, goals={"signup": {"a": 1, "b": 0}},
        )
    ]  # fmt: skip


def test_more_successes_than_trials_are_told_as_they_are(store: redis.Redis) -> None:
    counters = counters_of(store)
    counters.add([*events([1]), *events(range(5), goal="click")])
    (found,) = counters.read("alephbet")
    assert (found.trials, found.goals) == ({"a": 1}, {"click": {"a": 5}})


def test_goals_without_a_participation_are_told(store: redis.Redis) -> None:
    counters = counters_of(store)
    counters.add(events([1, 2], goal="click"))
    (found,) = counters.read("alephbet")
    assert (found.trials, found.goals) == ({"a": 0}, {"click": {"a": 2}})


def test_processes_that_meet_agree_on_the_shards(store: redis.Redis) -> None:
    rounds = 25
    barrier = Barrier(4, timeout=30)

    def process(shards: int) -> None:
        counters = counters_of(store, shards)
        for turn in range(rounds):
            barrier.wait()
            counters.add(events(["1"], experiment=f"e{turn}"))
            counters.add(events(["2"], experiment=f"e{turn}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(process, (64, 16, 3, 1)))
    found = counters_of(store).read("alephbet")
    assert [each.trials for each in found] == [{"a": 2}] * rounds


@pytest.mark.parametrize("own", [False, True])
def test_threads_lose_nothing(store: redis.Redis, own: bool) -> None:
    shared = counters_of(store)
    barrier = Barrier(8, timeout=30)

    def work(thread: int) -> None:
        variant = f"v{thread}" if own else "a"
        barrier.wait()
        for n in range(40):
            shared.add(events([f"{thread}-{n}"], variant=variant))
            if n % 10 == 0:
                shared.add(events([f"{thread}-{n}", f"{thread}-{n}x"], variant=variant))
                shared.read("alephbet")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    threaded = counters_of(store).read("alephbet")[0].trials
    store.flushall()
    for thread in range(8):
        ids = [f"{thread}-{n}" for n in range(40)] + [f"{thread}-{n}x" for n in range(0, 40, 10)]
        counters_of(store).add(events(ids, variant=f"v{thread}" if own else "a"))
    assert threaded == counters_of(store).read("alephbet")[0].trials


# Shards


def test_shards_are_the_same_for_ever() -> None:
    # CRC-32's published check value is 0xCBF43926 for this text.
    assert shard_of("123456789", 1 << 32) == 0xCBF43926
    assert [shard_of(each, 64) for each in ("123456789", "", "user-1", "עלמה")] == SHARDS
    assert shard_of("anything", 1) == 0
    code = "from gimel.backend.counting.counters import shard_of; print(shard_of('עלמה', 64))"
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)}
        said = subprocess.check_output([sys.executable, "-c", code], env=environment)
        assert int(said) == SHARDS[3]


SHARDS = [38, 0, 20, 50]


def some_uuids(seed: int) -> Callable[[int], str]:
    chance = random.Random(seed)
    return lambda _: str(uuid.UUID(int=chance.getrandbits(128), version=4))


WAYS = {
    "uuid": some_uuids(1),
    "sequence": "user-{}".format,
    "digits": "{:09d}".format,
    "even": lambda n: str(2 * n),
    "thousands": lambda n: f"{n}000",
    "hex": "{:024x}".format,
    "mail": "someone.{}@example.com".format,
}


@pytest.mark.parametrize("way", WAYS)
def test_ids_of_any_make_spread_over_all_shards(way: str) -> None:
    sizes = [0] * 64
    for n in range(20_000):
        sizes[shard_of(WAYS[way](n), 64)] += 1
    # As many shards as the error of the sum behaves like; random ids: 63.8.
    effective = sum(sizes) ** 2 / sum(size**2 for size in sizes)
    assert effective > 60


# Accuracy and memory


def fill(store: redis.Redis, ids: Iterable[str]) -> None:
    """What `add` does, many ids a command."""
    by_shard: dict[int, list[str]] = {}
    for each in ids:
        by_shard.setdefault(shard_of(each, 64), []).append(each)
    pipeline = store.pipeline(transaction=False)
    for shard, members in by_shard.items():
        key = "alephbet:counters:e:participate:a" + (f"#{shard}" if shard else "")
        pipeline.pfadd(key, *members)
    pipeline.execute()


def memory(store: redis.Redis) -> int:
    keys = store.keys("alephbet:counters:*")
    return sum(store.memory_usage(key) for key in keys)


def test_filling_a_counter_in_bulk_is_what_add_does(store: redis.Redis) -> None:
    counters_of(store).add(events(map(WAYS["sequence"], range(1000))))
    keys = store.keys("alephbet:counters:*")
    added = {key: store.dump(key) for key in keys}
    store.delete(*keys)
    fill(store, map(WAYS["sequence"], range(1000)))
    assert {key: store.dump(key) for key in store.keys("alephbet:counters:*")} == added


@pytest.mark.parametrize("way", ["uuid", "sequence", "mail"])
def test_error_and_memory_are_those_of_the_design(store: redis.Redis, way: str) -> None:
    design = {1_000: 12.6, 10_000: 38, 100_000: 190, 1_000_000: 775}  # KB
    sizes = list(design) if way == "uuid" else list(design)[:3]
    counters_of(store).add(events([WAYS[way](0)]))
    filled = 1
    for size in sizes:
        fill(store, map(WAYS[way], range(filled, size)))
        filled = size
        (found,) = counters_of(store).read("alephbet")
        assert found.relative_error == pytest.approx(0.0081 / 8)
        assert found.trials["a"] == pytest.approx(size, rel=4 * SHARD_ERROR / 8)
        assert memory(store) / 1024 == pytest.approx(design[size], rel=0.2)


@pytest.mark.parametrize("size", [3_000, 6_400, 10_000])
def test_counts_are_not_off_to_one_side(store: redis.Redis, size: int) -> None:
    """The server rounds each HyperLogLog's estimate: all the same way, for all are as full."""
    some = some_uuids(7)
    errors = []
    for _ in range(10):
        store.flushall()
        counters_of(store).add(events([some(0)]))
        fill(store, map(some, range(size - 1)))
        (found,) = counters_of(store).read("alephbet")
        errors.append(found.trials["a"] / size - 1)
    # 4 standard errors of the mean of ten
    assert abs(sum(errors) / len(errors)) < 4 * SHARD_ERROR / 8 / 10**0.5


# What gimel 1.x left behind


def track_1x(store: redis.Redis, namespace: str, experiment: str, goal: str, variant: str,
             *uuids: str) -> None:  # fmt: skip
    """The four commands of gimel 1.5.0's `track`."""
    key = f"{namespace}:counters:{experiment}:{goal}:{variant}"
    store.sadd(f"{namespace}:experiments", experiment)
    store.sadd(f"{namespace}:counter_keys", key)
    store.sadd(f"{namespace}:{experiment}:counter_keys", key)
    store.pfadd(key, *uuids)


OLD_NAMES = [
    ("alephbet", "button color", "signup", "red"),
    ("alephbet", "my a/b test", "50% off", "#1"),
    ("alephbet", "page: home", "signup", "red"),
    ("prod:eu", "e", "signup", "red"),
    ("alephbet", "e", "signup", "red: big"),
    ("alephbet", "e", "goal: buy", "red"),
    ("alephbet", "e", "goal: buy", "red: big"),
    ("alephbet", "בדיקה", "הרשמה", "אדום"),
]


@pytest.mark.parametrize("names", OLD_NAMES)
def test_a_redis_of_gimel_1_is_read_counted_on_and_deleted(
    store: redis.Redis, names: tuple[str, str, str, str]
) -> None:
    namespace, experiment, goal, variant = names
    track_1x(store, namespace, experiment, "participate", variant, "1", "2", "3")
    track_1x(store, namespace, experiment, goal, variant, "1")
    keys = set(store.scan_iter())
    counters = counters_of(store)
    (found,) = counters.read(namespace)
    assert (found.name, found.shards, found.created_at) == (experiment, 1, None)
    assert (found.trials, found.goals) == ({variant: 3}, {goal: {variant: 1}})

    counters.add([Event(namespace, experiment, "participate", variant, n) for n in "345"])
    counters.add([Event(namespace, experiment, goal, variant, n) for n in "12"])
    assert set(store.scan_iter()) - {"gimel:namespaces"} == keys
    (found,) = counters_of(store).read(namespace)
    assert (found.trials, found.goals) == ({variant: 5}, {goal: {variant: 2}})

    assert counters.delete(namespace, experiment, forget=True)
    assert store.dbsize() == 0


def test_of_two_variants_that_a_key_of_gimel_1_may_end_in_the_longer_is_meant(
    store: redis.Redis,
) -> None:
    for variant in ("red: big", " big"):
        track_1x(store, "alephbet", "e", "participate", variant, "1")
    track_1x(store, "alephbet", "e", "signup", "red: big", "1")
    (found,) = counters_of(store).read("alephbet")
    assert found.goals == {"signup": {"red: big": 1, " big": 0}}


def test_a_new_counter_of_an_old_experiment_has_one_shard(store: redis.Redis) -> None:
    track_1x(store, "alephbet", "e", "participate", "a", "1")
    counters_of(store).add(events(range(20), variant="b"))
    assert "alephbet:e:settings" not in set(store.scan_iter())
    assert store.pfcount("alephbet:counters:e:participate:b") == 20


def test_old_and_new_experiments_live_side_by_side(store: redis.Redis) -> None:
    track_1x(store, "alephbet", "old", "participate", "a", "1")
    counters = counters_of(store)
    counters.add(events([1, 2], experiment="new"))
    found = {each.name: each for each in counters.read("alephbet")}
    assert (found["old"].shards, found["old"].trials) == (1, {"a": 1})
    assert (found["new"].shards, found["new"].trials) == (64, {"a": 2})
    assert counters.delete("alephbet", "new", forget=True)
    assert store.smembers("alephbet:counter_keys") == {"alephbet:counters:old:participate:a"}
    assert [each.name for each in counters.read("alephbet")] == ["old"]


# Deleting


def full_experiment(store: redis.Redis, **fields: str) -> Counters:
    counters = counters_of(store)
    for goal in ("participate", "signup"):
        for variant in "ab":
            counters.add(events(range(150), goal=goal, variant=variant, **fields))
    return counters


def test_deleting_leaves_no_key_and_twice_is_fine(store: redis.Redis) -> None:
    counters = full_experiment(store)
    assert counters.delete("alephbet", "e", forget=True) is True
    assert store.dbsize() == 0
    assert counters.delete("alephbet", "e", forget=True) is False
    assert store.dbsize() == 0


def test_deleting_one_experiment_leaves_the_others(store: redis.Redis) -> None:
    counters = full_experiment(store)
    before = {key: store.dump(key) for key in store.scan_iter()}
    full_experiment(store, experiment="e2")
    full_experiment(store, namespace="other")
    counters.delete("alephbet", "e2", forget=True)
    counters.delete("other", "e", forget=True)
    assert {key: store.dump(key) for key in store.scan_iter()} == before


def test_deleting_an_unknown_experiment_changes_nothing(store: redis.Redis) -> None:
    full_experiment(store, namespace="a:b")
    before = {key: store.dump(key) for key in store.scan_iter()}
    assert counters_of(store).delete("a:b", "another", forget=True) is False
    assert {key: store.dump(key) for key in store.scan_iter()} == before


@pytest.mark.parametrize("variant", ["settings", "counter_keys"])
def test_deleting_an_unknown_name_that_spells_a_key_spares_it(
    store: redis.Redis, variant: str
) -> None:
    counters_of(store).add([event(variant=variant, uuid=SHARD_0[0])])
    before = {key: store.dump(key) for key in store.scan_iter()}
    assert counters_of(store).delete("alephbet", "counters:e:participate", forget=True) is False
    assert {key: store.dump(key) for key in store.scan_iter()} == before


def test_a_namespace_is_in_use_while_gimel_1_left_something_in_it(store: redis.Redis) -> None:
    track_1x(store, "a:b", "old", "participate", "a", "1")
    counters = counters_of(store)
    counters.add([event(namespace="a:b")])
    counters.delete("a:b", "e", forget=True)
    assert store.smembers("gimel:namespaces") == {"a:b"}
    assert [found.trials for found in counters.read("a:b")] == [{"a": 1}]


def test_a_deleted_experiment_starts_anew(store: redis.Redis) -> None:
    counters = full_experiment(store)
    counters.delete("alephbet", "e", forget=True)
    counters.add(events([1]))
    (found,) = counters.read("alephbet")
    assert (found.trials, found.goals, found.shards) == ({"a": 1}, {}, 64)


@pytest.mark.parametrize("fraction", [0.02, 0.3, 0.6, 0.9, 0.985, 0.995])
def test_a_delete_cut_half_way_can_be_done_again(store: redis.Redis, fraction: float) -> None:
    full_experiment(store)
    with proxy_of(store) as proxy:
        counters_of_proxy(proxy.port).delete("alephbet", "e", forget=True)
        whole, proxy.taken = proxy.taken, 0
        full_experiment(store)
        counters = counters_of_proxy(proxy.port)
        proxy.budget = int(whole * fraction)
        with pytest.raises(redis.ConnectionError):
            counters.delete("alephbet", "e", forget=True)
        assert store.dbsize() > 0
        proxy.budget = None
        counters.delete("alephbet", "e", forget=True)
    assert store.dbsize() == 0


def test_a_first_event_cut_anywhere_is_sent_again_and_counted(store: redis.Redis) -> None:
    """AlephBet sends again what was not answered; nothing half-made may stand in its way."""
    with proxy_of(store) as proxy:
        counters_of_proxy(proxy.port).add([event()])
        expected = set(store.scan_iter())
        for budget in range(5, proxy.taken, 23):
            store.flushall()
            proxy.budget = budget
            with pytest.raises(redis.ConnectionError):
                counters_of_proxy(proxy.port).add([event()])
            proxy.budget = None
            counters_of_proxy(proxy.port).add([event()])
            assert set(store.scan_iter()) == expected
            (found,) = counters_of(store).read("alephbet")
            assert (found.shards, found.trials) == (64, {"a": 1})


def counters_of_proxy(port: int) -> Counters:
    return Counters(Connection(f"redis://127.0.0.1:{port}"))


def test_redis_counts_as_valkey_does() -> None:
    with debian_redis() as store:
        counters = full_experiment(store)
        (found,) = counters.read("alephbet")
        assert found.trials == {"a": 150, "b": 150}
        track_1x(store, "alephbet", "old", "participate", "a", "1")
        assert [each.name for each in counters.read("alephbet")] == ["e", "old"]
        assert counters.delete("alephbet", "e", forget=True)
        assert counters.delete("alephbet", "old", forget=True)
        assert store.dbsize() == 0


# Tombstones


def test_late_events_do_not_bring_a_deleted_experiment_back(store: redis.Redis) -> None:
    full_experiment(store)
    assert counters_of(store).delete("alephbet", "e") is True
    fresh = counters_of(store)  # a process that never knew it
    assert fresh.add(events([1, 2])) == {}
    assert fresh.read("alephbet") == []
    assert sorted(store.scan_iter()) == ["alephbet:deleted", "alephbet:e:deleted"]
    assert store.smembers("alephbet:deleted") == {"e"}


def test_a_forgotten_name_may_be_used_anew(store: redis.Redis) -> None:
    full_experiment(store)
    counters = counters_of(store)
    counters.delete("alephbet", "e")
    counters.add(events([1]))
    assert counters.delete("alephbet", "e", forget=True) is True, "the tombstone was there"
    assert counters.delete("alephbet", "e", forget=True) is False
    assert store.dbsize() == 0
    counters.add(events([1]))
    (found,) = counters.read("alephbet")
    assert found.trials == {"a": 1}


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
def test_what_a_process_that_remembers_counts_late_is_not_in_what_starts_anew(
    store: redis.Redis, counting: str
) -> None:
    here, remembers = (Counters(Connection(url_of(store)), counting=counting) for _ in "12")
    remembers.add(events(range(100)))
    here.delete("alephbet", "e")
    remembers.add(events(range(100)))
    assert store.dbsize() > 2, "there are late counts"
    here.delete("alephbet", "e", forget=True)
    assert store.dbsize() == 0
    here.add(events([1]))
    (found,) = here.read("alephbet")
    assert found.trials == {"a": 1}


def test_a_name_that_never_was_gets_no_tombstone(store: redis.Redis) -> None:
    assert counters_of(store).delete("alephbet", "e") is False
    assert store.dbsize() == 0


def test_tombstones_take_no_limits_place_and_are_refused_by_none(store: redis.Redis) -> None:
    full_experiment(store)
    counters_of(store).delete("alephbet", "e")
    full = Counters(Connection(url_of(store)), limits=Limits(experiments=1))
    others = [event._replace(experiment="other") for event in events([1])]
    assert full.add(events([1]) + others) == {}
    assert [found.name for found in full.read("alephbet")] == ["other"]


def test_a_gimel_1_experiment_leaves_a_tombstone_too(store: redis.Redis) -> None:
    store.sadd("alephbet:experiments", "e")
    store.sadd("alephbet:e:counter_keys", "alephbet:counters:e:participate:a")
    store.pfadd("alephbet:counters:e:participate:a", "1")
    assert counters_of(store).delete("alephbet", "e") is True
    counters_of(store).add(events([1]))
    assert sorted(store.scan_iter()) == ["alephbet:deleted", "alephbet:e:deleted"]


def counted(store: redis.Redis) -> dict[str, object]:
    """What every counter's keys hold."""
    return {
        key: store.pfcount(key) if store.type(key) == "string" else store.smembers(key)
        for key in store.scan_iter()
        if not key.endswith(":settings")
    }


@pytest.mark.parametrize("counting", ["hyperloglog", "exact"])
def test_a_batch_counts_as_its_events_do_one_by_one(store: redis.Redis, counting: str) -> None:
    events = [
        Event("n", f"e{n % 3}", f"g{n % 2}", f"v{n % 5}", str(n * n % 997)) for n in range(400)
    ]
    limits = Limits(experiments=2, variants=3)
    single = Counters(Connection(url_of(store)), limits=limits, counting=counting)
    refused = {place: single.add([event])[0] for place, event in enumerate(events)
               if single.add([event])}  # fmt: skip
    expected = counted(store)
    store.flushall()
    batch = Counters(Connection(url_of(store)), limits=limits, counting=counting)
    assert batch.add(events) == refused
    assert counted(store) == expected
    assert 100 < len(refused) < 300
