"""Commands that the output suggests. They work as printed, in the folder where the user is."""

import os
import shlex
import shutil
import sys
from pathlib import Path

from gimel.backend.wire import DEFAULT_NAMESPACE
from gimel.terminal.text import plain


def program() -> str:
    """Return what the user types to run Gimel: its name, or its path if the shell lacks it."""
    path = Path(sys.argv[0])
    if path.parts[-2:] == ("gimel", "__main__.py"):
        return shlex.join([sys.executable, "-m", "gimel"])
    if path.stem != "gimel" or not path.exists():
        return "gimel"
    found = shutil.which("gimel")
    # `uvx` and `uv run` set UV, and put Gimel on the path of this process only.
    is_on_path = found and path.samefile(found) and "UV" not in os.environ
    return "gimel" if is_on_path else shlex.quote(str(path))


def command_line(
    *words: str,
    config_file: Path | None = None,
    namespace: str = DEFAULT_NAMESPACE,
    url: str | None = None,
) -> str:
    """Return a command that talks to the backend that this one talks to."""
    config = [] if config_file is None else ["--config", str(config_file)]
    space = [] if namespace == DEFAULT_NAMESPACE else ["--namespace", namespace]
    backend = [] if url is None else ["--url", url]
    return f"{program()} {plain(shlex.join([*config, *words, *space, *backend]))}"
