"""The plan as what it is, a pure function: no AWS, not even an emulated one."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from gimel.gimel import ROUTES
from gimel.stack.aws import Home
from gimel.stack.bundle import Bundle
from gimel.stack.observed import (
    Observed,
    ObservedApi,
    ObservedDomain,
    ObservedFunction,
    ObservedLegacy,
    ObservedLogGroup,
    ObservedMapping,
    ObservedMethod,
    ObservedParameter,
    ObservedQueue,
    ObservedRole,
)
from gimel.stack.permissions import functions_policy, trust_policy
from gimel.stack.plan.api import LEGACY_DEPLOYMENT
from gimel.stack.plan.plan import notes, plan
from gimel.stack.plan.queue import plan_queue_removal, queue_attributes
from gimel.stack.teardown import plan_legacy_teardown, plan_teardown
from gimel.stack.wanted import (
    DeployError,
    Names,
    Wanted,
    alias_arn,
    log_group,
    routed_functions,
    wanted_stack,
)
from tests.support.aws_account import stack_config

KEY = "the-read-key"
REDIS = "rediss://shop:open-sesame@redis.example:6380/0"
HOME = Home("123456789012", "eu-west-1")
BUNDLE = Bundle(b"the zip", "python3.13", compiled=True)
NOTHING = Observed(parameter=None, role=None, functions={}, log_groups={}, apis=())


def wanted(bundle: Bundle = BUNDLE, **settings: Any) -> Wanted:
    return wanted_stack(stack_config(REDIS, **settings), HOME, KEY, bundle)


def done(wanted: Wanted) -> Observed:
    """What is seen once all is as wanted."""
    names, tags = wanted.names, wanted.tags
    uris = {f"int-{name}": alias_arn(HOME, name) for name in routed_functions(wanted)}
    api = ObservedApi(
        id="api1",
        endpoint="https://api1.example",
        cors={**wanted.cors, "AllowCredentials": False},
        integrations=uris,
        routes={key: (f"r{key}", f"int-{name}") for key, name in wanted.routes.items()},
        auto_deploys=True,
        tags=wanted.tags,
        throttle=wanted.throttle,
    )
    domains = []
    if wanted.domain:
        name, certificate = wanted.domain.name, wanted.domain.certificate
        domains = [
            ObservedDomain(name, tags, certificate, "d-1.example", {"map1": ("api1", "prod")})
        ]
    source = HOME.arn("execute-api", "api1/prod/*")
    functions = {}
    for name in names.functions:
        settings = {**wanted.configurations[name], **wanted.code}
        functions[name] = ObservedFunction(
            wanted.tags,
            {"$LATEST": settings, "3": settings},
            "3",
            {"gimel-http-api": source},
            wanted.concurrency[name],
        )
    return Observed(
        parameter=ObservedParameter(tags, KEY),
        role=ObservedRole(
            tags,
            trust_policy(),
            functions_policy(names, HOME, wanted.vpc),
            (names.policy(HOME.region),),
            boundary=wanted.boundary,
        ),
        functions=functions,
        log_groups={
            log_group(name): ObservedLogGroup(f"arn:{name}", tags, wanted.log_retention_days)
            for name in names.functions
        },
        apis=(api,),
        domains=tuple(domains),
        queues={
            name: ObservedQueue(f"https://sqs/{name}", settings, tags)
            for name, settings in queue_attributes(wanted).items()
        },
        mappings=(
            ObservedMapping(
                "uuid1",
                "arn:mapping",
                {
                    "FunctionName": alias_arn(HOME, names.function("replay")),
                    "BatchSize": 10,
                    "Enabled": True,
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                    "ScalingConfig": {"MaximumConcurrency": 2},
                },
                tags,
            ),
        ),
    )


def lines(wanted: Wanted, seen: Observed, adopt: bool = False) -> list[str]:
    return [str(change) for change in plan(wanted, seen, adopt)]


def function(seen: Observed, name: str, **changed: Any) -> Observed:
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
    ]
    places = [
        next(place for place, line in enumerate(said) if line.startswith(start)) for start in order
    ]
    assert places == sorted(places)
    assert len(said) == 28


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
    strange = replace(seen, role=replace(seen.role, tags={"gimel:stack": "gimel"}))
    for adopt in (False, True):
        with pytest.raises(DeployError, match=r"another stack made .*: role shop\."):
            plan(other, strange, adopt)
    strange = function(seen, "shop-track", tags={})
    strange = replace(strange, parameter=replace(seen.parameter, tags={"team": "x"}))
    with pytest.raises(
        DeployError, match=r"stack shop did not .*: function shop-track, parameter /shop"
    ):
        plan(other, strange)
    adopted = [str(change) for change in plan(other, strange, adopt=True)]
    assert adopted == [
        "tag read key /shop/read-key: taken over",
        "tag function shop-track: taken over",
    ]


def test_the_default_stack_takes_over_gimel_1_and_nothing_else() -> None:
    seen = done(wanted())
    assert seen.role is not None
    old = {**seen.functions["gimel-track"].versions["3"], "Handler": "gimel.track"}
    mine = function(seen, "gimel-track", tags={}, versions={"$LATEST": old}, live=None)
    group = replace(seen.log_groups["/aws/lambda/gimel-track"], tags={})
    mine = replace(mine, log_groups={**seen.log_groups, "/aws/lambda/gimel-track": group})
    said = lines(wanted(), replace(mine, role=replace(seen.role, tags={}, policies=("gimel",))))
    assert said[:4] == [
        "tag role gimel: taken over",
        "delete policy gimel of role gimel: made by gimel 1.x",
        "update log group /aws/lambda/gimel-track: taken over",
        "tag function gimel-track: taken over",
    ]
    with pytest.raises(DeployError, match=r"left alone: role gimel\."):
        plan(wanted(), replace(seen, role=replace(seen.role, tags={})))
    with pytest.raises(DeployError, match=r"left alone: function gimel-track\."):
        plan(wanted(), function(seen, "gimel-track", tags={}))


def test_while_the_old_rest_api_serves_it_may_take_the_role_and_invoke() -> None:
    legacy = ObservedLegacy("rest1", ("key1",), (), LEGACY_DEPLOYMENT)
    seen = replace(done(wanted()), legacy=legacy)
    (trust, permissions) = plan(wanted(), seen)
    assert "apigateway.amazonaws.com" in trust.calls[0].arguments["PolicyDocument"]
    policy = json.loads(permissions.calls[0].arguments["PolicyDocument"])
    assert policy["Statement"][-1] == {
        "Effect": "Allow",
        "Action": ["lambda:InvokeFunction"],
        "Resource": [alias_arn(HOME, name) for name in Names("gimel").functions],
    }
    assert [str(change) for change in plan_legacy_teardown(seen.legacy)] == [
        "delete API key key1: made by gimel 1.x; pages with the old URL lose their events",
        "delete REST API rest1: made by gimel 1.x; pages with the old URL lose their events",
    ]


def test_the_old_rest_api_is_to_say_what_failed() -> None:
    served = done(wanted())
    silent = ObservedMethod("r1", "GET", frozenset({"200"}), None)
    half = replace(silent, statuses=frozenset({"200", "503"}))
    done_with = replace(half, failure="503")
    put, respond, serve = "put_method_response", "put_integration_response", "create_deployment"
    for methods, deployment, operations in [
        ((silent,), "gimel deployment", [put, respond, serve]),
        ((silent, half), "gimel deployment", [put, respond, respond, serve]),
        ((done_with,), "gimel deployment", [serve]),
        ((silent,), LEGACY_DEPLOYMENT, [put, respond, serve]),
        ((done_with,), LEGACY_DEPLOYMENT, []),
    ]:
        seen = replace(served, legacy=ObservedLegacy("rest1", (), methods, deployment))
        changes = [change for change in plan(wanted(), seen) if "REST API" in change.what]
        assert [call.operation for change in changes for call in change.calls] == operations


def test_the_role_of_gimel_1_in_another_region_is_left_alone() -> None:
    seen, other = done(wanted()), {"policies": ("gimel-eu-west-1", "gimel-us-east-1")}
    assert seen.role is not None
    old = replace(seen.role, tags={}, policies=("gimel",))
    with pytest.raises(DeployError, match=r"eu-west-1 has nothing else.*to that region first"):
        plan(wanted(), replace(NOTHING, role=old))
    assert "tag role gimel: taken over" in lines(wanted(), replace(NOTHING, role=old), adopt=True)
    # Taken over there, it is needed as it is: REST APIs may take it.
    trusting = replace(seen.role, trust=trust_policy(legacy=True))
    assert lines(wanted(), replace(seen, role=replace(trusting, **other))) == []
    assert lines(wanted(), replace(seen, role=trusting)) == [
        "update role gimel: its trust policy differs"
    ]


VPC = {"subnets": ["subnet-b", "subnet-a"], "security_groups": ["sg-1"]}
DOMAIN = {"name": "ab.shop.example", "certificate": f"arn:aws:acm:eu-west-1:{1:012}:certificate/c"}
BOUNDARY = "arn:aws:iam::123456789012:policy/edge"


@pytest.mark.parametrize(
    ("settings", "operations"),
    [
        ({"throttle": {"rate": 7}}, {"update_stage": 1}),
        ({"allowed_origins": ["https://shop.example"]}, {"update_api": 1}),
        ({"reserved_concurrency": {"track": 9}}, {"put_function_concurrency": 1}),
        ({"reserved_concurrency": {"delete": None}}, {"delete_function_concurrency": 1}),
        ({"permissions_boundary": BOUNDARY}, {"put_role_permissions_boundary": 1}),
        ({"event_path": "ping"}, {"create_route": 2}),
        ({"domain": DOMAIN}, {"create_domain_name": 1, "create_api_mapping": 1}),
        ({"log_retention_days": 7}, {"put_retention_policy": 4}),
        (
            {"tags": {"team": "shop"}},
            {
                "add_tags_to_resource": 1,
                "tag_role": 1,
                "tag_resource": 4 + 4 + 1 + 1,
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


def test_concurrency_that_the_account_cannot_give_is_not_asked_for() -> None:
    new_account = replace(NOTHING, unreserved=10)
    assert not [line for line in lines(wanted(), new_account) if "concurrency" in line]
    (note,) = notes(wanted(), new_account)
    assert "the account has 10 unreserved executions" in note
    assert notes(wanted(), replace(NOTHING, unreserved=127)) == []
    assert notes(wanted(), replace(NOTHING, unreserved=126)) != []
    assert notes(wanted(), replace(done(wanted()), unreserved=0)) == []


def test_the_role_may_have_network_interfaces_only_in_a_vpc() -> None:
    names = Names("shop")
    assert "ec2:" not in json.dumps(functions_policy(names, HOME))
    policy = functions_policy(names, HOME, wanted(vpc=VPC).vpc)
    *_, looking, changing, denied = policy["Statement"]
    assert looking["Action"] == ["ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets"]
    assert changing["Resource"] == "arn:aws:ec2:eu-west-1:123456789012:*/*"
    # The code in the functions has none of it.
    assert (denied["Effect"], len(denied["Action"])) == ("Deny", 6)


def test_nothing_but_the_stack_goes() -> None:
    seen = done(wanted(domain=DOMAIN))
    said = [str(change) for change in plan_teardown(Names("gimel"), "eu-west-1", seen)]
    assert [line.removesuffix(": the stack is deleted") for line in said] == [
        "delete domain name ab.shop.example",
        "delete HTTP API api1",
        "delete mapping of queue gimel-events",
        "delete queue gimel-events-dead",
        "delete queue gimel-events",
        "delete function gimel-track with its versions",
        "delete function gimel-all-experiments with its versions",
        "delete function gimel-delete-experiment with its versions",
        "delete function gimel-replay with its versions",
        "delete log group /aws/lambda/gimel-track",
        "delete log group /aws/lambda/gimel-all-experiments",
        "delete log group /aws/lambda/gimel-delete-experiment",
        "delete log group /aws/lambda/gimel-replay",
        "delete policy gimel-eu-west-1 of role gimel",
        "delete role gimel",
        "delete read key /gimel/read-key",
    ]
    assert seen.role is not None
    assert seen.parameter is not None
    strange = function(seen, "gimel-track", tags={})
    strange = replace(strange, parameter=replace(seen.parameter, tags={"gimel:stack": "other"}))
    left = {str(change) for change in plan_teardown(Names("gimel"), "eu-west-1", strange)}
    assert set(said) - left == {
        "delete function gimel-track with its versions: the stack is deleted",
        "delete read key /gimel/read-key: the stack is deleted",
    }
    shared = replace(seen, role=replace(seen.role, policies=("gimel-eu-west-1", "gimel-us-east-1")))
    left = {str(change) for change in plan_teardown(Names("gimel"), "eu-west-1", shared)}
    assert set(said) - left == {"delete role gimel: the stack is deleted"}


def test_policies_name_all_that_they_allow() -> None:
    permissions = functions_policy(Names("shop"), HOME)
    statement, queue, aside = permissions["Statement"]
    assert aside["Action"] == ["sqs:SendMessage"]
    assert aside["Resource"] == ["arn:aws:sqs:eu-west-1:123456789012:shop-events-dead"]
    assert not [action for action in statement["Action"] + queue["Action"] if "*" in action]
    assert queue["Resource"] == ["arn:aws:sqs:eu-west-1:123456789012:shop-events"]
    assert statement["Resource"] == [
        f"arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/shop-{purpose}:*"
        for purpose in ("track", "all-experiments", "delete-experiment", "replay")
    ]
    (trust,) = trust_policy()["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}


def test_routes_go_where_they_are_served() -> None:
    routes = dict(wanted().routes)
    assert set(routes) == set(ROUTES)
    for route in ("GET /e", "POST /e", "GET /track", "POST /track"):
        assert routes.pop(route) == "gimel-track"
    assert routes.pop("DELETE /delete") == "gimel-delete-experiment"
    assert set(routes.values()) == {"gimel-all-experiments"}


def test_a_queue_set_otherwise_is_set_right() -> None:
    seen = done(wanted())
    queue = seen.queues["gimel-events"]
    spoilt = {**queue.attributes, "VisibilityTimeout": "1", "FifoQueue": "false"}
    otherwise = replace(
        seen, queues={**seen.queues, "gimel-events": replace(queue, attributes=spoilt)}
    )
    (change,) = plan(wanted(), otherwise)
    assert str(change) == "update queue gimel-events: VisibilityTimeout"
    assert change.calls[0].arguments["Attributes"] == {"VisibilityTimeout": "180"}


def test_the_redrive_policy_as_aws_writes_it_is_the_same() -> None:
    seen = done(wanted())
    queue = seen.queues["gimel-events"]
    dead = HOME.arn("sqs", "gimel-events-dead")
    policy = f'{{"maxReceiveCount":"200","deadLetterTargetArn":"{dead}"}}'
    told = replace(queue, attributes={**queue.attributes, "RedrivePolicy": policy})
    assert plan(wanted(), replace(seen, queues={**seen.queues, "gimel-events": told})) == []


def test_a_mapping_switched_off_is_switched_on() -> None:
    seen = done(wanted())
    assert seen.mapping is not None
    off = replace(seen.mapping, settings={**seen.mapping.settings, "Enabled": False})
    (change,) = plan(wanted(), replace(seen, mappings=(off,)))
    assert change.calls[0].arguments == {"UUID": "uuid1", "Enabled": True}


def test_a_queue_of_a_stranger_is_left_alone() -> None:
    other = wanted(stack="shop")
    seen = done(other)
    queue = replace(seen.queues["shop-events"], tags={})
    with pytest.raises(DeployError, match="queue shop-events"):
        plan(other, replace(seen, queues={**seen.queues, "shop-events": queue}))


def test_what_is_taken_away_ends_with_the_dead_letters() -> None:
    seen = done(wanted())
    said = [
        change.what for change in plan_queue_removal(Names("gimel"), seen, "the stack is deleted")
    ]
    assert said[0] == "mapping of queue gimel-events"
    assert sorted(said[1:]) == ["queue gimel-events", "queue gimel-events-dead"]
    assert list(plan_queue_removal(Names("gimel"), NOTHING, "the stack is deleted")) == []
    queue = seen.queues["gimel-events"]
    full = replace(queue, attributes={**queue.attributes, "ApproximateNumberOfMessages": "3"})
    left = replace(seen, queues={"gimel-events": full})
    *_, last = plan_queue_removal(Names("gimel"), left, "the stack is deleted")
    assert str(last) == "delete queue gimel-events: the stack is deleted, with 3 uncounted messages"


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


def test_a_role_with_policies_of_others_goes_all_the_same() -> None:
    seen = done(wanted())
    assert seen.role is not None
    role = replace(seen.role, policies=("gimel-eu-west-1", "gimel-debugging"))
    said = [
        str(change)
        for change in plan_teardown(Names("gimel"), "eu-west-1", replace(seen, role=role))
    ]
    assert "delete role gimel: the stack is deleted" in said
    assert "delete policy gimel-debugging of role gimel: the stack is deleted" in said


def test_a_read_key_that_is_adopted_is_drawn_anew() -> None:
    seen = replace(done(wanted()), parameter=ObservedParameter({}, "x"))
    with pytest.raises(DeployError, match="parameter /gimel/read-key"):
        plan(wanted(), seen)
    put, tag = plan(wanted(), seen, adopt=True)
    assert (
        str(put)
        == "update read key /gimel/read-key: the stack did not create it, so it is replaced"
    )
    assert put.calls[0].arguments["Type"] == "SecureString"
    assert str(tag).startswith("tag read key")


def test_a_second_mapping_goes() -> None:
    seen = done(wanted())
    (mapping,) = seen.mappings
    twice = replace(seen, mappings=(mapping, replace(mapping, uuid="uuid2")))
    (change,) = plan(wanted(), twice)
    assert str(change) == "delete mapping of queue gimel-events: the queue has another mapping"
    assert change.calls[0].arguments == {"UUID": "uuid2"}
    said = [
        change.what for change in plan_queue_removal(Names("gimel"), twice, "the stack is deleted")
    ]
    assert said.count("mapping of queue gimel-events") == 2
