"""The plan of the alarms, of the topic that mails them, and of its subscription.

`gimel.stack.alarms` holds the alarms themselves.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from gimel.stack.alarms import wanted_alarms
from gimel.stack.change import Call, Change, saved_value
from gimel.stack.observed import Observed, ObservedAlarm
from gimel.stack.plan.difference import comparable, differences
from gimel.stack.plan.ownership import missing_tags, tag_list, tag_reason
from gimel.stack.wanted import Names, Wanted


def topic_policy(wanted: Wanted) -> dict[str, Any]:
    """Return the policy of the topic: the stack's alarms publish to it, and nothing else.

    Source: https://repost.aws/knowledge-center/cloudwatch-receive-sns-for-alarm-trigger
    """
    home, names = wanted.home, wanted.names
    statement = {
        "Sid": "GimelAlarms",
        "Effect": "Allow",
        "Principal": {"Service": "cloudwatch.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": home.arn("sns", names.topic),
        "Condition": {
            "ArnLike": {"aws:SourceArn": home.arn("cloudwatch", f"alarm:{names.alarm('*')}")}
        },
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def plan_alarms(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    """Plan the alarms and what they need or, without `alarm_email`, the deletion of all that."""
    if wanted.alarm_email is None:
        yield from plan_alarm_removal(wanted.names, observed, "alarm_email is not set")
        return
    yield from _plan_topic(wanted, observed)
    yield from _plan_subscriptions(wanted, wanted.alarm_email, observed)
    api = observed.apis[0].id if observed.apis else saved_value("api")
    for name, settings in wanted_alarms(wanted, api).items():
        yield from _plan_alarm(wanted, name, settings, observed.alarms.get(name))


def plan_alarm_removal(names: Names, observed: Observed, why: str) -> Iterator[Change]:
    """Plan the deletion of the alarms and the topic that bear the stack's tag.

    The alarms go first: what is deleted after them raises none.
    """
    own = names.tags.items()
    if alarms := [name for name, alarm in observed.alarms.items() if own <= alarm.tags.items()]:
        call = Call("cloudwatch", "delete_alarms", {"AlarmNames": alarms}, if_exists=True)
        yield Change("delete", f"alarms {', '.join(alarms)}", why, (call,))
    if observed.topic and own <= observed.topic.tags.items():
        call = Call("sns", "delete_topic", {"TopicArn": observed.topic.arn}, if_exists=True)
        yield Change("delete", f"topic {names.topic}", why, (call,))


def confirmation_note(wanted: Wanted, observed: Observed) -> str | None:
    """Return a note that AWS waits for the address to confirm the subscription, if it does."""
    email, addresses = wanted.alarm_email, _addresses(observed)
    if email is None or addresses.get(email.lower(), "confirmed") is not None:
        return None
    return f"alarms wait for confirmation: click the link in the mail that AWS sent to {email}"


def subscribes(changes: Iterable[Change]) -> bool:
    """Return whether the changes subscribe an address, which AWS then asks for confirmation."""
    return any(call.operation == "subscribe" for change in changes for call in change.calls)


def _addresses(observed: Observed) -> Mapping[str, str | None]:
    return observed.topic.addresses if observed.topic else {}


def _plan_topic(wanted: Wanted, observed: Observed) -> Iterator[Change]:
    found, policy = observed.topic, topic_policy(wanted)
    name = wanted.names.topic
    if found is None:
        arguments = {
            "Name": name,
            "Attributes": {"Policy": json.dumps(policy)},
            "Tags": tag_list(wanted.tags),
        }
        call = Call("sns", "create_topic", arguments)
        yield Change("create", f"topic {name}", "does not exist yet", (call,))
        return
    if missing := missing_tags(wanted.tags, found.tags):
        arguments = {"ResourceArn": found.arn, "Tags": tag_list(missing)}
        call = Call("sns", "tag_resource", arguments)
        yield Change("tag", f"topic {name}", tag_reason(found.tags, missing), (call,))
    if comparable(found.policy) != comparable(policy):
        target = {"TopicArn": found.arn, "AttributeName": "Policy"}
        arguments = {**target, "AttributeValue": json.dumps(policy)}
        before = {**target, "AttributeValue": json.dumps(found.policy)}
        call = Call("sns", "set_topic_attributes", arguments, before=before)
        yield Change("update", f"topic {name}", "its policy differs", (call,))


def _plan_subscriptions(wanted: Wanted, email: str, observed: Observed) -> Iterator[Change]:
    """Plan the subscription of the address, and the end of those of other addresses.

    AWS refuses to end a subscription that was never confirmed, and deletes it after 48 hours:
    https://docs.aws.amazon.com/sns/latest/dg/sns-delete-subscription-topic.html
    """
    topic, addresses = wanted.names.topic, _addresses(observed)
    if email.lower() not in addresses:
        arn = wanted.home.arn("sns", topic)
        call = Call("sns", "subscribe", {"TopicArn": arn, "Protocol": "email", "Endpoint": email})
        why = "AWS sends it a mail, and no alarm before the link in it is clicked"
        yield Change("create", f"subscription of {email} to topic {topic}", why, (call,))
    for address, subscription in addresses.items():
        if subscription and address != email.lower():
            arguments = {"SubscriptionArn": subscription}
            call = Call("sns", "unsubscribe", arguments, if_exists=True)
            what = f"subscription of {address} to topic {topic}"
            yield Change("delete", what, "alarm_email is another address", (call,))


def _plan_alarm(
    wanted: Wanted, name: str, settings: Mapping[str, Any], found: ObservedAlarm | None
) -> Iterator[Change]:
    what, arguments = f"alarm {name}", {"AlarmName": name, **settings}
    if found is None:
        call = Call("cloudwatch", "put_metric_alarm", {**arguments, "Tags": tag_list(wanted.tags)})
        yield Change("create", what, "does not exist yet", (call,))
        return
    if missing := missing_tags(wanted.tags, found.tags):
        arn = wanted.home.arn("cloudwatch", f"alarm:{name}")
        call = Call("cloudwatch", "tag_resource", {"ResourceARN": arn, "Tags": tag_list(missing)})
        yield Change("tag", what, tag_reason(found.tags, missing), (call,))
    if changed := differences(settings, found.settings):
        before = {key: found.settings.get(key) for key in arguments}
        call = Call("cloudwatch", "put_metric_alarm", arguments, before=before)
        yield Change("update", what, ", ".join(changed), (call,))
