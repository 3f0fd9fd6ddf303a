"""A page of the documents, run from its top to its end as it is printed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.pages import ROOT

SECONDS = 300
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


class Shell:
    """Runs a page's commands in a folder, which is the user's home too.

    `replaced` maps what a page says to what a test needs, such as a free port.
    """

    def __init__(self, folder: Path, replaced: Mapping[str, str], **variables: str) -> None:
        self.folder = folder
        self._replaced = replaced
        programs = folder / "bin"
        programs.mkdir(exist_ok=True)
        (programs / "gimel").symlink_to(Path(sys.executable).with_name("gimel"))
        self.environ = {
            **{name: value for name, value in os.environ.items() if name != "GIMEL_CONFIG"},
            **{"PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
            **{"COLUMNS": "80", "HOME": str(folder), "BROWSER": shutil.which("echo") or "echo"},
            **variables,
        }

    def replace(self, code: str) -> str:
        for old, new in self._replaced.items():
            code = code.replace(old, new)
        return code

    def run(self, code: str, answers: str = "", codes: tuple[int, ...] = (0,)) -> str:
        """Run the commands and return their output. The exit code must be one of `codes`."""
        done = subprocess.run(
            ["bash", "-e", "-c", self.replace(code)],
            cwd=self.folder,
            env=self.environ,
            input=answers,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode in codes, f"{code}{done.stdout}{done.stderr}"
        return done.stdout


def assert_shown(shown: str, printed: str) -> None:
    """Compare the lines that a page shows with those that were printed.

    A line … stands for any lines, and … in a word for any characters. Numbers may differ by a
    tenth, since counting is approximate, and dates may be any.
    """
    rest = printed.splitlines()
    is_next = True
    for line in shown.splitlines():
        if line == "…":
            is_next = False
            continue
        candidates = rest[:1] if is_next else rest
        place = next((n for n, each in enumerate(candidates) if _is_alike(line, each)), None)
        assert place is not None, f"the page shows {line!r}, but this was printed:\n{printed}"
        rest = rest[place + 1 :]
        is_next = True


def _is_alike(shown: str, printed: str) -> bool:
    theirs, ours = (re.sub(r"[─│●]+", "│", _DATE.sub("DATE", each)) for each in (shown, printed))
    pattern = re.escape(_NUMBER.sub("#", theirs)).replace("…", ".*").replace(r"\#", "#")
    pattern = re.sub(r"(?:\\ )+", " +", pattern.strip("\\ "))
    if not re.fullmatch(pattern, _NUMBER.sub("#", ours).strip()):
        return False
    if "…" in theirs:
        return True
    pairs = zip(_NUMBER.findall(theirs), _NUMBER.findall(ours), strict=True)
    return all(_is_near(*(float(each.replace(",", "")) for each in pair)) for pair in pairs)


def _is_near(shown: float, printed: float) -> bool:
    return abs(shown - printed) <= 0.1 * abs(shown)
