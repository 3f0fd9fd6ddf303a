"""What stands on AWS is seen as it is."""

from typing import Any

from gimel.config.settings import Config
from gimel.deploy import Deployed
from gimel.stack.aws import Aws
from gimel.stack.bundle import build_in_background
from gimel.stack.keys import NAME_TAG, Key, parameter_of
from gimel.stack.observe.functions import observe_function
from gimel.stack.observe.keys import observe_keys
from gimel.stack.observe.observe import observe
from gimel.stack.plan.ownership import tag_list
from gimel.stack.plan.plan import plan
from gimel.stack.wanted import LATEST, LOGGING, TAG, Names, log_group, wanted_stack
from tests.support.aws_account import REGION, RecordingAws, new_stack
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
    from_the_api = {"ArnLike": {"AWS:SourceArn": source}}
    rule = f"arn:aws:events:{REGION}:{aws.home().account}:rule/{own_names.rule}"
    from_the_rule = {"ArnLike": {"AWS:SourceArn": rule}}
    for name, function in seen.functions.items():
        called = name != own_names.function("replay")
        limits = {key: statement["Condition"] for key, statement in function.invokers.items()}
        expected = {("live", "gimel-http-api"): from_the_api} if called else {}
        if name == own_names.function("all-experiments"):
            expected["live", "gimel-snapshots"] = from_the_rule
        assert limits == expected
        logging = {**LOGGING, "LogGroup": log_group(name)}
        assert all(each["LoggingConfig"] == logging for each in function.versions.values())
    assert seen.mapping is not None
    assert seen.mapping.tags == own_names.tags
    assert seen.rule is not None
    assert seen.rule.tags == own_names.tags


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


def test_an_environment_that_aws_cannot_decrypt_is_told_from_an_empty_one(
    own_names: Names, first_deploy: Deployed
) -> None:
    aws = RecordingAws()

    def encrypt(parsed: Any, **_: Any) -> None:
        for version in parsed["Versions"]:
            version["Environment"] = {"Error": {"ErrorCode": "AccessDeniedException"}}

    before = observe_function(aws, track := own_names.function("track"))
    aws.on("after-call.lambda.ListVersionsByFunction", encrypt)
    after = observe_function(aws, track)
    assert before
    assert after
    seen = [each.versions[LATEST]["EnvironmentError"] for each in (before, after)]
    assert seen == [None, "AccessDeniedException"]


def test_keys_are_found_beyond_one_page(aws_endpoint: str) -> None:
    """The Parameter Store gives ten parameters at a time."""
    aws, names = Aws(REGION), Names(new_stack())
    keys = [Key(f"{number:08x}", "read", f"k{number}", f"n {number}") for number in range(12)]
    keys.append(Key("0a1b2c3d", "send", "s"))
    for key in reversed(keys):
        put_key(aws, names, key, names.tags | ({NAME_TAG: key.name} if key.name else {}))
    put_key(aws, names, Key("0a1b2c3e", "owner", "untagged"), {})
    put_key(aws, names, Key("0a1b2c3f", "owner", "of another stack"), {TAG: "other"})
    neighbour = Names(f"{names.stack}-2")
    put_key(aws, neighbour, Key("0a1b2c3d", "owner", "neighbour"), neighbour.tags)
    assert observe_keys(aws, names) == tuple(keys)
    assert observe(aws, names).keys == tuple(keys)


def put_key(aws: Aws, names: Names, key: Key, tags: dict[str, str]) -> None:
    aws.call(
        "ssm",
        "put_parameter",
        Name=parameter_of(names.keys, key),
        Value=key.value,
        Type="SecureString",
        Tags=tag_list(tags),
    )
