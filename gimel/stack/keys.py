"""The keys of a stack: their scopes, and the hashes of them that the functions accept.

The main key has the scope owner and a parameter of its own. Gimel's commands use it, and it is
replaced, never revoked. Each other key is a parameter whose name holds the scope and the id of the
key: `gimel key create` adds such a parameter, `gimel key revoke` deletes it.
"""

import hashlib
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass, field

from gimel.backend.access import SCOPES, Scope

# The id of the main key. All other ids are random.
MAIN = "main"
# The tag of a key's parameter that holds the key's name.
NAME_TAG = "gimel:key-name"


@dataclass(frozen=True)
class Key:
    """A key of the stack. The name is a text for people: Gimel only shows it."""

    id: str
    scope: Scope
    value: str = field(repr=False)
    name: str = ""

    @property
    def entry(self) -> str:
        """The form in which the functions accept the key: its scope and its hash."""
        return f"{self.scope}:{_sha256(self.value)}"


def new_value() -> str:
    """Return a random key."""
    return secrets.token_urlsafe(32)


def new_key(scope: Scope, name: str = "") -> Key:
    """Return a key with a random id and a random value."""
    return Key(secrets.token_hex(4), scope, new_value(), name)


def parameter_of(path: str, key: Key) -> str:
    """Return the name of the parameter that holds the key, under the path of the stack's keys."""
    return f"{path}/{key.scope}/{key.id}"


def key_in(path: str, parameter: str, value: str) -> Key | None:
    """Return the key that a parameter holds, or None if the parameter is not named as a key's."""
    found = re.fullmatch(rf"{re.escape(path)}/(\w+)/([0-9a-f]{{8}})", parameter)
    scope = next((each for each in SCOPES if found and each == found[1]), None)
    return Key(found[2], scope, value) if found and scope else None


def accepted_hashes(main: str, others: Collection[Key]) -> str:
    """Return what the functions receive instead of the keys (see `gimel.backend.access`)."""
    return ",".join([_sha256(main), *sorted({key.entry for key in others})])


def entries(hashes: str) -> frozenset[str]:
    """Split what the functions received into `scope:hash`. A hash alone has the scope owner."""
    return frozenset(
        entry if ":" in entry else f"owner:{entry}" for entry in hashes.split(",") if entry
    )


def _sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
