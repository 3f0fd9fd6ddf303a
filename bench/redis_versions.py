"""Which redis-py, and how to pack it: `python -m bench --redis-versions`."""

import io
import statistics
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import harness, peers
from bench.cold import Function, empty, ours, unpack
from bench.warm import Worker
from gimel import bundle

VERSIONS = ("5.2.1", "6.4.0", "7.1.0", "8.1.0")
ROUNDS = 15
# The least that a function needs, so that versions differ and nothing else.
_HANDLER = """import os

import redis

client = redis.Redis.from_url(os.environ["GIMEL_REDIS_URL"])


def handler(event, context):
    return client.pfadd("cold", "u1")
"""

Section = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def measure(port: int) -> list[Section]:
    return [_versions(port), _packing(port), _levels()]


def _packed(content: bytes, *, keep: Callable[[str], bool], level: int = 9) -> bytes:
    """The zip again with some of its files, and the bytecode in the sources' place without them."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as new,
    ):
        sourceless = not keep("x.py")
        for name in filter(keep, old.namelist()):
            target = name
            if sourceless and name.endswith(".pyc"):
                path = Path(name)
                target = str(path.parent.parent / f"{path.name.partition('.')[0]}.pyc")
            new.writestr(target, old.read(name))
    return buffer.getvalue()


def _zip_of(version: str) -> bytes:
    """redis-py alone, sources and bytecode."""
    package = peers.packages(peers.python(f"redis-{version}", f"redis=={version}")) / "redis"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(package.rglob("*.py*")):
            archive.write(path, path.relative_to(package.parent))
    return buffer.getvalue()


def _function(version: str, content: bytes, port: int) -> Function:
    folder = unpack(f"redis-{version}", content)
    (folder / "function.py").write_text(_HANDLER)
    url = f"redis://127.0.0.1:{port}"
    return Function(folder, "function.handler", {}, {"GIMEL_REDIS_URL": url})


def _versions(port: int) -> Section:
    zips = {version: _zip_of(version) for version in VERSIONS}
    contenders: dict[str, Callable[[], float]] = {"empty": empty().milliseconds}
    with ExitStack() as stack:
        for version, content in zips.items():
            interpreter = peers.python(f"redis-{version}", f"redis=={version}")
            worker = stack.enter_context(Worker(interpreter, port, "bare"))
            contenders[f"pfadd {version}"] = worker.microseconds("bare")
            contenders[f"cold {version}"] = _function(version, content, port).milliseconds
        found = harness.in_turn(contenders, ROUNDS)
    middle = {name: statistics.median(figures) for name, figures in found.items()}
    lines = [
        (
            version,
            f"{len(zips[version]) / 1000:.0f} KB",
            f"{middle[f'cold {version}']:.0f} ms",
            f"{middle[f'pfadd {version}']:.0f} µs",
        )
        for version in VERSIONS
    ]
    lines.append(("(empty handler)", "", f"{middle['empty']:.0f} ms", ""))
    return "versions", ("redis-py", "zip of it alone", "cold start", "warm `pfadd`"), lines


def _packing(port: int) -> Section:
    content = bundle.build().content
    zips = {
        "sources and bytecode": content,
        "bytecode only": _packed(content, keep=lambda name: not name.endswith(".py")),
        "sources only": _packed(content, keep=lambda name: not name.endswith(".pyc")),
    }
    contenders: dict[str, Callable[[], float]] = {
        name: ours(f"packed-{number}", zipped, port).milliseconds
        for number, (name, zipped) in enumerate(zips.items())
    }
    found = harness.in_turn(contenders, ROUNDS)
    lines = [
        (name, f"{len(zipped) / 1000:.0f} KB", f"{statistics.median(found[name]):.0f} ms")
        for name, zipped in zips.items()
    ]
    return "packing", ("the zip holds", "size", "cold start"), lines


def _levels() -> Section:
    content = bundle.build().content
    lines = []
    for level in (1, 6, 9):
        began = time.perf_counter()
        size = len(_packed(content, keep=lambda _: True, level=level))
        took = (time.perf_counter() - began) * 1000
        lines.append((str(level), f"{size / 1000:.0f} KB", f"{took:.0f} ms"))
    return "levels", ("deflate level", "size", "time to pack"), lines
