"""Alarms on the emulated account, from the first deploy to none left."""

import json
from pathlib import Path
from typing import Any

import pytest

from gimel.stack.aws import Aws
from gimel.stack.observe.observe import observe
from gimel.stack.prepare import prepare
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION, RecordingAws
from tests.support.deployments import Stack, again, silent
from tests.support.waiting import wait

pytestmark = pytest.mark.slow

EMAIL = "ana@shop.example"
FIRST = ["CreateTopic", *["PutMetricAlarm"] * 6, "Subscribe"]


@pytest.fixture(scope="module")
def stack(aws_endpoint: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Stack:
    """A deployed stack with alarms."""
    made = Stack(tmp_path_factory.mktemp("alarms"), redis_url)
    made.save(alarm_email=EMAIL)
    made.run("deploy", "--no-preflight")
    return made


def names_of(stack: Stack) -> Names:
    return Names(stack.content["stack"])


def writes(stack: Stack, **settings: Any) -> list[str]:
    stack.save(**settings)
    return again(stack.config)[1].writes


def topic_of(stack: Stack) -> str:
    topic = observe(Aws(REGION), names_of(stack)).topic
    assert topic
    return topic.arn


def test_the_first_deploy_asks_for_confirmation_and_the_second_writes_nothing(
    stack: Stack,
) -> None:
    asks = f"AWS sent a mail to {EMAIL}"
    assert asks in stack.printed
    assert writes(stack) == []
    assert asks not in stack.run("deploy", "--no-preflight")


def test_damage_is_mended(stack: Stack) -> None:
    aws, names, topic = Aws(REGION), names_of(stack), topic_of(stack)
    aws.call("cloudwatch", "delete_alarms", AlarmNames=[names.alarm("errors")])
    aws.call("cloudwatch", "disable_alarm_actions", AlarmNames=[names.alarm("queue")])
    opened = {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "sns:Subscribe"}]}
    attribute = {"AttributeName": "Policy", "AttributeValue": json.dumps(opened)}
    aws.call("sns", "set_topic_attributes", TopicArn=topic, **attribute)
    assert writes(stack) == ["PutMetricAlarm", "PutMetricAlarm", "SetTopicAttributes"]
    aws.call("sns", "delete_topic", TopicArn=topic)
    assert writes(stack) == ["CreateTopic", "Subscribe"]
    assert writes(stack) == []


def test_another_address_and_another_limit(stack: Stack) -> None:
    changed = writes(stack, alarm_email="bea@shop.example", alarm_dollars_per_day=7.5)
    assert changed == ["PutMetricAlarm", "Subscribe", "Unsubscribe"]
    seen = observe(Aws(REGION), names_of(stack))
    assert seen.topic
    assert list(seen.topic.addresses) == ["bea@shop.example"]
    assert seen.alarms[names_of(stack).alarm("charges")].settings["Threshold"] == 7.5
    writes(stack, alarm_email=EMAIL)


@pytest.mark.parametrize(
    ("listed", "address"),
    [("PendingConfirmation", {EMAIL: None}), ("Deleted", {})],
)
def test_subscriptions_that_are_not_confirmed(
    stack: Stack, listed: str, address: dict[str, None]
) -> None:
    """The emulator confirms e-mail subscriptions by itself, so AWS's words are put in."""
    aws = RecordingAws()

    def put_in(parsed: dict[str, Any], **_: Any) -> None:
        for subscription in parsed["Subscriptions"]:
            subscription["SubscriptionArn"] = listed

    aws.on("after-call.sns.ListSubscriptionsByTopic", put_in)
    planned = prepare(stack.config, silent, aws)
    assert planned.observed.topic
    assert planned.observed.topic.addresses == address
    assert bool(planned.notes) == (listed == "PendingConfirmation")
    assert [call.operation for change in planned.changes for call in change.calls] == (
        ["subscribe"] if listed == "Deleted" else []
    )


def test_a_raised_alarm_is_mailed_and_shown(stack: Stack) -> None:
    aws, names = Aws(REGION), names_of(stack)
    assert "Alarm  " not in stack.run("status")
    # A queue stands for the mailbox.
    url = aws.call("sqs", "create_queue", "QueueUrl", QueueName="mailbox")
    mailbox = {"Protocol": "sqs", "Endpoint": aws.home().arn("sqs", "mailbox")}
    aws.call("sns", "subscribe", TopicArn=topic_of(stack), **mailbox)
    name = names.alarm("dead-letters")
    state = {"StateValue": "ALARM", "StateReason": "the test says so"}
    aws.call("cloudwatch", "set_alarm_state", AlarmName=name, **state)
    mails: list[Any] = []

    def has_mail() -> bool:
        mails.extend(aws.call("sqs", "receive_message", "Messages || `[]`", QueueUrl=url))
        return bool(mails)

    wait(has_mail)
    mail = json.loads(json.loads(mails[0]["Body"])["Message"])
    sentence = observe(aws, names).alarms[name].settings["AlarmDescription"]
    assert (mail["AlarmName"], mail["AlarmDescription"]) == (name, sentence)
    assert f"Alarm        {name}: {sentence}" in stack.run("status").splitlines()
    # Another's subscription to the topic stays.
    assert writes(stack) == []


def test_switched_off_and_on_again(stack: Stack) -> None:
    # The functions tell the topic the news: they forget it, and may not publish to it any more.
    off = writes(stack, alarm_email=None)
    assert {"DeleteAlarms", "DeleteTopic", "PutRolePolicy", "PublishVersion"} <= set(off)
    assert writes(stack) == []
    assert "larm" not in stack.run("status")
    assert [each for each in writes(stack, alarm_email=EMAIL) if each in FIRST] == FIRST


@pytest.mark.parametrize("alarm_email", [EMAIL, None])
def test_destroy_leaves_none(
    aws_endpoint: str, redis_url: str, tmp_path: Path, alarm_email: str | None
) -> None:
    """Not even if they are switched off in the settings, and no deploy came since."""
    stack = Stack(tmp_path, redis_url)
    stack.save(alarm_email=EMAIL)
    stack.run("deploy", "--no-preflight")
    stack.save(alarm_email=alarm_email)
    first, *_ = stack.run("destroy", "--yes").splitlines()
    assert first.startswith(f"- delete alarms {names_of(stack).alarm('charges')}, ")
    assert stack.is_gone
