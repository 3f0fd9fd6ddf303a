"""What the HTML to paste into a page has in common: its strings, its attributes, its names."""

import json
import re
from collections.abc import Collection

from gimel.backend.wire import MAX_NAME

# The letters and digits that both `Element.setAttribute` and a CSS selector take. JavaScript
# replaces each half of a character above U+FFFF, which makes one "-" of them as well.
_NOT_IN_ATTRIBUTES = re.compile("[^a-z0-9\xdf-\xf6\xf8-\u037d\u037f-\u1fff\u3001-\ud7ff]+")


def script_string(text: str) -> str:
    """Return the text as a JavaScript string that is safe inside an HTML script element."""
    quoted = json.dumps(text)
    for character in "<>&":
        quoted = quoted.replace(character, f"\\u{ord(character):04x}")
    return quoted


def attribute_name(experiment: str) -> str:
    """Return the attribute of `<html>` that holds the visitor's variant of the experiment."""
    return f"data-gimel-{_NOT_IN_ATTRIBUTES.sub('-', experiment.lower())}"


def check_names(url: str, names: Collection[str], variants: Collection[str]) -> None:
    """Raise ValueError if no backend has this address, or no experiment can have these names."""
    if not url.startswith(("https://", "http://")) and url:
        raise ValueError("the address of the backend must start with https:// or http://")
    if not all(name.strip() and len(name) <= MAX_NAME for name in names):
        raise ValueError(f"a name must have 1 to {MAX_NAME} characters")
    if len(set(variants)) < max(2, len(variants)):
        raise ValueError("an experiment needs at least two variants with different names")
    if "__proto__" in variants:
        raise ValueError("a variant cannot have the name __proto__: JavaScript reserves it")
