"""`.ci/release`, the dry run of a release: what stops it, and what it prints."""

import re
import shutil
import subprocess
import zipfile
from datetime import date
from pathlib import Path

import pytest

from gimel import __version__
from gimel.stack import bundle

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A repository with the files that a release reads, its changelog dated."""
    files = [
        "README.md",
        "LICENSE",
        "CHANGELOG.md",
        "pyproject.toml",
        "hatch_build.py",
        ".gitignore",
    ]
    for name in files:
        shutil.copy(ROOT / name, tmp_path)
    for name in ("gimel", ".ci"):
        shutil.copytree(ROOT / name, tmp_path / name)
    (tmp_path / ".venv").symlink_to(ROOT / ".venv")
    (tmp_path / "build").mkdir()
    changelog = tmp_path / "CHANGELOG.md"
    heading = f"## [{__version__}] - {date.today()}"
    changelog.write_text(
        re.sub(r"^## .* unreleased$", heading, changelog.read_text("utf-8"), flags=re.M), "utf-8"
    )
    commit(tmp_path)
    return tmp_path


def commit(folder: Path) -> None:
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com"]
    for words in (["init", "-q"], ["add", "--all"], ["commit", "-qm", "A commit"]):
        subprocess.run([*git, *words], cwd=folder, check=True)


def release(folder: Path) -> tuple[int, str, str]:
    done = subprocess.run([".ci/release"], cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


def test_it_prints_the_notes_and_the_tag_and_changes_nothing(clone: Path) -> None:
    # git ignores it, as the wheel that belongs there.
    (clone / "gimel" / "stack" / "redis-6.3.0-py3-none-any.whl").touch()
    code, printed, complaint = release(clone)
    assert (code, complaint) == (0, "")
    notes = (clone / "CHANGELOG.md").read_text("utf-8").partition(f"## [{__version__}]")[2]
    first, last = notes.splitlines()[2], notes.rpartition("\n[")[0].rstrip().splitlines()[-1]
    assert (
        printed.index(first)
        < printed.index(last)
        < printed.index(f"git push origin v{__version__}")
    )
    names = {path.name for path in (clone / "build" / "dist").iterdir()}
    assert names == {f"gimel-{__version__}.tar.gz", f"gimel-{__version__}-py3-none-any.whl"}
    (wheel,) = (clone / "build" / "dist").glob("*.whl")
    held = [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".whl")]
    assert held == [f"gimel/stack/{bundle.REDIS_WHEEL.name}"]
    for question in (["git", "status", "--porcelain"], ["git", "tag"]):
        assert subprocess.run(question, cwd=clone, capture_output=True, check=True).stdout == b""


def complaint(clone: Path) -> str:
    code, printed, complaint = release(clone)
    assert (code, printed) == (1, "")
    (line,) = complaint.splitlines()
    return line


def test_what_is_not_committed_stops_it(clone: Path) -> None:
    (clone / "stray").touch()
    assert complaint(clone) == "No release: commit or remove what `git status` shows."


def test_a_tag_that_exists_stops_it(clone: Path) -> None:
    subprocess.run(["git", "tag", f"v{__version__}"], cwd=clone, check=True)
    assert "Raise __version__ in gimel/__init__.py." in complaint(clone)


def test_a_changelog_without_a_date_stops_it(clone: Path) -> None:
    changelog = clone / "CHANGELOG.md"
    changelog.write_text(changelog.read_text("utf-8").replace(f"{date.today()}", "unreleased"))
    commit(clone)
    assert f"## [{__version__}] - {date.today()}" in complaint(clone)
