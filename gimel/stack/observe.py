"""The observation of a stack: parallel calls that ask AWS what exists, and change nothing."""

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from gimel.config.stack import Throttle
from gimel.stack.aws import Aws
from gimel.stack.keys import NAME_TAG, Key, key_in
from gimel.stack.observed import (
    Observed,
    ObservedApi,
    ObservedDomain,
    ObservedFunction,
    ObservedLegacy,
    ObservedLogGroup,
    ObservedMethod,
    ObservedParameter,
    ObservedRole,
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


def observe(aws: Aws, names: Names, domain: str | None = None) -> Observed:
    """Ask AWS what exists of the stack, and of `domain`, its domain name. Raises AwsError."""
    with ThreadPoolExecutor(8) as pool:
        functions = {name: pool.submit(_observe_function, aws, name) for name in names.functions}
        apis = pool.submit(_observe_apis, aws, names)
        groups = pool.submit(_observe_log_groups, aws, names)
        parameter = pool.submit(observe_parameter, aws, names)
        keys = pool.submit(observe_keys, aws, names)
        role = pool.submit(_observe_role, aws, names)
        domains = pool.submit(_observe_domains, aws, names, domain)
        legacy = pool.submit(_observe_legacy, aws, names)
        unreserved = pool.submit(_observe_unreserved, aws)
        queues = pool.submit(observe_queues, aws, names)
        mappings = pool.submit(observe_mappings, aws, names)
        return Observed(
            parameter=parameter.result(),
            keys=keys.result(),
            role=role.result(),
            functions=_existing(functions),
            log_groups=groups.result(),
            apis=apis.result(),
            domains=domains.result(),
            legacy=legacy.result(),
            unreserved=unreserved.result(),
            queues=queues.result(),
            mappings=mappings.result()[0],
            other_consumers=mappings.result()[1],
        )


def _existing(
    functions: Mapping[str, Future[ObservedFunction | None]],
) -> dict[str, ObservedFunction]:
    results = {name: function.result() for name, function in functions.items()}
    return {name: function for name, function in results.items() if function}


def observe_parameter(aws: Aws, names: Names) -> ObservedParameter | None:
    """Return the main key and its tags from the Parameter Store, if it exists."""
    name = names.parameter
    key = aws.find("ssm", "get_parameter", "Parameter.Value", Name=name, WithDecryption=True)
    return None if key is None else ObservedParameter(_parameter_tags(aws, name), key)


def observe_keys(aws: Aws, names: Names) -> tuple[Key, ...]:
    """Return the keys besides the main key, by scope and id.

    A parameter without the stack's tag is not a key of the stack, so its value opens nothing.
    """
    found = aws.pages(
        "ssm",
        "get_parameters_by_path",
        "Parameters[].[Name, Value]",
        Path=names.keys,
        Recursive=True,
        WithDecryption=True,
    )
    keys = []
    for parameter, value in sorted(found):
        if key := key_in(names.keys, parameter, value):
            tags = _parameter_tags(aws, parameter)
            if tags.get(TAG) == names.stack:
                keys.append(replace(key, name=tags.get(NAME_TAG, "")))
    return tuple(keys)


def _parameter_tags(aws: Aws, name: str) -> dict[str, str]:
    tags = aws.call(
        "ssm", "list_tags_for_resource", "TagList", ResourceType="Parameter", ResourceId=name
    )
    return _tags(tags)


def _tags(listed: list[Mapping[str, str]] | None) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in listed or []}


def _observe_role(aws: Aws, names: Names) -> ObservedRole | None:
    role = aws.find("iam", "get_role", "Role", RoleName=names.role)
    if role is None:
        return None
    target = {"RoleName": names.role}
    policies = aws.pages("iam", "list_role_policies", "PolicyNames[]", **target)
    own, permissions = names.policy(aws.region), None
    if own in policies:
        permissions = aws.find("iam", "get_role_policy", "PolicyDocument", **target, PolicyName=own)
    attached = aws.pages(
        "iam", "list_attached_role_policies", "AttachedPolicies[].PolicyArn", **target
    )
    return ObservedRole(
        _tags(role.get("Tags")),
        role["AssumeRolePolicyDocument"],
        permissions,
        tuple(policies),
        tuple(attached),
        role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
    )


def _observe_log_groups(aws: Aws, names: Names) -> dict[str, ObservedLogGroup]:
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
            groups[name] = ObservedLogGroup(arn, tags, days)
    return groups


def _observe_function(aws: Aws, name: str) -> ObservedFunction | None:
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
    return ObservedFunction(
        found["tags"] or {}, dict(versions), live, _invokers(policy), found["reserved"]
    )


def _invokers(policy: str | None) -> dict[str, str | None]:
    """Return for each statement id of a function's policy the source that may invoke it."""
    statements = json.loads(policy)["Statement"] if policy else []
    sources = {}
    for statement in statements:
        condition = statement.get("Condition", {}).get("ArnLike", {})
        sources[statement["Sid"]] = next(iter(condition.values()), None)
    return sources


def _observe_unreserved(aws: Aws) -> int:
    query = "AccountLimit.UnreservedConcurrentExecutions"
    return int(aws.call("lambda", "get_account_settings", query))


def find_apis(aws: Aws, names: Names) -> list[dict[str, Any]]:
    """Return the HTTP APIs with the stack's tag, the oldest first."""
    found = aws.pages("apigatewayv2", "get_apis", "Items[]")
    own = [api for api in found if api.get("Tags", {}).get(TAG) == names.stack]
    return sorted(own, key=lambda api: (api["CreatedDate"], api["ApiId"]))


def _observe_apis(aws: Aws, names: Names) -> tuple[ObservedApi, ...]:
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


def _observe_domains(aws: Aws, names: Names, wanted: str | None) -> tuple[ObservedDomain, ...]:
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


def _observe_legacy(aws: Aws, names: Names) -> ObservedLegacy | None:
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
    found = aws.find("apigateway", "get_deployment", "description", **target, deploymentId=id)
    return str(found)
