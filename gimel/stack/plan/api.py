"""The API's part of the plan: pure functions, like all of it."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from gimel.config.stack import Throttle
from gimel.stack.change import Call, Change, Later, later
from gimel.stack.observed import Seen, SeenApi, SeenDomain, SeenMethod
from gimel.stack.plan.ownership import missing_tags, why_tagged
from gimel.stack.wanted import ALIAS, INVOKER, STAGE, Wanted, alias_arn, called

# What a failed function is answered with by gimel 1.x's REST API, and how the deployment that has
# it so is described.
_FAILURE = "503"
OLD_DEPLOYMENT = "gimel 2: a failed function answers 503"


def http_api(wanted: Wanted, seen: SeenApi | None) -> Iterator[Change]:
    """The API itself, its integrations, routes and stage."""
    what = f"HTTP API {wanted.names.api}"
    if seen is None:
        arguments = {
            "Name": wanted.names.api,
            "ProtocolType": "HTTP",
            "CorsConfiguration": wanted.cors,
            "Tags": wanted.tags,
        }
        saves = {"api": "ApiId", "endpoint": "ApiEndpoint"}
        call = Call("apigatewayv2", "create_api", arguments, saves)
        yield Change("create", what, "not there yet", (call,))
        seen = SeenApi(later("api"), later("endpoint"), wanted.cors, {}, {}, None)
    else:
        yield from _existing_api(wanted, seen)
    yield from _wiring(wanted, seen)
    yield from _stage(wanted, seen)


def _existing_api(wanted: Wanted, seen: SeenApi) -> Iterator[Change]:
    what = f"HTTP API {wanted.names.api}"
    if missing := missing_tags(wanted.tags, seen.tags):
        arn = f"arn:{wanted.home.partition}:apigateway:{wanted.home.region}::/apis/{seen.id}"
        call = Call("apigatewayv2", "tag_resource", {"ResourceArn": arn, "Tags": missing})
        yield Change("tag", what, why_tagged(seen.tags, missing), (call,))
    if not _same_cors(wanted.cors, seen.cors):
        arguments = {"ApiId": seen.id, "CorsConfiguration": wanted.cors}
        before = {"ApiId": seen.id, "CorsConfiguration": seen.cors or {}}
        call = Call("apigatewayv2", "update_api", arguments, before=before)
        yield Change("update", what, "CORS was otherwise", (call,))


def _same_cors(wanted: Mapping[str, Any], seen: Mapping[str, Any] | None) -> bool:
    def comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
        # AWS may say what is so by default, "AllowCredentials": false.
        return {
            key: sorted(value) if isinstance(value, list) else value
            for key, value in settings.items()
            if value
        }

    return seen is not None and comparable(seen) == comparable(wanted)


def _wiring(wanted: Wanted, api: SeenApi) -> Iterator[Change]:
    """Integrations (the API's hold on a function), routes to them, and what is left over."""
    uris = {name: alias_arn(wanted.home, name) for name in called(wanted)}
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
    arguments: dict[str, Any] = {
        "StageName": STAGE,
        "AutoDeploy": True,
        "DefaultRouteSettings": _limits(wanted.throttle),
    }
    if api.auto_deploys is None:
        call = _api_call("create_stage", api.id, **arguments, Tags=wanted.tags)
        yield Change("create", what, "not there yet", (call,))
    elif not api.auto_deploys or api.throttle != wanted.throttle:
        before = {"ApiId": api.id, "StageName": STAGE, "AutoDeploy": api.auto_deploys}
        if api.throttle:
            before["DefaultRouteSettings"] = _limits(api.throttle)
        call = replace(_api_call("update_stage", api.id, **arguments), before=before)
        wanted_throttle = f"{wanted.throttle.rate:g} requests/s, {wanted.throttle.burst} at once"
        yield Change("update", what, f"deploys by itself; {wanted_throttle}", (call,))


def _limits(throttle: Throttle) -> dict[str, Any]:
    return {"ThrottlingRateLimit": throttle.rate, "ThrottlingBurstLimit": throttle.burst}


def domains(wanted: Wanted, seen: Seen) -> Iterator[Change]:
    """The name of one's own, if there is to be one, and the ones there are to be no longer."""
    for domain in seen.domains:
        if wanted.domain is None or domain.name != wanted.domain.name:
            yield remove_domain(domain, "no longer in the configuration")
    if wanted.domain is None:
        return
    name, api = wanted.domain.name, seen.apis[0].id if seen.apis else later("api")
    what = f"domain name {name}"
    found = next((domain for domain in seen.domains if domain.name == name), None)
    settings: dict[str, Any] = {
        "DomainName": name,
        "DomainNameConfigurations": [
            {
                "CertificateArn": wanted.domain.certificate,
                "EndpointType": "REGIONAL",
                "SecurityPolicy": "TLS_1_2",
            }
        ],
    }
    if found is None:
        call = Call("apigatewayv2", "create_domain_name", {**settings, "Tags": wanted.tags})
        yield Change("create", what, "not there yet", (call,))
    else:
        yield from _existing_domain(wanted, found, settings)
    mappings = found.mappings if found else {}
    if (api, STAGE) not in mappings.values():
        stale = [_unmap(name, id) for id in mappings]
        mapping = {"DomainName": name, "ApiId": api, "Stage": STAGE}
        calls = (*stale, Call("apigatewayv2", "create_api_mapping", mapping))
        verb = "replace" if stale else "create"
        yield Change(verb, f"mapping of {what}", f"to HTTP API {wanted.names.api}", calls)


def _existing_domain(
    wanted: Wanted, found: SeenDomain, settings: Mapping[str, Any]
) -> Iterator[Change]:
    what = f"domain name {found.name}"
    if missing := missing_tags(wanted.tags, found.tags):
        home = wanted.home
        arn = f"arn:{home.partition}:apigateway:{home.region}::/domainnames/{found.name}"
        call = Call("apigatewayv2", "tag_resource", {"ResourceArn": arn, "Tags": missing})
        yield Change("tag", what, why_tagged(found.tags, missing), (call,))
    if wanted.domain and found.certificate != wanted.domain.certificate:
        call = Call("apigatewayv2", "update_domain_name", settings)
        why = f"certificate {found.certificate} → {wanted.domain.certificate}"
        yield Change("update", what, why, (call,))


def _unmap(domain: str, id: str) -> Call:
    named = {"DomainName": domain, "ApiMappingId": id}
    return Call("apigatewayv2", "delete_api_mapping", named, if_exists=True)


def remove_domain(domain: SeenDomain, why: str) -> Change:
    """A domain name goes, its mappings first: AWS deletes no API that is mapped."""
    calls = [_unmap(domain.name, id) for id in domain.mappings]
    calls.append(Call("apigatewayv2", "delete_domain_name", {"DomainName": domain.name}))
    return Change("delete", f"domain name {domain.name}", why, tuple(calls))


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
    yield Change("replace" if invokers else "create", what, "for this API alone", tuple(calls))


def old_api(seen: Seen) -> Iterator[Change]:
    """Have gimel 1.x's REST API say that a function failed, in which case a page keeps its event.

    Left alone, it answers 200 to whatever a function gave it, an error too: see
    https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
    """
    if seen.legacy is None:
        return
    silent = [method for method in seen.legacy.methods if method.failure is None]
    if silent or seen.legacy.deployment != OLD_DEPLOYMENT:
        api = {"restApiId": seen.legacy.api}
        calls = [call for method in silent for call in _failure(api, method)]
        served = {**api, "stageName": STAGE, "description": OLD_DEPLOYMENT}
        calls.append(Call("apigateway", "create_deployment", served))
        why = f"an event that was not counted is answered with {_FAILURE}"
        yield Change("update", f"REST API {seen.legacy.api}", why, tuple(calls))


def _failure(api: Mapping[str, str], method: SeenMethod) -> Iterator[Call]:
    target = {
        **api,
        "resourceId": method.resource,
        "httpMethod": method.verb,
        "statusCode": _FAILURE,
    }
    allowed = "method.response.header.Access-Control-Allow-Origin"
    if _FAILURE not in method.statuses:
        arguments = {**target, "responseParameters": {allowed: False}}
        yield Call("apigateway", "put_method_response", arguments)
    mapping = {
        # Any message of an error, of several lines too.
        "selectionPattern": "(\\n|.)+",
        "responseParameters": {allowed: "'*'"},
        "responseTemplates": {"application/json": '{"error": "not counted: send it again"}'},
    }
    yield Call("apigateway", "put_integration_response", {**target, **mapping})


def spare_apis(seen: Seen) -> Iterator[Change]:
    """A create_api that took effect though its answer was lost leaves a second API."""
    for api in seen.apis[1:]:
        call = _api_call("delete_api", api.id)
        yield Change("delete", f"HTTP API {api.id}", "the stack has another", (call,))
