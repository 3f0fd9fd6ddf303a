"""The plan for the function URL, and for who may call it."""

from dataclasses import replace
from typing import Any

import pytest

from gimel.stack.observed import Observed, ObservedFunctionUrl
from gimel.stack.plan.function_url import function_url_settings
from gimel.stack.plan.plan import notes, plan
from tests.support.planning import FUNCTION_URL, NOTHING, PUBLIC, done, function, lines, wanted

BY_URL = wanted(events="function-url")
WHAT = "URL of function gimel-track"
PERMISSION = "permission to invoke function gimel-track: for anyone, through its URL"


def with_settings(seen: Observed, **changed: Any) -> Observed:
    assert seen.function_url is not None
    settings = {**seen.function_url.settings, **changed}
    return replace(seen, function_url=ObservedFunctionUrl(seen.function_url.url, settings))


def with_permission(seen: Observed, id: str, **changed: Any) -> Observed:
    invokers = dict(seen.functions["gimel-track"].invokers)
    invokers["live", id] = {**invokers["live", id], **changed}
    return function(seen, "gimel-track", invokers=invokers)


def test_settings_are_those_of_the_api_in_lambdas_terms() -> None:
    assert function_url_settings(wanted(allowed_origins=["https://shop.example"])) == {
        "AuthType": "NONE",
        "InvokeMode": "BUFFERED",
        "Cors": {
            "AllowOrigins": ["https://shop.example"],
            # Lambda takes no method of more than six letters.
            "AllowMethods": ["GET", "POST", "PUT", "DELETE"],
            "AllowHeaders": ["content-type", "if-none-match", "x-api-key", "x-gimel-namespace"],
            "ExposeHeaders": ["etag"],
            "MaxAge": 86400,
        },
    }


def test_a_note_says_that_the_url_is_lost_for_ever() -> None:
    (note,) = notes(wanted(), done(BY_URL))
    assert note.startswith(f"{FUNCTION_URL} is deleted, and AWS never assigns this URL again: ")
    assert 'lose their events. To keep it: "events": "function-url"' in note
    for wish in (wanted(), BY_URL):
        assert notes(wish, done(wish)) == []


def test_nothing_to_change() -> None:
    seen = done(BY_URL)
    assert lines(BY_URL, seen) == []
    cors = dict(BY_URL.cors, AllowMethods=["PUT", "POST", "GET", "DELETE"], AllowCredentials=False)
    assert lines(BY_URL, with_settings(seen, Cors=cors)) == []
    closed = with_settings(seen, Cors={**cors, "ExposeHeaders": []})
    # As a stack of an earlier version has it
    assert lines(BY_URL, closed) == ["update URL of function gimel-track: Cors"]


def test_the_stage_names_it_for_the_dashboard() -> None:
    """The owner's own stage variables stay."""
    stage = "update stage prod of HTTP API gimel: address for events"
    seen = done(BY_URL)

    def naming(url: str) -> Observed:
        (api,) = seen.apis
        variables = {"events": url, "owners": "x"}
        return replace(seen, apis=(replace(api, stage={**api.stage, "StageVariables": variables}),))

    assert lines(BY_URL, naming(f"{FUNCTION_URL}e")) == []
    assert lines(BY_URL, naming("https://old.example/")) == [stage]
    assert stage in lines(wanted(), seen)
    (change,) = [each for each in plan(wanted(event_path="hi"), seen) if str(each) == stage]
    assert change.calls[0].arguments["StageVariables"] == {"events": "hi"}
    (first,) = [each for each in plan(BY_URL, NOTHING) if str(each).startswith("create stage")]
    assert str(first.calls[0].arguments["StageVariables"]["events"]) == "{function_url}e"


def test_it_comes_with_both_permissions_after_the_alias() -> None:
    said = lines(BY_URL, NOTHING)
    alias = next(line for line in said if line.startswith("create alias live of function gimel-tr"))
    assert said.index(alias) < said.index(f"create {WHAT}: events come through it")
    assert said.count(f"create {PERMISSION}") == 2
    assert [line for line in lines(wanted(), NOTHING) if "URL" in line] == []


def test_it_goes_with_both_permissions() -> None:
    assert lines(wanted(), done(BY_URL)) == [
        f"delete {WHAT}: events come through the HTTP API",
        "update stage prod of HTTP API gimel: address for events",
        "delete permission gimel-function-url to invoke alias live of function gimel-track: "
        "anybody may invoke it",
        "delete permission gimel-function-url-invoke to invoke alias live of function gimel-track: "
        "anybody may invoke it",
    ]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"AuthType": "AWS_IAM"}, "AuthType"),
        ({"InvokeMode": "RESPONSE_STREAM"}, "InvokeMode"),
        ({"Cors": None}, "Cors"),
        ({"Cors": {**BY_URL.cors, "AllowOrigins": ["https://shop.example"]}}, "Cors"),
        ({"Cors": {**BY_URL.cors, "AllowCredentials": True}}, "Cors"),
    ],
)
def test_other_settings_are_set_back(changed: dict[str, Any], why: str) -> None:
    (change,) = plan(BY_URL, with_settings(done(BY_URL), **changed))
    assert str(change) == f"update {WHAT}: {why}"
    (call,) = change.calls
    target = {"FunctionName": "gimel-track", "Qualifier": "live"}
    assert call.arguments == target | {why: function_url_settings(BY_URL)[why]}


@pytest.mark.parametrize("id", [id for _, id in PUBLIC])
@pytest.mark.parametrize(
    "changed",
    [
        {"Condition": {}},
        {"Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "false"}}},
        {"Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "AWS_IAM"}}},
        {"Principal": {"AWS": "123456789012"}},
        {"Action": "lambda:*"},
        {"Effect": "Deny"},
    ],
)
def test_another_permission_under_the_same_id_is_replaced(id: str, changed: dict[str, Any]) -> None:
    (change,) = plan(BY_URL, with_permission(done(BY_URL), id, **changed))
    assert str(change) == f"replace {PERMISSION}"
    assert [call.operation for call in change.calls] == ["remove_permission", "add_permission"]
    assert {call.arguments["StatementId"] for call in change.calls} == {id}


def test_an_url_may_return_with_its_alias() -> None:
    lost = function(done(BY_URL), "gimel-track", live=None, invokers={})
    changes = plan(BY_URL, replace(lost, function_url=None))
    operations = [call.operation for change in changes for call in change.calls]
    place = operations.index("create_function_url_config")
    assert operations[place - 1] == "delete_function_url_config"
    assert operations.count("remove_permission") == operations.count("add_permission") == 3


def test_only_further_routes_are_named_to_the_function() -> None:
    def variable(**settings: Any) -> str | None:
        variables = wanted(**settings).configurations["gimel-track"]["Environment"]["Variables"]
        return variables.get("GIMEL_EVENT_ROUTES")

    further = {"event_path": "hi", "extra_wiring": [WIRING]}
    assert variable(**further) is None
    assert variable(events="function-url") is None
    assert variable(events="function-url", **further) == "GET /hi,POST /hi,GET /old"
    # So that a switch to the URL and back publishes nothing.
    assert BY_URL.configurations == wanted().configurations


WIRING = {
    "lambda": {"FunctionName": "gimel-track"},
    "api_gateway": {"pathPart": "old", "method": {"httpMethod": "GET"}},
}
