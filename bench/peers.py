"""The programs to compare with: environments with packages from PyPI, made once in build/bench."""

import io
import json
import platform
import zipfile
from importlib.metadata import version
from pathlib import Path

from bench.harness import BUILD
from tests.support.environments import gimel_1, packages, pip, python

_RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")


def runtime() -> Path:
    """The interpreter that runs a function as Lambda does."""
    return python("awslambdaric", *_RUNTIME)


def runtime_with_setuptools() -> Path:
    """The same with setuptools beside it, as Python 3.11 is installed by default.

    There setuptools answers `import distutils`, which gimel 1.5.0's redis-py does: 0.1 s and more.
    """
    return python("awslambdaric-setuptools", *_RUNTIME, "setuptools==65.5.0")


def emulator() -> Path:
    """AWS's Runtime Interface Emulator, a program inside the wheel of aws-sam-cli."""
    arch = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
    program = BUILD / f"aws-lambda-rie-{arch}"
    if not program.exists():
        folder = BUILD / "wheels"
        pip("download", "--no-deps", "--dest", folder, "aws-sam-cli")
        with zipfile.ZipFile(next(folder.glob("aws_sam_cli-*.whl"))) as wheel:
            program.write_bytes(wheel.read(f"samcli/local/rapid/aws-lambda-rie-{arch}"))
        program.chmod(0o755)
    return program


def hiredis() -> Path:
    """redis-py of the version that Gimel has, with the parser in C that it takes if it is there."""
    return python("hiredis", f"redis=={version('redis')}", "hiredis")


def gimel_1_zip(port: int) -> bytes:
    """gimel 1.5.0's zip, laid out as its `deploy.prepare_zip` lays it out, redis-py vendored."""
    package = packages(gimel_1()) / "gimel"
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        settings = {"redis": {"host": "127.0.0.1", "port": port}}
        archive.writestr("config.json", json.dumps(settings))
        for name in ("config.py", "gimel.py", "logger.py"):
            archive.write(package / name, name)
        for path in sorted((package / "vendor").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(package))
    return buffer.getvalue()
