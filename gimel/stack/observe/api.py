"""The observation of the HTTP API and the custom domain names."""

from collections.abc import Mapping
from typing import Any

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
    integrations = aws.pages("apigatewayv2", "get_integrations", "Items[]", ApiId=id)
    routes = aws.pages("apigatewayv2", "get_routes", "Items[]", ApiId=id)
    return ObservedApi(
        id=id,
        endpoint=found["ApiEndpoint"],
        settings=found,
        integrations={each["IntegrationId"]: each for each in integrations},
        routes={each["RouteKey"]: each for each in routes},
        stage=aws.find("apigatewayv2", "get_stage", "@", ApiId=id, StageName=STAGE),
        tags=aws.call("apigatewayv2", "get_tags", "Tags", ResourceArn=arn),
    )


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
