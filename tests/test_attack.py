"""What a stranger can do at the routes that need no key: nothing to a declared experiment.

Every request goes over HTTP to a server with default settings. Each attack worked against an
earlier version.
"""

import hashlib
import json
import random
from typing import Any

import pytest
import redis
import requests

from gimel.backend import process
from tests.support.commands import server_url
from tests.support.forged_uuids import forged_uuids
from tests.support.handler_requests import Answer

OWNER = "the owner's key"
DEFINITION = {
    "variants": [{"name": "blue", "weight": 50}, {"name": "red", "weight": 50}],
    "goals": [{"name": "signup", "role": "primary"}, {"name": "order", "from": "server"}],
}
VISITORS = 2500
# Bytes by which the default limits bound what strangers create, as measured below and rounded up
BOUND = 10_000_000


@pytest.fixture
def server(backend: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    monkeypatch.setenv("GIMEL_KEY_SHA256", hashlib.sha256(OWNER.encode()).hexdigest())
    process.reset()
    return backend


def call(method: str, path: str, query: Any = None, **rest: Any) -> Answer:
    """Send a request over HTTP."""
    answer = requests.request(method, server_url() + path, params=query, timeout=60, **rest)
    return Answer(answer.status_code, answer.json(), dict(answer.headers))


def as_owner(route: str, body: Any = None, **query: str) -> Answer:
    method, path = route.split()
    text = json.dumps(body) if body is not None else None
    return call(method, path, query, data=text, headers={"x-api-key": OWNER})


def as_stranger(events: list[dict[str, str]]) -> Answer:
    """Send a batch without a key, again if the server has no time for it. It answers no error."""
    for _ in range(10):
        answer = call("POST", "/e", data=json.dumps(events))
        if answer.status != 503:
            break
    assert answer.status in (200, 429)
    return answer


def events(experiment: str, event: str, variant: str, uuids: Any) -> list[dict[str, str]]:
    return [
        {"experiment": experiment, "event": event, "variant": variant, "uuid": str(uuid)}
        for uuid in uuids
    ]


def honest_visitors(experiment: str) -> None:
    """Count 2,500 visitors a variant, of whom red converts better."""
    chance = random.Random(1)
    for variant, rate in (("blue", 0.10), ("red", 0.15)):
        ids = [f"{experiment} {variant} {n}" for n in range(VISITORS)]
        for start in range(0, VISITORS, 500):
            some = ids[start : start + 500]
            as_stranger(events(experiment, "participate", variant, some))
            buyers = [each for each in some if chance.random() < rate]
            as_stranger(events(experiment, "signup", variant, buyers))


def read(experiment: str) -> dict[str, Any]:
    found = as_owner("GET /experiment", experiment=experiment).body
    kept = ("variants", "goals", "primary_goal", "baseline", "srm", "definition")
    return {name: found[name] for name in kept}


def verdict_on_signup(found: dict[str, Any]) -> dict[str, Any]:
    (verdict,) = (goal["verdict"] for goal in found["goals"] if goal["goal"] == "signup")
    return dict(verdict)


def attack(experiment: str) -> None:
    """Do all that was seen to work, against one experiment and against the whole backend."""
    as_stranger(events(experiment, "participate", "zzz", range(1)))
    as_stranger(events(experiment, "participate", "zzz", range(300)))
    as_stranger(events(experiment, "signup", "zzz", range(300)))
    as_stranger(events(experiment, "!", "red", range(300)))
    as_stranger(events(experiment, "order", "red", range(300)))
    for n in range(0, 500, 100):
        variants = [events(experiment, "participate", f"v{i}", [1]) for i in range(n, n + 100)]
        goals = [events(experiment, f"goal {i}", "red", [1]) for i in range(n, n + 100)]
        as_stranger([event for each in [*variants, *goals] for event in each])
    long = "x" * 200
    for n in range(0, 2000, 500):
        junk = [events(f"junk {i} {long}", "participate", "a", [1]) for i in range(n, n + 500)]
        as_stranger([event for each in junk for event in each])
    for n in range(100):
        as_stranger([event | {"namespace": f"ns {n}"} for event in events("e", "g", "a", [1])])
    for n in range(20):
        cells = [(f"g{goal}", f"v{variant}") for goal in range(20) for variant in range(25)]
        junk = [events(f"junk {n} {long}", *cell, [1]) for cell in cells]
        as_stranger([event for each in junk for event in each])
    for method, path in (("GET", "/experiments"), ("PUT", "/experiment"), ("POST", "/settings"),
                         ("DELETE", "/delete"), ("GET", "/experiment")):  # fmt: skip
        assert call(method, path, {"experiment": experiment}, data="{}").status == 403


@pytest.mark.slow
def test_a_declared_experiment_is_untouched(server: redis.Redis) -> None:
    assert as_owner("PUT /experiment", DEFINITION, experiment="e").status == 200
    honest_visitors("e")
    before = read("e")
    assert verdict_on_signup(before)["winner"] == "red"
    memory = server.info("memory")["used_memory"]
    attack("e")
    process.reset()
    assert read("e") == before
    grown = server.info("memory")["used_memory"] - memory
    print(f"Redis grew by {grown:,} bytes")
    assert grown < BOUND
    assert as_owner("PUT /experiment", DEFINITION, experiment="a new one").status == 200
    assert as_stranger(events("a new one", "participate", "red", [1])).body["accepted"] == 1


@pytest.mark.slow
def test_crafted_uuids_count_as_what_they_are(server: redis.Redis) -> None:
    as_owner("PUT /experiment", DEFINITION, experiment="e")
    honest_visitors("e")
    forged = forged_uuids()
    for start in range(0, len(forged), 500):
        as_stranger(events("e", "participate", "blue", forged[start : start + 500]))
    counts = {each["label"]: each["trials"] for each in read("e")["variants"]}
    assert counts["blue"] == pytest.approx(VISITORS + len(forged), rel=0.01)
    assert counts["red"] == pytest.approx(VISITORS, rel=0.01)


@pytest.mark.slow
def test_a_closed_stack_keeps_nothing_of_it(
    server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMEL_ACCEPT", "declared")
    process.reset()
    as_owner("PUT /experiment", DEFINITION, experiment="e")
    honest_visitors("e")
    before = read("e")
    keys = server.dbsize()
    attack("e")
    assert read("e") == before
    assert server.dbsize() <= keys + 2, "the tally of what was ignored"


@pytest.mark.slow
def test_a_stray_variant_decides_nothing_in_an_undeclared_experiment(server: redis.Redis) -> None:
    honest_visitors("e")
    as_owner("POST /settings", {"weights": {"blue": 1, "red": 1}}, experiment="e")
    before = read("e")
    as_stranger(events("e", "participate", "zzz", [1]))
    as_stranger(events("e", "!", "red", [1]))
    after = read("e")
    assert after["srm"] == before["srm"]
    assert after["primary_goal"] == before["primary_goal"] == "signup"
    assert verdict_on_signup(after) == verdict_on_signup(before)
    assert verdict_on_signup(after)["winner"] == "red"


@pytest.mark.slow
def test_a_declared_variant_that_never_loads_raises_the_alarm(server: redis.Redis) -> None:
    three = [*DEFINITION["variants"], {"name": "green", "weight": 50}]
    as_owner("PUT /experiment", DEFINITION | {"variants": three}, experiment="e")
    honest_visitors("e")
    found = read("e")
    assert found["srm"]["alarm"] is True
    assert verdict_on_signup(found)["state"] == "do_not_trust"
