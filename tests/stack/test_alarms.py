"""What raises an alarm and what does not, and what its sentence says."""

import re
from pathlib import Path
from typing import Any

import pytest

from gimel.cli import main
from gimel.stack.alarms import wanted_alarms
from tests.support.metric_math import Figures, is_raised_by, value
from tests.support.planning import wanted

PAGE = (Path(__file__).parents[2] / "docs" / "alarms.md").read_text("utf-8")
TRACK, READS, REPLAY = "gimel-track", "gimel-all-experiments", "gimel-replay"


def alarm(about: str, **settings: Any) -> dict[str, Any]:
    stack = wanted(alarm_email="ana@shop.example", **settings)
    return wanted_alarms(stack, "api1")[f"gimel-{about}"]


VISIBLE, IN_FLIGHT = "ApproximateNumberOfMessagesVisible", "ApproximateNumberOfMessagesNotVisible"


@pytest.mark.parametrize(
    ("about", "calm", "raised"),
    [
        ("errors", {("Errors", TRACK): 0}, {("Errors", REPLAY): 1}),
        ("refused", {("5xx", "api1"): 0, ("Count", "api1"): 26_000}, {("5xx", "api1"): 1}),
        ("refused", {("Throttles", "gimel-delete-experiment"): 9}, {("Throttles", TRACK): 1}),
        # 500 a second let 30,000 a minute through.
        ("refused", {("Count", "api1"): 27_000}, {("Count", "api1"): 29_000}),
        ("dead-letters", {(VISIBLE, "gimel-events"): 9}, {(VISIBLE, "gimel-events-dead"): 1}),
        ("queue", {(VISIBLE, "gimel-events-dead"): 9}, {(VISIBLE, "gimel-events"): 1}),
        ("queue", {}, {(IN_FLIGHT, "gimel-events"): 1}),
        ("redis", {("redis_percent_full", TRACK): 80}, {("redis_percent_full", TRACK): 81}),
        ("charges", {("Count", "api1"): 4e6}, {("Count", "api1"): 6e6}),
        ("charges", {("Invocations", READS): 20e6}, {("Invocations", READS): 30e6}),
    ],
)
def test_what_raises_an_alarm(about: str, calm: Figures, raised: Figures) -> None:
    assert not is_raised_by(alarm(about), {})
    assert not is_raised_by(alarm(about), calm)
    assert is_raised_by(alarm(about), raised)


def test_what_a_function_url_answers_is_watched_too() -> None:
    by_url, failed = alarm("refused", events="function-url"), {("Url5xxCount", TRACK): 1}
    assert is_raised_by(by_url, failed)
    assert not is_raised_by(alarm("refused"), failed)
    assert is_raised_by(by_url, {("5xx", "api1"): 1})
    assert is_raised_by(by_url, {("Count", "api1"): 29_000})
    assert not is_raised_by(by_url, {("Count", "api1"): 27_000, ("UrlRequestCount", TRACK): 1e6})


def test_the_limit_of_charges_and_the_throttle_are_those_of_the_settings() -> None:
    requests = {("Count", "api1"): 1000}
    assert is_raised_by(alarm("charges", alarm_dollars_per_day=0.0009), requests)
    assert not is_raised_by(alarm("charges", alarm_dollars_per_day=0.0011), requests)
    assert is_raised_by(alarm("refused", throttle={"rate": 15, "burst": 9}), requests)
    assert not is_raised_by(alarm("refused", throttle={"rate": 20, "burst": 9}), requests)


def test_the_sentence_names_the_limit_as_people_write_it() -> None:
    for limit, written in ((5, "$5 "), (7.5, "$7.5 "), (1e6, "$1,000,000 ")):
        assert written in alarm("charges", alarm_dollars_per_day=limit)["AlarmDescription"]


def test_charges_follow_memory_and_architecture() -> None:
    time = {("Duration", TRACK): 1e9}
    small, large = (value(alarm("charges", memory=memory), time) for memory in (256, 1024))
    assert large == pytest.approx(4 * small)
    assert value(alarm("charges", architecture="x86_64"), time) == pytest.approx(
        1.25 * small, rel=1e-4
    )


def test_the_memory_of_a_managed_redis_is_that_of_the_cache() -> None:
    redis = alarm("redis", redis={"managed": {"gigabytes": 2}})
    (metric, _) = redis["Metrics"]
    assert metric["MetricStat"]["Metric"] == {
        "Namespace": "AWS/ElastiCache",
        "MetricName": "BytesUsedForCache",
        "Dimensions": [{"Name": "clusterId", "Value": "gimel"}],
    }
    assert not is_raised_by(redis, {("BytesUsedForCache", "gimel"): 1.59e9})
    assert is_raised_by(redis, {("BytesUsedForCache", "gimel"): 1.61e9})


def test_alarms_are_within_the_limits_of_aws() -> None:
    """https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html"""
    stack = wanted(alarm_email="ana@shop.example")
    alarms = wanted_alarms(stack, "api1")
    assert tuple(alarms) == stack.names.alarms
    for each in alarms.values():
        *metrics, _ = each["Metrics"]
        assert len(metrics) <= 10
        (period,) = {query["MetricStat"]["Period"] for query in metrics}
        assert period % 60 == 0
        assert period * each["EvaluationPeriods"] <= 24 * 3600
        assert each["DatapointsToAlarm"] <= each["EvaluationPeriods"]
        assert len(each["AlarmDescription"]) <= 1024
        assert each["TreatMissingData"] == "notBreaching"
        assert each["AlarmActions"] == ["arn:aws:sns:eu-west-1:123456789012:gimel-alarms"]


@pytest.mark.parametrize("about", ["errors", "refused", "dead-letters", "queue", "redis"])
def test_a_sentence_names_commands_that_exist(about: str) -> None:
    sentence = alarm(about)["AlarmDescription"]
    commands = re.findall(r"`gimel ([a-z]+)", sentence)
    assert commands
    assert set(commands) <= set(main.commands)


def test_the_page_says_what_the_alarms_cost_and_names_each() -> None:
    for events in ("api", "function-url"):
        alarms = wanted_alarms(wanted(alarm_email="ana@shop.example", events=events), "api1")
        metrics = sum(len(each["Metrics"]) - 1 for each in alarms.values())
        assert f"read {metrics} metrics: ${metrics / 10:.2f} a month" in PAGE
        assert round(metrics / 10) == 2, "the advice of preflight says about $2"
    for name in alarms:
        assert f"| `<stack>-{name.removeprefix('gimel-')}` |" in PAGE
