"""A wanted stack, and the same stack as it is seen once all is as wanted."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from gimel.stack.alarms import wanted_alarms
from gimel.stack.aws import Home
from gimel.stack.bundle import Bundle
from gimel.stack.observed import (
    Observed,
    ObservedAlarm,
    ObservedApi,
    ObservedCache,
    ObservedDomain,
    ObservedFunction,
    ObservedFunctionUrl,
    ObservedLogGroup,
    ObservedMapping,
    ObservedParameter,
    ObservedQueue,
    ObservedRole,
    ObservedRule,
    ObservedTopic,
)
from gimel.stack.permissions.functions import functions_policy, trust_policy
from gimel.stack.plan.alarms import topic_policy
from gimel.stack.plan.cache import cache_settings
from gimel.stack.plan.function_url import function_url_settings
from gimel.stack.plan.plan import plan
from gimel.stack.plan.queue import queue_attributes
from gimel.stack.plan.schedule import rule_settings, rule_target
from gimel.stack.wanted import (
    Wanted,
    alias_arn,
    log_group,
    routed_functions,
    wanted_stack,
)
from tests.support.aws_account import stack_config

KEY = "the-read-key"
ADDRESS = "gimel-1.public.serverless.example:6379"
REDIS = "rediss://shop:open-sesame@redis.example:6380/0"
HOME = Home("123456789012", "eu-west-1")
BUNDLE = Bundle(b"the zip", "python3.13", compiled=True)
NOTHING = Observed(parameter=None, role=None, functions={}, log_groups={}, apis=())


def wanted(bundle: Bundle = BUNDLE, address: str | None = None, **settings: Any) -> Wanted:
    config = stack_config(REDIS, **settings)
    return wanted_stack(config, HOME, KEY, bundle, cache_address=address)


# What lets the public call a function URL, as AWS writes it:
# https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html
PUBLIC = {
    ("live", "gimel-function-url"): {
        "Sid": "gimel-function-url",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:InvokeFunctionUrl",
        "Resource": HOME.arn("lambda", "function:gimel-track:live"),
        "Condition": {"StringEquals": {"lambda:FunctionUrlAuthType": "NONE"}},
    },
    ("live", "gimel-function-url-invoke"): {
        "Sid": "gimel-function-url-invoke",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:InvokeFunction",
        "Resource": HOME.arn("lambda", "function:gimel-track:live"),
        "Condition": {"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
    },
}


def done(wanted: Wanted) -> Observed:
    """What is seen once all is as wanted."""
    names, tags = wanted.names, wanted.tags
    api = ObservedApi(
        id="api1",
        endpoint="https://api1.example",
        settings={
            "Name": names.api,
            "DisableExecuteApiEndpoint": False,
            "CorsConfiguration": {**wanted.cors, "AllowCredentials": False},
        },
        integrations={
            f"int-{name}": {
                "ConnectionType": "INTERNET",
                "IntegrationMethod": "POST",
                "IntegrationType": "AWS_PROXY",
                "IntegrationUri": alias_arn(HOME, name),
                "PayloadFormatVersion": "2.0",
                "TimeoutInMillis": 30000,
            }
            for name in routed_functions(wanted)
        },
        routes={
            key: {
                "ApiKeyRequired": False,
                "AuthorizationType": "NONE",
                "RouteId": f"r{key}",
                "RouteKey": key,
                "Target": f"integrations/int-{name}",
            }
            for key, name in wanted.routes.items()
        },
        stage={
            "AutoDeploy": True,
            "DefaultRouteSettings": {
                "DetailedMetricsEnabled": False,
                "ThrottlingRateLimit": float(wanted.throttle.rate),
                "ThrottlingBurstLimit": wanted.throttle.burst,
            },
            "RouteSettings": {},
            "StageVariables": {
                "events": (FUNCTION_URL if wanted.has_function_url else "") + wanted.event_path
            },
        },
        tags=wanted.tags,
    )
    domains = []
    if wanted.domain:
        name, certificate = wanted.domain.name, wanted.domain.certificate
        domains = [
            ObservedDomain(name, tags, certificate, "d-1.example", {"map1": ("api1", "prod")})
        ]
    source = HOME.arn("execute-api", "api1/prod/*")
    topic, alarms = None, {}
    if wanted.alarm_email:
        subscription = HOME.arn("sns", f"{names.topic}:1")
        addresses = {wanted.alarm_email.lower(): subscription}
        arn = HOME.arn("sns", names.topic)
        topic = ObservedTopic(arn, tags, topic_policy(wanted), addresses)
        alarms = {
            name: ObservedAlarm(tags, {**settings, "StateValue": "OK", "StateReason": "calm"})
            for name, settings in wanted_alarms(wanted, api.id).items()
        }
    functions, routed = {}, routed_functions(wanted)
    for name in names.functions:
        settings = {
            **wanted.configurations[name],
            **wanted.code,
            "EphemeralStorage": {"Size": 512},
            "SnapStart": {"ApplyOn": "None"},
            "TracingConfig": {"Mode": "PassThrough"},
        }
        functions[name] = ObservedFunction(
            wanted.tags,
            {"$LATEST": settings, "3": settings},
            "3",
            {("live", "gimel-http-api"): invoker(source)} if name in routed else {},
            wanted.concurrency[name],
        )
    rule = HOME.arn("events", f"rule/{names.rule}")
    reads = functions[names.function("all-experiments")]
    by_rule = {("live", "gimel-snapshots"): invoker(rule, "events", "gimel-snapshots")}
    functions[names.function("all-experiments")] = replace(
        reads, invokers={**reads.invokers, **by_rule}
    )
    function_url = None
    if wanted.has_function_url:
        function_url = ObservedFunctionUrl(FUNCTION_URL, function_url_settings(wanted))
        track = functions["gimel-track"]
        functions["gimel-track"] = replace(track, invokers={**track.invokers, **PUBLIC})
    return Observed(
        function_url=function_url,
        parameter=ObservedParameter(tags, KEY),
        role=ObservedRole(
            tags,
            trust_policy(),
            functions_policy(
                names,
                HOME,
                wanted.vpc is not None,
                secret=wanted.secret,
                kms_key=wanted.kms_key,
                managed=wanted.managed is not None,
                mails_news=wanted.mails_news,
            ),
            (names.policy(HOME.region),),
            boundary=wanted.boundary,
        ),
        functions=functions,
        log_groups={
            log_group(name): ObservedLogGroup(f"arn:{name}", tags, wanted.log_retention_days)
            for name in names.functions
        },
        apis=(api,),
        domains=tuple(domains),
        queues={
            name: ObservedQueue(f"https://sqs/{name}", settings, tags)
            for name, settings in queue_attributes(wanted).items()
        },
        mappings=(
            ObservedMapping(
                "uuid1",
                "arn:mapping",
                {
                    "FunctionName": alias_arn(HOME, names.function("replay")),
                    "BatchSize": 10,
                    "Enabled": True,
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                    "ScalingConfig": {"MaximumConcurrency": 2},
                    "FilterCriteria": {},
                    "MaximumBatchingWindowInSeconds": 0,
                },
                tags,
            ),
        ),
        rule=ObservedRule(
            rule,
            tags,
            {"Name": names.rule, "Arn": rule, "EventBusName": "default", **rule_settings(wanted)},
            {"gimel": rule_target(wanted)},
        ),
        topic=topic,
        alarms=alarms,
        cache=cache(wanted) if wanted.managed else None,
    )


def cache(wanted: Wanted) -> ObservedCache:
    """The managed Redis, once it is as wanted."""
    assert wanted.managed
    kind = {"Engine": "valkey", "ConnectionType": "public", "SubnetIds": []}
    return ObservedCache(
        "available",
        ADDRESS,
        {**cache_settings(wanted.managed), **kind},
        HOME.arn("elasticache", f"serverlesscache:{wanted.names.cache}"),
        wanted.tags,
        datetime(2026, 11, 1, tzinfo=UTC),
    )


def invoker(
    source: str, service: str = "apigateway", sid: str = "gimel-http-api"
) -> dict[str, Any]:
    """The statement that lets an API's stage, or a rule, invoke an alias, as AWS writes it."""
    return {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": "lambda:InvokeFunction",
        "Resource": "arn:alias",
        "Condition": {"ArnLike": {"AWS:SourceArn": source}},
    }


def lines(wanted: Wanted, seen: Observed, adopt: bool = False) -> list[str]:
    return [str(change) for change in plan(wanted, seen, adopt)]


def function(seen: Observed, name: str, **changed: Any) -> Observed:
    """Return the stack with one function changed."""
    return replace(
        seen, functions={**seen.functions, name: replace(seen.functions[name], **changed)}
    )


FUNCTION_URL = "https://id.example/"
VPC = {"subnets": ["subnet-b", "subnet-a"], "security_groups": ["sg-1"]}
DOMAIN = {"name": "ab.shop.example", "certificate": f"arn:aws:acm:eu-west-1:{1:012}:certificate/c"}
BOUNDARY = "arn:aws:iam::123456789012:policy/edge"
