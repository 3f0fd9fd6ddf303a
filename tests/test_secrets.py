"""Neither Redis's password nor a key, nor a hash of either, in anything that is shown."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from click.testing import CliRunner

from gimel import deploy
from gimel.cli import main
from gimel.config.settings import Config
from gimel.stack import trace
from gimel.stack.aws import Aws, AwsError
from gimel.stack.change import MASK
from gimel.stack.deployed import connect, find
from gimel.stack.keys import new_key, parameter_of
from gimel.stack.observe.keys import observe_keys
from gimel.stack.prepare import prepare
from gimel.stack.wanted import Names
from tests.support.aws_account import RecordingAws
from tests.support.deployments import REDIS_LOGIN, REDIS_PASSWORD, Stack, silent

pytestmark = pytest.mark.slow

HASHES = ("md5", "sha1", "sha256", "sha512")


class Secrets:
    """What must not be shown, in all its forms."""

    def __init__(self) -> None:
        self.forms = {REDIS_PASSWORD, REDIS_LOGIN, REDIS_LOGIN.strip(":@")}
        self.forms |= hashes_of(REDIS_PASSWORD)

    def add(self, key: str) -> None:
        self.forms |= {key, *hashes_of(key)}

    def assert_not_in(self, text: str) -> None:
        assert text
        assert not [form for form in self.forms if form in text]


def hashes_of(secret: str) -> set[str]:
    return {hashlib.new(name, secret.encode()).hexdigest() for name in HASHES}


@pytest.fixture(scope="module")
def deployed_once(
    aws_endpoint: str, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Stack:
    made = Stack(tmp_path_factory.mktemp("secrets"), redis_url)
    deploy.deploy(made.config, silent)
    return made


@pytest.fixture
def stack(deployed_once: Stack) -> Iterator[Stack]:
    """A deployed stack, whose config file is put back after the test."""
    content = dict(deployed_once.content)
    yield deployed_once
    deployed_once.content = content
    deployed_once.save()


@pytest.fixture
def secrets(stack: Stack) -> Secrets:
    found = Secrets()
    found.add(find(stack.config).key)
    return found


def chatter(stack: Stack, *arguments: str, code: int = 0) -> str:
    """All that a command prints under --debug."""
    done = debugged(stack, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "debug " in done.stderr
    return done.stdout + done.stderr


def chatter_on_stderr(stack: Stack, *arguments: str) -> str:
    """What a command under --debug prints beside its result."""
    done = debugged(stack, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stderr


def debugged(stack: Stack, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "gimel", "--debug", "--config", str(stack.path), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_debug_tells_of_calls_and_no_secret(stack: Stack, secrets: Secrets) -> None:
    said = chatter(stack, "status")
    stack.save(memory=512)
    said += chatter(stack, "deploy", "--dry-run", code=2)
    said += chatter(stack, "deploy", "--dry-run", "--json", code=2)
    said += chatter(stack, "deploy", "--no-preflight")
    said += chatter(stack, "key", "rotate")
    secrets.add(find(stack.config).key)
    said += chatter(stack, "logs")
    for call in ("lambda.UpdateFunctionConfiguration", "ssm.PutParameter", "iam.GetRole"):
        assert call in said
    secrets.assert_not_in(said)


def test_keys_are_shown_by_show_and_create_only(stack: Stack, secrets: Secrets) -> None:
    for scope in ("owner", "read", "send"):
        secrets.add(stack.run("key", "create", "--scope", scope).strip())
    # A key that the functions do not know yet is in the plan.
    new, names = new_key("read"), Names(stack.content["stack"])
    secrets.add(new.value)
    tags = [{"Key": name, "Value": value} for name, value in names.tags.items()]
    parameter = {"Name": parameter_of(names.keys, new), "Value": new.value, "Tags": tags}
    connect(stack.config).call("ssm", "put_parameter", **parameter, Type="SecureString")
    said = chatter(stack, "deploy", "--dry-run", code=2)
    said += chatter(stack, "deploy", "--dry-run", "--json", code=2)
    assert "GIMEL_KEY_SHA256" in said
    said += chatter(stack, "status") + chatter(stack, "key", "list")
    said += chatter(stack, "deploy", "--no-preflight")
    said += chatter(stack, "key", "revoke", new.id)
    said += chatter(stack, "logs")
    created = chatter_on_stderr(stack, "key", "create", "--scope", "read")
    assert "ssm.PutParameter" in created
    for key in observe_keys(connect(stack.config), names):
        secrets.add(key.value)
    secrets.assert_not_in(said + created)
    planned = prepare(stack.config, silent, connect(stack.config))
    secrets.assert_not_in(repr([planned, planned.wanted, planned.observed]))


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_plan_masks_what_it_would_set(
    stack: Stack,
    secrets: Secrets,
    form: str,
) -> None:
    """Another password is in the plan, as a change of a variable; a first deploy sets the key."""
    secrets.forms.add("hunter2")
    stack.save(redis={"url": "redis://:hunter2@127.0.0.1:1/0"})
    arguments = ["--json"] if form == "json" else ["--verbose"]
    planned = stack.run("deploy", "--dry-run", *arguments, code=2)
    assert "GIMEL_REDIS_URL" in planned
    stack.save(stack=f"{stack.content['stack']}-new")
    planned += stack.run("deploy", "--dry-run", *arguments, code=2)
    assert MASK in planned
    secrets.assert_not_in(planned)
    aws = connect(stack.config)
    changes = prepare(stack.config, silent, aws).changes
    secrets.assert_not_in(repr(changes) + "".join(map(str, changes)))


@pytest.fixture
def chatty(monkeypatch: pytest.MonkeyPatch) -> None:
    """As --debug leaves it."""
    monkeypatch.setattr(trace, "_is_on", True)


def quoting(aws: RecordingAws) -> None:
    """Have AWS refuse each change of a function, and quote all of it, as it may."""

    def answer(request: Any, event_name: str, **_: Any) -> AWSResponse | None:
        if not event_name.endswith("UpdateFunctionConfiguration"):
            return None
        quoted = json.loads(request.body)["Environment"]["Variables"]
        error = {"Type": "User", "Message": f"these are wrong: {quoted}"}
        headers = {"x-amzn-errortype": "InvalidParameterValueException"}
        response = AWSResponse(request.url, 400, headers, None)
        response._content = json.dumps(error).encode()
        return response

    aws.on("before-send", answer)


def test_an_error_of_aws_that_quotes_what_it_got(
    stack: Stack,
    secrets: Secrets,
    chatty: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    aws = RecordingAws()
    quoting(aws)
    monkeypatch.setattr("gimel.stack.deployed.connect", lambda config: aws)
    secrets.forms.add("hunter2")
    stack.save(redis={"url": "redis://:hunter2@127.0.0.1:1/0"})
    done = CliRunner().invoke(main, ["--config", str(stack.path), "deploy", "--no-preflight"])
    assert done.exit_code == 1
    assert "these are wrong" in done.output
    assert "through aws.py" in done.output
    secrets.assert_not_in(done.output)


def test_a_call_that_cannot_be_made(stack: Stack, secrets: Secrets) -> None:
    """botocore quotes an argument of the wrong kind."""
    variables = {"GIMEL_REDIS_URL": [stack.config.redis.address]}
    named = {"FunctionName": f"{stack.content['stack']}-track"}
    with pytest.raises(AwsError) as error:
        Aws("eu-west-1").call(
            "lambda",
            "update_function_configuration",
            **named,
            Environment={"Variables": variables},
        )
    assert "Environment.Variables.GIMEL_REDIS_URL" in str(error.value)
    secrets.assert_not_in(str(error.value))
    assert error.value.__suppress_context__


def test_what_holds_secrets_does_not_show_them(stack: Stack, secrets: Secrets) -> None:
    settings: Config = stack.config
    aws = connect(settings)
    planned = prepare(settings, silent, aws)
    holders = [settings, planned, planned.wanted, planned.observed, find(settings)]
    secrets.assert_not_in(" ".join(repr(holder) for holder in holders))


def test_the_functions_log_no_secret(stack: Stack, secrets: Secrets, tmp_path: Path) -> None:
    client = stack.client()
    client.track("e", "a", "participate", "1")
    client.experiments()
    secrets.assert_not_in(stack.run("logs", "--since", "1h"))
