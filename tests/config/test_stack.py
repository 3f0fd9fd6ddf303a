"""Each setting of what is deployed: what a wrong value is answered with, in one line."""

import json
from typing import Any

import pytest

from gimel.config.file import ConfigError, parse
from gimel.config.settings import Config

CERTIFICATE = "arn:aws:acm:eu-west-1:123456789012:certificate/1"
NAMED = {"name": "ab.shop.example", "certificate": CERTIFICATE}
VPC = {"subnets": ["subnet-0a"], "security_groups": ["sg-0a"]}


def wiring(**wrong: str) -> list[dict[str, Any]]:
    right = {"FunctionName": "gimel-track", "pathPart": "old", "httpMethod": "GET"} | wrong
    function = {"FunctionName": right["FunctionName"]}
    method = {"httpMethod": right["httpMethod"]}
    gateway = {"pathPart": right["pathPart"], "method": method}
    return [{"lambda": function, "api_gateway": gateway}]


# A setting, a wrong value, where the complaint says it is, and what would be right.
WRONG: list[tuple[str, Any, str, str]] = [
    ("stack", "Not A Name", "stack", "1 to 32 lowercase letters, digits and -"),
    ("stack", "a" * 33, "stack", "1 to 32 lowercase letters, digits and -"),
    ("stack", "aws", "stack", "must not start with aws or ssm"),
    ("stack", "aws-shop", "stack", "must not start with aws or ssm"),
    ("stack", "ssmshop", "stack", "must not start with aws or ssm"),
    ("aws", {"region": "Ireland"}, "aws.region", "eu-west-1"),
    ("aws", {"region": "eu-west-1\n"}, "aws.region", "eu-west-1"),
    ("aws", {"regoin": "eu-west-1"}, "aws.regoin", 'did you mean "region"?'),
    ("aws", "eu-west-1", "aws", "must be an object, {…}"),
    ("shards", 0, "shards", "at least 1"),
    ("shards", 1025, "shards", "at most 1024"),
    ("counting", "roughly", "counting", "'hyperloglog' or 'exact'"),
    ("accept", "none", "accept", "'all' or 'declared'"),
    ("bots", "welcome", "bots", "'ignore' or 'count'"),
    ("runtime", "python3.8", "runtime", "'python3.14'"),
    ("memory", 127, "memory", "at least 128"),
    ("memory", 10241, "memory", "at most 10240"),
    ("memory", "much", "memory", "a whole number"),
    ("log_retention_days", 2, "log_retention_days", "1, 3, 5, 7, 14, 30, 60, 90, 180 or 365"),
    ("architecture", "arm", "architecture", "'arm64' or 'x86_64'"),
    ("timeouts", {"track": 0}, "timeouts.track", "at least 1"),
    ("timeouts", {"track": 30}, "timeouts.track", "at most 29"),
    ("timeouts", {"reads": 30}, "timeouts.reads", "at most 29"),
    ("timeouts", {"delete": None}, "timeouts.delete", "a whole number"),
    ("timeouts", {"trak": 5}, "timeouts.trak", 'did you mean "track"?'),
    ("timeouts", 5, "timeouts", "must be an object, {…}"),
    ("reserved_concurrency", {"track": 0}, "reserved_concurrency.track", "at least 1"),
    ("reserved_concurrency", {"reads": 1001}, "reserved_concurrency.reads", "at most 1000"),
    ("reserved_concurrency", {"delete": "all"}, "reserved_concurrency.delete", "a whole number"),
    ("reserved_concurrency", {"raeds": 1}, "reserved_concurrency.raeds", 'mean "reads"?'),
    ("throttle", {"rate": 0}, "throttle.rate", "greater than 0"),
    ("throttle", {"rate": 1_000_001}, "throttle.rate", "at most 1000000"),
    ("throttle", {"burst": 0}, "throttle.burst", "at least 1"),
    ("throttle", {"burst": 500_001}, "throttle.burst", "at most 500000"),
    ("throttle", {"brust": 1}, "throttle.brust", 'did you mean "burst"?'),
    ("allowed_origins", [], "allowed_origins", "must not be empty"),
    ("allowed_origins", "*", "allowed_origins", "must be a list, […]"),
    ("allowed_origins", ["shop.example"], "allowed_origins.0", "https://shop.example, or *"),
    ("allowed_origins", ["https://a.example/"], "allowed_origins.0", "https://shop.example, or *"),
    ("allowed_origins", ["*"] * 101, "allowed_origins", "at most 100 items"),
    ("event_path", "a/b", "event_path", "letters, digits, . _ -"),
    ("event_path", "", "event_path", "letters, digits, . _ -"),
    ("event_path", "track", "event_path", "is a path that Gimel already uses"),
    ("event_path", "dashboard", "event_path", "is a path that Gimel already uses"),
    ("extra_wiring", {}, "extra_wiring", "must be a list, […]"),
    ("extra_wiring", wiring(FunctionName="x"), "extra_wiring.0.lambda.FunctionName",
     "'gimel-track'"),
    ("extra_wiring", wiring(pathPart="a/b"), "extra_wiring.0.api_gateway.pathPart",
     "letters, digits, . _ -"),
    ("extra_wiring", wiring(pathPart="e"), "extra_wiring.0.api_gateway.pathPart",
     "is a path that Gimel already uses"),
    ("extra_wiring", wiring(httpMethod="PUT"), "extra_wiring.0.api_gateway.method.httpMethod",
     "'GET' or 'POST'"),
    ("vpc", [], "vpc", "must be an object, {…}"),
    ("vpc", {"subnets": ["subnet-0a"]}, "vpc.security_groups", "is missing"),
    ("vpc", {"security_groups": ["sg-0a"]}, "vpc.subnets", "is missing"),
    ("vpc", {**VPC, "subnets": []}, "vpc.subnets", "must not be empty"),
    ("vpc", {**VPC, "security_groups": []}, "vpc.security_groups", "must not be empty"),
    ("vpc", {**VPC, "subnets": ["vpc-0a"]}, "vpc.subnets.0", "subnet-0123456789abcdef0"),
    ("vpc", {**VPC, "security_groups": ["x"]}, "vpc.security_groups.0", "sg-0123456789abcdef0"),
    ("domain", "ab.shop.example", "domain", "must be an object, {…}"),
    ("domain", {"name": "ab.shop.example"}, "domain.certificate", "is missing"),
    ("domain", {"certificate": CERTIFICATE}, "domain.name", "is missing"),
    ("domain", {**NAMED, "name": "https://ab.shop.example"}, "domain.name", "ab.shop.example"),
    ("domain", {**NAMED, "name": "shop"}, "domain.name", "ab.shop.example"),
    ("domain", {**NAMED, "certificate": "1"}, "domain.certificate", "arn:aws:acm:eu-west-1:"),
    ("tags", [], "tags", "must be an object, {…}"),
    ("tags", {"aws:x": "y"}, "tags", "names that start with aws: or gimel: are reserved"),
    ("tags", {"gimel:stack": "y"}, "tags", "names that start with aws: or gimel: are reserved"),
    ("tags", {"a<b": "y"}, "tags", "tags may contain only letters, digits, spaces and"),
    ("tags", {"a": "y" * 257}, "tags", "tags may contain only letters, digits, spaces and"),
    ("tags", {"a": 1}, "tags.a", "a string"),
    ("tags", {str(number): "" for number in range(41)}, "tags", "at most 40 items"),
    ("limits", 5, "limits", "must be an object, {…}"),
    ("limits", {"namespaces": 0}, "limits.namespaces", "at least 1"),
    ("limits", {"experiments": 10_001}, "limits.experiments", "at most 10000"),
    ("limits", {"variants": 1001}, "limits.variants", "at most 1000"),
    ("limits", {"goals": "all"}, "limits.goals", "a whole number"),
    ("limits", {"goal": 1}, "limits.goal", 'did you mean "goals"?'),
    ("events", "url", "events", "'api' or 'function-url'"),
    ("permissions_boundary", "limits", "permissions_boundary",
     "arn:aws:iam::123456789012:policy/limits"),
    ("alarm_email", "ana", "alarm_email", "must look like ana@shop.example"),
    ("alarm_email", "Ana <ana@shop.example>", "alarm_email", "must look like ana@shop.example"),
    ("alarm_email", ["ana@shop.example"], "alarm_email", "must be a string"),
    ("alarm_dollars_per_day", 0, "alarm_dollars_per_day", "greater than 0"),
    ("alarm_dollars_per_day", "5 $", "alarm_dollars_per_day", "must be a number"),
    ("notify", {"webhook": "http://hooks.example/x"}, "notify.webhook", "https://hooks.slack.com"),
    ("notify", {"webhook": "https://u:p@hooks.example"}, "notify.webhook", "https://hooks.slack"),
    ("notify", {"webhook": "https://hooks.example/x#y"}, "notify.webhook", "without #"),
    ("notify", {"webhook": "https://h.example/\r\nx: y"}, "notify.webhook", "or spaces"),
    ("notify", {"webhook": "https://h.example/", "form": "teams"}, "notify.form", "'slack'"),
    ("notify", {"webhook": "https://h.example/", "from": "slack"}, "notify.from",
     'did you mean "form"?'),
    ("kms_key", "alias/mine", "kms_key", "arn:aws:kms:eu-west-1:123456789012:key/"),
    ("kms_key", "arn:aws:kms:eu-west-1:123456789012:alias/mine", "kms_key", ":key/1234abcd-"),
]  # fmt: skip


CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1"


@pytest.mark.parametrize(
    ("setting", "value", "start"),
    [
        ("kms_key", "arn:aws:kms:us-east-1:123456789012:key/1", "kms_key: "),
        ("domain", {"name": "ab.shop.example", "certificate": CERTIFICATE}, "domain: certificate "),
    ],
)
def test_what_aws_needs_in_the_stacks_region(setting: str, value: Any, start: str) -> None:
    with pytest.raises(ConfigError) as error:
        parsed(**{setting: value}, aws={"region": "eu-west-1"})
    (mistake,) = error.value.mistakes
    assert mistake == (
        f"here.json: {start}is in region us-east-1, but the stack is in eu-west-1: AWS needs one "
        "in eu-west-1"
    )
    for region in ("us-east-1", None):
        parsed(**{setting: value}, aws={"region": region})


def parsed(**settings: Any) -> Config:
    return parse(json.dumps({"redis": {"host": "h"}, **settings}), "here.json")


@pytest.mark.parametrize(("setting", "value", "place", "cure"), WRONG)
def test_a_wrong_value_is_named_with_what_would_be_right(
    setting: str, value: Any, place: str, cure: str
) -> None:
    with pytest.raises(ConfigError) as error:
        parsed(**{setting: value})
    (line,) = error.value.mistakes
    assert line.startswith(f"here.json: {place}: ")
    assert cure in line
    assert "\n" not in line
    assert "pattern" not in line


def test_a_function_url_needs_a_bound() -> None:
    unbounded = {"reserved_concurrency": {"track": None}}
    with pytest.raises(
        ConfigError, match=r"here.json: events: .*reserved_concurrency.track"
    ) as error:
        parsed(events="function-url", **unbounded)
    assert len(error.value.mistakes) == 1
    assert parsed(events="api", **unbounded).events == "api"
    # A wrong number there is one mistake, not two.
    with pytest.raises(ConfigError, match="at least 1") as error:
        parsed(events="function-url", reserved_concurrency={"track": 0})
    assert len(error.value.mistakes) == 1


def test_no_setting_is_left_out_of_the_table() -> None:
    # The values of `redis` are in test_redis.py.
    assert {setting for setting, *_ in WRONG} == set(Config.model_fields) - {"redis"}


RIGHT: list[tuple[str, Any]] = [
    ("stack", "a" * 32),
    ("stack", "shop-aws"),
    ("aws", {"region": "us-gov-west-1"}),
    ("aws", {"region": "ap-southeast-2"}),
    ("aws", {"region": "eusc-de-east-1"}),
    ("memory", 10240),
    ("throttle", {"rate": 0.5, "burst": 1}),
    ("allowed_origins", ["https://shop.example", "http://localhost:8000"]),
    ("event_path", "e"),
    ("event_path", "v1.moments_2-a"),
    ("vpc", VPC),
    ("domain", NAMED),
    ("domain", {**NAMED, "certificate": CERTIFICATE.replace("arn:aws:", "arn:aws-cn:")}),
    ("tags", {"team / cost+centre": "a.b:c=d@e_f"}),
    ("permissions_boundary", "arn:aws:iam::aws:policy/PowerUserAccess"),
    ("permissions_boundary", "arn:aws:iam::123456789012:policy/teams/limits"),
    ("reserved_concurrency", {"track": None, "reads": 1, "delete": 1000}),
    ("alarm_email", "ana.o'neil+ab_tests@mail.shop.example"),
    ("alarm_dollars_per_day", 0.5),
    ("events", "function-url"),
]


@pytest.mark.parametrize(("setting", "value"), RIGHT)
def test_what_is_right_is_taken(setting: str, value: Any) -> None:
    found = parsed(**{setting: value}).model_dump(mode="json")[setting]
    assert found == (found | value if isinstance(found, dict) else value)


def test_origins_are_written_as_browsers_send_them() -> None:
    found = parsed(allowed_origins=["HTTPS://Shop.Example", "http://LOCALHOST:8000"])
    assert found.allowed_origins == ["https://shop.example", "http://localhost:8000"]
