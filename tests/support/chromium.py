"""A real Chromium, and `gimel local` as a process. The fixtures come through conftest.py."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium") or "chromium"
QUIET = ("--disable-background-networking", "--disable-component-update", "--no-first-run")


@pytest.fixture(name="browser", scope="session")
def browser_fixture() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", *QUIET]
        )
        yield chromium
        chromium.close()


class LocalBackend:
    """`gimel local` as a process."""

    key = None

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._port = "0"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "gimel", "local", "--port", self._port]
        self._process = subprocess.Popen(
            [*command, "--data-dir", str(self._data_dir)], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("Events"):
                self.url = line.split()[1].removesuffix("/e")
                self._port = self.url.rpartition(":")[2]
                return
        raise AssertionError("gimel local did not start")

    def stop(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=20)

    @contextmanager
    def down(self) -> Iterator[None]:
        self.stop()
        yield
        self.start()


@pytest.fixture(name="local")
def local_fixture(tmp_path: Path) -> Iterator[LocalBackend]:
    backend = LocalBackend(tmp_path)
    yield backend
    backend.stop()
