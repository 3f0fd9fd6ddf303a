"""The HTML to paste into a page: the browser client with the settings of one experiment."""

import json
import re
from collections.abc import Collection, Mapping
from html import escape
from importlib.resources import files

from gimel.backend.browser import read_script, script_path
from gimel.backend.wire import DEFAULT_NAMESPACE, MAX_NAME, is_amount

_USAGE = """\
<!-- CSS finds the variant in an attribute: html[{attribute}="{variant}"]{goals} -->
"""
_USAGE_OF_GOALS = """
     A click on an element counts as a goal, and so does the submission of a form, with
     {}"""
# The module in one file: what it imports stands before it.
_MODULE = ("assignment.mjs", "gimel.mjs")

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


def check_weights(weights: Collection[float | None]) -> None:
    """Raise ValueError if no experiment can have these weights. None is the weight 1."""
    numbers = [1 if weight is None else weight for weight in weights]
    if not all(map(is_amount, numbers)) or not any(numbers):
        raise ValueError("weights must be finite numbers, 0 or more, and one of them above 0")


def snippet(
    url: str,
    *,
    script_url: str | None = None,
    namespace: str = DEFAULT_NAMESPACE,
    experiment: str = "my experiment",
    variants: Mapping[str, float | None] | None = None,
    traffic: float = 1.0,
    goals: Collection[str] = ("signup",),
    event_path: str = "e",
) -> str:
    """Return the HTML for one experiment. `url` is the address for events, without a route.

    The script is in the HTML, or loaded from the backend at `script_url`. Variants have a weight
    each, or none. The first one is the baseline. Raises ValueError if an experiment cannot have
    these names, weights and traffic.
    """
    variants = dict.fromkeys("AB") if variants is None else variants
    check_names(url, [experiment, namespace, *variants, *goals], variants)
    check_weights(variants.values())
    if not 0 <= traffic <= 1:
        raise ValueError("traffic must be from 0 to 1: 0.1 is a tenth of the visitors")
    attributes = {
        "src": f"{script_url}/{script_path()}" if script_url else None,
        # By default, events go to where the script comes from.
        "data-url": f"{url}/{event_path}" if (script_url, "e") != (url, event_path) else None,
        "data-namespace": namespace if namespace != DEFAULT_NAMESPACE else None,
        "data-experiment": experiment,
        "data-variants": _weights(variants),
        "data-traffic": str(traffic) if traffic != 1 else None,
    }
    of_goals = ", ".join(f'data-gimel-goal="{_escaped(goal)}"' for goal in goals)
    usage = _USAGE.format(
        attribute=attribute_name(experiment),
        variant=_escaped([*variants][-1]),
        goals=_USAGE_OF_GOALS.format(of_goals) if goals else "",
    )
    given = (f"{name}={_quoted(value)}" for name, value in attributes.items() if value is not None)
    code = "" if script_url else read_script()
    return f"{usage}<script {' '.join(given)}>{code}</script>\n"


def _weights(variants: Mapping[str, float | None]) -> str:
    """Return the variants as JSON: a list, or an object with the weights."""
    is_weighted = any(weight is not None for weight in variants.values())
    weights = {name: 1 if weight is None else weight for name, weight in variants.items()}
    return json.dumps(weights if is_weighted else list(variants), separators=(",", ":"))


def _escaped(text: str) -> str:
    """Return the text for HTML of any encoding, to stand in quotation marks or in a comment."""
    return escape(text).encode("ascii", "xmlcharrefreplace").decode()


def _quoted(text: str) -> str:
    """Return the text as an attribute's value. JSON stands in single marks, so it is readable."""
    if '"' not in text:
        return f'"{_escaped(text)}"'
    return f"'{_escaped(text).replace('&quot;', chr(34))}'"


def module(url: str, *, namespace: str = DEFAULT_NAMESPACE, event_path: str = "e") -> str:
    """Return the browser client as one file, an ES module. `url` is the address for events."""
    check_names(url, [namespace], "AB")
    folder = files("gimel.backend.browser")
    assignment, client = ((folder / name).read_text("utf-8") for name in _MODULE)
    settings = {"url": f"{url}/{event_path}", "namespace": namespace}
    return "\n".join(
        [
            assignment,
            re.sub(r"^import .*\n", "", client, flags=re.M),
            *(f"gimel.{name} = {script_string(value)};" for name, value in settings.items()),
            "",
        ]
    )
