"""`gimel configure` in a terminal: what it asks, and when it opens an editor."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.terminal import Session, run_in_terminal

pytestmark = pytest.mark.slow

WHICH = "1 or 2 [1]: "
URL = "(hidden): "


@pytest.fixture(name="path")
def path_fixture(tmp_path: Path) -> Path:
    return tmp_path / "config.json"


def configure(path: Path, *arguments: str, answers: tuple[tuple[str, str], ...] = ()) -> Session:
    """Run it with an editor that leaves a note, in a region that AWS's tools would use."""
    program = "import pathlib, sys; pathlib.Path(sys.argv[1] + '.edited').touch()"
    editor = path.with_name("editor.py")
    editor.write_text(program)
    env = {"EDITOR": f"{sys.executable} {editor}", "AWS_DEFAULT_REGION": "ap-southeast-2"}
    return run_in_terminal("--config", str(path), "configure", *arguments, answers=answers, env=env)


def is_edited(path: Path) -> bool:
    return path.with_name("config.json.edited").exists()


def test_the_first_choice_lets_deploy_make_redis(path: Path) -> None:
    session = configure(path, answers=((WHICH, ""),))
    assert json.loads(path.read_text())["redis"] == "managed"
    assert json.loads(path.read_text())["aws"] == {"region": "ap-southeast-2"}
    assert not is_edited(path)
    assert "about $6 a" in session.written
    question = session.written.partition(WHICH)[0]
    assert all(len(line) < 80 for line in question.splitlines())


def test_a_redis_of_ones_own_is_asked_for_until_it_is_one(path: Path) -> None:
    typed = ["rediss://:hunter2/x@h:6379", "rediss://:hunter2%2Fx@h:6379"]
    session = configure(path, answers=((WHICH, "2"), *((URL, url) for url in typed)))
    assert session.code == 0
    assert json.loads(path.read_text())["redis"] == {"url": typed[1]}
    assert "Error: redis: url cannot be parsed" in session.written
    assert "hunter2" not in session.written
    assert session.written.rstrip().endswith("is valid.")


def test_a_flag_answers_the_question(path: Path) -> None:
    assert configure(path, "--redis-url", "redis://h").code == 0
    assert not is_edited(path)


@pytest.mark.parametrize(("flags", "expected"), [((), True), (("--no-edit",), False)])
def test_a_file_that_exists_is_edited(path: Path, flags: tuple[str, ...], expected: bool) -> None:
    path.write_text('{"redis": {"host": "h"}}')
    assert configure(path, *flags).code == 0
    assert is_edited(path) is expected
