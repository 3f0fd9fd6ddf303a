"""The observation of a whole stack: parallel calls that ask AWS what exists, and change nothing."""

import json
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from gimel.stack.aws import Aws
from gimel.stack.observe.alarms import observe_alarms, observe_topic
from gimel.stack.observe.api import observe_apis, observe_domains
from gimel.stack.observe.cache import observe_cache
from gimel.stack.observe.function_url import observe_function_url
from gimel.stack.observe.functions import observe_function, observe_log_groups, observe_role
from gimel.stack.observe.keys import observe_keys, observe_parameter
from gimel.stack.observe.legacy import observe_legacy
from gimel.stack.observe.network import observe_interfaces
from gimel.stack.observe.queues import observe_mappings, observe_queues
from gimel.stack.observe.schedule import observe_rule
from gimel.stack.observed import Observed, ObservedFunction
from gimel.stack.wanted import Names


def observe(aws: Aws, names: Names, domain: str | None = None) -> Observed:
    """Ask AWS what exists of the stack, and of `domain`, its domain name. Raises AwsError."""
    with ThreadPoolExecutor(8) as pool:
        functions = {name: pool.submit(observe_function, aws, name) for name in names.functions}
        apis = pool.submit(observe_apis, aws, names)
        groups = pool.submit(observe_log_groups, aws, names)
        parameter = pool.submit(observe_parameter, aws, names)
        keys = pool.submit(observe_keys, aws, names)
        role = pool.submit(observe_role, aws, names)
        domains = pool.submit(observe_domains, aws, names, domain)
        legacy = pool.submit(observe_legacy, aws, names)
        unreserved = pool.submit(_observe_unreserved, aws)
        function_url = pool.submit(observe_function_url, aws, names)
        queues = pool.submit(observe_queues, aws, names)
        mappings = pool.submit(observe_mappings, aws, names)
        rule = pool.submit(observe_rule, aws, names)
        topic = pool.submit(observe_topic, aws, names)
        alarms = pool.submit(observe_alarms, aws, names)
        cache = pool.submit(observe_cache, aws, names)
        observed = Observed(
            parameter=parameter.result(),
            keys=keys.result(),
            role=role.result(),
            functions=_existing(functions),
            log_groups=groups.result(),
            apis=apis.result(),
            domains=domains.result(),
            legacy=legacy.result(),
            function_url=function_url.result(),
            unreserved=unreserved.result(),
            queues=queues.result(),
            mappings=mappings.result()[0],
            other_consumers=mappings.result()[1],
            rule=rule.result(),
            topic=topic.result(),
            alarms=alarms.result(),
            cache=cache.result(),
        )
    if _has_left_a_vpc(observed):
        return replace(observed, interfaces=observe_interfaces(aws, names))
    return observed


def _has_left_a_vpc(observed: Observed) -> bool:
    """Return whether only the role tells that functions have used a VPC."""
    permissions = json.dumps(observed.role.permissions) if observed.role else ""
    return "ec2:DeleteNetworkInterface" in permissions and not observed.needs_network


def _existing(
    functions: Mapping[str, Future[ObservedFunction | None]],
) -> dict[str, ObservedFunction]:
    results = {name: function.result() for name, function in functions.items()}
    return {name: function for name, function in results.items() if function}


def _observe_unreserved(aws: Aws) -> int:
    query = "AccountLimit.UnreservedConcurrentExecutions"
    return int(aws.call("lambda", "get_account_settings", query))
