"""The plan of the HTTP API and its custom domain, and the repair of gimel 1.x's REST API."""

from collections.abc import Iterator, Mapping
from typing import Any

from gimel.backend.wire import EVENTS_VARIABLE
from gimel.stack.change import Call, Change, Template, saved_value
from gimel.stack.observed import Observed, ObservedApi, ObservedDomain, ObservedMethod
from gimel.stack.plan.difference import comparable, differences
from gimel.stack.plan.ownership import missing_tags, tag_reason
from gimel.stack.wanted import STAGE, Wanted, alias_arn, routed_functions

# What API Gateway sets by itself. Each value was read on AWS, and each one resets its setting:
# https://github.com/go-to-k/cdk-real-drift/tree/main/tests/corpus and
# https://github.com/go-to-k/cdkd/pull/1163
_API_DEFAULTS = {"DisableExecuteApiEndpoint": False}
_ROUTE_DEFAULTS = {
    "ApiKeyRequired": False,
    "AuthorizationScopes": [],
    "AuthorizationType": "NONE",
    "AuthorizerId": "",
}
_INTEGRATION_DEFAULTS = {
    "ConnectionId": "",
    "ConnectionType": "INTERNET",
    "CredentialsArn": "",
    "IntegrationMethod": "POST",
    "IntegrationSubtype": "",
    "RequestParameters": {},
    "ResponseParameters": {},
    "TimeoutInMillis": 30000,
    "TlsConfig": {},
}

# The status with which gimel 1.x's REST API answers for a failed function, and the description of
# the deployment that answers so.
_FAILURE = "503"
LEGACY_DEPLOYMENT = "gimel 2: a failed function answers 503"


def plan_api(wanted: Wanted, observed: ObservedApi | None, events_url: str) -> Iterator[Change]:
    """Plan the HTTP API with its integrations, routes and stage.

    The dashboard's snippet sends events to `events_url`.
    """
    what = f"HTTP API {wanted.names.api}"
    if observed is None:
        arguments = {
            "Name": wanted.names.api,
            "ProtocolType": "HTTP",
            "CorsConfiguration": wanted.cors,
            "Tags": wanted.tags,
        }
        saves = {"api": "ApiId", "endpoint": "ApiEndpoint"}
        call = Call("apigatewayv2", "create_api", arguments, saves)
        yield Change("create", what, "does not exist yet", (call,))
        observed = ObservedApi(saved_value("api"), saved_value("endpoint"), {}, {}, {}, None)
    else:
        yield from _plan_existing_api(wanted, observed)
    yield from _plan_route_settings(wanted, observed)
    yield from _plan_integrations(wanted, observed)
    yield from _plan_stage(wanted, observed, events_url)


def _plan_existing_api(wanted: Wanted, observed: ObservedApi) -> Iterator[Change]:
    what = f"HTTP API {wanted.names.api}"
    if missing := missing_tags(wanted.tags, observed.tags):
        arn = f"arn:{wanted.home.partition}:apigateway:{wanted.home.region}::/apis/{observed.id}"
        call = Call("apigatewayv2", "tag_resource", {"ResourceArn": arn, "Tags": missing})
        yield Change("tag", what, tag_reason(observed.tags, missing), (call,))
    settings = {"Name": wanted.names.api, "CorsConfiguration": wanted.cors}
    if changed := differences(settings, observed.settings, _API_DEFAULTS):
        call = _update("update_api", {"ApiId": observed.id}, changed, observed.settings)
        yield Change("update", what, ", ".join(changed), (call,))


def _update(
    operation: str, target: Mapping[str, Any], changed: Mapping[str, Any], found: Mapping[str, Any]
) -> Call:
    before = {name: found[name] for name in changed if name in found}
    return Call("apigatewayv2", operation, {**target, **changed}, before={**target, **before})


def _plan_integrations(wanted: Wanted, api: ObservedApi) -> Iterator[Change]:
    """Plan the integrations, which connect the API to functions, and the routes to them.

    A changed integration is replaced, so that no request meets a half-changed one.
    """
    functions = routed_functions(wanted)
    settings = {name: _integration_settings(wanted, name) for name in functions}
    known = {name: _find_integration(api, settings[name]) for name in functions}
    targets = {name: id or saved_value(f"integration of {name}") for name, id in known.items()}
    missing = [name for name, id in known.items() if id is None]
    if missing:
        calls = [_new_integration(api.id, name, settings[name]) for name in missing]
        what = f"integrations of HTTP API {wanted.names.api}"
        yield Change("create", what, f"for {', '.join(missing)}", tuple(calls))
    yield from _plan_routes(wanted, api, targets)
    unused = [id for id in api.integrations if id not in targets.values()]
    if unused:
        calls = [_api_call("delete_integration", api.id, IntegrationId=id) for id in unused]
        what = f"integrations of HTTP API {wanted.names.api}"
        yield Change("delete", what, "no route uses them", tuple(calls))


def _integration_settings(wanted: Wanted, function: str) -> dict[str, str]:
    return {
        "IntegrationType": "AWS_PROXY",
        "IntegrationUri": alias_arn(wanted.home, function),
        "PayloadFormatVersion": "2.0",
    }


def _find_integration(api: ObservedApi, settings: Mapping[str, str]) -> str | None:
    """Return the id of an integration with these settings, if there is one."""
    found = api.integrations.items()
    same = (id for id, each in found if not differences(settings, each, _INTEGRATION_DEFAULTS))
    return next(same, None)


def _new_integration(api: str, function: str, settings: Mapping[str, str]) -> Call:
    saves = {f"integration of {function}": "IntegrationId"}
    return _api_call("create_integration", api, saves, **settings)


def _api_call(
    operation: str, api: str, saves: Mapping[str, str] | None = None, **arguments: Any
) -> Call:
    return Call("apigatewayv2", operation, {"ApiId": api, **arguments}, saves or {})


def _plan_routes(wanted: Wanted, api: ObservedApi, targets: Mapping[str, str]) -> Iterator[Change]:
    created: dict[str, Call] = {}
    updated: dict[str, Call] = {}
    for key, function in wanted.routes.items():
        target: dict[str, Any] = {"Target": Template("integrations/" + targets[function])}
        found = api.routes.get(key)
        if found is None:
            created[key] = _api_call("create_route", api.id, RouteKey=key, **target)
        elif changed := differences(target, found, _ROUTE_DEFAULTS):
            route = {"ApiId": api.id, "RouteId": found["RouteId"]}
            updated[key] = _update("update_route", route, changed, found)
    deleted = {
        key: _api_call("delete_route", api.id, RouteId=found["RouteId"])
        for key, found in api.routes.items()
        if key not in wanted.routes
    }
    what = f"routes of HTTP API {wanted.names.api}"
    for verb, calls in (("create", created), ("update", updated), ("delete", deleted)):
        if calls:
            yield Change(verb, what, ", ".join(calls), tuple(calls.values()))


def _plan_route_settings(wanted: Wanted, api: ObservedApi) -> Iterator[Change]:
    """Plan that no route has settings of its own, such as a throttle.

    They are deleted before the routes: AWS updates no stage with settings for a missing route.
    """
    found = api.stage.get("RouteSettings", {}) if api.stage else {}
    own = [key for key, settings in found.items() if comparable(settings)]
    if own:
        calls = [
            _api_call("delete_route_settings", api.id, StageName=STAGE, RouteKey=key) for key in own
        ]
        what = f"settings of single routes of HTTP API {wanted.names.api}"
        yield Change("delete", what, ", ".join(own), tuple(calls))


def _plan_stage(wanted: Wanted, api: ObservedApi, events_url: str) -> Iterator[Change]:
    what = f"stage {STAGE} of HTTP API {wanted.names.api}"
    throttle = {
        "ThrottlingRateLimit": wanted.throttle.rate,
        "ThrottlingBurstLimit": wanted.throttle.burst,
    }
    settings: dict[str, Any] = {
        "AutoDeploy": True,
        "DefaultRouteSettings": throttle,
        "StageVariables": {EVENTS_VARIABLE: events_url},
    }
    if api.stage is None:
        call = _api_call("create_stage", api.id, StageName=STAGE, **settings, Tags=wanted.tags)
        yield Change("create", what, "does not exist yet", (call,))
        return
    # The owner may have switched on metrics, and may have variables of their own.
    limits = api.stage.get("DefaultRouteSettings", {})
    limits = {name: limits[name] for name in throttle if name in limits}
    variable = api.stage.get("StageVariables", {}).get(EVENTS_VARIABLE)
    found = {
        **api.stage,
        "DefaultRouteSettings": limits,
        "StageVariables": {EVENTS_VARIABLE: variable},
    }
    if changed := differences(settings, found):
        call = _update("update_stage", {"ApiId": api.id, "StageName": STAGE}, changed, found)
        rate = f"{wanted.throttle.rate:g} requests/s, {wanted.throttle.burst} at once"
        reasons = {
            "AutoDeploy": "automatic deployment",
            "DefaultRouteSettings": rate,
            "StageVariables": "address for events",
        }
        yield Change("update", what, ", ".join(reasons[name] for name in changed), (call,))


def plan_domains(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the custom domain name, if one is configured, and the deletion of any other."""
    for domain in observed.domains:
        if wanted.domain is None or domain.name != wanted.domain.name:
            yield domain_deletion(domain, "no longer in config.json")
    if wanted.domain is None:
        return
    name, api = wanted.domain.name, observed.apis[0].id if observed.apis else saved_value("api")
    what = f"domain name {name}"
    found = next((domain for domain in observed.domains if domain.name == name), None)
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
        yield Change("create", what, "does not exist yet", (call,))
    else:
        yield from _plan_existing_domain(wanted, found, settings)
    mappings = found.mappings if found else {}
    if (api, STAGE) not in mappings.values():
        stale = [_mapping_deletion(name, id) for id in mappings]
        mapping = {"DomainName": name, "ApiId": api, "Stage": STAGE}
        calls = (*stale, Call("apigatewayv2", "create_api_mapping", mapping))
        verb = "replace" if stale else "create"
        yield Change(verb, f"mapping of {what}", f"to HTTP API {wanted.names.api}", calls)


def _plan_existing_domain(
    wanted: Wanted, found: ObservedDomain, settings: Mapping[str, Any]
) -> Iterator[Change]:
    what = f"domain name {found.name}"
    if missing := missing_tags(wanted.tags, found.tags):
        home = wanted.home
        arn = f"arn:{home.partition}:apigateway:{home.region}::/domainnames/{found.name}"
        call = Call("apigatewayv2", "tag_resource", {"ResourceArn": arn, "Tags": missing})
        yield Change("tag", what, tag_reason(found.tags, missing), (call,))
    if wanted.domain and found.certificate != wanted.domain.certificate:
        call = Call("apigatewayv2", "update_domain_name", settings)
        why = f"certificate {found.certificate} → {wanted.domain.certificate}"
        yield Change("update", what, why, (call,))


def _mapping_deletion(domain: str, id: str) -> Call:
    target = {"DomainName": domain, "ApiMappingId": id}
    return Call("apigatewayv2", "delete_api_mapping", target, if_exists=True)


def domain_deletion(domain: ObservedDomain, why: str) -> Change:
    """Return the deletion of a domain name and its mappings: AWS deletes no API that is mapped."""
    calls = [_mapping_deletion(domain.name, id) for id in domain.mappings]
    target = {"DomainName": domain.name}
    calls.append(Call("apigatewayv2", "delete_domain_name", target, if_exists=True))
    return Change("delete", f"domain name {domain.name}", why, tuple(calls))


def plan_legacy_api(observed: Observed) -> Iterator[Change]:
    """Plan that gimel 1.x's REST API answers 503 if a function fails, so that pages keep the event.

    Gimel 1.x had the API answer 200 even then: see
    https://docs.aws.amazon.com/apigateway/latest/developerguide/handle-errors-in-lambda-integration.html
    """
    if observed.legacy is None:
        return
    silent = [method for method in observed.legacy.methods if method.failure is None]
    if silent or observed.legacy.deployment != LEGACY_DEPLOYMENT:
        api = {"restApiId": observed.legacy.api}
        calls = [call for method in silent for call in _failure_response(api, method)]
        deployment = {**api, "stageName": STAGE, "description": LEGACY_DEPLOYMENT}
        calls.append(Call("apigateway", "create_deployment", deployment))
        why = f"answers {_FAILURE} to an event that was not counted"
        yield Change("update", f"REST API {observed.legacy.api}", why, tuple(calls))


def _failure_response(api: Mapping[str, str], method: ObservedMethod) -> Iterator[Call]:
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
        # Matches every error message, also one of several lines.
        "selectionPattern": "(\\n|.)+",
        "responseParameters": {allowed: "'*'"},
        "responseTemplates": {"application/json": '{"error": "not counted: send it again"}'},
    }
    yield Call("apigateway", "put_integration_response", {**target, **mapping})


def plan_duplicate_apis(observed: Observed) -> Iterator[Change]:
    """Plan the deletion of duplicates, left by a create_api call whose answer was lost."""
    for api in observed.apis[1:]:
        call = _api_call("delete_api", api.id)
        yield Change("delete", f"HTTP API {api.id}", "the stack has another API", (call,))
