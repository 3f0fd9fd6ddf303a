"""Keys: what the bearer of a request's key may do.

The functions know the SHA-256 of each key, never a key. The environment variable GIMEL_KEY_SHA256
lists them, separated by commas, each as `scope:hash`; a hash alone has the scope `owner`. The value
`none` opens the reads without a key, for tests and benchmarks on one machine.
"""

import hashlib
import hmac
import os
from typing import Literal

from gimel.backend import wire
from gimel.backend.wire import HTTPError, ProxyEvent

# owner: everything. read: results and dashboard. send: vouches for events, and nothing else.
Scope = Literal["owner", "read", "send"]
SCOPES: tuple[Scope, ...] = ("owner", "read", "send")

_FIELD = "x-api-key"


def reads_are_open() -> bool:
    """Return whether reads need no key."""
    return os.environ.get("GIMEL_KEY_SHA256") == "none"


def scope_of(event: ProxyEvent) -> Scope | None:
    """Return the scope of the request's key, None without a key. Raises HTTPError 403 if wrong."""
    given = wire.header(event, _FIELD)
    if not given:
        return None
    if reads_are_open():
        # Only this machine reaches a backend whose reads are open.
        return "owner"
    digest = hashlib.sha256(given.encode("utf-8", "replace")).hexdigest().encode()
    for known in os.environ.get("GIMEL_KEY_SHA256", "").split(","):
        scope, _, key_hash = known.strip().rpartition(":")
        if not hmac.compare_digest(digest, key_hash.encode()):
            continue
        # A misspelled scope makes a key wrong, not an owner's.
        if found := next((each for each in SCOPES if each == (scope or "owner")), None):
            return found
    raise HTTPError(403, "the key is wrong: header x-api-key", _FIELD)


def require(event: ProxyEvent, *scopes: Scope) -> None:
    """Check that the request's key has one of the scopes. Raises HTTPError 403."""
    if reads_are_open():
        return
    scope = scope_of(event)
    if scope is None:
        raise HTTPError(403, "the key is missing: header x-api-key", _FIELD)
    if scope not in scopes:
        needed = " or ".join(scopes)
        raise HTTPError(403, f"this key has the scope {scope}, this route needs {needed}", _FIELD)
