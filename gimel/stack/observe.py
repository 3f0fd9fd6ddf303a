"""What there is of a stack on AWS: questions only, asked side by side."""

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from gimel.config.stack import Throttle
from gimel.stack.aws import Aws
from gimel.stack.observed import (
    Seen,
    SeenApi,
    SeenDomain,
    SeenFunction,
    SeenLegacy,
    SeenLogGroup,
    SeenMethod,
    SeenParameter,
    SeenRole,
)
from gimel.stack.queues import observe_mappings, observe_queues
from gimel.stack.wanted import ALIAS, DEFAULT_STACK, STAGE, TAG, TRACK, Names, log_group

_VERSION = (
    "[].[Version, {Description: Description, Handler: Handler, Runtime: Runtime, Timeout: Timeout,"
    " MemorySize: MemorySize, Role: Role, Environment: {Variables: Environment.Variables || `{}`},"
    " LoggingConfig: LoggingConfig.{LogFormat: LogFormat,"
    " ApplicationLogLevel: ApplicationLogLevel, SystemLogLevel: SystemLogLevel},"
    " VpcConfig: {SubnetIds: sort(VpcConfig.SubnetIds || `[]`),"
    " SecurityGroupIds: sort(VpcConfig.SecurityGroupIds || `[]`)},"
    " CodeSha256: CodeSha256, Architectures: Architectures}]"
)


def observe(aws: Aws, names: Names, domain: str | None = None) -> Seen:
    """What there is of the stack, and of the domain name that it is to have. Raises AwsError."""
    with ThreadPoolExecutor(8) as pool:
        functions = {name: pool.submit(_function, aws, name) for name in names.functions}
        apis = pool.submit(lambda: tuple(_api(aws, found) for found in find_apis(aws, names)))
        groups = pool.submit(_log_groups, aws, names)
        kept = pool.submit(parameter, aws, names)
        role = pool.submit(_role, aws, names)
        domains = pool.submit(_domains, aws, names, domain)
        legacy = pool.submit(_legacy, aws, names)
        unreserved = pool.submit(_unreserved, aws)
        queues = pool.submit(observe_queues, aws, names)
        mappings = pool.submit(observe_mappings, aws, names)
        return Seen(
            parameter=kept.result(),
            role=role.result(),
            functions=_existing(functions),
            log_groups=groups.result(),
            apis=apis.result(),
            domains=domains.result(),
            legacy=legacy.result(),
            unreserved=unreserved.result(),
            queues=queues.result(),
            mappings=mappings.result()[0],
            eaters=mappings.result()[1],
        )


def _existing(functions: Mapping[str, Future[SeenFunction | None]]) -> dict[str, SeenFunction]:
    results = {name: function.result() for name, function in functions.items()}
    return {name: function for name, function in results.items() if function}


def parameter(aws: Aws, names: Names) -> SeenParameter | None:
    """The read key as it is kept."""
    name = names.parameter
    key = aws.find("ssm", "get_parameter", "Parameter.Value", Name=name, WithDecryption=True)
    if key is None:
        return None
    tags = aws.call(
        "ssm", "list_tags_for_resource", "TagList", ResourceType="Parameter", ResourceId=name
    )
    return SeenParameter(_tags(tags), key)


def _tags(listed: list[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed or []}


def _role(aws: Aws, names: Names) -> SeenRole | None:
    role = aws.find("iam", "get_role", "Role", RoleName=names.role)
    if role is None:
        return None
    named = {"RoleName": names.role}
    policies = aws.pages("iam", "list_role_policies", "PolicyNames[]", **named)
    own, permissions = names.policy(aws.region), None
    if own in policies:
        permissions = aws.find("iam", "get_role_policy", "PolicyDocument", **named, PolicyName=own)
    attached = aws.pages(
        "iam", "list_attached_role_policies", "AttachedPolicies[].PolicyArn", **named
    )
    return SeenRole(
        _tags(role.get("Tags")),
        role["AssumeRolePolicyDocument"],
        permissions,
        tuple(policies),
        tuple(attached),
        role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
    )


def _log_groups(aws: Aws, names: Names) -> dict[str, SeenLogGroup]:
    found = aws.pages(
        "logs",
        "describe_log_groups",
        "logGroups[].[logGroupName, logGroupArn || arn, retentionInDays]",
        logGroupNamePrefix=log_group(f"{names.stack}-"),
    )
    own = {log_group(function) for function in names.functions}
    groups = {}
    for name, arn, days in found:
        if name in own:
            arn = arn.removesuffix(":*")
            tags = aws.call("logs", "list_tags_for_resource", "tags", resourceArn=arn)
            groups[name] = SeenLogGroup(arn, tags, days)
    return groups


def _function(aws: Aws, name: str) -> SeenFunction | None:
    found = aws.find(
        "lambda",
        "get_function",
        "{tags: Tags, reserved: Concurrency.ReservedConcurrentExecutions}",
        FunctionName=name,
    )
    if found is None:
        return None
    versions = aws.pages(
        "lambda", "list_versions_by_function", f"Versions{_VERSION}", FunctionName=name
    )
    live = aws.find("lambda", "get_alias", "FunctionVersion", FunctionName=name, Name=ALIAS)
    policy = aws.find("lambda", "get_policy", "Policy", FunctionName=name, Qualifier=ALIAS)
    return SeenFunction(
        found["tags"] or {}, dict(versions), live, _invokers(policy), found["reserved"]
    )


def _invokers(policy: str | None) -> dict[str, str | None]:
    """Statement ids of a function's policy and the source that each lets call."""
    statements = json.loads(policy)["Statement"] if policy else []
    sources = {}
    for statement in statements:
        condition = statement.get("Condition", {}).get("ArnLike", {})
        sources[statement["Sid"]] = next(iter(condition.values()), None)
    return sources


def _unreserved(aws: Aws) -> int:
    query = "AccountLimit.UnreservedConcurrentExecutions"
    return int(aws.call("lambda", "get_account_settings", query))


def find_apis(aws: Aws, names: Names) -> list[dict[str, Any]]:
    """The APIs with the stack's tag, the oldest first."""
    found = aws.pages("apigatewayv2", "get_apis", "Items[]")
    own = [api for api in found if api.get("Tags", {}).get(TAG) == names.stack]
    return sorted(own, key=lambda api: (api["CreatedDate"], api["ApiId"]))


def _api(aws: Aws, found: Mapping[str, Any]) -> SeenApi:
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
    return SeenApi(
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
    # What AWS holds need not be what config.json may say.
    return Throttle.model_construct(rate=stage["rate"], burst=stage["burst"])


def _domains(aws: Aws, names: Names, wanted: str | None) -> tuple[SeenDomain, ...]:
    """The domain names with the stack's tag, and the one that the stack is to have."""
    found = aws.pages("apigatewayv2", "get_domain_names", "Items[]")
    return tuple(
        _domain(aws, item)
        for item in found
        if item.get("Tags", {}).get(TAG) == names.stack or item["DomainName"] == wanted
    )


def _domain(aws: Aws, found: Mapping[str, Any]) -> SeenDomain:
    name, (settings, *_) = found["DomainName"], found["DomainNameConfigurations"]
    # Not a paginator's: botocore has none for it, and an API has few.
    mappings = aws.call(
        "apigatewayv2", "get_api_mappings", "Items[].[ApiMappingId, ApiId, Stage]", DomainName=name
    )
    return SeenDomain(
        name,
        found.get("Tags", {}),
        settings.get("CertificateArn"),
        settings["ApiGatewayDomainName"],
        {id: (api, stage) for id, api, stage in mappings},
    )


def _legacy(aws: Aws, names: Names) -> SeenLegacy | None:
    """The REST API of gimel 1.x: its name, no tag, and it leads to gimel 1.x's function."""
    if names.stack != DEFAULT_STACK:
        return None
    query = f"items[?name=='{DEFAULT_STACK}'].[id, tags]"
    for id, tags in aws.pages("apigateway", "get_rest_apis", query):
        methods = () if TAG in (tags or {}) else _methods_to(aws, id, names.function(TRACK))
        if methods:
            query = f"items[?name=='{DEFAULT_STACK}'].[id, stageKeys]"
            keys = aws.pages("apigateway", "get_api_keys", query, nameQuery=DEFAULT_STACK)
            own = tuple(key for key, stages in keys if f"{id}/{STAGE}" in (stages or []))
            return SeenLegacy(id, own, methods, _served(aws, id))
    return None


def _methods_to(aws: Aws, api: str, function: str) -> tuple[SeenMethod, ...]:
    """The methods of a REST API that call the function."""
    resources = aws.pages(
        "apigateway", "get_resources", "items[]", restApiId=api, embed=["methods"]
    )
    return tuple(
        _method(resource["id"], verb, method)
        for resource in resources
        for verb, method in resource.get("resourceMethods", {}).items()
        if f":function:{function}" in method.get("methodIntegration", {}).get("uri", "")
    )


def _method(resource: str, verb: str, method: Mapping[str, Any]) -> SeenMethod:
    responses = method["methodIntegration"].get("integrationResponses", {})
    # What has no pattern answers what no pattern fits: a function that did not fail.
    failure = next((code for code, of in responses.items() if of.get("selectionPattern")), None)
    return SeenMethod(resource, verb, frozenset(method.get("methodResponses", {})), failure)


def _served(aws: Aws, api: str) -> str | None:
    """How the deployment is described that the REST API's stage serves."""
    named = {"restApiId": api}
    id = aws.find("apigateway", "get_stage", "deploymentId", **named, stageName=STAGE)
    if id is None:
        return None
    found = aws.find("apigateway", "get_deployment", "description", **named, deploymentId=id)
    return str(found)
