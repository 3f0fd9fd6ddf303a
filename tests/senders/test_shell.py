"""docs/senders/shell.md: each block, run twice in one folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documented_examples import examples, for_backend, successes
from tests.support.gimel_local import LocalBackend
from tests.support.servers import free_port

pytestmark = pytest.mark.slow

BLOCKS = examples("senders/shell.md", "sh")
PATH = f"{Path(sys.executable).parent}:{os.environ['PATH']}"


def test_every_block(local: LocalBackend, tmp_path: Path) -> None:
    environ = os.environ | {"PATH": PATH, "GIMEL_KEY": local.key}
    printed = ""
    for code in BLOCKS:
        for _ in range(2):
            command = ["sh", "-euc", for_backend(code, local.url)]
            done = subprocess.run(
                command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True
            )
        printed += done.stdout
    assert printed.startswith('{"accepted":1,"ignored":0,"reasons":{},"rejected":[]}')
    assert printed.endswith("Counted.\n")
    assert successes(local.client, "signup") == 3
    (goal,) = local.client.experiment("checkout")["goals"]
    sums = {row["label"]: row["sum"] for row in goal["results"]}
    assert sums["red"] == pytest.approx(49.9 + 20 + 9.9, abs=10)


def test_curl_fails_where_nobody_listens(tmp_path: Path) -> None:
    code = for_backend(BLOCKS[0], f"http://127.0.0.1:{free_port()}").replace(
        "--retry 5", "--retry 1"
    )
    done = subprocess.run(["sh", "-euc", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
