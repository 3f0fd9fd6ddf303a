"""What each measure against a slow start brings: the zip without it, or with one more.

In CPU time of the function's process up to its first answer: a start is all work and next to no
waiting, and other work on the machine disturbs this less.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import redis

from bench import cold, harness
from bench.cold import Function
from bench.harness import BUILD, Lines
from gimel.stack import bundle

HEAD = ("the zip", "CPU of a start", "to today's", "quartiles")
ROUNDS = 21
# One command by way of redis-py's client, and by way of its connections alone.
_CLIENT = """import os

from redis.client import Redis

client = Redis.from_url(os.environ["GIMEL_REDIS_URL"])


def handler(event, context):
    return client.execute_command("PFADD", "cold", "u1")
"""
_CONNECTION = """import os

from redis.connection import ConnectionPool

connection = ConnectionPool.from_url(os.environ["GIMEL_REDIS_URL"]).get_connection()


def handler(event, context):
    connection.send_command("PFADD", "cold", "u1")
    return connection.read_response()
"""


def _compile(folder: Path, *options: str) -> None:
    command = [sys.executable, "-S", "-m", "compileall", "-q", *options]
    command += ["--invalidation-mode", "unchecked-hash", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _whole(function: Function) -> None:
    """Put back what the zip leaves out of redis-py."""
    installed = Path(redis.__file__).parent
    bytecode = shutil.ignore_patterns("__pycache__")
    shutil.copytree(installed, function.folder / "redis", dirs_exist_ok=True, ignore=bytecode)
    _compile(function.folder)


def _sources(function: Function) -> None:
    for folder in list(function.folder.rglob("__pycache__")):
        shutil.rmtree(folder)


def _terse(function: Function) -> None:
    """Bytecode without docstrings and assertions, under the name that is looked for."""
    _sources(function)
    _compile(function.folder, "-o", "2")
    for path in function.folder.rglob("*.opt-2.pyc"):
        path.rename(path.with_name(path.name.replace(".opt-2", "")))


def _handler(source: str, name: str, own: Function) -> Function:
    folder = BUILD / "task" / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(own.folder / "redis", folder / "redis")
    (folder / "function.py").write_text(source)
    return replace(own, folder=folder, handler="function.handler")


def _functions(port: int) -> dict[str, Function]:
    content = bundle.build().content
    own = cold.ours("starts", content, port)
    found = {
        "as it is": own,
        "with all of redis-py": cold.ours("starts-whole", content, port),
        "without the collector at rest": replace(own, handler="gimel.aws_lambda.track"),
        "without bytecode": cold.ours("starts-sources", content, port),
        "with bytecode of no docstrings": cold.ours("starts-terse", content, port),
        "redis-py's client alone, one command": _handler(_CLIENT, "starts-client", own),
        "redis-py's connections alone": _handler(_CONNECTION, "starts-connection", own),
        "no redis-py, a socket": cold.socket_alone(port),
        "an empty handler": cold.empty(),
    }
    _whole(found["with all of redis-py"])
    _sources(found["without bytecode"])
    _terse(found["with bytecode of no docstrings"])
    return found


def measure(port: int) -> Lines:
    contenders: dict[str, Callable[[], float]] = {
        name: function.cpu for name, function in _functions(port).items()
    }
    harness.in_turn(contenders, 1)
    found = harness.in_turn(contenders, ROUNDS)
    rows = (
        harness.ratio_row(name, each, found["as it is"], "ms", "") for name, each in found.items()
    )
    return [(row.what, row.value, row.ratio.strip(), row.spread) for row in rows]
