"""Keys: what names their parameters, and what the functions get in their place."""

import hashlib
from dataclasses import replace

import pytest

from gimel.backend.access import SCOPES
from gimel.stack.keys import Key, accepted_hashes, entries, key_in, new_key, parameter_of
from gimel.stack.plan.plan import plan
from gimel.stack.wanted import DeployError, wanted_stack
from tests.support.aws_account import stack_config
from tests.support.planning import BUNDLE, HOME, KEY, REDIS, done, lines, wanted

READ, SEND = Key("0a1b2c3d", "read", "r"), Key("4e5f6a7b", "send", "s")


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("scope", SCOPES)
def test_a_key_is_found_by_the_name_of_its_parameter(scope: str) -> None:
    key = new_key(next(each for each in SCOPES if each == scope))
    parameter = parameter_of("/shop/keys", key)
    assert parameter == f"/shop/keys/{scope}/{key.id}"
    assert key_in("/shop/keys", parameter, key.value) == key


@pytest.mark.parametrize(
    "parameter",
    [
        "/shop/keys/admin/0a1b2c3d",
        "/shop/keys/read/0a1b2c3",
        "/shop/keys/read/0a1b2c3d4",
        "/shop/keys/read/0A1B2C3D",
        "/shop/keys/read/0a1b2c3d/more",
        "/shop/keys/read/0a1b2c3d\n",
        "/shop/keys/0a1b2c3d",
        "/shopping/keys/read/0a1b2c3d",
        "/a/shop/keys/read/0a1b2c3d",
    ],
)
def test_other_parameters_hold_no_key(parameter: str) -> None:
    assert key_in("/shop/keys", parameter, "secret") is None


def test_keys_are_long_random_and_unlike() -> None:
    keys = [new_key("read") for _ in range(100)]
    assert len({key.id for key in keys}) == len({key.value for key in keys}) == 100
    assert min(len(key.value) for key in keys) >= 43
    assert not [key for key in keys if key.value in repr(key)]


def test_the_functions_get_hashes_in_a_stable_order() -> None:
    expected = f"{hash_of('m')},read:{hash_of('r')},send:{hash_of('s')}"
    assert accepted_hashes("m", [READ, SEND]) == expected
    assert accepted_hashes("m", [SEND, READ, SEND]) == expected
    assert accepted_hashes("m", []) == hash_of("m")
    assert entries(expected) == {f"owner:{hash_of('m')}", READ.entry, SEND.entry}
    assert entries("") == frozenset()


def test_a_plan_names_a_change_of_keys_and_shows_none() -> None:
    before = wanted()
    after = wanted_stack(stack_config(REDIS), HOME, KEY, BUNDLE, [SEND])
    said = lines(after, done(before))
    assert said[0] == "update function gimel-track: Environment (GIMEL_KEY_SHA256)"
    assert [line.partition(" ")[0] for line in said] == ["update", "publish", "update"] * 4
    shown = str([change.describe() for change in plan(after, done(before))])
    assert "GIMEL_KEY_SHA256" in shown
    assert not [text for text in (KEY, hash_of(KEY), hash_of("s")) if text in shown]
    assert lines(after, replace(done(after), keys=(SEND,))) == []


def test_more_keys_than_lambda_has_room_for_are_refused() -> None:
    def size(count: int) -> int:
        keys = [new_key("send") for _ in range(count)]
        stack = wanted_stack(stack_config(REDIS), HOME, KEY, BUNDLE, keys)
        variables = stack.configurations["gimel-track"]["Environment"]["Variables"]
        return sum(len(name) + len(value) for name, value in variables.items())

    assert size(40) < 4096
    with pytest.raises(DeployError, match=r"would take 4,\d{3} bytes, and Lambda allows 4,096"):
        size(60)


def test_the_address_of_a_managed_redis_takes_room_too() -> None:
    config = stack_config(REDIS, redis="managed")
    keys = [new_key("send") for _ in range(40)]
    wanted_stack(config, HOME, KEY, BUNDLE, keys, "gimel-1.example:6379")
    with pytest.raises(DeployError, match="Lambda allows 4,096"):
        wanted_stack(config, HOME, KEY, BUNDLE, keys, f"{'a' * 2000}.example:6379")
