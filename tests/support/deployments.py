"""Stacks on the emulated account: the one that tests share, and one with a config file."""

import contextlib
import io
import json
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import redis

from gimel import deploy
from gimel.client import BackendClient
from gimel.config.file import parse
from gimel.config.settings import Config
from gimel.deploy import Deployed
from gimel.stack import destruction
from gimel.stack.aws import Aws
from gimel.stack.deployed import connect, find
from gimel.stack.observe.observe import observe
from gimel.stack.observed import ObservedFunctionUrl
from gimel.stack.permissions.functions import trust_policy
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION, RecordingAws, new_stack
from tests.support.commands import run
from tests.support.servers import frozen, port_of, valkey

REDIS_PASSWORD = "pa:ss/word é"
REDIS_LOGIN = ":pa%3Ass%2Fword%20%C3%A9@"


@contextlib.contextmanager
def locked_redis() -> Iterator[str]:
    """Run a Redis behind a password that needs quoting. Gives its URL."""
    with valkey(REDIS_PASSWORD) as client:
        yield f"redis://{REDIS_LOGIN}127.0.0.1:{port_of(client)}/0"


class Deployment(NamedTuple):
    """A stack on the emulator: where it is, what it was made from, what its deploy printed."""

    url: str
    key: str
    redis_url: str
    config: Config
    output: str
    config_file: Path

    @contextlib.contextmanager
    def redis_down(self) -> Iterator[None]:
        """Redis takes connections and answers none of them, as a host in trouble does."""
        with redis.Redis.from_url(self.redis_url) as client, frozen(client):
            yield


def silent(line: str) -> None:
    """Print nothing of a deploy's progress."""


def destroy(settings: Config, aws: Aws, legacy: bool = False, **options: bool) -> None:
    """Destroy what is planned, as the command does."""
    destruction.plan_destroy(settings, aws, legacy, **options)
    destruction.destroy(settings, aws, silent, legacy, **options)


class Stack:
    """A stack with a config file of its own."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self.path = folder / "config.json"
        self.content: dict[str, Any] = {
            "redis": {"url": redis_url},
            "aws": {"region": REGION},
            "stack": new_stack(),
        }
        self.save()
        self.printed = ""

    def save(self, **settings: Any) -> None:
        self.content |= settings
        self.path.write_text(json.dumps(self.content))
        self.path.chmod(0o600)

    @property
    def config(self) -> Config:
        return parse(self.path.read_text())

    def run(self, *arguments: str, code: int = 0) -> str:
        done = run(*self.command[3:], *arguments)
        assert done.exit_code == code, done.output
        self.printed += done.output
        return done.output if code == 1 else done.stdout

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "gimel", "--config", str(self.path)]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        """A command that goes on."""
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [*self.command, *arguments],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
            # Tests that a shell runs in the background ignore Ctrl-C, and so would the command.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def interrupt(self, moment: str, *arguments: str, at_prompt: bool = False) -> str:
        """Ctrl-C once a line says this. Returns the one line that the command ends with."""
        process = self.start(*arguments)
        assert process.stdout
        if at_prompt:
            shown = ""
            while not shown.endswith("[y/N]: "):
                shown += process.stdout.read(1)
        else:
            next(line for line in process.stdout if line.startswith(moment))
        process.send_signal(signal.SIGINT)
        _, complaint = process.communicate(timeout=60)
        assert process.returncode == 130, complaint
        (line,) = complaint.strip().splitlines()
        return line

    def client(self) -> BackendClient:
        backend = find(self.config)
        return BackendClient(backend.url, backend.key)

    @property
    def is_gone(self) -> bool:
        seen = observe(connect(self.config), Names(self.content["stack"]))
        left = [seen.parameter, seen.keys, seen.role, seen.functions, seen.log_groups, seen.apis]
        left += [seen.queues, seen.mapping, seen.rule, seen.topic, seen.alarms, seen.cache]
        return not any(left)


def end_state(aws: Aws, names: Names) -> dict[str, Any]:
    """What stands, without what AWS numbers or draws by lot."""
    seen = observe(aws, names)
    assert seen.role is not None
    (api,) = seen.apis
    targets = {f"integrations/{id}": each for id, each in api.integrations.items()}
    functions = {}
    for name, function in seen.functions.items():
        assert function.live is not None
        settings = dict(function.versions[function.live])
        settings["Environment"] = sorted(settings["Environment"]["Variables"])
        del settings["Description"]
        invokers = sorted(function.invokers)
        functions[name] = (settings, function.tags, invokers, function.weights)
    return {
        "role": (seen.role.trust, seen.role.permissions),
        "functions": functions,
        "logs": {name: group.retention_days for name, group in seen.log_groups.items()},
        "api": without(api.settings, "ApiId", "ApiEndpoint", "CreatedDate"),
        "routes": {
            key: (
                without(route, "RouteId", "Target"),
                without(targets[route["Target"]], "IntegrationId"),
            )
            for key, route in sorted(api.routes.items())
        },
        "integrations": len(targets),
        "stage": api.stage and _stage(api.stage, seen.function_url),
        "function_url": seen.function_url and seen.function_url.settings,
        "queues": {name: settings_of(queue.attributes) for name, queue in seen.queues.items()},
        "mapping": seen.mapping and seen.mapping.settings,
        "rule": seen.rule and (seen.rule.settings, seen.rule.targets, seen.rule.tags),
        "key": seen.parameter is not None,
        "cache": seen.cache and (seen.cache.status, seen.cache.settings),
        "topic": seen.topic and (seen.topic.policy, sorted(seen.topic.addresses)),
        "alarms": sorted(seen.alarms),
    }


def _stage(stage: Mapping[str, Any], function_url: ObservedFunctionUrl | None) -> str:
    text = repr(without(stage, "CreatedDate", "LastUpdatedDate"))
    return text.replace(function_url.url, "URL/") if function_url else text


def without(document: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A document of AWS's without these fields, which differ, and without what is empty."""
    kept = [name for name in sorted(document) if name not in names]
    return {name: document[name] for name in kept if document[name] not in ("", [], {}, None)}


def settings_of(attributes: Mapping[str, str]) -> dict[str, str]:
    """The attributes of a queue without its state."""
    state = [name for name in attributes if name.startswith("Approximate")]
    return without(attributes, "CreatedTimestamp", "LastModifiedTimestamp", *state)


def again(settings: Config) -> tuple[Deployed, RecordingAws]:
    aws = RecordingAws(settings.aws.region)
    return deploy.deploy(settings, silent, aws), aws


def is_as_wanted(settings: Config) -> bool:
    return again(settings)[1].writes == []


def make_stranger(aws: Aws, name: str) -> None:
    """A function as someone else, or gimel 1.x, made it: no tag, other settings."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("gimel.py", "def track(event, context): return None")
    trust = json.dumps(trust_policy())
    role = aws.call(
        "iam", "create_role", "Role.Arn", RoleName=new_stack(), AssumeRolePolicyDocument=trust
    )
    arguments = {"Handler": "gimel.track", "Runtime": "python3.11", "Role": role}
    code = {"ZipFile": buffer.getvalue()}
    aws.call_until_accepted("lambda", "create_function", FunctionName=name, Code=code, **arguments)
    aws.wait("function_active_v2", FunctionName=name)
