"""What is measured against: environments and programs from PyPI, made once under build/bench."""

import io
import json
import platform
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build" / "bench"


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)


def python(name: str, *requirements: str) -> Path:
    """The interpreter of the environment `name`, which holds just these, without dependencies."""
    home = BUILD / "peers" / name
    interpreter = home / "bin" / "python"
    done = home / "installed"
    if not done.exists():
        print(f"making an environment: {', '.join(requirements)}", file=sys.stderr)
        shutil.rmtree(home, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
        _pip("--python", interpreter, "install", "--no-deps", *requirements)
        done.touch()
    return interpreter


def packages(interpreter: Path) -> Path:
    """The folder of packages of an environment."""
    return next(interpreter.parent.parent.glob("lib/python3*/site-packages"))


_RUNTIME = ("awslambdaric", "simplejson", "snapshot-restore-py")


def runtime() -> Path:
    """The interpreter that runs a function as Lambda does."""
    return python("awslambdaric", *_RUNTIME)


def runtime_with_setuptools() -> Path:
    """The same with setuptools beside it, as Python 3.11 is installed by default.

    There setuptools answers `import distutils`, which gimel 1.5.0's redis-py does: 0.1 s and more.
    """
    return python("awslambdaric-setuptools", *_RUNTIME, "setuptools==65.5.0")


def gimel_1() -> Path:
    return python("gimel-1.5.0", "gimel==1.5.0", "redis<4")


def gimel_1_deploy() -> Path:
    """The same with what its deploy needs: boto3 as the project has it, and pkg_resources."""
    names = ("boto3", "botocore", "s3transfer", "urllib3", "python-dateutil", "six", "jmespath")
    same = [f"{name}=={version(name)}" for name in (*names, "click")]
    return python("gimel-1.5.0-deploy", "gimel==1.5.0", "redis<4", "setuptools==65.5.0", *same)


def lamed() -> Path:
    return python("lamed-0.4.3", "lamed==0.4.3", "redis<4")


def emulator() -> Path:
    """AWS's Runtime Interface Emulator, a program inside the wheel of aws-sam-cli."""
    arch = {"aarch64": "arm64", "arm64": "arm64"}.get(platform.machine(), "x86_64")
    program = BUILD / f"aws-lambda-rie-{arch}"
    if not program.exists():
        folder = BUILD / "wheels"
        _pip("download", "--no-deps", "--dest", folder, "aws-sam-cli")
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
