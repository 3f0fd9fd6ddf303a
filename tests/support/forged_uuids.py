"""Uuids that forge a HyperLogLog: Redis hashes its elements with a public, invertible function.

That function is MurmurHash64A with the seed 0xadc83b19. For a text of 8 bytes every step of it can
be undone, so a text can be computed for any hash. Here: for each of the 16,384
registers a hash that fills it to 21 or more, whose text happens to be printable ASCII.
"""

import numpy as np

_SEED = 0xADC83B19
_M = 0xC6A4A7935BD1E995
_INVERSE = pow(_M, -1, 1 << 64)
_SHIFT = np.uint64(47)
_REGISTERS = 1 << 14
# zero bits above a register's index: the register gets their number plus one
_ZEROS = 20


def _texts(hashes: "np.ndarray") -> "np.ndarray":
    """The texts, as 64-bit integers, that Redis hashes to these."""
    inverse = np.uint64(_INVERSE)
    with np.errstate(over="ignore"):
        h = hashes ^ (hashes >> _SHIFT)
        h *= inverse
        h ^= h >> _SHIFT
        h *= inverse
        h ^= np.uint64((_SEED ^ (8 * _M)) & (1 << 64) - 1)
        h *= inverse
        h ^= h >> _SHIFT
        h *= inverse
    return h


def forged_uuids() -> list[str]:
    """One uuid for each register."""
    chance = np.random.default_rng(5)
    found: dict[int, str] = {}
    while len(found) < _REGISTERS:
        left = np.array(sorted(set(range(_REGISTERS)) - found.keys()), dtype=np.uint64)
        indices = np.resize(left, 1 << 20)
        high = chance.integers(0, 1 << (50 - _ZEROS), indices.size, dtype=np.uint64)
        texts = _texts(indices | high << np.uint64(14 + _ZEROS))
        data = texts.view(np.uint8).reshape(-1, 8)
        printable = ((data > 0x20) & (data < 0x7F)).all(axis=1)
        for index, text in zip(indices[printable], data[printable], strict=True):
            found[int(index)] = text.tobytes().decode()
    return list(found.values())
