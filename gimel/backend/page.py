"""The dashboard's page: style and scripts joined into one response, under a strict policy."""

import base64
import functools
import hashlib
from html import escape
from pathlib import Path

from gimel.backend.browser import script_path
from gimel.backend.wire import Response

# The scripts, in the order in which they are joined
_SCRIPTS = (
    "dom.js",
    "format.js",
    "plot.js",
    "api.js",
    "snippet.js",
    "download.js",
    "settings.js",
    "create.js",
    "overview.js",
    "verdict.js",
    "experiment.js",
    "main.js",
)


@functools.cache
def page(events_url: str = "e") -> Response:
    """Return the dashboard as one response. Its policy names style and script by their hashes.

    Its snippet sends events to `events_url`, which may be relative to the dashboard's address.
    """
    folder = Path(__file__).parent / "dashboard"
    html, style, *scripts = (
        (folder / name).read_text("utf-8") for name in ("index.html", "style.css", *_SCRIPTS)
    )
    script = "\n".join(['"use strict";', *scripts])
    policy = (
        f"default-src 'none'; style-src {_hash_source(style)}; script-src {_hash_source(script)}; "
        "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return {
        "statusCode": 200,
        "headers": {
            "content-type": "text/html; charset=utf-8",
            "cache-control": "no-cache",
            "content-security-policy": policy,
            "referrer-policy": "no-referrer",
            "x-content-type-options": "nosniff",
        },
        "body": html.replace("/*events_url*/", escape(events_url))
        .replace("/*script_path*/", script_path())
        .replace("/*style.css*/", style)
        .replace("/*script*/", script),
    }


def _hash_source(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"'sha256-{digest}'"
