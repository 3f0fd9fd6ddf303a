"""The commands in a block of shell code, as lists of words."""

import re
import shlex
from collections.abc import Iterator

_KEYWORDS = {"do", "done", "while", "then", "if", "fi", "else", "for"}
_ASSIGNMENT = re.compile(r"[A-Z_]+=")


def _lines(code: str) -> Iterator[str]:
    """Yield the lines, continued ones joined, without the contents of here-documents."""
    end = None
    for line in re.sub(r"\\\n\s*", " ", code).splitlines():
        if end is not None:
            end = None if line == end else end
            continue
        if found := re.search(r"<<'?(\w+)'?", line):
            end = found[1]
            line = line[: found.start()]
        yield line


def _words(text: str) -> list[str]:
    """Return words and operators. A quoted text may span lines."""
    lexer = shlex.shlex(text, posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    return list(lexer)


def commands(code: str) -> Iterator[list[str]]:
    """Yield the words of each command, without assignments before it and redirections after."""
    text = "\n;\n".join(_lines(code))
    # Between quotes, a line break is no end of a command.
    text = re.sub(r"'[^']*'", lambda quoted: quoted[0].replace("\n;\n", "\n"), text)
    words: list[str] = []
    is_file = False
    for word in [*_words(text), ";"]:
        if re.fullmatch(r"[<>]+&?", word):
            is_file = True
        elif is_file:
            is_file = False
        elif re.fullmatch(r"[;&|()]+", word):
            while words and (words[0] in _KEYWORDS or _ASSIGNMENT.match(words[0])):
                words = [] if words[0] == "for" else words[1:]
            if words:
                yield words
            words = []
        else:
            words.append(word)
