"""What stands on AWS is seen as it is."""

from gimel.config.settings import Config
from gimel.deploy import Deployed
from gimel.stack.aws import Aws
from gimel.stack.bundle import build_in_background
from gimel.stack.observe import observe
from gimel.stack.plan.plan import plan
from gimel.stack.wanted import LOGGING, Names, wanted_stack
from tests.support.aws_account import REGION
from tests.support.deployments import make_stranger


def test_everything_is_tagged_and_least_privileged(
    own_names: Names, first_deploy: Deployed
) -> None:
    aws = Aws(REGION)
    seen = observe(aws, own_names)
    role = seen.role
    assert role is not None
    assert seen.parameter is not None
    tagged = [role.tags, seen.parameter.tags]
    tagged += [
        found.tags
        for kind in (seen.functions, seen.log_groups, seen.queues)
        for found in kind.values()
    ]
    assert tagged == [own_names.tags] * 12
    assert seen.apis[0].tags == own_names.tags
    kind = aws.call("ssm", "get_parameter", "Parameter.Type", Name=own_names.parameter)
    assert kind == "SecureString"
    statement, queue, _ = role.permissions["Statement"]
    assert queue["Resource"] == [seen.queues[own_names.queue].attributes["QueueArn"]]
    assert statement["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
    assert [arn.removesuffix(":*") for arn in statement["Resource"]] == [
        seen.log_groups[f"/aws/lambda/{name}"].arn for name in own_names.functions
    ]
    (api,) = seen.apis
    source = f"arn:aws:execute-api:{REGION}:{aws.home().account}:{api.id}/prod/*"
    for name, function in seen.functions.items():
        called = name != own_names.function("replay")
        assert function.invokers == ({"gimel-http-api": source} if called else {})
        assert all(each["LoggingConfig"] == LOGGING for each in function.versions.values())
    assert seen.mapping is not None
    assert seen.mapping.tags == own_names.tags


def test_somebody_else_at_the_queue_is_seen(own_names: Names, first_deploy: Deployed) -> None:
    aws = Aws(REGION)
    make_stranger(aws, f"{own_names.stack}-eater")
    source = aws.home().arn("sqs", own_names.queue)
    mapping = {"EventSourceArn": source, "FunctionName": f"{own_names.stack}-eater"}
    made = aws.call("lambda", "create_event_source_mapping", "UUID", **mapping, Enabled=False)
    try:
        seen = observe(aws, own_names)
    finally:
        aws.call("lambda", "delete_event_source_mapping", UUID=made)
    assert [arn.rsplit(":", 1)[1] for arn in seen.other_consumers] == [f"{own_names.stack}-eater"]
    assert seen.mapping is not None
    assert own_names.function("replay") in seen.mapping.settings["FunctionName"]


def test_plan_is_as_seen(own_names: Names, first_deploy: Deployed, own_settings: Config) -> None:
    """What was deployed and what the same own_settings want are one: the plan says so by itself."""
    aws = Aws(REGION)
    bundle = build_in_background(own_settings.runtime).result()
    asked = wanted_stack(own_settings, aws.home(), first_deploy.key, bundle)
    assert plan(asked, observe(aws, own_names)) == []
