"""Tables of the documents that are written from the code, and so always agree with it.

With GIMEL_WRITE_DOCS=1, a test that compares such a page writes it instead.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def with_tables(text: str, tables: Mapping[str, str]) -> str:
    """Return a page whose tables below these headings are new ones. An empty one leaves no table.

    The paragraphs between a heading and its table stay.
    """
    for heading, rows in tables.items():
        start = re.search(rf"^#+ {re.escape(heading)}\n", text, re.M)
        assert start, f"the page has no heading {heading}"
        following = re.compile(r"^#", re.M).search(text, start.end())
        end = following.start() if following else len(text)
        below = re.sub(r"(^\|.*\n)+\n?", "", text[start.end() : end], flags=re.M).strip("\n")
        parts = [part for part in (below, rows.strip("\n")) if part]
        text = "\n\n".join([text[: start.end() - 1], *parts, text[end:]])
    return text.rstrip("\n") + "\n"


def compare(page: Path, written: str) -> None:
    """Compare a page with what it should be, or write it."""
    if "GIMEL_WRITE_DOCS" in os.environ:
        page.write_text(written, "utf-8")
    assert page.read_text("utf-8") == written, (
        f"{page.name} is out of date: run the test with GIMEL_WRITE_DOCS=1"
    )
