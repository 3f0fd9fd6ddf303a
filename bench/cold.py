"""A cold start: from spawn to the first answer, in AWS's Runtime Interface Emulator."""

import http.client
import io
import json
import os
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from bench import harness, peers
from bench.harness import BUILD, Row
from bench.worker import fields, proxy_event
from gimel.stack import bundle
from tests.support.servers import free_port

ROUNDS = 25
_PATH = "/2015-03-31/functions/function/invocations"
_PATIENCE = 10.0
_SOCKET = """import json, os, socket

server = socket.create_connection(("127.0.0.1", os.environ["PORT"]))


def handler(event, context):
    server.sendall(b"*3\\r\\n$5\\r\\nPFADD\\r\\n$4\\r\\ncold\\r\\n$2\\r\\nu1\\r\\n")
    server.recv(64)
    return {"statusCode": 200, "body": json.dumps({"accepted": 1})}
"""


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
        began = time.perf_counter()
        with self.running() as started:
            started.ask(self.event)
            return (time.perf_counter() - began) * 1000

    @contextmanager
    def running(self) -> Iterator["Running"]:
        door, back = free_port(), free_port()
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
        process = subprocess.Popen(
            command, cwd=self.folder, env=environment, stdin=quiet, stdout=quiet, stderr=quiet
        )
        try:
            yield Running(process.pid, door)
        finally:
            process.terminate()
            process.wait()


class Running(NamedTuple):
    """The emulator, which has the function for its child, and the port that it listens on."""

    pid: int
    port: int

    @property
    def process(self) -> Path:
        """The function's process in /proc."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/children")
        return Path("/proc") / "".join(path.read_text() for path in threads).strip()

    def cpu(self) -> float:
        """Milliseconds that all threads of the function have run."""
        times = [thread.read_text().split() for thread in self.process.glob("task/*/schedstat")]
        return sum(int(ran) for ran, *_ in times) / 1e6

    def ask(self, event: dict[str, object]) -> None:
        """Invoke the function. A failure ends the benchmark."""
        until = time.perf_counter() + _PATIENCE
        while True:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_PATIENCE)
            try:
                connection.request("POST", _PATH, json.dumps(event))
                answer = connection.getresponse().read().decode()
                break
            except (ConnectionRefusedError, ConnectionResetError):
                # It does not listen yet, or listens and is not ready.
                if time.perf_counter() > until:
                    raise
                time.sleep(0.001)
            finally:
                connection.close()
        if "errorMessage" in answer or '"statusCode": 5' in answer:
            raise SystemExit(f"the function failed: {answer}")


def unpack(name: str, content: bytes) -> Path:
    """A zip's content in a new folder under build/."""
    folder = BUILD / "task" / name
    shutil.rmtree(folder, ignore_errors=True)
    zipfile.ZipFile(io.BytesIO(content)).extractall(folder)
    return folder


def ours(name: str, content: bytes, port: int) -> Function:
    environment = {"GIMEL_REDIS_URL": f"redis://127.0.0.1:{port}"}
    return Function(unpack(name, content), "gimel.aws_lambda.track", own_event("u1"), environment)


def own_event(uuid: str) -> dict[str, object]:
    query = f"experiment=cold&uuid={uuid}&variant=red&event=participate&namespace=alephbet"
    return proxy_event("GET", query)


def first_gimel(port: int) -> Function:
    folder = unpack("gimel-1", peers.gimel_1_zip(port))
    return Function(folder, "gimel.track", fields("u1"))


def empty() -> Function:
    folder = BUILD / "task" / "empty"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "function.py").write_text("def handler(event, context):\n    return 'ok'\n")
    return Function(folder, "function.handler")


def socket_alone(port: int) -> Function:
    """No client library at all: the most that could still be gained."""
    folder = BUILD / "task" / "socket"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "function.py").write_text(_SOCKET)
    return Function(folder, "function.handler", own_event("u1"), {"PORT": str(port)})


def _contenders(own: bytes, port: int) -> dict[str, Function]:
    function, peer = ours("own", own, port), first_gimel(port)
    fuller = peers.runtime_with_setuptools()
    return {
        "empty": empty(),
        "socket": socket_alone(port),
        "own": function,
        "1": peer,
        "own, setuptools": replace(function, interpreter=fuller),
        "1, setuptools": replace(peer, interpreter=fuller),
    }


def measure(port: int) -> list[Row]:
    own = bundle.build().content
    contenders: dict[str, Callable[[], float]] = {
        name: function.milliseconds for name, function in _contenders(own, port).items()
    }
    harness.in_turn(contenders, 2)
    found = harness.in_turn(contenders, ROUNDS)
    size = len(own) / 1e6
    plain, fuller, bare = found["1"], found["1, setuptools"], "a bare interpreter"
    row = harness.ratio_row
    return [
        Row("**zip**", f"{size:.2f} MB", goal="≤ 1.2 MB", met=size <= 1.2),
        Row("gimel 1.5.0's zip", f"{len(peers.gimel_1_zip(port)) / 1e6:.2f} MB"),
        row("**cold start**", found["own, setuptools"], fuller, "ms", "1.5.0", 0.65),
        row("cold start, gimel 1.5.0", fuller, fuller, "ms", "1.5.0"),
        row("cold start, empty handler", found["empty"], fuller, "ms", "1.5.0"),
        row("cold start, one command on a socket", found["socket"], fuller, "ms", "1.5.0"),
        row(f"**cold start**, {bare}", found["own"], plain, "ms", "1.5.0", 0.65),
        row("the same, gimel 1.5.0", plain, plain, "ms", "1.5.0"),
    ]
