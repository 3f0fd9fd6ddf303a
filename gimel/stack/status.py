"""The state of a deployed stack: versions, differences from config.json, calls, errors, Redis."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gimel.backend.inspection import look_at_redis
from gimel.backend.queue import Backlog, Pile, dead_letters
from gimel.client import Backend
from gimel.config.settings import Config
from gimel.stack.aws import Aws, AwsError
from gimel.stack.cache import CacheFigures, cache_figures, redis_environment
from gimel.stack.deployed import find, inspect_redis
from gimel.stack.observed import Observed
from gimel.stack.operations import has_current_data_model, has_valid_keys, releases
from gimel.stack.plan.permission import open_permissions
from gimel.stack.prepare import Planned, prepare
from gimel.stack.progress import silent
from gimel.stack.wanted import TRACK, Names


@dataclass(frozen=True)
class Status:
    """The state of a deployed stack. Counts are of the last 24 hours, memory is in bytes.

    `open_permissions` are lines about functions that anybody may invoke. `rollbacks` are the
    versions of the tracking function that `rollback` accepts.
    """

    backend: Backend
    planned: Planned
    open_permissions: list[str]
    versions: Mapping[str, str | None]
    rollbacks: list[str]
    last_deploy: datetime | None
    invocations: Mapping[str, int]
    errors: Mapping[str, int]
    backlog: Backlog
    redis: Mapping[str, Any]
    redis_seen_from: str
    cache: CacheFigures | None


def status(config: Config, aws: Aws) -> Status:
    """Gather the state of a deployed stack. Raises AwsError and DeployError."""
    names = Names(config.stack)
    backend = find(config, aws)
    with ThreadPoolExecutor(4) as pool:
        counts = {
            metric: pool.submit(_sum_of_last_day, aws, names, metric)
            for metric in ("Invocations", "Errors")
        }
        redis = pool.submit(_inspect_redis, config, aws)
        planned = prepare(config, silent, aws)
        seen_from, figures = redis.result()
        observed = planned.observed
        cache = observed.cache if config.redis.managed else None
        return Status(
            backend=backend,
            planned=planned,
            open_permissions=open_permissions(planned.wanted, observed),
            versions={name: function.live for name, function in observed.functions.items()},
            rollbacks=[
                release[names.function(TRACK)]
                for release in releases(observed, names).values()
                if all(
                    has_valid_keys(observed, *each) and has_current_data_model(observed, *each)
                    for each in release.items()
                )
            ],
            last_deploy=_last_deploy(aws, names),
            invocations=counts["Invocations"].result(),
            errors=counts["Errors"].result(),
            backlog=_backlog(aws, names, observed),
            redis=figures,
            redis_seen_from=seen_from,
            cache=cache_figures(aws, names, cache) if cache else None,
        )


def _backlog(aws: Aws, names: Names, observed: Observed) -> Backlog:
    """Return what waits in the stack's queues. The age is that of the oldest of ten messages."""
    waiting, aside = (
        observed.queues[name].waiting if name in observed.queues else 0
        for name in (names.queue, names.dead_letters)
    )
    sent: list[str] = []
    if aside:
        # A message may be received here without being hidden or moved.
        sent = aws.call(
            "sqs",
            "receive_message",
            "Messages[].Attributes.SentTimestamp || `[]`",
            QueueUrl=observed.queues[names.dead_letters].url,
            MessageSystemAttributeNames=["SentTimestamp"],
            MaxNumberOfMessages=10,
            VisibilityTimeout=0,
        )
    return Backlog(Pile(waiting, None), dead_letters(aside, sent))


def _last_deploy(aws: Aws, names: Names) -> datetime | None:
    """Return when the tracking function's code or settings last changed."""
    found = aws.find(
        "lambda", "get_function", "Configuration.LastModified", FunctionName=names.function(TRACK)
    )
    return datetime.strptime(found, "%Y-%m-%dT%H:%M:%S.%f%z") if found else None


def _sum_of_last_day(aws: Aws, names: Names, metric: str) -> dict[str, int]:
    now = datetime.now(UTC)
    queries = [
        {
            "Id": f"f{index}",
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/Lambda",
                    "MetricName": metric,
                    "Dimensions": [{"Name": "FunctionName", "Value": name}],
                },
                "Period": 3600,
                "Stat": "Sum",
            },
        }
        for index, name in enumerate(names.functions)
    ]
    found = aws.call(
        "cloudwatch",
        "get_metric_data",
        "MetricDataResults[].[Id, Values]",
        MetricDataQueries=queries,
        StartTime=now - timedelta(days=1),
        EndTime=now,
    )
    sums = {id: int(sum(values)) for id, values in found}
    return {name: sums.get(f"f{index}", 0) for index, name in enumerate(names.functions)}


def _inspect_redis(config: Config, aws: Aws) -> tuple[str, dict[str, Any]]:
    """Return how the functions see Redis or, if they cannot be asked, how this machine sees it."""
    try:
        return "the functions", inspect_redis(aws, Names(config.stack))
    except AwsError:
        return "here", look_at_redis(
            {
                **redis_environment(config, aws),
                "GIMEL_LIMITS": config.known_limits.model_dump_json(),
            }
        )
