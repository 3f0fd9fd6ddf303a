"""The restore drill of docs/operations.md, line by line."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from tests.support.commands import run, said
from tests.support.servers import free_port, url_of
from tests.support.whole_life import live, put, send

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")


def block(heading: str) -> str:
    """The first commands below a heading."""
    found = re.search(rf"^#+ {heading}\n.*?^```sh\n(.*?)^```", PAGE, re.M | re.S)
    assert found, heading
    return found[1]


def test_the_counts_are_read_without_gimel(backend: redis.Redis, tmp_path: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("no jq on this machine")
    put("declared")
    send("declared", 30)
    file = tmp_path / "backup.jsonl.gz"
    said(run("export", "--redis-url", url_of(backend), "--output", str(file)))
    page = (ROOT / "docs" / "export-format.md").read_text("utf-8")
    commands = re.search(r"^```sh\n(.*?)^```", page, re.M | re.S)
    assert commands
    printed = subprocess.check_output(["bash", "-c", commands[1]], cwd=tmp_path)
    counts = {"participate": {"blue": 15, "red": 15}, "signup": {"blue": 0, "red": 0}}
    assert json.loads(printed) == ["alephbet", "declared", counts]


@pytest.mark.slow
def test_the_restore_drill_restores(
    backend: redis.Redis, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("redis-server", "redis-cli", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")
    live(backend)
    (tmp_path / "bin").mkdir()
    gimel = tmp_path / "bin" / "gimel"
    gimel.write_text(f'#!/bin/sh\nexec {sys.executable} -m gimel "$@"\n')
    gimel.chmod(0o755)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"redis": {"url": url_of(backend)}}))
    commands = block("Restore drill")
    for port in ("6399", "8399"):
        commands = commands.replace(port, str(free_port()))
    monkeypatch.delenv("GIMEL_CONFIG", raising=False)
    done = subprocess.run(
        ["bash", "-e", "-c", commands],
        cwd=tmp_path,
        env=os.environ
        | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}
        | {"COLUMNS": "80", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    written, first, second, *results = done.stdout.splitlines(keepends=True)
    assert written.startswith("Wrote 9 experiments to drill.jsonl.gz")
    assert re.fullmatch(r"Merged 9 experiments: [\d,]{5,} values were new\.\n", first)
    assert second == "Merged 9 experiments: 0 values were new.\n"
    assert "".join(results) == said(run("results", "--url", url, env={"COLUMNS": "80"}))
    assert "declared" in "".join(results)
