"""`gimel local` as a process."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gimel.client import BackendClient

SECONDS = 60
# The key of each backend, by its address
KEYS: dict[str, str] = {}


class LocalBackend:
    """`gimel local` on a free port, from the moment it is ready until `stop`."""

    def __init__(
        self, data_dir: Path, *arguments: str, python: str | Path = sys.executable
    ) -> None:
        self.data_dir = data_dir
        self._python = str(python)
        # `gimel local` records its key in its user's home.
        self.environ = {"HOME": str(data_dir.resolve().parent)}
        self._arguments = ["--data-dir", str(data_dir), *arguments]
        self._port = "0"
        self.start()

    def start(self) -> None:
        """Start the command, on the port of its last start, and read what it prints at first."""
        command = [self._python, "-m", "gimel", "local", "--port", self._port]
        self._process = subprocess.Popen(
            [*command, *self._arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | self.environ,
        )
        self.printed = ""
        assert self._process.stdout
        for line in self._process.stdout:
            self.printed += line
            if line.startswith("Events"):
                self.url = line.split()[1].removesuffix("/e").replace("0.0.0.0", "127.0.0.1")
                self._port = self.url.rpartition(":")[2]
                KEYS[self.url] = self.key
            if line.startswith("Ctrl-C"):
                return
        self._process.communicate(timeout=SECONDS)
        raise AssertionError(self.printed)

    @property
    def key(self) -> str:
        return (self.data_dir / "key").read_text("utf-8").strip()

    @property
    def port(self) -> int:
        return int(self._port)

    @property
    def client(self) -> BackendClient:
        return BackendClient(self.url, self.key)

    def kill(self) -> None:
        """End it as `kill -9` does."""
        self._process.kill()
        self._process.communicate(timeout=SECONDS)

    def children(self) -> list[int]:
        """The processes that it started."""
        task = Path(f"/proc/{self._process.pid}/task")
        return [
            int(child)
            for thread in task.iterdir()
            for child in (thread / "children").read_text().split()
        ]

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Its exit code."""
        self._process.send_signal(how)
        rest, _ = self._process.communicate(timeout=SECONDS)
        self.printed += rest
        return self._process.returncode

    @contextmanager
    def down(self) -> Iterator[None]:
        """Stop it for the block, then start it again on the same port and the same data."""
        self.stop()
        yield
        self.start()

    def __enter__(self) -> "LocalBackend":
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self.stop()


def key_header(url: str) -> dict[str, str]:
    return {"x-api-key": KEYS[url]} if url in KEYS else {}


def trials(client: BackendClient, namespace: str = "alephbet") -> dict[str, int]:
    return {
        found["experiment"]: sum(variant["trials"] for variant in found["variants"])
        for found in client.experiments(namespace)
    }
