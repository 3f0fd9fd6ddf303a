"""A command in a terminal of some width: what it writes, and what the terminal shows at the end."""

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from dataclasses import dataclass

_PART = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|(.)", re.S)


@dataclass(frozen=True)
class Session:
    """A command that ended: its exit code, and all that it wrote to the terminal."""

    code: int
    written: str
    columns: int

    @property
    def lines(self) -> list[str]:
        """The lines that the terminal shows, with those that scrolled away."""
        screen = [""]
        row = column = 0
        for part in _PART.finditer(self.written):
            number, command, character = part.groups()
            if command == "A":
                row = max(0, row - int(number or 1))
            elif command == "K":
                screen[row] = ""
            elif character == "\r":
                column = 0
            elif character == "\n" or (character and column == self.columns):
                row, column = row + 1, 0
                screen += [""] * (row + 1 - len(screen))
            if character and character not in "\r\n":
                screen[row] = screen[row].ljust(column)
                screen[row] = screen[row][:column] + character + screen[row][column + 1 :]
                column += 1
        return [line.rstrip() for line in screen]


def run_in_terminal(
    *arguments: str,
    columns: int = 80,
    answers: Sequence[tuple[str, str]] = (),
    env: dict[str, str] | None = None,
    program: Sequence[str] = ("-m", "gimel"),
    executable: str = sys.executable,
) -> Session:
    """Run `gimel`, or another program, in a terminal.

    Each answer is typed as soon as its question has been written.
    """
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    process = subprocess.Popen(
        [executable, *program, *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
        env=os.environ | {"TERM": "xterm"} | (env or {}),
    )
    os.close(its)
    written, left = b"", list(answers)
    # Linux reports the end of the last process on the other side as an error.
    with contextlib.suppress(OSError), os.fdopen(ours, "r+b", buffering=0) as terminal:
        while some := terminal.read(65536):
            written += some
            if left and written.decode(errors="replace").endswith(left[0][0]):
                terminal.write(left.pop(0)[1].encode() + b"\n")
    assert not left, written.decode()
    return Session(process.wait(60), written.decode(), columns)
