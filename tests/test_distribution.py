"""The sdist and the wheel that a release publishes, and what works from the wheel alone.

`make test` installs the wheel into a clean environment of its own Python, `make dist` into one of
each Python that Gimel supports.
"""

import email
import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import NamedTuple

import pytest

import gimel
from gimel.stack import bundle
from tests.support.aws_account import REGION, new_stack
from tests.support.gimel_local import LocalBackend, trials
from tests.support.waiting import wait

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
DIST = ROOT / "build" / "dist"
TOOLS = Path(sys.executable).parent
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHONS = [
    pytest.param(version, marks=[pytest.mark.full] if version != OWN else [])
    for version in ("3.11", "3.12", "3.13", "3.14")
]

LIBRARY = """
import sys
from gimel import Client
client = Client(sys.argv[1])
experiment = client.experiment("from the library", ["blue", "red"])
for number in range(7):
    experiment.variant(f"visitor {number}")
client.close()
"""

ZIP = "import sys; from gimel.stack import bundle; print(bundle.build().sha256)"


class Built(NamedTuple):
    sdist: Path
    wheel: Path


class Installed(NamedTuple):
    """A clean environment with the wheel."""

    version: str
    python: Path
    run: Callable[..., str]


@pytest.fixture(scope="module", name="built")
def built_fixture() -> Built:
    """The sdist, and the wheel that is built from the sdist."""
    shutil.rmtree(DIST, ignore_errors=True)
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", DIST, ROOT]
    subprocess.run(command, check=True)
    name = f"gimel-{gimel.__version__}"
    return Built(DIST / f"{name}.tar.gz", DIST / f"{name}-py3-none-any.whl")


def interpreter(version: str) -> Path | None:
    """Return a Python of the version: this one, one on the PATH, or one of pyenv's."""
    if version == OWN:
        return Path(sys.executable)
    pyenv = Path.home() / ".pyenv" / "versions"
    found = shutil.which(f"python{version}")
    for candidate in [*([Path(found)] if found else []), *pyenv.glob(f"{version}.*/bin/python")]:
        # A shim of pyenv may be there and fail.
        if subprocess.run([candidate, "-c", ""], capture_output=True).returncode == 0:
            return candidate
    return None


@pytest.fixture(scope="module", name="installed", params=PYTHONS)
def installed_fixture(
    request: pytest.FixtureRequest, built: Built, tmp_path_factory: pytest.TempPathFactory
) -> Installed:
    version = request.param
    base = interpreter(version)
    if not base:
        pytest.skip(f"no python{version} on the PATH, nor in pyenv")
    folder = tmp_path_factory.mktemp(f"python{version}")
    python = folder / "clean" / "bin" / "python"
    uv = str(TOOLS / "uv")
    subprocess.run([uv, "venv", "--quiet", "--python", base, folder / "clean"], check=True)
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    subprocess.run([*install, f"{built.wheel}[local]"], check=True)

    def run(*arguments: str | Path) -> str:
        done = subprocess.run(
            [python, *arguments],
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return Installed(version, python, run)


@pytest.fixture(autouse=True)
def _nothing_of_the_clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """`python -m` looks into the working directory, and a command finds keys at home."""
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


# What is in them


def test_the_sdist_holds_all_that_git_has(built: Built) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    tracked = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split("\0")
    with tarfile.open(built.sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {name for name in tracked if name} - names == set()


def test_the_wheel_holds_the_package_and_nothing_else(built: Built) -> None:
    names = zipfile.ZipFile(built.wheel).namelist()
    ours = {path.relative_to(ROOT).as_posix() for path in (ROOT / "gimel").rglob("*.*")}
    ours = {name for name in ours if "__pycache__" not in name}
    assert {name for name in names if ".dist-info/" not in name} == ours


def metadata(built: Built) -> Message:
    with zipfile.ZipFile(built.wheel) as archive:
        content = archive.read(f"gimel-{gimel.__version__}.dist-info/METADATA")
    return email.message_from_bytes(content)


def test_the_metadata_says_what_pypi_shows(built: Built) -> None:
    found = metadata(built)
    assert "Source, https://github.com/Alephbet/gimel" in found.get_all("Project-URL", [])
    assert "Yoav Aner" in found["Author"]
    assert found["License-Expression"] == "MIT"


def test_pypi_renders_the_page(built: Built) -> None:
    command = [sys.executable, "-m", "twine", "check", "--strict", built.sdist, built.wheel]
    subprocess.run(command, check=True)


def test_the_links_of_the_page_are_absolute_and_lead_to_files(built: Built) -> None:
    page = metadata(built).get_payload(decode=True)
    assert isinstance(page, bytes)
    code_apart = re.sub(r"```.*?```|`[^`\n]*`", "", page.decode(), flags=re.DOTALL)
    links = re.findall(r"""\]\(([^)\s]+)|(?:src|srcset|href)="([^"]+)""", code_apart)
    repository = "(?:github.com/Alephbet/gimel/blob|raw.githubusercontent.com/Alephbet/gimel)"
    ours = 0
    for link in (a or b for a, b in links):
        assert re.match(r"https?://|#", link), link
        if found := re.match(rf"https://{repository}/v{gimel.__version__}/([^#]+)", link):
            assert (ROOT / found[1]).exists(), link
            assert ("raw." in link) == (Path(found[1]).suffix in (".png", ".svg")), link
            ours += 1
    assert ours >= 10


# What works from the wheel


def test_the_command(installed: Installed) -> None:
    command = installed.python.with_name("gimel")
    assert installed.run(command, "--version").split()[-1] == gimel.__version__
    assert "deploy" in installed.run(command, "--help")


def test_local_with_the_demo_and_the_library(installed: Installed, tmp_path: Path) -> None:
    with LocalBackend(tmp_path / "data", "--demo", python=installed.python) as local:
        results = installed.run(
            *("-m", "gimel", "results", "--url", local.url, "--namespace", "demo", "--json")
        )
        goals = [goal for each in json.loads(results) for goal in each["goals"]]
        verdicts = {goal["verdict"]["state"] for goal in goals if goal["verdict"]}
        assert {"winner", "loser", "no_difference"} <= verdicts
        installed.run("-c", LIBRARY, local.url)
        wait(lambda: trials(local.client) == {"from the library": 7})


def test_the_zip_deploys_and_a_second_deploy_changes_nothing(
    installed: Installed, aws_endpoint: str, redis_url: str, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    content = {"redis": {"url": redis_url}, "aws": {"region": REGION}, "stack": new_stack()}
    config.write_text(json.dumps(content))
    config.chmod(0o600)
    gimel_command = ("-m", "gimel", "--config", config)
    printed = installed.run(*gimel_command, "deploy")
    assert "probe" in printed
    assert "nothing" in installed.run(*gimel_command, "deploy").lower()
    installed.run(*gimel_command, "destroy", "--yes")


def test_the_zip_is_the_same_beside_any_redis_py(installed: Installed) -> None:
    version = installed.run("-c", "import redis; print(redis.__version__)")
    assert int(version.partition(".")[0]) >= 8
    if installed.version == OWN:
        assert installed.run("-c", ZIP).strip() == bundle.build().sha256
