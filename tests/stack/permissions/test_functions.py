"""The functions' role allows their own logs, queues and cache, and nothing else."""

import json

from gimel.stack.permissions.functions import functions_policy, trust_policy
from gimel.stack.wanted import Names
from tests.support.iam_account import HOME


def test_the_functions_may_connect_to_their_own_cache_only() -> None:
    *_, last = functions_policy(Names("shop"), HOME, managed=True)["Statement"]
    prefix = "arn:aws:elasticache:eu-west-1:000000000000"
    assert last == {
        "Effect": "Allow",
        "Action": ["elasticache:Connect"],
        "Resource": [f"{prefix}:serverlesscache:shop", f"{prefix}:user:default.iam-user"],
    }
    assert "elasticache" not in json.dumps(functions_policy(Names("shop"), HOME))


def test_the_functions_may_publish_to_their_own_topic_only() -> None:
    *_, last = functions_policy(Names("shop"), HOME, mails_news=True)["Statement"]
    topic = "arn:aws:sns:eu-west-1:000000000000:shop-alarms"
    assert last == {"Effect": "Allow", "Action": ["sns:Publish"], "Resource": [topic]}
    assert "sns" not in json.dumps(functions_policy(Names("shop"), HOME))


def test_policies_name_all_that_they_allow() -> None:
    policy = functions_policy(Names("shop"), HOME)
    statement, queue, aside = policy["Statement"]
    looking = ["sqs:GetQueueAttributes", "sqs:ReceiveMessage"]
    assert aside["Action"] == [*looking, "sqs:SendMessage"]
    assert aside["Resource"] == ["arn:aws:sqs:eu-west-1:000000000000:shop-events-dead"]
    assert not [action for action in statement["Action"] + queue["Action"] if "*" in action]
    assert queue["Resource"] == ["arn:aws:sqs:eu-west-1:000000000000:shop-events"]
    assert statement["Resource"] == [
        f"arn:aws:logs:eu-west-1:000000000000:log-group:/aws/lambda/shop-{purpose}:*"
        for purpose in ("track", "all-experiments", "delete-experiment", "replay")
    ]
    (trust,) = trust_policy()["Statement"]
    assert trust["Principal"] == {"Service": "lambda.amazonaws.com"}
