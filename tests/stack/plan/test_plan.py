"""The plan as what it is, a pure function: no AWS, not even an emulated one."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gimel.stack.observed import Observed
from gimel.stack.plan.plan import notes, plan
from gimel.stack.teardown import plan_teardown
from gimel.stack.wanted import (
    DeployError,
    Names,
    wanted_stack,
)
from tests.support.aws_account import stack_config
from tests.support.planning import (
    BOUNDARY,
    BUNDLE,
    DOMAIN,
    HOME,
    KEY,
    NOTHING,
    VPC,
    done,
    function,
    lines,
    wanted,
)


def test_nothing_to_do() -> None:
    assert plan(wanted(), done(wanted())) == []


def test_from_nothing_each_thing_comes_after_what_it_needs() -> None:
    said = lines(wanted(), NOTHING)
    order = [
        "create key /gimel/read-key",
        "create queue gimel-events-dead:",
        "create queue gimel-events:",
        "create role gimel:",
        "create policy of role gimel:",
        "create log group /aws/lambda/gimel-track:",
        "create function gimel-track:",
        "create alias live of function gimel-track:",
        "create HTTP API gimel:",
        "create integrations of HTTP API gimel:",
        "create routes of HTTP API gimel:",
        "create stage prod of HTTP API gimel:",
        "create mapping of queue gimel-events to function gimel-replay:",
        "create permission to invoke function gimel-track:",
        "create rule gimel-snapshots:",
    ]
    places = [
        next(place for place, line in enumerate(said) if line.startswith(start)) for start in order
    ]
    assert places == sorted(places)
    assert len(said) == 30


def test_no_change_shows_a_secret() -> None:
    with_other_redis = wanted_stack(stack_config("redis://:hush@h"), HOME, KEY, BUNDLE)
    for seen in (NOTHING, done(with_other_redis)):
        changes = plan(wanted(), seen)
        shown = repr(changes) + repr(wanted()) + repr(seen) + "".join(map(str, changes))
        for secret in (KEY, "open-sesame", "hush", "the zip"):
            assert secret not in shown
    assert "Environment (GIMEL_REDIS_URL)" in shown
    assert "Environment.Variables.GIMEL_REDIS_URL" in repr([each.describe() for each in changes])


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"memory": 512}, "MemorySize 256 → 512"),
        ({"shards": 16}, "Environment (GIMEL_SHARDS)"),
        ({"counting": "exact"}, "Environment (GIMEL_COUNTING)"),
        ({"accept": "declared"}, "Environment (GIMEL_ACCEPT)"),
    ],
)
def test_a_setting_becomes_a_version(settings: Mapping[str, Any], why: str) -> None:
    said = lines(wanted(**settings), done(wanted()))
    for name in Names("gimel").functions:
        about = [line for line in said if f"function {name}:" in line]
        assert [line.split()[0] for line in about] == ["update", "publish", "update"]
        assert about[0] == f"update function {name}: {why}"
    assert len(said) == 12


def logging(name: str, seen: Observed, how: Mapping[str, str | None] | None) -> Observed:
    found = seen.functions[name].versions["3"]
    settings = {**found, "LoggingConfig": how}
    return function(seen, name, versions={"$LATEST": settings, "3": settings})


def test_functions_that_log_each_call_are_told_not_to() -> None:
    as_made_before = {"LogFormat": "Text", "ApplicationLogLevel": None, "SystemLogLevel": None}
    said = lines(wanted(), logging("gimel-track", done(wanted()), as_made_before))
    assert said[0] == "update function gimel-track: LoggingConfig"
    assert [line.split()[0] for line in said] == ["update", "publish", "update"]


def test_other_code_becomes_a_version() -> None:
    said = lines(wanted(BUNDLE._replace(content=b"other")), done(wanted()))
    assert said[0].startswith("update function gimel-track: Description gimel 2.")
    assert said[1:4] == [
        "update function gimel-track: the code changed",
        "publish function gimel-track: no version has these settings and this code",
        "update alias live of function gimel-track: the version just published",
    ]


def test_a_version_that_fits_is_not_published_again() -> None:
    seen = done(wanted())
    versions = seen.functions["gimel-track"].versions
    old = {**versions["3"], "MemorySize": 128}
    seen = function(seen, "gimel-track", versions={**versions, "10": old}, live="10")
    assert lines(wanted(), seen) == [
        "update alias live of function gimel-track: version 3 has these settings and this code"
    ]


def test_the_numbers_of_versions_are_numbers() -> None:
    seen = done(wanted())
    settings = seen.functions["gimel-track"].versions["3"]
    versions = {str(number): settings for number in (8, 9, 10, 11, 100, 7, 2)}
    seen = function(seen, "gimel-track", versions={**versions, "$LATEST": settings}, live="100")
    assert lines(wanted(), seen) == [
        "delete version 7 of function gimel-track: 5 versions are kept",
        "delete version 2 of function gimel-track: 5 versions are kept",
    ]


@pytest.mark.parametrize(
    ("settings", "operations"),
    [
        ({"throttle": {"rate": 7}}, {"update_stage": 1}),
        ({"allowed_origins": ["https://shop.example"]}, {"update_api": 1}),
        ({"reserved_concurrency": {"track": 9}}, {"put_function_concurrency": 1}),
        ({"reserved_concurrency": {"delete": None}}, {"delete_function_concurrency": 1}),
        ({"permissions_boundary": BOUNDARY}, {"put_role_permissions_boundary": 1}),
        ({"event_path": "ping"}, {"create_route": 2, "update_stage": 1}),
        ({"domain": DOMAIN}, {"create_domain_name": 1, "create_api_mapping": 1}),
        ({"log_retention_days": 7}, {"put_retention_policy": 4}),
        (
            {"tags": {"team": "shop"}},
            {
                "add_tags_to_resource": 1,
                "tag_role": 1,
                "tag_resource": 4 + 4 + 1 + 1 + 1,
                "tag_queue": 2,
            },
        ),
        (
            {"architecture": "x86_64"},
            {
                "update_function_configuration": 4,
                "update_function_code": 4,
                "publish_version": 4,
                "update_alias": 4,
            },
        ),
        (
            {"vpc": VPC},
            {
                "put_role_policy": 1,
                "update_function_configuration": 4,
                "publish_version": 4,
                "update_alias": 4,
            },
        ),
    ],
    ids=str,
)
def test_one_setting_makes_only_its_calls(
    settings: dict[str, Any], operations: dict[str, int]
) -> None:
    other = wanted(**settings)
    changes = plan(other, done(wanted()))
    assert Counter(call.operation for change in changes for call in change.calls) == operations
    assert plan(other, done(other)) == []
    back = plan(wanted(), done(other))
    # A tag may be somebody else's: it is not taken off.
    assert bool(back) == ("tags" not in settings)


def test_an_environment_that_aws_does_not_show_is_no_empty_one() -> None:
    key = "arn:aws:kms:eu-west-1:123456789012:key/1234abcd-12ab"
    wish = wanted(kms_key=key)
    seen = done(wish)
    latest = {
        **seen.functions["gimel-track"].versions["$LATEST"],
        "Environment": {"Variables": {}},
        "EnvironmentError": "AccessDeniedException",
    }
    seen = function(seen, "gimel-track", versions={"$LATEST": latest})
    with pytest.raises(DeployError) as error:
        plan(wish, seen)
    assert str(error.value) == (
        "AWS does not show the environment of function gimel-track (AccessDeniedException): these "
        "credentials need kms:Decrypt with the key that encrypts it, and the key must be enabled"
    )
    # A deploy that leaves a lost key, and a destroy, need not read it.
    assert "update function gimel-track: Environment" in " ".join(lines(wanted(), seen))
    assert plan_teardown(wish.names, HOME.region, seen)


def test_a_function_that_was_stopped_by_hand_runs_again() -> None:
    assert lines(wanted(), function(done(wanted()), "gimel-track", concurrency=0)) == [
        "update reserved concurrency of function gimel-track: 0 → 20"
    ]


def test_concurrency_that_the_account_cannot_give_is_not_asked_for() -> None:
    new_account = replace(NOTHING, unreserved=10)
    assert not [line for line in lines(wanted(), new_account) if "concurrency" in line]
    (note,) = notes(wanted(), new_account)
    assert "the account has 10 unreserved executions" in note
    assert notes(wanted(), replace(NOTHING, unreserved=127)) == []
    assert notes(wanted(), replace(NOTHING, unreserved=126)) != []
    assert notes(wanted(), replace(done(wanted()), unreserved=0)) == []


def test_notes_tell_of_what_others_added() -> None:
    seen = done(wanted())
    assert notes(wanted(), seen) == []
    assert seen.role is not None
    policies = ("gimel", "gimel-eu-west-1", "gimel-us-gov-west-1", "gimel-debugging")
    admin = "arn:aws:iam::aws:policy/AdministratorAccess"
    role = replace(seen.role, policies=policies, attached=(admin,))
    eater = "arn:aws:lambda:eu-west-1:123456789012:function:other"
    told = notes(wanted(), replace(seen, role=role, other_consumers=(eater,)))
    assert told == [
        f"role gimel has policies that Gimel did not add: {admin}, gimel-debugging",
        "other functions also receive events of queue gimel-events, and those events are not "
        f"counted: {eater}",
    ]
