"""Outputs that fail: encodings that lack a character, full disks, readers that left, no stream."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gimel.client import BackendClient
from tests.support.commands import SECONDS, count, process

NAME, VARIANTS = "按钮 ±✓", ["红", "blå"]
ESCAPED = r"\u{6309}\u{94ae}"
SAMPLE_SIZE = ("sample-size", "--rate", "0.1", "--lift", "0.05")
# What needs no backend
HERE = [("--help",), ("--version",), ("results", "--help"), SAMPLE_SIZE]


@pytest.fixture
def experiment(url: str) -> str:
    """The address of a backend with an experiment whose names few encodings have."""
    definition = {"variants": [{"name": each} for each in VARIANTS], "goals": [{"name": "g"}]}
    BackendClient(url).declare(NAME, definition)
    count(NAME, dict.fromkeys(VARIANTS, 30), {"g": dict.fromkeys(VARIANTS, 3)})
    return url


def outputs(url: str) -> list[tuple[str, ...]]:
    """Return commands that print through Rich, through click, and as CSV and JSON."""
    reads = [
        ("results", NAME, "--matrix"), ("results", NAME, "--history"), ("results", "--csv"),
        ("results", "--json"), ("show", NAME), ("snippet", NAME), ("decisions",),
    ]  # fmt: skip
    return [(*each, "--url", url) for each in reads]


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_what_an_encoding_lacks_is_replaced(experiment: str, encoding: str) -> None:
    unknown = ("results", "它不存在", "--url", experiment)
    for command in (*HERE, *outputs(experiment), unknown):
        done = subprocess.run(
            [sys.executable, "-m", "gimel", *command],
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env=os.environ | {"PYTHONIOENCODING": encoding},
        )
        written, errors = done.stdout.decode(encoding), done.stderr.decode(encoding)
        assert done.returncode == (command == unknown), command
        if command == unknown:
            name = r"\u{5b83}\u{4e0d}\u{5b58}\u{5728}"
            assert errors == f"Error: there is no experiment {name} in namespace alephbet\n"
        elif NAME in command or "--csv" in command:
            assert ESCAPED in written


def test_json_loses_nothing_in_any_encoding(experiment: str) -> None:
    whole = BackendClient(experiment).experiment(NAME)["variants"]
    for encoding in ("cp1252", "utf-8"):
        done = process(
            "results", NAME, "--json", "--url", experiment, env={"PYTHONIOENCODING": encoding}
        )
        assert json.loads(done.stdout)[0]["variants"] == whole
        assert done.stdout.isascii() == (encoding == "cp1252")


def test_our_own_signs_have_others_in_their_place() -> None:
    script = (
        "from gimel.terminal.text import prepare_streams, say\n"
        "prepare_streams()\n"
        "say('✓ ✗ … ± → ▲ ▼ │──●─')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONIOENCODING": "iso-8859-5"},
    )
    assert done.stdout == "v x ... +- > ^ v |--o-\n"


def run_into(
    command: tuple[str, ...], redirection: str, before: str = ""
) -> subprocess.CompletedProcess[str]:
    """The command with its standard output as a shell redirects it."""
    line = f'{before} exec "$0" -m gimel "$@" {redirection}'
    return subprocess.run(
        ["bash", "-c", line, sys.executable, *command],
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        timeout=SECONDS,
        check=False,
    )


# A file that may hold no byte fails as a full disk does, with another reason.
FULL = "Error: cannot write the output: File too large\n"


@pytest.mark.slow
def test_a_full_disk_is_one_line(experiment: str, tmp_path: Path) -> None:
    for command in (*HERE, *outputs(experiment)):
        done = run_into(command, f"> {tmp_path}/full", "ulimit -f 0;")
        assert (done.returncode, done.stderr) == (1, FULL), command
    # No line can be said where the errors go there too.
    both = f"> {tmp_path}/full 2>&1"
    assert run_into(SAMPLE_SIZE, both, "ulimit -f 0;").returncode == 1


@pytest.mark.slow
def test_a_reader_that_left_is_told_nothing(experiment: str) -> None:
    for command in (SAMPLE_SIZE, ("--help",), *outputs(experiment)):
        done = run_into(command, "> >(exec true)")
        assert done.stderr == "", command
        assert done.returncode in (0, 1)


@pytest.mark.slow
def test_an_output_that_is_closed_loses_the_output_only(experiment: str) -> None:
    for command in (SAMPLE_SIZE, ("--help",), *outputs(experiment)):
        done = run_into(command, ">&- <&-")
        assert (done.returncode, done.stderr) == (0, ""), command


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = process("--config", str(tmp_path / ("x" * 300)), "configure", "--no-edit")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.endswith("File name too long")
    output = str(tmp_path / "file" / "out.gz")
    export = ("export", "--output", output, "--redis-url", "redis://127.0.0.1:1")
    done = process(*export)
    os.mkfifo(tmp_path / "pipe")
    export_into = ("export", "--redis-url", "redis://127.0.0.1:1", "--output")
    piped = process(*export_into, str(tmp_path / "pipe"))
    assert piped.stderr.endswith("pipe is no regular file: choose another --output\n")
    assert (tmp_path / "pipe").is_fifo()
    assert done.stderr == f"Error: {output} cannot be written: Not a directory\n"


def test_two_formats_exclude_each_other(experiment: str) -> None:
    for formats in (("--json", "--csv"), ("--csv", "--json")):
        done = process("results", *formats, "--url", experiment)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.splitlines()[-1] == "Error: --json and --csv exclude each other"
