"""The observation of gimel 1.x's REST API, which a deploy does not take over."""

from collections.abc import Mapping
from typing import Any

from gimel.stack.aws import Aws
from gimel.stack.observed import ObservedLegacy, ObservedMethod
from gimel.stack.wanted import DEFAULT_STACK, STAGE, TAG, TRACK, Names


def observe_legacy(aws: Aws, names: Names) -> ObservedLegacy | None:
    """Return the REST API of gimel 1.x, if it exists.

    It has gimel 1.x's name, no stack's tag, and methods that call the tracking function.
    """
    if names.stack != DEFAULT_STACK:
        return None
    query = f"items[?name=='{DEFAULT_STACK}'].[id, tags]"
    for id, tags in aws.pages("apigateway", "get_rest_apis", query):
        methods = () if TAG in (tags or {}) else _methods_to(aws, id, names.function(TRACK))
        if methods:
            query = f"items[?name=='{DEFAULT_STACK}'].[id, stageKeys]"
            keys = aws.pages("apigateway", "get_api_keys", query, nameQuery=DEFAULT_STACK)
            own = tuple(key for key, stages in keys if f"{id}/{STAGE}" in (stages or []))
            return ObservedLegacy(id, own, methods, _deployment(aws, id))
    return None


def _methods_to(aws: Aws, api: str, function: str) -> tuple[ObservedMethod, ...]:
    """Return the methods of a REST API that call the function."""
    resources = aws.pages(
        "apigateway", "get_resources", "items[]", restApiId=api, embed=["methods"]
    )
    return tuple(
        _observed_method(resource["id"], verb, method)
        for resource in resources
        for verb, method in resource.get("resourceMethods", {}).items()
        if f":function:{function}" in method.get("methodIntegration", {}).get("uri", "")
    )


def _observed_method(resource: str, verb: str, method: Mapping[str, Any]) -> ObservedMethod:
    responses = method["methodIntegration"].get("integrationResponses", {})
    # A response with a pattern answers for a function that failed with a matching message. The
    # response without a pattern answers in all other cases.
    with_pattern = (code for code, found in responses.items() if found.get("selectionPattern"))
    failure = next(with_pattern, None)
    return ObservedMethod(resource, verb, frozenset(method.get("methodResponses", {})), failure)


def _deployment(aws: Aws, api: str) -> str | None:
    """Return the description of the deployment that the REST API's stage serves."""
    target = {"restApiId": api}
    id = aws.find("apigateway", "get_stage", "deploymentId", **target, stageName=STAGE)
    if id is None:
        return None
    found: str | None = aws.find(
        "apigateway", "get_deployment", "description", **target, deploymentId=id
    )
    return found
