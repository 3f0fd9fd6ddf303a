"""What `gimel deploy` and its like print, in a terminal and in a pipe, on the emulated account."""

import json
import os
import re
import sys
from pathlib import Path

import pytest

from gimel.stack.deployed import connect, find
from gimel.stack.observe.observe import observe
from gimel.stack.wanted import Names
from tests.support.aws_account import REGION
from tests.support.commands import complaint, process, run
from tests.support.deployments import Stack
from tests.support.terminal import Session, run_in_terminal

pytestmark = pytest.mark.slow

DEPLOYING = Path(__file__).parents[2] / "docs" / "deploying.md"

NOWHERE: dict[str, str | None] = {
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    **dict.fromkeys(
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION")
    ),
}


@pytest.fixture
def stack(aws_endpoint: str, redis_url: str, tmp_path: Path) -> Stack:
    return Stack(tmp_path, redis_url)


def deploy(stack: Stack, columns: int) -> Session:
    """A deploy by the installed command, which names itself in what it suggests."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "GIMEL_CONFIG": str(stack.path)}
    program = str(Path(sys.executable).with_name("gimel"))
    return run_in_terminal("deploy", columns=columns, env=env, executable=program, program=())


def documented_lines() -> list[str]:
    """The first deploy in docs/deploying.md."""
    (block,) = re.findall(r"^```\n(✓ .*?)^```", DEPLOYING.read_text("utf-8"), re.M | re.S)
    return [line for line in block.splitlines() if line != "…"]


def generalized(lines: list[str]) -> set[str]:
    """The lines without numbers, names of stacks and addresses, as far as none is cropped."""
    found = (
        re.sub(r"https?://\S*|arn:\S+|[\d.]+|gimel in|stack\d+ in|/\w+/read-key", "_", line)
        for line in lines
    )
    return {re.sub(r" +", " ", line)[:35] for line in found}


@pytest.mark.parametrize("columns", [80, 120])
def test_a_deploy_in_a_terminal(stack: Stack, columns: int) -> None:
    """The first one ticks off each change, the second one is a few lines."""
    planned = json.loads(stack.run("deploy", "--dry-run", "--json", code=2))["changes"]
    first = deploy(stack, columns)
    assert first.code == 0
    name = stack.content["stack"]
    ticks = [line for line in first.lines if re.match(r"✓ +\d+\.\d s  ", line)]
    for change in (f"create function {name}-track", f"create HTTP API {name}"):
        assert any(line.endswith(f" s  {change}") for line in ticks)
    # Besides, a look at the stack and a probe event.
    assert len(ticks) == len(planned) + 2
    assert all(len(line) <= columns for line in first.lines)
    assert "does not exist yet" not in "".join(first.lines)
    assert any(line.endswith("></script>") for line in first.lines)
    checks = [line for line in first.lines if re.match(r"[✓!] [A-Z\d]", line)]
    assert checks[0].startswith("✓ AWS          account 000000000000, region eu-west-1, as")
    assert any(re.fullmatch(r"✓ \d more checks passed", line) for line in checks)

    assert generalized(documented_lines()) <= generalized(first.lines)

    second = deploy(stack, columns)
    assert second.code == 0
    assert len(second.lines) <= 14
    assert any(line.startswith("✓ Nothing to change; a probe event was") for line in second.lines)
    assert "`gimel snippet` prints the HTML for a page." in second.lines
    assert "<script>" not in second.written


def test_a_pipe_gets_no_cursor_movements(stack: Stack) -> None:
    """Also where FORCE_COLOR asks for colours, as in some CI services."""
    done = process(*stack.command[3:], "deploy", env={"FORCE_COLOR": "1"})
    assert done.returncode == 0, done.stderr
    written = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    assert "\x1b" not in written
    name = stack.content["stack"]
    assert f"create function {name}-track: does not exist yet" in written.splitlines()
    assert "DELETE /delete" in written


def test_a_plan_is_a_line_for_each_change(stack: Stack) -> None:
    planned = run_in_terminal(*stack.command[3:], "deploy", "--dry-run")
    assert planned.code == 2
    changes = [line for line in planned.lines if line[:2] in ("+ ", "~ ", "- ")]
    assert planned.lines[-2] == f"{len(changes)} changes."
    assert len(planned.lines) == len(changes) + 3
    assert "FunctionName" not in planned.written
    verbose = stack.run("deploy", "--dry-run", "--verbose", code=2)
    assert f"      FunctionName: {stack.content['stack']}-track" in verbose.splitlines()
    for option in ("--verbose", "--json"):
        refused = process(*stack.command[3:], "deploy", option)
        assert refused.returncode == 2
        assert "--json and --verbose work only with --dry-run" in refused.stderr


def test_destroy_in_a_terminal(stack: Stack) -> None:
    stack.run("deploy", "--no-preflight")
    name = stack.content["stack"]
    question = f"Remove all of this: stack {name} in {REGION}, account {0:012}? [y/N]: "
    session = run_in_terminal(*stack.command[3:], "destroy", answers=((question, "y"),))
    assert session.code == 0
    removed = [line for line in session.lines if line.startswith("- delete ")]
    ticks = [line for line in session.lines if re.match(r"✓ +\d+\.\d s  delete ", line)]
    assert len(removed) == len(ticks)
    assert f"{len(removed)} changes." in session.lines
    assert not any("      " in line for line in session.lines)
    assert stack.is_gone


def test_everything_printed_uses_the_domain(stack: Stack) -> None:
    """Gimel's own requests do not: the DNS record may not exist yet, as here."""
    domain = f"ab.{stack.content['stack']}.example"
    certificate = f"arn:aws:acm:{REGION}:{1:012}:certificate/1"
    stack.save(domain={"name": domain, "certificate": certificate}, event_path="moments")
    first = stack.run("deploy", "--no-preflight")
    address = f"https://{domain}"
    api = find(stack.config).url
    assert not api.startswith(address)
    (seen,) = observe(connect(stack.config), Names(stack.content["stack"]), domain).domains
    for line in (
        f"Events      {address}/moments",
        f"Dashboard   {address}/dashboard",
        f"DNS record  {domain} CNAME {seen.target}",
        f"            Until it exists, use {api}",
    ):
        assert line in first.splitlines()
    in_page = f'data-url="{address}/moments"'
    assert in_page in first
    assert in_page in stack.run("snippet")
    assert stack.run("dashboard", "--print-url").startswith(f"{address}/dashboard#key=")
    status = stack.run("status").splitlines()
    assert f"Events       {address}/moments" in status
    assert f"Dashboard    {address}/dashboard" in status
    # Other stacks count in this Redis too.
    results = stack.run("results", "--namespace", stack.content["stack"])
    assert f"There is no experiment in namespace {stack.content['stack']} yet." in results
    # Without a key, the mapping is at the root of the domain.
    mappings = connect(stack.config).call(
        "apigatewayv2", "get_api_mappings", "Items[].ApiMappingKey", DomainName=domain
    )
    assert not any(mappings)


@pytest.mark.parametrize(
    ("content", "region"),
    [
        ('{"redis": {"host": "h"}}', "us-gov-west-1"),
        ('{"redis": {"host": "h"}, "aws": {"region": "cn-north-1", "profile": "none"}}', None),
    ],
)
def test_the_policy_needs_no_aws(tmp_path: Path, content: str, region: str | None) -> None:
    """Only a region, from config.json or the environment; a call would fail."""
    path = tmp_path / "config.json"
    path.write_text(content)
    done = run("--config", str(path), "policy", env=NOWHERE | {"AWS_DEFAULT_REGION": region})
    assert done.exit_code == 0
    assert "The account in it is *" in done.stderr
    resources = [
        resource
        for statement in json.loads(done.stdout)["Statement"]
        for resource in statement["Resource"]
        if resource != "*" and ":apigateway:" not in resource
    ]
    partition, place = ("aws-us-gov", "us-gov-west-1") if region else ("aws-cn", "cn-north-1")
    assert {each.split(":")[1] for each in resources} == {partition}
    assert {each.split(":")[3] for each in resources} == {place, ""}
    assert {each.split(":")[4] for each in resources} == {"*"}


def test_the_policy_without_a_region(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"redis": {"host": "h"}}')
    line = complaint(run("--config", str(path), "policy", env=NOWHERE))
    assert line.startswith('no AWS region: set "aws": {"region": "…"} in config.json or AWS_')


def test_a_deploy_suggests_commands_for_its_config_file(stack: Stack) -> None:
    stack.run("deploy", "--no-preflight")
    printed = stack.run("deploy", "--no-preflight")
    words = f"gimel --config {stack.path}"
    assert f"`{words} dashboard` opens the dashboard with its key." in printed
    assert f"`{words} snippet` prints the HTML for a page." in printed
