"""The plan for the API, its routes and who may invoke the functions."""

from dataclasses import replace

from gimel.backend.wire import FLAGS_PATH
from gimel.gimel import ROUTES
from gimel.stack.observed import (
    ObservedLegacy,
    ObservedMethod,
)
from gimel.stack.plan.api import LEGACY_DEPLOYMENT
from gimel.stack.plan.plan import plan
from tests.support.planning import done, wanted


def test_the_permission_follows_the_api() -> None:
    seen = replace(done(wanted()), apis=())
    operations = [
        call.operation
        for change in plan(wanted(), seen)
        for call in change.calls
        if call.service == "lambda"
    ]
    assert operations == ["remove_permission", "add_permission"] * 3


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


def test_routes_go_where_they_are_served() -> None:
    routes = dict(wanted().routes)
    assert set(routes) == set(ROUTES)
    for route in ("GET /e", "POST /e", "GET /track", "POST /track"):
        assert routes.pop(route) == "gimel-track"
    for route in (f"POST {FLAGS_PATH}", f"POST {FLAGS_PATH}/{{proxy+}}"):
        assert routes.pop(route) == "gimel-track"
    assert routes.pop("DELETE /delete") == "gimel-delete-experiment"
    assert set(routes.values()) == {"gimel-all-experiments"}


def test_a_stack_of_an_earlier_version_gets_the_routes_of_flags() -> None:
    seen = done(wanted())
    (api,) = seen.apis
    routes = {key: each for key, each in api.routes.items() if FLAGS_PATH not in key}
    cors = {name: each for name, each in wanted().cors.items() if name != "ExposeHeaders"}
    cors["AllowHeaders"] = ["content-type", "x-api-key"]
    old = replace(api, routes=routes, settings={**api.settings, "CorsConfiguration": cors})
    assert [str(change) for change in plan(wanted(), replace(seen, apis=(old,)))] == [
        "update HTTP API gimel: CorsConfiguration",
        f"create routes of HTTP API gimel: POST {FLAGS_PATH}, POST {FLAGS_PATH}/{{proxy+}}",
    ]
