"""Which redis-py, and how to pack it: `python -m bench --redis-versions`."""

import compileall
import io
import shutil
import statistics
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from py_compile import PycInvalidationMode

from bench import harness, peers
from bench.cold import Function, empty, ours, unpack
from bench.harness import BUILD
from bench.warm import Worker
from gimel.stack import bundle

VERSIONS = ("4.6.0", "5.2.1", "6.4.0", "7.1.0", "8.1.0")
PINNED = "6.4.0"
ROUNDS = 15
# The least that a function needs, so that versions differ and nothing else.
_HANDLER = """import os

import redis

client = redis.Redis.from_url(os.environ["GIMEL_REDIS_URL"])


def handler(event, context):
    return client.pfadd("cold", "u1")
"""


def measure(port: int) -> list[harness.Section]:
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
    """redis-py alone, sources and bytecode, compiled as `gimel.stack.bundle` does it."""
    installed = peers.packages(peers.python(f"redis-{version}", f"redis=={version}")) / "redis"
    folder = BUILD / f"only-redis-{version}"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(installed, folder / "redis", ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(folder, quiet=2, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path in sorted(folder.rglob("*.py*")):
            archive.write(path, path.relative_to(folder))
    return buffer.getvalue()


def _function(version: str, content: bytes, port: int) -> Function:
    folder = unpack(f"redis-{version}", content)
    (folder / "function.py").write_text(_HANDLER)
    url = f"redis://127.0.0.1:{port}"
    return Function(folder, "function.handler", {}, {"GIMEL_REDIS_URL": url})


def _versions(port: int) -> harness.Section:
    zips = {version: _zip_of(version) for version in VERSIONS}
    contenders: dict[str, Callable[[], float]] = {"empty": empty().milliseconds}
    with ExitStack() as stack:
        for version, content in zips.items():
            interpreter = peers.python(f"redis-{version}", f"redis=={version}")
            worker = stack.enter_context(Worker(interpreter, port, "bare"))
            contenders[f"pfadd {version}"] = worker.microseconds("bare")
            contenders[f"cold {version}"] = _function(version, content, port).milliseconds
        found = harness.in_turn(contenders, ROUNDS)
    lines: harness.Lines = [
        (
            version,
            f"{len(zips[version]) / 1000:.0f} KB",
            *_beside(found[f"cold {version}"], found[f"cold {PINNED}"], "ms"),
            *_beside(found[f"pfadd {version}"], found[f"pfadd {PINNED}"], "µs"),
        )
        for version in VERSIONS
    ]
    empty_cells = _beside(found["empty"], found[f"cold {PINNED}"], "ms")
    lines.append(("(empty handler)", "", *empty_cells, "", ""))
    head = ("redis-py", "zip of it alone", "cold start", f"to {PINNED}", "warm `pfadd`")
    return "versions", (*head, f"to {PINNED}"), lines


def _beside(own: list[float], base: list[float], unit: str) -> tuple[str, str]:
    """The median, and the median of the ratio to another."""
    ratios = [mine / other for mine, other in zip(own, base, strict=True)]
    return f"{statistics.median(own):.0f} {unit}", f"{statistics.median(ratios):.2f}×"


def _packing(port: int) -> harness.Section:
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
    first = next(iter(found.values()))
    lines: harness.Lines = [
        (name, f"{len(zipped) / 1000:.0f} KB", *_beside(found[name], first, "ms"))
        for name, zipped in zips.items()
    ]
    return "packing", ("the zip holds", "size", "cold start", "to the first"), lines


def _levels() -> harness.Section:
    content = bundle.build().content
    lines: harness.Lines = []
    for level in (1, 6, 9):
        began = time.perf_counter()
        size = len(_packed(content, keep=lambda _: True, level=level))
        took = (time.perf_counter() - began) * 1000
        lines.append((str(level), f"{size / 1000:.0f} KB", f"{took:.0f} ms"))
    return "levels", ("deflate level", "size", "time to pack"), lines
