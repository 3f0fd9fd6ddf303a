"""docs/continuous-deployment.md: the workflow is valid, its commands exist, its plan works."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gimel.cli import main
from gimel.stack.deployed import find
from tests.support.deployments import REDIS_PASSWORD, Stack

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "continuous-deployment.md").read_text("utf-8")
WORKFLOW, STEP = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.M | re.S)
(TRUST,) = re.findall(r"^```json\n(.*?)^```", TEXT, re.M | re.S)
SHELL = "\n".join(re.findall(r"^```sh\n(.*?)^```", TEXT, re.M | re.S))


@pytest.fixture(name="jobs")
def jobs_fixture() -> dict[str, Any]:
    parsed: dict[Any, Any] = yaml.safe_load(WORKFLOW)
    # YAML 1.1 takes the key `on` for a truth value.
    assert set(parsed) == {"name", True, "jobs"}
    assert set(parsed[True]) == {"pull_request", "push"}
    jobs: dict[str, Any] = parsed["jobs"]
    return jobs


def step(jobs: dict[str, Any], job: str, name: str) -> str:
    (found,) = [each["run"] for each in jobs[job]["steps"] if each.get("name") == name]
    return str(found)


def test_the_jobs_have_what_they_need_and_no_more(jobs: dict[str, Any]) -> None:
    needed = {"contents": "read", "id-token": "write"}
    assert jobs["plan"]["permissions"] == needed | {"pull-requests": "write"}
    assert jobs["deploy"]["permissions"] == needed
    assert jobs["deploy"]["environment"] == "production"
    assert jobs["deploy"]["concurrency"] == {"group": "gimel", "cancel-in-progress": False}
    assert "head.repo.full_name == github.repository" in jobs["plan"]["if"]
    for name, job in jobs.items():
        (role,) = [each["with"]["role-to-assume"] for each in job["steps"] if "aws-" in str(each)]
        assert role == f"arn:aws:iam::123456789012:role/github-gimel-{name}"


def actions(text: str) -> set[str]:
    return set(re.findall(r"uses: (\S+)", text))


def test_the_actions_are_pinned_to_the_majors_that_this_repository_uses() -> None:
    assert all(re.fullmatch(r"[\w-]+/[\w-]+@v\d+", action) for action in actions(WORKFLOW))
    own = actions((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    assert actions(WORKFLOW) - own == {"aws-actions/configure-aws-credentials@v6"}


def test_no_expression_is_part_of_a_script(jobs: dict[str, Any]) -> None:
    """Its value could end the script's string: https://docs.github.com/actions/security-guides."""
    runs = [each.get("run", "") for job in jobs.values() for each in job["steps"]]
    (written,) = yaml.safe_load(STEP)
    assert not [run for run in [*runs, written["run"]] if "${{" in run]
    assert written["env"] == {"CONFIG": "${{ secrets.GIMEL_CONFIG }}"}
    # A secret may be written to a file; nothing prints it.
    assert written["run"].endswith("> config.json")


def gimel_commands() -> Iterator[list[str]]:
    for line in (WORKFLOW + SHELL).splitlines():
        if found := re.match(r"\s*(?:- run: )?gimel ([^>|]+)", line):
            yield shlex.split(found[1])


def test_the_commands_take_their_options() -> None:
    commands = list(gimel_commands())
    assert sorted(map(tuple, commands)) == [("deploy",), ("deploy", "--dry-run"), ("policy",)]
    for name, *arguments in commands:
        main.commands[name].make_context(name, arguments)


def test_the_roles_are_for_this_repository_only() -> None:
    (statement,) = json.loads(TRUST)["Statement"]
    assert statement["Condition"]["StringEquals"] == {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": "repo:OWNER/REPOSITORY:environment:production",
    }


def run_plan(jobs: dict[str, Any], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the script as GitHub does, in a folder with a config.json."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-e", "-c", step(jobs, "plan", "Plan")],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.slow
def test_the_plan_becomes_a_comment(
    jobs: dict[str, Any], aws_endpoint: str, redis_url: str, tmp_path: Path
) -> None:
    stack = Stack(tmp_path, redis_url)
    assert run_plan(jobs, tmp_path).returncode == 0
    comment = (tmp_path / "comment.md").read_text()
    assert f"+ create HTTP API {stack.content['stack']}: does not exist yet\n" in comment
    stack.run("deploy", "--no-preflight")
    assert run_plan(jobs, tmp_path).returncode == 0
    unchanged = (tmp_path / "comment.md").read_text()
    assert unchanged == "Plan of `gimel deploy`:\n```\nNothing to change.\n```\n"
    assert not [each for each in (REDIS_PASSWORD, find(stack.config).key) if each in comment]
    stack.save(shards=0)
    failed = run_plan(jobs, tmp_path)
    assert failed.returncode == 1
    assert "shards: must be at least 1" in failed.stderr
