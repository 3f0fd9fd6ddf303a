"""`gimel configure`, and what each command says of a wrong config.json or of none."""

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from gimel.stack.bundle import default_runtime
from tests.support.commands import READS, complaint, run, said

REDIS_URL = "rediss://u:p%40ss@redis.example.com:6380/1"


@pytest.fixture(name="home")
def home_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, the working folder beside it, no editor."""
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    for name in ("GIMEL_CONFIG", "EDITOR", "VISUAL"):
        monkeypatch.delenv(name, raising=False)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "ap-southeast-2")
    return home


def test_configure_writes_a_file_for_its_owner_only(home: Path) -> None:
    path = home / ".gimel" / "config.json"
    printed = said(run("configure", "--redis-url", REDIS_URL, "--no-edit"))
    assert printed == f"Wrote {path}, readable only by you.\n{path} is valid.\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text()) == {
        "redis": {"url": REDIS_URL},
        "stack": "gimel",
        "aws": {"region": "ap-southeast-2"},
        "runtime": default_runtime(),
    }
    assert "p%40ss" not in printed


def test_configure_writes_the_region_of_the_profile(home: Path, tmp_path: Path) -> None:
    (tmp_path / "aws").write_text("[profile shop]\nregion = sa-east-1\n")
    aws = {"AWS_CONFIG_FILE": str(tmp_path / "aws"), "AWS_PROFILE": "shop"}
    run("configure", "--redis-url", REDIS_URL, env={**aws, "AWS_DEFAULT_REGION": None})
    written = json.loads((home / ".gimel" / "config.json").read_text())
    assert written["aws"] == {"region": "sa-east-1"}


@pytest.mark.parametrize("profile", [None, "nobody"])
def test_configure_without_a_region_says_to_set_it(home: Path, profile: str | None) -> None:
    env = {"AWS_DEFAULT_REGION": None, "AWS_PROFILE": profile}
    done = run("configure", "--redis-url", REDIS_URL, env=env)
    assert done.exit_code == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("! ")
    assert ("nobody" if profile else '"aws": {"region"') in line
    assert "aws" not in json.loads((home / ".gimel" / "config.json").read_text())


def test_configure_leaves_redis_to_deploy(home: Path) -> None:
    run("configure", "--managed-redis")
    assert json.loads((home / ".gimel" / "config.json").read_text())["redis"] == "managed"


def test_configure_takes_one_redis(home: Path) -> None:
    result = run("configure", "--managed-redis", "--redis-url", REDIS_URL)
    assert result.exit_code == 2
    assert "exclude each other" in result.stderr
    assert not (home / ".gimel").exists()


def test_configure_writes_no_url_that_is_none(home: Path) -> None:
    line = complaint(run("configure", "--redis-url", "http://:hunter2@h"))
    assert line.startswith("--redis-url: redis: url must start with redis://")
    assert "hunter2" not in line
    assert not (home / ".gimel").exists()


def test_configure_in_a_pipe_opens_no_editor(home: Path, tmp_path: Path) -> None:
    edited = editor(tmp_path, "path.write_text('{}')")
    run("configure", "--redis-url", REDIS_URL, env={"EDITOR": edited})
    assert said(run("configure", env={"EDITOR": edited})).endswith("is valid.\n")


def test_configure_leaves_an_existing_file_alone(home: Path) -> None:
    path = Path("config.json").resolve()
    path.write_text('{"redis": {"host": "h"}}')
    assert said(run("configure", "--no-edit")) == f"{path} is valid.\n"
    for chosen in (("--redis-url", REDIS_URL), ("--managed-redis",)):
        assert complaint(run("configure", *chosen)) == (
            f"{path} already exists: change redis in it. --redis-url and --managed-redis work only "
            "for a new file"
        )
    assert path.read_text() == '{"redis": {"host": "h"}}'


def test_an_unedited_template_is_a_mistake(home: Path) -> None:
    result = run("configure", "--no-edit")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {home / '.gimel' / 'config.json'}: redis.url: still")


def editor(folder: Path, program: str) -> str:
    """An editor that does to the file `path` what the Python program says."""
    script = folder / "editor.py"
    script.write_text(f"import pathlib, sys\npath = pathlib.Path(sys.argv[1])\n{program}\n")
    return f"{sys.executable} {script}"


def test_configure_opens_the_editor_and_checks_what_comes_out(home: Path, tmp_path: Path) -> None:
    program = "path.write_text(path.read_text().replace('USER:PASSWORD@HOST', 'u:p@h'))"
    result = run("configure", "--edit", env={"EDITOR": editor(tmp_path, program)})
    assert said(result).endswith("is valid.\n")
    written = json.loads((home / ".gimel" / "config.json").read_text())
    assert written["redis"]["url"] == "rediss://u:p@h:6379/0"


def test_every_mistake_gets_a_line_with_its_place(home: Path, tmp_path: Path) -> None:
    wrong = {"redis": {"host": "h", "pasword": "hunter2"}, "shards": 0, "stak": "x"}
    edited = editor(tmp_path, f"path.write_text({json.dumps(wrong)!r})")
    result = run("--config", "mine.json", "configure", "--edit", env={"EDITOR": edited})
    assert result.exit_code == 1
    lines = result.stderr.removeprefix("Error: ").splitlines()
    assert sorted(line.partition(": ")[2].partition(":")[0] for line in lines) == [
        "redis.pasword",
        "shards",
        "stak",
    ]
    assert all(line.startswith("mine.json: ") for line in lines)
    assert 'did you mean "password"?' in result.stderr
    assert 'did you mean "stack"?' in result.stderr
    assert "hunter2" not in result.output


def test_what_is_not_json_is_named_with_line_and_column(home: Path, tmp_path: Path) -> None:
    edited = editor(tmp_path, "path.write_text('{\\n  \"redis\": }')")
    line = run("configure", "--edit", env={"EDITOR": edited}).stderr
    assert "config.json:2:12: not valid JSON" in line


def test_an_editor_that_fails(home: Path, tmp_path: Path) -> None:
    result = run("configure", "--edit", env={"EDITOR": editor(tmp_path, "sys.exit(3)")})
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1


def test_the_first_place_wins(home: Path, tmp_path: Path) -> None:
    """--config, $GIMEL_CONFIG, ./config.json, ~/.gimel/config.json."""
    (home / ".gimel").mkdir()
    flag, named = tmp_path / "flag.json", tmp_path / "named.json"
    places = [flag, named, Path("config.json").resolve(), home / ".gimel" / "config.json"]
    for path in places:
        path.write_text("[]")  # a mistake, which names the file
    env = {"GIMEL_CONFIG": str(named)}
    assert str(flag) in complaint(run("--config", str(flag), "configure", "--no-edit", env=env))
    assert str(named) in complaint(run("configure", "--no-edit", env=env))
    assert str(places[2]) in complaint(run("configure", "--no-edit"))
    places[2].unlink()
    assert str(places[3]) in complaint(run("configure", "--no-edit"))


def test_a_config_that_cannot_be_written(home: Path) -> None:
    Path("file").write_text("")
    line = complaint(run("--config", "file/config.json", "configure", "--no-edit"))
    assert line.startswith("file/config.json cannot be written: ")


@pytest.mark.parametrize("command", [*READS, ("dashboard",), ("snippet",)])
def test_no_config_and_no_url(home: Path, command: tuple[str, ...]) -> None:
    line = complaint(run(*command))
    advice = "create it with `gimel configure`, or name a backend with --url"
    assert line.endswith(f"does not exist: {advice}")


def test_no_config_to_deploy(home: Path) -> None:
    line = complaint(run("deploy"))
    assert line.endswith("does not exist: create it with `gimel configure`")


@pytest.mark.parametrize("command", [*READS, ("dashboard",), ("snippet",), ("deploy",)])
def test_a_wrong_config(home: Path, command: tuple[str, ...]) -> None:
    Path("config.json").write_text('{"redis": {"host": "h", "pasword": "hunter2"}}')
    line = complaint(run(*command))
    assert "redis.pasword: unknown key" in line
    assert "hunter2" not in line
