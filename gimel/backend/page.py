"""The dashboard's page: style and modules joined into one response, under a strict policy."""

import base64
import functools
import hashlib
import re
from html import escape
from pathlib import Path

from gimel.backend.browser import script_path
from gimel.backend.wire import Response

_FOLDER = Path(__file__).parent / "dashboard"
# The modules import each other in this form only. A test checks that.
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./(\w+)\.mjs";\n', re.M)
# What a browser does not need: the word `export`, comments, and indentation outside of templates
_NEEDLESS = re.compile(r"^(?:export | *//.*\n| */\*\*(?s:.*?)\*/\n|\n)|/\*\* @type .*?\*/ ?", re.M)
_INDENTATION = re.compile(r"(`[^`]*`)|\n +")
# Line breaks at which no statement can end. A comment stands on a line of its own.
_BREAKS = re.compile(r"(?<=[{(,\[])\n|\n(?=[)}\].?:&|])")
# In a style sheet: comments, and the spaces around punctuation
_SPACES = re.compile(r"/\*.*?\*/|\s*([{};,])\s*|(?<=[\w-]:) ")


@functools.cache
def page(events_url: str = "e") -> Response:
    """Return the dashboard as one response. Its policy names style and script by their hashes.

    Its snippet sends events to `events_url`, which may be relative to the dashboard's address.
    """
    html = (_FOLDER / "index.html").read_text("utf-8")
    style = _SPACES.sub(r"\1", (_FOLDER / "style.css").read_text("utf-8"))
    script = "\n".join(['"use strict";', *_modules("main", {}).values()])
    policy = (
        f"default-src 'none'; style-src {_hash_source(style)}; script-src {_hash_source(script)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    body = (
        html.replace("/*events_url*/", escape(events_url))
        .replace("/*script_path*/", script_path())
        .replace("/*style.css*/", style)
        .replace("/*script*/", script)
    )
    return {
        "statusCode": 200,
        "headers": {
            # A weak one, because the page travels with and without compression.
            "etag": f'W/"{hashlib.sha256(body.encode()).hexdigest()[:32]}"',
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-cache",
            "content-security-policy": policy,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        },
        "body": body,
    }


def _modules(name: str, loaded: dict[str, str]) -> dict[str, str]:
    """Add a module to those that are loaded, after the modules that it imports.

    All modules share one scope in the page, so they need neither `import` nor `export` there.
    """
    text = (_FOLDER / f"{name}.mjs").read_text("utf-8")
    for imported in _IMPORT.findall(text):
        if imported not in loaded:
            _modules(imported, loaded)
    text = _NEEDLESS.sub("", _IMPORT.sub("", text))
    loaded[name] = _BREAKS.sub("", _INDENTATION.sub(lambda found: found[1] or "\n", text))
    return loaded


def _hash_source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
