"""A declared experiment through the handlers: what counts, what is ignored, what may change."""

import hashlib
import json
import os
from typing import Any

import pytest
import redis

from gimel.backend import process
from gimel.backend.inspection import look_at_redis
from gimel.gimel import handle
from tests.support.handler_requests import Answer, call
from tests.support.traffic import traffic

KEYS = {"owner": "the owner's key", "read": "a reader's key", "send": "a sender's key"}
DEFINITION = {
    "hypothesis": "Red draws the eye",
    "variants": [{"name": "blue", "weight": 50}, {"name": "red", "weight": 50}],
    "goals": [
        {"name": "signup", "role": "primary"},
        {"name": "order", "from": "server"},
        {"name": "click", "kind": "total"},
    ],
    "planned_visitors": 40_000,
}
# An experiment that is declared after its first event has no plan.
LATE = DEFINITION | {"planned_visitors": None}


@pytest.fixture
def keys(backend: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> redis.Redis:
    """The handlers, with a key of each scope."""
    hashes = [f"{scope}:{hashlib.sha256(key.encode()).hexdigest()}" for scope, key in KEYS.items()]
    monkeypatch.setenv("GIMEL_KEY_SHA256", ",".join(hashes))
    process.reset()
    return backend


def ask(route: str, scope: str | None = "owner", body: Any = None, **query: str) -> Answer:
    """Send a request with the key of a scope."""
    method, path = route.split()
    headers = {"x-api-key": KEYS.get(scope, scope)} if scope else {}
    return call(method, path, query, body=json.dumps(body) if body is not None else None,
                headers=headers)  # fmt: skip


def declare(body: Any = DEFINITION, name: str = "e", scope: str | None = "owner") -> Answer:
    return ask("PUT /experiment", scope, body, experiment=name)


def send(scope: str | None = None, **fields: str) -> dict[str, Any]:
    usual = {"experiment": "e", "variant": "red", "event": "participate", "uuid": "1"}
    answer = ask("POST /e", scope, [usual | fields])
    assert answer.status == 200
    return {name: answer.body[name] for name in ("accepted", "ignored", "reasons")}


COUNTED = {"accepted": 1, "ignored": 0, "reasons": {}}


def ignored(reason: str) -> dict[str, Any]:
    return {"accepted": 0, "ignored": 1, "reasons": {reason: 1}}


def test_it_exists_before_its_first_event(keys: redis.Redis) -> None:
    answer = declare()
    assert answer.status == 200
    assert answer.body["declared"] is True
    assert answer.body["definition"]["planned_visitors"] == 40_000
    assert [(each["label"], each["trials"]) for each in answer.body["variants"]] == [
        ("blue", 0), ("red", 0)
    ]  # fmt: skip
    assert (answer.body["baseline"], answer.body["primary_goal"]) == ("blue", "signup")
    listed = ask("GET /experiments").body[1:]
    assert [each["experiment"] for each in listed] == ["e"]
    again = declare().body
    assert len(again["changes"]) == 1, "declared once more, nothing changes"


def test_it_counts_its_variants_and_goals_and_nothing_else(keys: redis.Redis) -> None:
    declare()
    assert send() == COUNTED
    assert send(event="signup") == COUNTED
    before = {key: keys.dump(key) for key in keys.scan_iter()}
    assert send(variant="Red") == ignored("undeclared variant")
    assert send(event="!") == ignored("undeclared goal")
    assert {key: keys.dump(key) for key in keys.scan_iter()} == before, "nothing is written"
    assert send(event="order") == ignored("goal needs a key")
    assert send(event="click") == ignored("goal needs a visitor")
    assert send("send", event="order") == COUNTED
    assert send(event="click", visitor="ana") == COUNTED
    assert send(event="click", visitor="ana", uuid="2") == COUNTED
    found = ask("GET /experiment", experiment="e").body
    successes = {
        goal["goal"]: {row["label"]: row["successes"] for row in goal["results"]}
        for goal in found["goals"]
    }
    assert successes == {
        "signup": {"blue": 0, "red": 1},
        "order": {"blue": 0, "red": 1},
        "click": {"blue": 0, "red": 2},
    }


def test_an_undeclared_name_costs_redis_nothing(keys: redis.Redis) -> None:
    declare()
    send()
    with traffic(keys) as seen:
        for n in range(50):
            assert send(variant=f"made up {n}") == ignored("undeclared variant")
    assert seen.commands == {}


def test_limits_do_not_bind_it(keys: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIMEL_LIMITS", '{"experiments": 1, "variants": 1, "goals": 1}')
    process.reset()
    assert send(experiment="junk") == COUNTED
    assert declare().status == 200
    for variant in ("blue", "red"):
        for goal in ("participate", "signup"):
            assert send(variant=variant, event=goal) == COUNTED


def test_a_closed_stack_counts_declared_experiments_only(
    keys: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIMEL_ACCEPT", "declared")
    process.reset()
    assert send(experiment="e") == ignored("undeclared experiment")
    declare()
    assert send() == COUNTED
    with traffic(keys) as seen:
        for n in range(50):
            fields = {"namespace": f"n{n}", "experiment": f"made up {n}"}
            assert send(**fields) == ignored("undeclared experiment")
    assert sum(seen.commands.values()) <= 1, "one look at the declared names a minute"
    assert {key for key in keys.scan_iter() if "made up" in key} == set()


def test_the_tally_reaches_its_owner(keys: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    declare()
    now = [0.0]
    monkeypatch.setattr(process.counters(), "_clock", lambda: now[0])
    for n in range(30):
        send(variant=f"Blue {n}")
    now[0] = 61.0
    send(variant="Blue")
    tally = ask("GET /experiment", experiment="e").body["ignored"]
    assert tally["reasons"] == {"undeclared variant": 31}
    assert len(tally["last"]) == 20
    assert tally["last"][0] == {
        "reason": "undeclared variant", "experiment": "e", "goal": "participate", "variant": "Blue"
    }  # fmt: skip


def test_the_tallies_of_namespaces_reach_their_owner(
    keys: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare()
    send(namespace="shop")
    now = [0.0]
    monkeypatch.setattr(process.counters(), "_clock", lambda: now[0])
    send(variant="Blue")
    send(event="Signup")
    monkeypatch.setenv("GIMEL_ACCEPT", "declared")
    now[0] = 61.0
    send(variant="Blue")
    reasons = {"undeclared variant": 2, "undeclared goal": 1}
    meta = ask("GET /experiments").body[0]["meta"]
    assert meta["ignored"] == {"reasons": reasons}
    assert ask("GET /experiments", namespace="shop").body[0]["meta"]["ignored"] == {"reasons": {}}
    process.reset()  # to a closed stack
    monkeypatch.setattr(process.counters(), "_clock", lambda: now[0])
    send(namespace="junk", experiment="junk")
    now[0] = 122.0
    send(namespace="junk", experiment="junk")
    found = look_at_redis({"GIMEL_REDIS_URL": os.environ["GIMEL_REDIS_URL"]})["ignored"]
    assert found == {"alephbet": reasons, "": {"undeclared experiment": 2}}


def test_what_is_fixed_after_the_first_event(keys: redis.Redis) -> None:
    declare()
    changed = DEFINITION | {"variants": [{"name": "blue"}, {"name": "green"}]}
    assert declare(changed | {"goals": DEFINITION["goals"]}).status == 200, "no event yet"
    declare()
    send()
    refused = declare(changed)
    assert (refused.status, refused.body["field"]) == (409, "variants")
    assert "gimel create" in refused.body["error"]
    assert declare(DEFINITION | {"hypothesis": "Red is loud"}).status == 200
    changes = ask("GET /experiment", experiment="e").body["changes"]
    assert changes[0]["fields"] == {"hypothesis": "Red is loud"}
    assert changes[0]["scope"] == "owner"


@pytest.mark.parametrize("scope", [None, "read", "send", "wrong"])
def test_only_the_owner_declares(keys: redis.Redis, scope: str | None) -> None:
    assert declare(scope=scope).status == 403
    assert ask("GET /experiments").body[1:] == []


@pytest.mark.parametrize(
    ("route", "allowed"),
    [
        ("GET /experiments", {"owner", "read"}),
        ("POST /settings", {"owner"}),
        ("DELETE /delete", {"owner"}),
    ],
)
def test_each_key_opens_its_routes(keys: redis.Redis, route: str, allowed: set[str]) -> None:
    declare()
    for scope in ("owner", "read", "send", "wrong", None):
        answer = ask(route, scope, {}, experiment="e")
        assert (answer.status == 200) is (scope in allowed), scope
        assert answer.status in (200, 403)


def test_a_wrong_key_is_refused_with_events_too(keys: redis.Redis) -> None:
    fields = {"experiment": "e", "variant": "red", "event": "participate", "uuid": "1"}
    assert ask("GET /e", "wrong", **fields).status == 403
    assert ask("GET /e", None, **fields).status == 200


def test_a_key_to_read_vouches_for_no_event(keys: redis.Redis) -> None:
    """Whoever has a link to share has such a key."""
    declare(
        {"variants": [{"name": "a"}, {"name": "b"}], "goals": [{"name": "g", "from": "server"}]}
    )
    fields = {"experiment": "e", "variant": "a", "event": "g"}
    for number, scope in enumerate(("owner", "send", "read", None)):
        counted = ask("GET /e", scope, **fields, uuid=str(number)).body["accepted"]
        assert counted == (scope in ("owner", "send")), scope


def test_a_deleted_name_is_not_declared_by_accident(keys: redis.Redis) -> None:
    declare()
    send()
    ask("DELETE /delete", experiment="e")
    assert declare().status == 409
    ask("DELETE /delete", experiment="e", forget="1")
    assert declare().status == 200
    assert send() == COUNTED


def test_an_invisible_name_is_not_declared_but_counts_as_before(keys: redis.Redis) -> None:
    refused = ask("PUT /experiment", body=DEFINITION, experiment="\u200b\u2060")
    assert (refused.status, refused.body["error"]) == (400, "experiment has no visible character")
    assert send(experiment="\u200b\u2060", variant="\u3164") == COUNTED
    assert ask("GET /experiment", experiment="\u200b\u2060").status == 200


def test_the_first_goal_seen_is_primary(keys: redis.Redis) -> None:
    for goal in ("signup", "!", "a goal that comes first by name"):
        send(experiment="open", event=goal)
    assert ask("GET /experiment", experiment="open").body["primary_goal"] == "signup"


def test_unknown_routes_stay_unknown(keys: redis.Redis) -> None:
    event = {"routeKey": "PUT /experiments", "requestContext": {"http": {"method": "PUT"}}}
    assert handle(event)["statusCode"] == 405


# What an attacker found


def test_declaring_an_experiment_of_an_earlier_version_counts_no_visitor_twice(
    keys: redis.Redis,
) -> None:
    """With a salt, each returning visitor would count again."""
    keys.sadd("gimel:namespaces", "alephbet")
    keys.sadd("alephbet:experiments", "e")
    keys.hset("alephbet:e:settings", mapping={"counting": "hyperloglog", "shards": "64"})
    for _ in range(2):
        for n in range(100):
            send(uuid=str(n))
        assert declare(LATE).status == 200
        process.reset()
    trials = {each["label"]: each["trials"] for each in declare(LATE).body["variants"]}
    assert trials == {"blue": 0, "red": 100}
    assert "salt" not in keys.hgetall("alephbet:e:settings")


def test_declaring_an_experiment_of_gimel_1_keeps_its_layout(keys: redis.Redis) -> None:
    keys.sadd("alephbet:experiments", "e")
    keys.sadd("alephbet:e:counter_keys", "alephbet:counters:e:participate:red")
    keys.pfadd("alephbet:counters:e:participate:red", *map(str, range(100)))
    assert declare(LATE).status == 200
    for n in range(100):
        send(uuid=str(n))
    trials = {each["label"]: each["trials"] for each in declare(LATE).body["variants"]}
    assert trials == {"blue": 0, "red": 100}
    assert "shards" not in keys.hgetall("alephbet:e:settings")


@pytest.mark.parametrize("goal", ["order", "click"])
def test_a_goal_that_anyone_could_send_before_is_no_servers_goal(
    keys: redis.Redis, goal: str
) -> None:
    send()
    send(event=goal)
    refused = declare(LATE)
    assert (refused.status, refused.body["field"]) == (409, "goals")
    assert goal in refused.body["error"]


def test_the_probes_namespaces_are_closed_to_strangers(keys: redis.Redis) -> None:
    fields = {"experiment": "e", "variant": "a", "event": "participate", "uuid": "1"}
    for namespace in ("gimel-probe", "gimel-preflight"):
        assert ask("GET /e", None, **fields, namespace=namespace).status == 403
        assert ask("GET /e", "owner", **fields, namespace=namespace).status == 200


@pytest.mark.parametrize("listed", ["Send:{}", "reader:{}", "owner :{}"])
def test_a_misspelled_scope_opens_nothing(
    keys: redis.Redis, monkeypatch: pytest.MonkeyPatch, listed: str
) -> None:
    digest = hashlib.sha256(KEYS["send"].encode()).hexdigest()
    monkeypatch.setenv("GIMEL_KEY_SHA256", listed.format(digest))
    assert ask("GET /experiments", "send").status == 403


def test_blanks_around_a_key_of_the_list_do_no_harm(
    keys: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, reader = (hashlib.sha256(KEYS[each].encode()).hexdigest() for each in ("owner", "read"))
    monkeypatch.setenv("GIMEL_KEY_SHA256", f"{owner}, read:{reader}")
    assert ask("GET /experiments", "read").status == 200
    assert ask("DELETE /delete", "read", experiment="e").status == 403


def test_one_event_for_control_makes_no_baseline(keys: redis.Redis) -> None:
    for n in range(400):
        send(experiment="open", variant=("blue", "red")[n % 2], uuid=str(n))
    send(experiment="open", variant="control")
    assert ask("GET /experiment", experiment="open").body["baseline"] == "blue"
