"""The API's part of the plan: pure functions, like all of it."""

from collections.abc import Iterator, Mapping
from typing import Any

from gimel.change import Call, Change, Later, later
from gimel.stack import ALIAS, INVOKER, STAGE, Seen, SeenApi, Wanted, alias_arn, cors


def http_api(wanted: Wanted, seen: SeenApi | None) -> Iterator[Change]:
    """The API itself, its integrations, routes and stage."""
    what = f"HTTP API {wanted.names.api}"
    if seen is None:
        arguments = {
            "Name": wanted.names.api,
            "ProtocolType": "HTTP",
            "CorsConfiguration": cors(),
            "Tags": wanted.names.tags,
        }
        saves = {"api": "ApiId", "endpoint": "ApiEndpoint"}
        call = Call("apigatewayv2", "create_api", arguments, saves)
        yield Change("create", what, "not there yet", (call,))
        seen = SeenApi(later("api"), later("endpoint"), cors(), {}, {}, None)
    elif not _same_cors(seen.cors):
        arguments = {"ApiId": seen.id, "CorsConfiguration": cors()}
        call = Call("apigatewayv2", "update_api", arguments)
        yield Change("update", what, "CORS was otherwise", (call,))
    yield from _wiring(wanted, seen)
    yield from _stage(wanted, seen)


def _same_cors(seen: Mapping[str, Any] | None) -> bool:
    def comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
        # AWS may say what is so by default, "AllowCredentials": false.
        return {
            key: sorted(value) if isinstance(value, list) else value
            for key, value in settings.items()
            if value
        }

    return seen is not None and comparable(seen) == comparable(cors())


def _wiring(wanted: Wanted, api: SeenApi) -> Iterator[Change]:
    """Integrations (the API's hold on a function), routes to them, and what is left over."""
    uris = {name: alias_arn(wanted.home, name) for name in wanted.names.functions}
    by_uri = {uri: id for id, uri in api.integrations.items()}
    targets = {name: by_uri.get(uri, later(f"integration of {name}")) for name, uri in uris.items()}
    missing = [name for name, uri in uris.items() if uri not in by_uri]
    if missing:
        calls = [_new_integration(api.id, name, uris[name]) for name in missing]
        what = f"integrations of HTTP API {wanted.names.api}"
        yield Change("create", what, f"for {', '.join(missing)}", tuple(calls))
    yield from _routes(wanted, api, targets)
    spare = [id for id in api.integrations if id not in targets.values()]
    if spare:
        calls = [_api_call("delete_integration", api.id, IntegrationId=id) for id in spare]
        what = f"integrations of HTTP API {wanted.names.api}"
        yield Change("delete", what, "no route leads there", tuple(calls))


def _new_integration(api: str, function: str, uri: str) -> Call:
    return _api_call(
        "create_integration",
        api,
        saves={f"integration of {function}": "IntegrationId"},
        IntegrationType="AWS_PROXY",
        IntegrationUri=uri,
        PayloadFormatVersion="2.0",
    )


def _api_call(
    operation: str, api: str, saves: Mapping[str, str] | None = None, **arguments: Any
) -> Call:
    return Call("apigatewayv2", operation, {"ApiId": api, **arguments}, saves or {})


def _routes(wanted: Wanted, api: SeenApi, targets: Mapping[str, str]) -> Iterator[Change]:
    created: dict[str, Call] = {}
    updated: dict[str, Call] = {}
    for key, function in wanted.routes.items():
        target = Later("integrations/" + targets[function])
        if key not in api.routes:
            created[key] = _api_call("create_route", api.id, RouteKey=key, Target=target)
        elif api.routes[key][1] != targets[function]:
            route = api.routes[key][0]
            updated[key] = _api_call("update_route", api.id, RouteId=route, Target=target)
    deleted = {
        key: _api_call("delete_route", api.id, RouteId=route)
        for key, (route, _) in api.routes.items()
        if key not in wanted.routes
    }
    what = f"routes of HTTP API {wanted.names.api}"
    for verb, calls in (("create", created), ("update", updated), ("delete", deleted)):
        if calls:
            yield Change(verb, what, ", ".join(calls), tuple(calls.values()))


def _stage(wanted: Wanted, api: SeenApi) -> Iterator[Change]:
    what = f"stage {STAGE} of HTTP API {wanted.names.api}"
    arguments: dict[str, Any] = {"StageName": STAGE, "AutoDeploy": True}
    if api.auto_deploys is None:
        call = _api_call("create_stage", api.id, **arguments, Tags=wanted.names.tags)
        yield Change("create", what, "not there yet", (call,))
    elif not api.auto_deploys:
        call = _api_call("update_stage", api.id, **arguments)
        yield Change("update", what, "it did not deploy by itself", (call,))


def invoker(wanted: Wanted, name: str, seen: Seen) -> Iterator[Change]:
    """Who may call a function's alias: this API's stage and nothing else."""
    api = seen.apis[0].id if seen.apis else "{api}"
    source = Later(wanted.home.arn("execute-api", f"{api}/{STAGE}/*"))
    function = seen.functions.get(name)
    invokers = function.invokers if function else {}
    if invokers.get(INVOKER) == source:
        return
    target = {"FunctionName": name, "Qualifier": ALIAS, "StatementId": INVOKER}
    arguments = {
        **target,
        "Action": "lambda:InvokeFunction",
        "Principal": "apigateway.amazonaws.com",
        "SourceArn": source,
    }
    calls = []
    # An alias that was deleted shows no permission, but may have it again once it is back.
    if INVOKER in invokers or (function and function.live is None):
        calls.append(Call("lambda", "remove_permission", target, if_exists=True))
    calls.append(Call("lambda", "add_permission", arguments))
    what = f"permission to invoke function {name}"
    yield Change("update" if invokers else "create", what, "for this API alone", tuple(calls))


def spare_apis(seen: Seen) -> Iterator[Change]:
    """A create_api that took effect though its answer was lost leaves a second API."""
    for api in seen.apis[1:]:
        call = _api_call("delete_api", api.id)
        yield Change("delete", f"HTTP API {api.id}", "the stack has another", (call,))
