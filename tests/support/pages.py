"""The pages of the documentation, and what is in them: sections, tables, blocks of code."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("**/*.md"), *ROOT.glob("llms.txt")])


def name_of(page: Path) -> str:
    """Return the path of a page in the repository."""
    return page.relative_to(ROOT).as_posix()


def section(page: str, title: str) -> str:
    """Return the part of a page in docs/ under a heading, down to the next one of its level."""
    text = (DOCS / page).read_text("utf-8")
    # A comment in a shell block is no heading.
    outside = re.sub(r"^```.*?^```", lambda block: " " * len(block[0]), text, flags=re.M | re.S)
    found = re.search(rf"^(#+) {re.escape(title)}\n", outside, re.M)
    assert found, f"{page} has no section {title}"
    end = re.compile(rf"^#{{1,{len(found[1])}}} ", re.M).search(outside, found.end())
    return text[found.end() : end.start() if end else len(text)]


def rows(text: str) -> list[list[str]]:
    """Return the cells of each row of the tables in a text, their headings apart."""
    lines = [line for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def names(cell: str) -> list[str]:
    """Return what stands in the spans of code of a cell."""
    return re.findall(r"`([^`]+)`", cell)


class Block(NamedTuple):
    """A fenced block of code: its page, line, language and code."""

    page: str
    line: int
    language: str
    code: str


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of code of a page."""
    text = page.read_text("utf-8")
    found = re.finditer(r"^ *```(\w*)\n(.*?)^ *```", text, re.M | re.S)
    return [
        Block(name_of(page), text.count("\n", 0, each.start()) + 1, each[1], each[2])
        for each in found
    ]
