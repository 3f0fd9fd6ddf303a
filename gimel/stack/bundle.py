"""The zip that Lambda runs: Gimel's runtime and redis-py, the same bytes from the same input.

Lambda's /var/task is read-only, so bytecode that the zip does not hold is compiled again at every
cold start (`import redis`: 80 ms with bytecode, 240 ms without). The bytecode is unchecked-hash
(PEP 552): it bears no time and is loaded without a look at its source.

Of redis-py, the zip leaves out what Gimel has no use for. Without its `__init__`, which imports all
of redis.asyncio, the package is a namespace (PEP 420): the runtime imports the submodules that it
needs, as in `from redis.client import Redis`.
"""

import base64
import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple, get_args

import redis

from gimel.config.stack import Runtime

_PACKAGE = Path(str(files("gimel")))

# What ships to Lambda, beside redis-py. pyproject.toml's contracts hold what these may import.
SHIPPED = ("__init__.py", "gimel.py", "aws_lambda.py", "backend")

# Files and folders of redis-py: the asynchronous client, Sentinel, commands of server modules, and
# what needs packages that the zip does not hold (redis-py says so before it looks for ocsp.py).
_UNUSED = (
    "__init__.py",
    "asyncio",
    "auth/idp.py",
    "auth/token_manager.py",
    *("commands/bf", "commands/json", "commands/search", "commands/timeseries"),
    "commands/vectorset",
    "ocsp.py",
    "sentinel.py",
)

_FIRST_DAY_OF_ZIP = (1980, 1, 1, 0, 0, 0)


class Bundle(NamedTuple):
    """A zip, the Lambda runtime that it is for, and whether it holds bytecode."""

    content: bytes
    runtime: Runtime
    compiled: bool

    @property
    def sha256(self) -> str:
        """The zip's SHA-256 as Lambda says it (CodeSha256, base64)."""
        return base64.b64encode(hashlib.sha256(self.content).digest()).decode()


def default_runtime() -> Runtime:
    """The runtime of this interpreter's version, else the newest that Lambda has."""
    known: tuple[Runtime, ...] = get_args(Runtime)
    mine = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return next((runtime for runtime in known if runtime == mine), known[-1])


def build(runtime: Runtime | None = None) -> Bundle:
    """The zip for the runtime (None: this interpreter's).

    The same sources, Python (its minor version's bytecode) and zlib make the same bytes, wherever
    the sources lie. Without an interpreter of that version on the PATH, the sources go alone.
    """
    return _pack(_sources(), runtime)


def _pack(sources: "tempfile.TemporaryDirectory[str]", runtime: Runtime | None) -> Bundle:
    chosen = runtime or default_runtime()
    interpreter = _interpreter(chosen)
    with sources as name:
        tree = Path(name)
        if interpreter:
            _compile(tree, interpreter)
        return Bundle(_zip(tree), chosen, compiled=interpreter is not None)


@cache
def begin(runtime: Runtime | None = None) -> Future[Bundle]:
    """What `build` will give, a second later; until then there are other things to do.

    It is built once a process.
    """
    pool = ThreadPoolExecutor(1)
    # To copy hundreds of small files takes 20 ms here, and 400 ms beside other busy threads.
    building = pool.submit(_pack, _sources(), runtime)
    pool.shutdown(wait=False)
    return building


def _interpreter(runtime: str) -> str | None:
    """The interpreter that compiles for the runtime, if there is one.

    A name on the PATH may be a mere stand-in (pyenv's), which fails or starts what it stands for.
    """
    if runtime == f"python{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    found = shutil.which(runtime)
    if found is None:
        return None
    asked = subprocess.run(  # noqa: S603
        [found, "-S", "-c", "import sys; print(sys.executable)"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() if asked.returncode == 0 else None


def _sources() -> "tempfile.TemporaryDirectory[str]":
    """A folder with what the zip is made of, to be removed by the one who has it."""
    folder = tempfile.TemporaryDirectory()
    tree = Path(folder.name)
    (tree / "gimel").mkdir()
    for name in SHIPPED:
        if (_PACKAGE / name).is_dir():
            no_bytecode = shutil.ignore_patterns("__pycache__")
            shutil.copytree(_PACKAGE / name, tree / "gimel" / name, ignore=no_bytecode)
        else:
            shutil.copyfile(_PACKAGE / name, tree / "gimel" / name)
    installed = Path(redis.__file__).parent
    unused = {installed / name for name in _UNUSED}
    for source in installed.rglob("*.py"):
        if unused.intersection((source, *source.parents)):
            continue
        target = tree / "redis" / source.relative_to(installed)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    return folder


def _compile(tree: Path, interpreter: str) -> None:
    """Compile all, with the paths that the files have on Lambda.

    A process of its own with nothing of this one's state: marshal writes an object differently
    when something else refers to it, and the order of sets follows the hash seed.
    """
    subprocess.run(  # noqa: S603
        [
            *(interpreter, "-S", "-m", "compileall", "-q"),
            *("--invalidation-mode", "unchecked-hash", "-d", "/var/task", "."),
        ],
        cwd=tree,
        env={"PYTHONHASHSEED": "0"},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _zip(tree: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(path for path in tree.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(tree).as_posix(), _FIRST_DAY_OF_ZIP)
            entry.create_system = 3  # Unix, on which the mode means something
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
