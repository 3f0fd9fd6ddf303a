"""The plan for the alarms: what differs is mended, and what is not wanted goes."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gimel.stack.observed import Observed, ObservedAlarm
from gimel.stack.plan.alarms import plan_alarm_removal
from gimel.stack.plan.plan import notes, plan
from gimel.stack.wanted import DeployError
from tests.support.planning import HOME, NOTHING, done, lines, wanted

ANA, BEA = "Ana@shop.example", "bea@shop.example"
WANTED = wanted(alarm_email=ANA)


def with_addresses(**addresses: str | None) -> Observed:
    """The stack as wanted, but for the subscriptions: the name before the @, and the ARN."""
    seen = done(WANTED)
    assert seen.topic
    listed = {f"{name}@shop.example": arn for name, arn in addresses.items()}
    return replace(seen, topic=replace(seen.topic, addresses=listed))


def with_alarm(name: str, change: Callable[[dict[str, Any]], object]) -> Observed:
    """The stack as wanted, but for one alarm."""
    seen = done(WANTED)
    settings = json.loads(json.dumps(seen.alarms[name].settings))
    change(settings)
    alarm = ObservedAlarm(seen.alarms[name].tags, settings)
    return replace(seen, alarms={**seen.alarms, name: alarm})


def test_a_stack_as_wanted_stays() -> None:
    assert lines(WANTED, done(WANTED)) == []
    assert notes(WANTED, done(WANTED)) == []


def test_there_are_none_unless_asked_for() -> None:
    assert not [line for line in lines(wanted(), NOTHING) if "alarm" in line]


def test_the_first_deploy_makes_them_with_the_id_of_the_api_that_it_makes() -> None:
    changes = plan(WANTED, NOTHING)
    made = [change.what for change in changes if "alarm" in change.what]
    assert made == [
        "topic gimel-alarms",
        f"subscription of {ANA} to topic gimel-alarms",
        *(f"alarm {name}" for name in WANTED.names.alarms),
    ]
    (charges,) = [change for change in changes if change.what == "alarm gimel-charges"]
    metric = charges.calls[0].arguments["Metrics"][0]["MetricStat"]["Metric"]
    assert metric["Dimensions"] == [{"Name": "ApiId", "Value": "{api}"}]


def test_the_mail_goes_to_another_address() -> None:
    now = wanted(alarm_email=BEA)
    said = lines(now, done(WANTED))
    assert said == [
        f"create subscription of {BEA} to topic gimel-alarms: AWS sends it a mail, and no alarm "
        "before the link in it is clicked",
        "delete subscription of ana@shop.example to topic gimel-alarms: alarm_email is another "
        "address",
    ]
    *_, last = plan(now, done(WANTED))
    assert last.calls[0].arguments == {"SubscriptionArn": HOME.arn("sns", "gimel-alarms:1")}


def test_a_subscription_that_waits_is_left_alone_and_noted() -> None:
    waiting = with_addresses(ana=None)
    assert lines(WANTED, waiting) == []
    (note,) = notes(WANTED, waiting)
    assert note == (
        "alarms wait for confirmation: click the link in the mail that AWS sent to Ana@shop.example"
    )
    # AWS does not let it be ended, and drops it by itself.
    assert lines(WANTED, with_addresses(ana="arn:1", bea=None)) == []
    assert notes(WANTED, with_addresses(ana="arn:1", bea=None)) == []


def test_a_subscription_that_is_gone_is_made_again() -> None:
    (line,) = lines(WANTED, with_addresses())
    assert line.startswith(f"create subscription of {ANA} to topic gimel-alarms: AWS sends it")


def test_a_topic_that_others_may_use_is_closed() -> None:
    seen = done(WANTED)
    assert seen.topic
    policy = json.loads(json.dumps(seen.topic.policy))
    policy["Statement"].append({"Effect": "Allow", "Principal": "*", "Action": "sns:Subscribe"})
    (change,) = plan(WANTED, replace(seen, topic=replace(seen.topic, policy=policy)))
    assert str(change) == "update topic gimel-alarms: its policy differs"
    assert json.loads(change.calls[0].arguments["AttributeValue"]) == seen.topic.policy


def test_only_the_alarms_of_the_stack_may_publish() -> None:
    seen = done(WANTED)
    assert seen.topic
    (statement,) = seen.topic.policy["Statement"]
    assert statement["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    assert statement["Action"] == "sns:Publish"
    assert statement["Condition"] == {
        "ArnLike": {"aws:SourceArn": "arn:aws:cloudwatch:eu-west-1:123456789012:alarm:gimel-*"}
    }


DRIFT: list[tuple[str, Callable[[dict[str, Any]], object]]] = [
    ("ActionsEnabled", lambda alarm: alarm.update(ActionsEnabled=False)),
    ("AlarmActions", lambda alarm: alarm.update(AlarmActions=[])),
    ("OKActions", lambda alarm: alarm["OKActions"].append("arn:aws:sns:eu-west-1:1:other")),
    ("Threshold", lambda alarm: alarm.update(Threshold=1e9)),
    ("TreatMissingData", lambda alarm: alarm.update(TreatMissingData="ignore")),
    ("Metrics", lambda alarm: alarm["Metrics"].pop()),
    ("Metrics", lambda alarm: alarm["Metrics"][0]["MetricStat"].update(Period=60)),
    ("Metrics", lambda alarm: alarm["Metrics"][-1].update(Expression="m0")),
]


@pytest.mark.parametrize(("field", "change"), DRIFT)
def test_an_alarm_set_otherwise_is_set_right(
    field: str, change: Callable[[dict[str, Any]], object]
) -> None:
    seen = with_alarm("gimel-errors", change)
    (update,) = plan(WANTED, seen)
    assert str(update) == f"update alarm gimel-errors: {field}"
    wanted_settings = done(WANTED).alarms["gimel-errors"].settings
    assert update.calls[0].arguments[field] == wanted_settings[field]


def test_what_aws_adds_to_an_alarm_is_no_difference() -> None:
    def describe(alarm: dict[str, Any]) -> None:
        alarm["StateValue"] = "ALARM"
        alarm["Metrics"].reverse()

    assert lines(WANTED, with_alarm("gimel-errors", describe)) == []


def test_alarms_follow_an_api_that_is_made_again() -> None:
    seen = done(WANTED)
    said = lines(WANTED, replace(seen, apis=(replace(seen.apis[0], id="api2"),)))
    assert [line for line in said if "alarm" in line] == [
        "update alarm gimel-refused: Metrics",
        "update alarm gimel-charges: Metrics",
    ]


def test_taken_out_of_the_settings_all_of_it_goes() -> None:
    said = [line for line in lines(wanted(), done(WANTED)) if "alarm" in line]
    names = ", ".join(WANTED.names.alarms)
    assert said == [
        f"delete alarms {names}: alarm_email is not set",
        "delete topic gimel-alarms: alarm_email is not set",
    ]


def test_what_bears_the_names_of_alarms_is_left_alone() -> None:
    seen = done(WANTED)
    assert seen.topic
    strange = replace(
        seen,
        topic=replace(seen.topic, tags={}),
        alarms={name: replace(alarm, tags={}) for name, alarm in seen.alarms.items()},
    )
    assert not [line for line in lines(wanted(), strange) if "alarm" in line]
    assert list(plan_alarm_removal(WANTED.names, strange, "why")) == []
    with pytest.raises(DeployError, match=r"did not make these .*topic gimel-alarms, alarm gimel"):
        plan(WANTED, strange)
    adopted = lines(WANTED, strange, adopt=True)
    assert adopted[0] == "tag topic gimel-alarms: taken over"
    assert len(adopted) == 1 + len(seen.alarms)


def test_added_tags_are_set_on_all_of_it() -> None:
    now = wanted(alarm_email=ANA, tags={"team": "shop"})
    said = [line for line in lines(now, done(WANTED)) if "alarm" in line]
    assert said == [
        "tag topic gimel-alarms: tags team",
        *(f"tag alarm {name}: tags team" for name in WANTED.names.alarms),
    ]
