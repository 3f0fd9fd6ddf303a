"""docs/troubleshooting.md quotes messages as the product has them, and knows every reason."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from gimel.backend.counting import admission
from gimel.backend.counting.admission import Ignored

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
MESSAGES = re.findall(r"^> (.+)$", PAGE, re.M)


def python_texts(source: str) -> Iterator[str]:
    """Yield each string of a module, with … in place of each field."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{[\w.\[\]]+\}", "…", node.value)
        elif isinstance(node, ast.JoinedStr):
            parts = (each.value if isinstance(each, ast.Constant) else "…" for each in node.values)
            yield "".join(map(str, parts))


def product_texts() -> Iterator[str]:
    for path in (ROOT / "gimel").glob("**/*.py"):
        yield from python_texts(path.read_text("utf-8"))
    for path in (ROOT / "gimel").glob("**/*.mjs"):
        yield path.read_text("utf-8")


TEXTS = list(product_texts())


def is_said(message: str) -> bool:
    return any(message in text or message.removesuffix("…") in text for text in TEXTS)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_quoted_message_is_one_of_the_product(message: str) -> None:
    assert is_said(message)


def test_a_message_that_nothing_prints_is_seen() -> None:
    assert len(MESSAGES) > 40
    assert not is_said("the key is wrong: header x-api-keys")


def test_every_reason_for_ignoring_an_event_has_a_cure() -> None:
    table = re.search(r"^\| reason \| what to do \|\n(.*?)\n\n", PAGE, re.M | re.S)
    assert table
    cells = [row.split(" | ")[0] for row in table[1].splitlines()[1:]]
    reasons = {each for each in vars(admission).values() if isinstance(each, Ignored)}
    assert set(re.findall(r"`([^`]+)`", " ".join(cells))) == reasons
