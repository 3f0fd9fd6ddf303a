"""The observation of the alarms, and of the topic that mails them."""

import json
from collections.abc import Mapping
from typing import Any

from gimel.stack.aws import Aws
from gimel.stack.observe.tags import tags_of
from gimel.stack.observed import ObservedAlarm, ObservedTopic
from gimel.stack.wanted import Names


def observe_topic(aws: Aws, names: Names) -> ObservedTopic | None:
    """Return the topic and its e-mail subscriptions, if it exists. Raises AwsError."""
    arn = aws.home().arn("sns", names.topic)
    policy = aws.find("sns", "get_topic_attributes", "Attributes.Policy", TopicArn=arn)
    if policy is None:
        return None
    tags = aws.call("sns", "list_tags_for_resource", "Tags", ResourceArn=arn)
    query = "Subscriptions[?Protocol == 'email'].[Endpoint, SubscriptionArn]"
    listed = aws.pages("sns", "list_subscriptions_by_topic", query, TopicArn=arn)
    # AWS lists a word in place of the ARN: PendingConfirmation, or Deleted for a while after
    # someone unsubscribed (https://github.com/ansible/ansible/pull/20086).
    addresses = {
        address.lower(): subscription if subscription.startswith("arn:") else None
        for address, subscription in listed
        if subscription != "Deleted"
    }
    return ObservedTopic(arn, tags_of(tags), json.loads(policy), addresses)


def observe_alarms(aws: Aws, names: Names) -> dict[str, ObservedAlarm]:
    """Return those of the stack's alarms that exist. Raises AwsError."""
    found = aws.call(
        "cloudwatch", "describe_alarms", "MetricAlarms || `[]`", AlarmNames=list(names.alarms)
    )
    return {alarm["AlarmName"]: _observe_alarm(aws, alarm) for alarm in found}


def _observe_alarm(aws: Aws, found: Mapping[str, Any]) -> ObservedAlarm:
    arn = found["AlarmArn"]
    tags = aws.call("cloudwatch", "list_tags_for_resource", "Tags", ResourceARN=arn)
    return ObservedAlarm(tags_of(tags), found)
