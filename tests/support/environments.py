"""Python environments with packages from PyPI, made once under build/bench."""

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

BUILD = Path(__file__).parents[2] / "build" / "bench"


def pip(*arguments: str | Path) -> None:
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
        pip("--python", interpreter, "install", "--no-deps", *requirements)
        done.touch()
    return interpreter


def packages(interpreter: Path) -> Path:
    """The folder of packages of an environment."""
    return next(interpreter.parent.parent.glob("lib/python3*/site-packages"))


def gimel_1() -> Path:
    return python("gimel-1.5.0", "gimel==1.5.0", "redis<4")


def gimel_1_deploy() -> Path:
    """The same with what its deploy needs: boto3 as the project has it, and pkg_resources."""
    names = ("boto3", "botocore", "s3transfer", "urllib3", "python-dateutil", "six", "jmespath")
    same = [f"{name}=={version(name)}" for name in (*names, "click")]
    return python("gimel-1.5.0-deploy", "gimel==1.5.0", "redis<4", "setuptools==65.5.0", *same)


def lamed() -> Path:
    return python("lamed-0.4.3", "lamed==0.4.3", "redis<4")
