"""The zip that Lambda runs: Gimel's runtime and redis-py. The same input makes the same bytes.

Lambda's /var/task is read-only. Without bytecode in the zip, Python compiles the sources again at
every cold start: `import redis` takes 80 ms with bytecode and 240 ms without. The bytecode is
unchecked-hash (PEP 552): it holds no timestamp, and Python loads it without reading the source.

redis-py comes from the wheel that Gimel's own wheel holds beside this module, not from the
environment. So the zip is the same beside any version that is installed
(docs/decisions/0004-redis-py-in-a-wheel.md).

The zip leaves out the parts of redis-py that Gimel does not use. One of them is `__init__.py`,
which imports all of redis.asyncio. Without it the package is a namespace package (PEP 420), and the
runtime imports submodules, as in `from redis.client import Redis`.
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

from gimel.backend.errors import GimelError
from gimel.config.stack import Runtime

_PACKAGE = Path(str(files("gimel")))

REDIS_WHEEL = _PACKAGE / "stack" / "redis-6.4.0-py3-none-any.whl"

# The parts of Gimel that ship to Lambda. pyproject.toml's contracts limit what they may import.
SHIPPED = ("__init__.py", "gimel.py", "aws_lambda.py", "backend")

# Files and folders of redis-py that stay out: the asynchronous client, Sentinel, the commands of
# server modules, and files that need packages outside the zip. redis-py reports the missing
# package before it imports ocsp.py.
_UNUSED = (
    "redis/__init__.py",
    "redis/asyncio/",
    "redis/auth/idp.py",
    "redis/auth/token_manager.py",
    *("redis/commands/bf/", "redis/commands/json/", "redis/commands/search/"),
    *("redis/commands/timeseries/", "redis/commands/vectorset/"),
    "redis/ocsp.py",
    "redis/sentinel.py",
)

_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)

_OWN_RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"


class Bundle(NamedTuple):
    """A zip, the Lambda runtime that it is built for, and whether it holds bytecode."""

    content: bytes
    runtime: Runtime
    compiled: bool

    @property
    def sha256(self) -> str:
        """The zip's SHA-256 in the form of Lambda's CodeSha256, which is base64."""
        return base64.b64encode(hashlib.sha256(self.content).digest()).decode()


def default_runtime() -> Runtime:
    """Return the runtime of this interpreter's version, or else Lambda's newest runtime."""
    runtimes: tuple[Runtime, ...] = get_args(Runtime)
    return next((runtime for runtime in runtimes if runtime == _OWN_RUNTIME), runtimes[-1])


def build(runtime: Runtime | None = None) -> Bundle:
    """Build the zip for the runtime, by default for this interpreter's.

    The same sources, Python minor version and zlib make the same bytes in any folder. If the PATH
    has no interpreter of the runtime's version, the zip holds the sources without bytecode.
    """
    return _pack(_copy_sources(), runtime)


def _pack(sources: "tempfile.TemporaryDirectory[str]", runtime: Runtime | None) -> Bundle:
    chosen = runtime or default_runtime()
    interpreter = _find_interpreter(chosen)
    with sources as name:
        tree = Path(name)
        if interpreter:
            _compile(tree, interpreter)
        return Bundle(_zip(tree), chosen, compiled=interpreter is not None)


@cache
def build_in_background(runtime: Runtime | None = None) -> Future[Bundle]:
    """Copy the sources, then start a thread that builds the zip. A process builds it once.

    The result is that of `build`, and is ready about a second later.
    """
    pool = ThreadPoolExecutor(1)
    # Copying hundreds of small files takes 20 ms here, but 400 ms in a thread beside busy threads.
    building = pool.submit(_pack, _copy_sources(), runtime)
    pool.shutdown(wait=False)
    return building


def _find_interpreter(runtime: str) -> str | None:
    """Return the path of an interpreter that compiles for the runtime, if there is one.

    A program on the PATH may be a pyenv shim, which starts the real interpreter or fails. So the
    program is asked for the interpreter's own path.
    """
    if runtime == _OWN_RUNTIME:
        return sys.executable
    found = shutil.which(runtime)
    if found is None:
        return None
    completed = subprocess.run(  # noqa: S603
        [found, "-S", "-c", "import sys; print(sys.executable)"],
        capture_output=True,
        text=True,
        check=False,
    )
    return completed.stdout.strip() if completed.returncode == 0 else None


def _copy_sources() -> "tempfile.TemporaryDirectory[str]":
    """Copy the sources for the zip into a temporary folder, which the caller removes.

    Raises GimelError if an install left out redis-py's wheel.
    """
    if not REDIS_WHEEL.exists():
        raise GimelError(f"{REDIS_WHEEL} is missing: install Gimel again, which downloads it")
    folder = tempfile.TemporaryDirectory()
    tree = Path(folder.name)
    (tree / "gimel").mkdir()
    for name in SHIPPED:
        if (_PACKAGE / name).is_dir():
            needless = shutil.ignore_patterns("__pycache__", "*.d.ts")
            shutil.copytree(_PACKAGE / name, tree / "gimel" / name, ignore=needless)
        else:
            shutil.copyfile(_PACKAGE / name, tree / "gimel" / name)
    with zipfile.ZipFile(REDIS_WHEEL) as wheel:
        names = [name for name in wheel.namelist() if name.endswith(".py")]
        wheel.extractall(tree, [name for name in names if not name.startswith(_UNUSED)])
    return folder


def _compile(tree: Path, interpreter: str) -> None:
    """Compile all sources, with the paths that the files have on Lambda.

    A separate process keeps the bytes the same. This process's state would change them: marshal
    writes an object differently if another object refers to it, and the hash seed decides the order
    of sets.
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
            entry = zipfile.ZipInfo(path.relative_to(tree).as_posix(), _ZIP_EPOCH)
            entry.create_system = 3  # Unix, so that the mode below applies
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
