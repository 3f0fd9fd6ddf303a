"""The observation of the HTTP API and the custom domain names."""

from collections.abc import Mapping
from typing import Any

from gimel.config.stack import Throttle
from gimel.stack.aws import Aws
from gimel.stack.observed import ObservedApi, ObservedDomain
from gimel.stack.wanted import STAGE, TAG, Names


def find_apis(aws: Aws, names: Names) -> list[dict[str, Any]]:
    """Return the HTTP APIs with the stack's tag, the oldest first."""
    found = aws.pages("apigatewayv2", "get_apis", "Items[]")
    own = [api for api in found if api.get("Tags", {}).get(TAG) == names.stack]
    return sorted(own, key=lambda api: (api["CreatedDate"], api["ApiId"]))


def observe_apis(aws: Aws, names: Names) -> tuple[ObservedApi, ...]:
    """Return the HTTP APIs with the stack's tag, the oldest first."""
    return tuple(_observe_api(aws, found) for found in find_apis(aws, names))


def _observe_api(aws: Aws, found: Mapping[str, Any]) -> ObservedApi:
    id = found["ApiId"]
    partition = aws.clients["apigatewayv2"].meta.partition
    arn = f"arn:{partition}:apigateway:{aws.region}::/apis/{id}"
    integrations = aws.pages(
        "apigatewayv2", "get_integrations", "Items[].[IntegrationId, IntegrationUri]", ApiId=id
    )
    routes = aws.pages(
        "apigatewayv2", "get_routes", "Items[].[RouteKey, RouteId, Target]", ApiId=id
    )
    query = (
        "{auto: AutoDeploy, rate: DefaultRouteSettings.ThrottlingRateLimit,"
        " burst: DefaultRouteSettings.ThrottlingBurstLimit}"
    )
    stage = aws.find("apigatewayv2", "get_stage", query, ApiId=id, StageName=STAGE)
    return ObservedApi(
        id=id,
        endpoint=found["ApiEndpoint"],
        cors=found.get("CorsConfiguration"),
        integrations=dict(integrations),
        routes={
            key: (route, str(target).removeprefix("integrations/")) for key, route, target in routes
        },
        auto_deploys=bool(stage["auto"]) if stage else None,
        tags=aws.call("apigatewayv2", "get_tags", "Tags", ResourceArn=arn),
        throttle=_throttle(stage),
    )


def _throttle(stage: Mapping[str, Any] | None) -> Throttle | None:
    if not stage or stage["rate"] is None or stage["burst"] is None:
        return None
    # Not validated: AWS may hold values that config.json does not allow.
    return Throttle.model_construct(rate=stage["rate"], burst=stage["burst"])


def observe_domains(aws: Aws, names: Names, wanted: str | None) -> tuple[ObservedDomain, ...]:
    """Return the domain names that bear the stack's tag, and the wanted one."""
    found = aws.pages("apigatewayv2", "get_domain_names", "Items[]")
    return tuple(
        _observe_domain(aws, item)
        for item in found
        if item.get("Tags", {}).get(TAG) == names.stack or item["DomainName"] == wanted
    )


def _observe_domain(aws: Aws, found: Mapping[str, Any]) -> ObservedDomain:
    name, (settings, *_) = found["DomainName"], found["DomainNameConfigurations"]
    # One page: botocore has no paginator for this call, and a domain has few mappings.
    mappings = aws.call(
        "apigatewayv2", "get_api_mappings", "Items[].[ApiMappingId, ApiId, Stage]", DomainName=name
    )
    return ObservedDomain(
        name,
        found.get("Tags", {}),
        settings.get("CertificateArn"),
        settings["ApiGatewayDomainName"],
        {id: (api, stage) for id, api, stage in mappings},
    )
