"""The alarms: what each watches, when it is raised, and the sentence that it mails.

Where a metric has no data, an expression takes it as 0:
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/using-metric-math.html
"""

from typing import Any, NamedTuple

from gimel.stack.wanted import READS, TRACK, Wanted

# Dollars in us-east-1, November 2026. Other regions cost more or less.
# https://aws.amazon.com/api-gateway/pricing/ and https://aws.amazon.com/lambda/pricing/
_MILLION_REQUESTS, _MILLION_CALLS = 1.0, 0.2
_GB_SECOND = {"arm64": 0.0000133334, "x86_64": 0.0000166667}
# Above this share of the API's throttle, requests are taken to be refused: AWS does not say whether
# the metric Count includes the refused ones. If it does not, Count never exceeds the throttle.
_NEAR_THROTTLE = 0.9
_FULL_PERCENT = 80
_FULL = (
    f"Redis is more than {_FULL_PERCENT} % full, and a full Redis takes no events: give it more "
    "memory, or delete experiments (`gimel delete`)."
)


class _Metric(NamedTuple):
    """A metric of CloudWatch, over so many seconds."""

    namespace: str
    name: str
    dimension: tuple[str, str]
    stat: str = "Sum"


def wanted_alarms(wanted: Wanted, api: str) -> dict[str, dict[str, Any]]:
    """Return the settings of each alarm, by name. `api` is the id of the HTTP API."""
    names, topic = wanted.names, wanted.home.arn("sns", wanted.names.topic)
    errors = [_of_function(name, "Errors") for name in names.functions]
    alarms = {
        "errors": _alarm(
            "A function of Gimel failed or ran out of time: `gimel status` shows which one, `gimel "
            "logs` shows why.",
            errors,
        ),
        "refused": _refused(wanted, api),
        "dead-letters": _alarm(
            "Gimel set events aside because they could not be counted, and SQS deletes them after "
            "14 days: mend what `gimel logs` shows, then run `gimel replay --dead-letter`.",
            [_messages(names.dead_letters, "Visible")],
        ),
        # ApproximateAgeOfOldestMessage leaves out messages that were received three times, as all
        # are here within seconds. So the alarm is on a queue that does not become empty. Source:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html
        "queue": _alarm(
            "Events have been waiting for 15 minutes, because Redis does not take them: `gimel "
            "status` shows why. They are counted once Redis takes them, within 32 hours.",
            [_messages(names.queue, "Visible"), _messages(names.queue, "NotVisible")],
            period=60,
            # The numbers are approximate: some of them may be 0.
            raised_by=(12, 15),
        ),
        "redis": (
            _cache_memory(names.cache, wanted.managed.gigabytes)
            if wanted.managed
            else _redis_memory(names.function(TRACK))
        ),
        "charges": _charges(wanted, api),
    }
    actions = {"ActionsEnabled": True, "AlarmActions": [topic]}
    others: dict[str, Any] = {"OKActions": [], "InsufficientDataActions": []}
    return {names.alarm(about): alarm | actions | others for about, alarm in alarms.items()}


def _refused(wanted: Wanted, api: str) -> dict[str, Any]:
    """Return the alarm on requests that AWS throttles, or that Gimel answers with 503.

    Strangers can raise it by many requests at once. It is separate from the alarm on errors,
    because an alarm that is already raised sends no mail.
    """
    limit = int(wanted.throttle.rate * 60 * _NEAR_THROTTLE)
    refused = [_of_function(wanted.names.function(each), "Throttles") for each in (TRACK, READS)]
    if wanted.has_function_url:
        # https://docs.aws.amazon.com/lambda/latest/dg/urls-monitoring.html
        refused.append(_of_function(wanted.names.function(TRACK), "Url5xxCount"))
    refused.append(_of_api(api, "5xx"))
    count = len(refused)
    return _alarm(
        "Gimel refuses requests: too many come at once, or neither Redis nor the queue takes "
        "events. If `gimel status` finds Redis well, raise reserved_concurrency or throttle.",
        [*refused, _of_api(api, "Count")],
        f"{'+'.join(f'm{number}' for number in range(count))}+(m{count}>{limit})",
        period=60,
        raised_by=(1, 5),
    )


def _redis_memory(function: str) -> dict[str, Any]:
    """Return the alarm on the memory of a Redis of the user's own.

    The functions report it when they register counters and it is nearly full (see
    `gimel.backend.counting.batch`). That may be seldom, so a report counts for a day.
    """
    metric = _Metric("Gimel", "redis_percent_full", ("function", function), "Maximum")
    return _alarm(_FULL, [metric], above=_FULL_PERCENT, period=3600, raised_by=(1, 24))


def _cache_memory(cache: str, gigabytes: int) -> dict[str, Any]:
    # For the dimension see https://github.com/cdklabs/cdk-monitoring-constructs/pull/766
    metric = _Metric("AWS/ElastiCache", "BytesUsedForCache", ("clusterId", cache), "Maximum")
    return _alarm(_FULL, [metric], above=gigabytes * 1e7 * _FULL_PERCENT)


def _charges(wanted: Wanted, api: str) -> dict[str, Any]:
    """Return the alarm on the estimated charges for API Gateway and Lambda in 24 hours.

    AWS measures charges of whole accounts only. The estimate leaves out what AWS gives free, the
    start of a function, the queue, logs, the network and Redis.
    """
    functions, limit = wanted.names.functions, wanted.alarm_dollars_per_day
    calls = [_of_function(name, "Invocations") for name in functions]
    milliseconds = [_of_function(name, "Duration") for name in functions]
    gigabytes = wanted.configurations[functions[0]]["MemorySize"] / 1024
    millisecond = gigabytes * _GB_SECOND[wanted.architecture] / 1000
    return _alarm(
        f"API Gateway and Lambda cost more than an estimated ${limit:,.10g} in 24 hours: lower "
        "throttle if strangers send the requests, raise alarm_dollars_per_day if visitors do.",
        [_of_api(api, "Count"), *calls, *milliseconds],
        f"m0*{_MILLION_REQUESTS}/1000000+(m1+m2+m3+m4)*{_MILLION_CALLS}/1000000"
        f"+(m5+m6+m7+m8)*{millisecond:.18f}",
        above=limit,
        period=24 * 3600,
    )


def _of_function(name: str, metric: str) -> _Metric:
    return _Metric("AWS/Lambda", metric, ("FunctionName", name))


def _of_api(api: str, metric: str) -> _Metric:
    return _Metric("AWS/ApiGateway", metric, ("ApiId", api))


def _messages(queue: str, state: str) -> _Metric:
    name = f"ApproximateNumberOfMessages{state}"
    return _Metric("AWS/SQS", name, ("QueueName", queue), "Maximum")


def _alarm(
    sentence: str,
    metrics: list[_Metric],
    expression: str | None = None,
    *,
    above: float = 0,
    period: int = 300,
    raised_by: tuple[int, int] = (1, 1),
) -> dict[str, Any]:
    """Return an alarm that is raised by M of the latest N values of the expression.

    The expression names the metrics m0, m1, and so on. Without one, the alarm is on their sum.
    """
    queries: list[dict[str, Any]] = []
    for index, (namespace, name, (key, value), stat) in enumerate(metrics):
        dimensions = [{"Name": key, "Value": value}]
        metric = {"Namespace": namespace, "MetricName": name, "Dimensions": dimensions}
        stat_of = {"Metric": metric, "Period": period, "Stat": stat}
        queries.append({"Id": f"m{index}", "MetricStat": stat_of, "ReturnData": False})
    expression = expression or "+".join(query["Id"] for query in queries)
    return {
        "AlarmDescription": sentence,
        "Metrics": [*queries, {"Id": "value", "Expression": expression, "ReturnData": True}],
        "ComparisonOperator": "GreaterThanThreshold",
        "Threshold": float(above),
        "DatapointsToAlarm": raised_by[0],
        "EvaluationPeriods": raised_by[1],
        "TreatMissingData": "notBreaching",
    }
