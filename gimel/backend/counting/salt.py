"""The secret hash: what is added to a counter, and where, cannot be guessed or read back.

Redis hashes the elements of a HyperLogLog with a fixed, public seed: 16,384 crafted uuids made
2,500 visitors count as 3 trillion. So every experiment begun with this version has a random salt,
and visitors and events are hashed with BLAKE2b keyed by it (RFC 7693) before they reach Redis.
Nobody without the salt can choose a shard or a register, and no uuid or visitor can be read from
Redis. Experiments without a salt (of gimel 1.x, lamed and earlier versions) go on as they began.
"""

import os
from hashlib import blake2b

# Bytes
_SALT = 16
_DIGEST = 16


def new_salt() -> str:
    """Return a random salt, as it stands in an experiment's settings."""
    return os.urandom(_SALT).hex()


def beginning(salt: bytes | None, created_at: bytes | None) -> str:
    """Return what tells an experiment from others that had its name before.

    The salt does, because a server of a cluster that loses the settings gets the salt back, but
    not the time.
    """
    return blake2b(salt, digest_size=8).hexdigest() if salt else (created_at or b"").decode()


def digest(text: str, salt: bytes) -> bytes:
    """Return the 16 bytes that stand for a visitor or an event in an experiment with this salt."""
    return blake2b(text.encode(), digest_size=_DIGEST, key=salt).digest()
