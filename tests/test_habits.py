"""What contributors and releases rely on: make targets, workflows, hooks, package metadata."""

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

import gimel
from gimel.config.stack import Runtime

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PROJECT = PYPROJECT["project"]
REPOSITORY = "https://github.com/Alephbet/gimel"
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*"))
YAML_FILES = [*sorted(ROOT.glob(".github/**/*.yml")), ROOT / ".pre-commit-config.yaml"]
LINTERS = (
    *("ruff check .", "ruff format --check .", "mypy", "lint-imports"),
    *("build/node_modules/.bin/biome lint --error-on-warnings", "build/node_modules/.bin/tsc"),
)

with_workflow = pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)


def parsed(path: Path) -> dict[Any, Any]:
    """Return the content of a YAML file."""
    content = yaml.safe_load(path.read_text("utf-8"))
    assert isinstance(content, dict)
    return content


def jobs(workflow: Path) -> dict[str, dict[str, Any]]:
    """Return the jobs of a workflow by their ids."""
    return parsed(workflow)["jobs"]


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    """Yield each step of each job. A job that calls another workflow has none."""
    for job in jobs(workflow).values():
        yield from job.get("steps", [])


def scripts(workflow: Path) -> list[str]:
    """Return what the steps run in a shell."""
    return [step["run"] for step in steps(workflow) if "run" in step]


def commands(target: str) -> list[str]:
    """Return the commands that make would run for a target from nothing, without their folder."""
    done = subprocess.run(
        ["make", "--dry-run", "--always-make", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        # Not the options of the make that may run these tests.
        env={"PATH": os.environ["PATH"]},
    )
    return [line.removeprefix(".venv/bin/").strip() for line in done.stdout.splitlines()]


def pinned_python() -> list[str]:
    """Return the Python versions that the package's classifiers name."""
    named = [re.fullmatch(r".* :: (3\.\d+)", each) for each in PROJECT["classifiers"]]
    return [found[1] for found in named if found]


# make


@pytest.mark.parametrize("target", ["check", "test"])
def test_every_linter_runs(target: str) -> None:
    assert set(LINTERS) <= set(commands(target))
    assert any(line.startswith("node --test tests/") for line in commands(target))


def test_check_installs_from_pypi_and_npm_only_and_leaves_the_slow_tests_out() -> None:
    planned = commands("check")
    assert any(re.match(r"pytest .*-m \"not full and not slow\"", line) for line in planned)
    assert any(line.startswith("python -m pip install") for line in planned)
    # Python's own package of apt-get stands in where it has no venv module.
    rest = [line for line in planned if "python3-venv" not in line]
    assert not [line for line in rest if re.search(r"apt-install|chromium", line)]


def test_test_leaves_out_what_is_full_only() -> None:
    (tests,) = (line for line in commands("test") if line.startswith("pytest "))
    assert " -m " not in tests
    assert PYPROJECT["tool"]["pytest"]["ini_options"]["addopts"][-2:] == ["-m", "not full"]


def test_every_script_and_module_that_make_runs_exists() -> None:
    text = MAKEFILE + (ROOT / ".ci" / "run").read_text("utf-8")
    paths = set(re.findall(r"(?<![\w/.])(?:tests|bench|\.ci)/[\w./-]+", text))
    assert "tests/apt-install" in paths
    for path in paths:
        is_program = (ROOT / path).stat().st_mode & 0o111
        assert is_program or path.startswith("tests/test_"), f"{path} is no program"
    modules = set(re.findall(r"python -m ((?:tests|bench)[\w.]*)", text))
    assert "tests.screenshots" in modules
    for module in modules:
        place = ROOT / module.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), module


# Workflows


@pytest.mark.parametrize("path", YAML_FILES, ids=lambda path: path.name)
def test_the_yaml_can_be_read(path: Path) -> None:
    assert parsed(path)


@with_workflow
def test_a_workflow_calls_targets_and_scripts_that_exist(workflow: Path) -> None:
    for script in scripts(workflow):
        for target in re.findall(r"\bmake ([\w-]+)", script):
            assert re.search(rf"^{target}:", MAKEFILE, re.M), target
        for path in re.findall(r"(?<![\w/.])(?:\./|\.ci/|tests/|bench/)[\w./-]+", script):
            assert (ROOT / path).exists(), path


def test_both_commands_run_for_each_change() -> None:
    workflow = ROOT / ".github" / "workflows" / "ci.yml"
    assert {"make check", "make test"} <= set(scripts(workflow))
    # YAML 1.1 reads the key `on` as true.
    assert {"push", "pull_request"} <= parsed(workflow)[True].keys()


@with_workflow
def test_a_workflow_has_the_minimal_permissions(workflow: Path) -> None:
    # What a workflow leaves out is the repository's default, which may be to write.
    assert parsed(workflow)["permissions"] in ({}, {"contents": "read"})
    for name, job in jobs(workflow).items():
        granted = job.get("permissions", {})
        publishes = any("pypi-publish" in step.get("uses", "") for step in job.get("steps", []))
        assert granted in ([{"id-token": "write"}] if publishes else [{}, {"contents": "read"}]), (
            name
        )


@with_workflow
def test_an_action_has_a_version_and_no_credentials(workflow: Path) -> None:
    for step in steps(workflow):
        uses = step.get("uses", "actions/none@v1")
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@(v\d+(\.\d+)*|release/v\d+|[0-9a-f]{40})", uses)
        if uses.startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@with_workflow
def test_no_workflow_puts_what_strangers_write_into_a_script(workflow: Path) -> None:
    # A branch's or a pull request's name would run as a part of the script.
    assert not [script for script in scripts(workflow) if "${{" in script]
    assert "pull_request_target" not in parsed(workflow)[True]


def test_a_release_is_tested_built_and_checked_before_it_is_published() -> None:
    release = ROOT / ".github" / "workflows" / "release.yml"
    found = jobs(release)
    assert parsed(release)[True] == {"push": {"tags": ["v2*"]}}
    assert found["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert (found["build"]["needs"], found["publish"]["needs"]) == ("ci", "build")
    assert found["publish"]["environment"]["name"] == "pypi"
    assert "make dist" in scripts(release)
    assert 'pytest -m "full or not full" tests/test_distribution.py' in commands("dist")


# Python versions


def test_the_python_versions_are_the_same_everywhere() -> None:
    versions = pinned_python()
    matrix = jobs(ROOT / ".github" / "workflows" / "ci.yml")["test"]["strategy"]["matrix"]
    assert matrix["python"] == versions
    assert [runtime.removeprefix("python") for runtime in get_args(Runtime)] == versions
    oldest = versions[0]
    assert PROJECT["requires-python"] == f">={oldest}"
    assert PYPROJECT["tool"]["mypy"]["python_version"] == oldest
    assert PYPROJECT["tool"]["ruff"]["target-version"] == f"py{oldest.replace('.', '')}"


@with_workflow
def test_a_workflow_uses_a_python_that_gimel_supports(workflow: Path) -> None:
    used = [
        version
        for step in steps(workflow)
        if "setup-python" in str(step)
        for version in step["with"]["python-version"].splitlines()
    ]
    assert used
    assert set(used) <= {*pinned_python(), "${{ matrix.python }}"}


# Hooks


def test_a_hook_runs_a_tool_of_the_test_extra() -> None:
    (local,) = parsed(ROOT / ".pre-commit-config.yaml")["repos"]
    assert local["repo"] == "local"
    extra = {re.match(r"[\w-]+", each)[0] for each in PROJECT["optional-dependencies"]["test"]}
    packages = {"lint-imports": "import-linter"}
    for hook in local["hooks"]:
        tool = hook["entry"].split()[0].removeprefix(".venv/bin/")
        assert packages.get(tool, tool) in extra


# The package


def test_every_address_of_the_project_is_in_its_repository() -> None:
    assert {"Source", "Issues", "Changelog"} <= PROJECT["urls"].keys()
    assert all(url.startswith(REPOSITORY) for url in PROJECT["urls"].values())
    contacts = parsed(ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml")["contact_links"]
    advisories = f"{REPOSITORY}/security/advisories/new"
    assert [contact["url"] for contact in contacts] == [advisories]
    assert advisories in (ROOT / "SECURITY.md").read_text("utf-8")


def test_the_supported_versions_are_those_of_this_major() -> None:
    major = gimel.__version__.partition(".")[0]
    assert f"| {major}.x | yes |" in (ROOT / "SECURITY.md").read_text("utf-8")
