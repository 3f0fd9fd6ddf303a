"""A wanted stack, and the same stack as it is seen once all is as wanted."""

from dataclasses import replace
from typing import Any

from gimel.stack.aws import Home
from gimel.stack.bundle import Bundle
from gimel.stack.observed import (
    Seen,
    SeenApi,
    SeenDomain,
    SeenFunction,
    SeenLogGroup,
    SeenMapping,
    SeenParameter,
    SeenQueue,
    SeenRole,
)
from gimel.stack.permissions import permissions_policy, trust_policy
from gimel.stack.plan.plan import plan
from gimel.stack.plan.queue import attributes
from gimel.stack.wanted import (
    Wanted,
    alias_arn,
    called,
    log_group,
    wanted_stack,
)
from tests.support.aws_account import stack_config

KEY = "the-read-key"
REDIS = "rediss://shop:open-sesame@redis.example:6380/0"
HOME = Home("123456789012", "eu-west-1")
BUNDLE = Bundle(b"the zip", "python3.13", compiled=True)
NOTHING = Seen(parameter=None, role=None, functions={}, log_groups={}, apis=())


def wanted(bundle: Bundle = BUNDLE, **settings: Any) -> Wanted:
    return wanted_stack(stack_config(REDIS, **settings), HOME, KEY, bundle)


def done(wanted: Wanted) -> Seen:
    """What is seen once all is as wanted."""
    names, tags = wanted.names, wanted.tags
    uris = {f"int-{name}": alias_arn(HOME, name) for name in called(wanted)}
    api = SeenApi(
        id="api1",
        endpoint="https://api1.example",
        cors={**wanted.cors, "AllowCredentials": False},
        integrations=uris,
        routes={key: (f"r{key}", f"int-{name}") for key, name in wanted.routes.items()},
        auto_deploys=True,
        tags=wanted.tags,
        throttle=wanted.throttle,
    )
    domains = []
    if wanted.domain:
        name, certificate = wanted.domain.name, wanted.domain.certificate
        domains = [SeenDomain(name, tags, certificate, "d-1.example", {"map1": ("api1", "prod")})]
    source = HOME.arn("execute-api", "api1/prod/*")
    functions = {}
    for name in names.functions:
        settings = {**wanted.configurations[name], **wanted.code}
        functions[name] = SeenFunction(
            wanted.tags,
            {"$LATEST": settings, "3": settings},
            "3",
            {"gimel-http-api": source},
            wanted.concurrency[name],
        )
    return Seen(
        parameter=SeenParameter(tags, KEY),
        role=SeenRole(
            tags,
            trust_policy(),
            permissions_policy(names, HOME, wanted.vpc),
            (names.policy(HOME.region),),
            boundary=wanted.boundary,
        ),
        functions=functions,
        log_groups={
            log_group(name): SeenLogGroup(f"arn:{name}", tags, wanted.log_retention_days)
            for name in names.functions
        },
        apis=(api,),
        domains=tuple(domains),
        queues={
            name: SeenQueue(f"https://sqs/{name}", settings, tags)
            for name, settings in attributes(wanted).items()
        },
        mappings=(
            SeenMapping(
                "uuid1",
                "arn:mapping",
                {
                    "FunctionName": alias_arn(HOME, names.function("replay")),
                    "BatchSize": 10,
                    "Enabled": True,
                    "FunctionResponseTypes": ["ReportBatchItemFailures"],
                    "ScalingConfig": {"MaximumConcurrency": 2},
                },
                tags,
            ),
        ),
    )


def lines(wanted: Wanted, seen: Seen, adopt: bool = False) -> list[str]:
    return [str(change) for change in plan(wanted, seen, adopt)]


def function(seen: Seen, name: str, **changed: Any) -> Seen:
    """The same with one function otherwise."""
    return replace(
        seen, functions={**seen.functions, name: replace(seen.functions[name], **changed)}
    )


VPC = {"subnets": ["subnet-b", "subnet-a"], "security_groups": ["sg-1"]}
DOMAIN = {"name": "ab.shop.example", "certificate": f"arn:aws:acm:eu-west-1:{1:012}:certificate/c"}
BOUNDARY = "arn:aws:iam::123456789012:policy/edge"
