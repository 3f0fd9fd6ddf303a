"""Records of the backends that `gimel local` runs: the address and the key of each port.

They are files in ~/.gimel/servers that only their user can read. The commands look up the key of a
backend on this machine there, and send it to the recorded port only.
"""

import hmac
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from gimel.backend.spool import hold
from gimel.wsgi import is_loopback


def _folder() -> Path:
    return Path.home() / ".gimel" / "servers"


@contextmanager
def recorded(url: str, key: str) -> Iterator[bool]:
    """Record the backend during the context. Yield whether no other one has the port.

    Where the home folder cannot be written to, nothing is recorded.
    """
    port = urlsplit(url).port
    try:
        _folder().mkdir(mode=0o700, parents=True, exist_ok=True)
        is_writable = os.access(_folder(), os.W_OK)
    except (OSError, RuntimeError):
        is_writable = False
    if not is_writable:
        yield True
        return
    record = _folder() / f"{port}.json"
    with hold(_folder() / f"{port}.lock") as is_alone:
        if is_alone:
            _write(record, json.dumps({"url": url, "key": key}))
        try:
            yield is_alone
        finally:
            if is_alone:
                record.unlink(missing_ok=True)


def _write(path: Path, text: str) -> None:
    """Write a file that only its owner can read. Readers see the old text or the new one."""
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def read_key(key: str) -> str:
    """Return the key with the scope read of a `gimel local`, which follows from its owner's key."""
    return hmac.new(key.encode(), b"scope read", "sha256").hexdigest()


def key_of(url: str) -> str:
    """Return the key of the backend that `gimel local` runs at the URL, or ""."""
    with suppress(OSError, RuntimeError, ValueError, KeyError, TypeError):
        address = urlsplit(url)
        record = json.loads((_folder() / f"{address.port}.json").read_text("utf-8"))
        host = address.hostname or ""
        is_recorded = is_loopback(host) or host == urlsplit(record["url"]).hostname
        if address.scheme == "http" and is_recorded:
            return str(record["key"])
    return ""
