"""A cold start: from spawn to the first answer, in AWS's Runtime Interface Emulator."""

import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import harness, peers
from bench.harness import BUILD, Row
from bench.worker import fields, proxy_event
from gimel import bundle

ROUNDS = 25
_PATH = "/2015-03-31/functions/function/invocations"
_PATIENCE = 10.0


@dataclass(frozen=True)
class Function:
    """A function as it lies in /var/task, and the event that it is sent first."""

    folder: Path
    handler: str
    event: dict[str, object] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    interpreter: Path = field(default_factory=peers.runtime)

    def milliseconds(self) -> float:
        """Spawn to first answer."""
        door, back = _free_port(), _free_port()
        command = [
            str(peers.emulator()),
            *("--runtime-interface-emulator-address", f"127.0.0.1:{door}"),
            *("--runtime-api-address", f"127.0.0.1:{back}"),
            *(str(self.interpreter), "-m", "awslambdaric", self.handler),
        ]
        # /var/task is read-only on Lambda: no bytecode is kept from one start to the next.
        environment = os.environ | {
            "LAMBDA_TASK_ROOT": str(self.folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": "",
            **self.environment,
        }
        quiet = subprocess.DEVNULL
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=quiet, stdout=quiet, stderr=quiet
        )
        try:
            answer = _ask(door, json.dumps(self.event), began + _PATIENCE)
            took = time.perf_counter() - began
        finally:
            process.terminate()
            process.wait()
        if "errorMessage" in answer or '"statusCode": 5' in answer:
            raise SystemExit(f"{self.handler} failed: {answer}")
        return took * 1000


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _ask(port: int, body: str, until: float) -> str:
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
        try:
            connection.request("POST", _PATH, body)
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            if time.perf_counter() > until:
                raise
            time.sleep(0.001)
        finally:
            connection.close()


def unpack(name: str, content: bytes) -> Path:
    """A zip's content in a new folder under build/."""
    folder = BUILD / "task" / name
    shutil.rmtree(folder, ignore_errors=True)
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return folder


def ours(name: str, content: bytes, port: int) -> Function:
    query = "experiment=cold&uuid=u1&variant=red&event=participate&namespace=alephbet"
    environment = {"GIMEL_REDIS_URL": f"redis://127.0.0.1:{port}"}
    event = proxy_event("GET", query)
    return Function(unpack(name, content), "gimel.start.track", event, environment)


def empty() -> Function:
    folder = BUILD / "task" / "empty"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "function.py").write_text("def handler(event, context):\n    return 'ok'\n")
    return Function(folder, "function.handler")


def _contenders(own: bytes, first: bytes, port: int) -> dict[str, Function]:
    function = ours("own", own, port)
    peer = Function(unpack("gimel-1", first), "gimel.track", fields("u1"))
    fuller = peers.runtime_with_setuptools()
    return {
        "empty": empty(),
        "own": function,
        "1": peer,
        "own, setuptools": replace(function, interpreter=fuller),
        "1, setuptools": replace(peer, interpreter=fuller),
    }


def measure(port: int) -> list[Row]:
    own, first = bundle.build().content, peers.gimel_1_zip(port)
    contenders: dict[str, Callable[[], float]] = {
        name: function.milliseconds for name, function in _contenders(own, first, port).items()
    }
    harness.in_turn(contenders, 2)
    found = harness.in_turn(contenders, ROUNDS)
    size = len(own) / 1e6
    plain, fuller = found["1"], found["1, setuptools"]
    row = harness.ratio_row
    return [
        Row("**zip**", f"{size:.2f} MB", goal="≤ 1.2 MB", met=size <= 1.2),
        Row("gimel 1.5.0's zip", f"{len(first) / 1e6:.2f} MB"),
        row("**cold start**", found["own"], plain, "ms", "1.5.0", 0.8),
        row("cold start, gimel 1.5.0", plain, plain, "ms", "1.5.0"),
        row("cold start, empty handler", found["empty"], plain, "ms", "1.5.0"),
        row(
            "**cold start**, setuptools installed",
            found["own, setuptools"],
            fuller,
            "ms",
            "1.5.0",
            0.8,
        ),
        row("the same, gimel 1.5.0", fuller, fuller, "ms", "1.5.0"),
    ]
