"""The browser client. `gimel.mjs` is its source. Pages get `gimel.js`, which is made from it."""

import functools
import hashlib
from pathlib import Path

from gimel.backend.wire import Response

_YEAR, _FIVE_MINUTES = "public, max-age=31536000, immutable", "public, max-age=300"


@functools.cache
def read_script() -> str:
    """Return the plain script."""
    return (Path(__file__).parent / "gimel.js").read_text("utf-8")


@functools.cache
def script_path() -> str:
    """Return the path and query of the script. The hash changes with the script."""
    return f"gimel.js?v={hashlib.sha256(read_script().encode()).hexdigest()[:12]}"


def script_response(query: str) -> Response:
    """Return the script. If the query holds its hash, browsers keep it for a year."""
    return {
        "statusCode": 200,
        "headers": {
            "content-type": "text/javascript; charset=utf-8",
            "cache-control": _YEAR if script_path() == f"gimel.js?{query}" else _FIVE_MINUTES,
            "access-control-allow-origin": "*",
            "cross-origin-resource-policy": "cross-origin",
            "x-content-type-options": "nosniff",
        },
        "body": read_script(),
    }
