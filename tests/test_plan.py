"""The plan as what it is, a pure function: no AWS, not even an emulated one."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gimel import stack
from gimel.aws import Home
from gimel.bundle import Bundle
from gimel.gimel import ROUTES
from gimel.plan import plan
from gimel.stack import (
    DeployError,
    Names,
    Seen,
    SeenApi,
    SeenFunction,
    SeenLogGroup,
    SeenParameter,
    SeenRole,
    Wanted,
    log_group,
)
from tests.aws import stack_config

KEY = "the-read-key"
REDIS = "rediss://shop:open-sesame@redis.example:6380/0"
HOME = Home("123456789012", "eu-west-1")
BUNDLE = Bundle(b"the zip", "python3.13", compiled=True)
NOTHING = Seen(parameter=None, role=None, functions={}, log_groups={}, apis=())


def wanted(bundle: Bundle = BUNDLE, **settings: Any) -> Wanted:
    return stack.wanted(stack_config(REDIS, **settings), HOME, KEY, bundle)


def done(wanted: Wanted) -> Seen:
    """What is seen once all is as wanted."""
    names, tags = wanted.names, wanted.names.tags
    uris = {f"int-{name}": stack.alias_arn(HOME, name) for name in names.functions}
    api = SeenApi(
        id="api1",
        endpoint="https://api1.example",
        cors={**stack.cors(), "AllowCredentials": False},
        integrations=uris,
        routes={key: (f"r{key}", f"int-{name}") for key, name in wanted.routes.items()},
        auto_deploys=True,
    )
    source = HOME.arn("execute-api", "api1/prod/*")
    functions = {}
    for name in names.functions:
        settings = {**wanted.configurations[name], **stack.code(wanted.bundle)}
        functions[name] = SeenFunction(
            tags, {"$LATEST": settings, "3": settings}, "3", {"gimel-http-api": source}
        )
    return Seen(
        parameter=SeenParameter(tags, KEY),
        role=SeenRole(tags, stack.trust_policy(), stack.permissions_policy(names, HOME)),
        functions=functions,
        log_groups={
            log_group(name): SeenLogGroup(f"arn:{name}", tags, wanted.log_retention_days)
            for name in names.functions
        },
        apis=(api,),
    )


def lines(wanted: Wanted, seen: Seen) -> list[str]:
    return [str(change) for change in plan(wanted, seen)]


def function(seen: Seen, name: str, **changed: Any) -> Seen:
    """The same with one function otherwise."""
    return replace(
        seen, functions={**seen.functions, name: replace(seen.functions[name], **changed)}
    )


def test_nothing_to_do() -> None:
    assert plan(wanted(), done(wanted())) == []


def test_from_nothing_each_thing_comes_after_what_it_needs() -> None:
    said = lines(wanted(), NOTHING)
    order = [
        "create read key /gimel/read-key",
        "create role gimel:",
        "create policy of role gimel:",
        "create log group /aws/lambda/gimel-track:",
        "create function gimel-track:",
        "create alias live of function gimel-track:",
        "create HTTP API gimel:",
        "create integrations of HTTP API gimel:",
        "create routes of HTTP API gimel:",
        "create stage prod of HTTP API gimel:",
        "create permission to invoke function gimel-track:",
    ]
    places = [
        next(place for place, line in enumerate(said) if line.startswith(start)) for start in order
    ]
    assert places == sorted(places)
    assert len(said) == 19


def test_no_change_shows_a_secret() -> None:
    with_other_redis = stack.wanted(stack_config("redis://:hush@h"), HOME, KEY, BUNDLE)
    for seen in (NOTHING, done(with_other_redis)):
        changes = plan(wanted(), seen)
        shown = repr(changes) + repr(wanted()) + repr(seen) + "".join(map(str, changes))
        for secret in (KEY, "open-sesame", "hush", "the zip"):
            assert secret not in shown
    assert "Environment (GIMEL_REDIS_URL)" in shown


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"memory": 512}, "MemorySize 256 → 512"),
        ({"shards": 16}, "Environment (GIMEL_SHARDS)"),
        ({"counting": "exact"}, "Environment (GIMEL_COUNTING)"),
    ],
)
def test_a_setting_becomes_a_version(settings: Mapping[str, Any], why: str) -> None:
    said = lines(wanted(**settings), done(wanted()))
    for name in Names("gimel").functions:
        about = [line for line in said if f"function {name}:" in line]
        assert [line.split()[0] for line in about] == ["update", "publish", "update"]
        assert about[0] == f"update function {name}: {why}"
    assert len(said) == 9


def test_other_code_becomes_a_version() -> None:
    said = lines(wanted(BUNDLE._replace(content=b"other")), done(wanted()))
    assert said[:3] == [
        "update function gimel-track: its code is another",
        "publish function gimel-track: no version has these settings and this code",
        "update alias live of function gimel-track: the version just published",
    ]


def test_a_version_that_fits_is_not_published_again() -> None:
    seen = done(wanted())
    versions = seen.functions["gimel-track"].versions
    old = {**versions["3"], "MemorySize": 128}
    seen = function(seen, "gimel-track", versions={**versions, "10": old}, live="10")
    assert lines(wanted(), seen) == [
        "update alias live of function gimel-track: version 3 is as wanted"
    ]


def test_the_numbers_of_versions_are_numbers() -> None:
    seen = done(wanted())
    settings = seen.functions["gimel-track"].versions["3"]
    versions = {str(number): settings for number in (8, 9, 10, 11, 100, 7, 2)}
    seen = function(seen, "gimel-track", versions={**versions, "$LATEST": settings}, live="100")
    assert lines(wanted(), seen) == [
        "delete version 7 of function gimel-track: 5 are kept",
        "delete version 2 of function gimel-track: 5 are kept",
    ]


def test_the_permission_follows_the_api() -> None:
    seen = replace(done(wanted()), apis=())
    operations = [
        call.operation
        for change in plan(wanted(), seen)
        for call in change.calls
        if call.service == "lambda"
    ]
    assert operations == ["remove_permission", "add_permission"] * 3


def test_strangers_are_named() -> None:
    other = wanted(stack="shop")
    seen = done(other)
    assert seen.role is not None
    assert seen.parameter is not None
    strange = function(seen, "shop-track", tags={})
    strange = replace(strange, role=replace(seen.role, tags={"gimel:stack": "gimel"}))
    with pytest.raises(DeployError, match=r"stack shop, .*: function shop-track, role shop\."):
        plan(other, strange)
    unmarked = replace(seen, parameter=replace(seen.parameter, tags={}))
    with pytest.raises(DeployError, match="parameter /shop/read-key"):
        plan(other, unmarked)


def test_the_default_stack_takes_over_what_bears_no_tag() -> None:
    seen = function(done(wanted()), "gimel-track", tags={})
    assert seen.role is not None
    seen = replace(seen, role=replace(seen.role, tags={}))
    assert lines(wanted(), seen) == [
        "tag role gimel: taken over from gimel 1.x",
        "tag function gimel-track: taken over from gimel 1.x",
    ]


def test_policies_name_all_that_they_allow() -> None:
    permissions = stack.permissions_policy(Names("shop"), HOME)
    (statement,) = permissions["Statement"]
    assert not [action for action in statement["Action"] if "*" in action]
    assert statement["Resource"] == [
        f"arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/shop-{purpose}:*"
        for purpose in ("track", "all-experiments", "delete-experiment")
    ]
    (trust,) = stack.trust_policy()["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_routes_go_where_they_are_served() -> None:
    routes = dict(wanted().routes)
    assert set(routes) == set(ROUTES)
    for route in ("GET /e", "POST /e", "GET /track", "POST /track"):
        assert routes.pop(route) == "gimel-track"
    assert routes.pop("DELETE /delete") == "gimel-delete-experiment"
    assert set(routes.values()) == {"gimel-all-experiments"}
