"""The registers of a HyperLogLog, read from the string that Redis or Valkey keeps.

The layout is the same in Redis 6.2, 7.0 and Valkey 9: 4 bytes HYLL, a byte for the encoding, 11
bytes that carry no register, and then 16,384 registers of 6 bits (dense) or run lengths (sparse).
https://github.com/valkey-io/valkey/blob/unstable/src/hyperloglog.c describes it.
"""

import base64
import string

_REGISTERS = 16_384
_HEADER = 16
_DENSE = _REGISTERS * 6 // 8
# In each 12 bits: the lower register, and the bit above it
_LOWER = int.from_bytes(b"\x3f\xf0\x03" * (_DENSE // 3), "little")
_ABOVE = int.from_bytes(b"\x40\x00\x04" * (_DENSE // 3), "little")

# From a register's value to its character in base64
_BASE64 = f"{string.ascii_uppercase}{string.ascii_lowercase}{string.digits}+/".encode().ljust(256)


def registers_of(value: bytes) -> int:
    """Return all registers as one number, the first in its lowest 6 bits. Raises ValueError."""
    body = value[_HEADER:]
    if value[:5] == b"HYLL\0" and len(body) == _DENSE:
        return int.from_bytes(body, "little")
    if value[:5] == b"HYLL\1":
        return _of_sparse(body)
    raise ValueError("it is not a HyperLogLog")


def _of_sparse(body: bytes) -> int:
    """Return the registers of runs: 00nnnnnn and 01nnnnnn nnnnnnnn are zeros, 1vvvvvnn values."""
    registers, at, runs = bytearray(_REGISTERS), 0, iter(body)
    for run in runs:
        if run & 0x80:
            length = (run & 0x03) + 1
            registers[at : at + length] = bytes([(run >> 2 & 0x1F) + 1]) * length
        elif run & 0x40:
            length = ((run & 0x3F) << 8 | next(runs, 0)) + 1
        else:
            length = (run & 0x3F) + 1
        at += length
    if at != _REGISTERS or len(registers) != _REGISTERS:
        raise ValueError("it is a damaged HyperLogLog")
    # base64 packs 6 bits a character, the first one highest.
    packed = base64.b64decode(registers[::-1].translate(_BASE64))
    return int.from_bytes(packed, "big")


def is_covered(value: bytes, here: bytes) -> bool:
    """Return whether each register here is at least as high as the value's. Raises ValueError."""
    # Nearly all are equal while a move is repeated. The headers differ by a remembered count.
    same = value[_HEADER:] == here[_HEADER:] and value[4:5] == here[4:5]
    return same or covers(registers_of(here), registers_of(value))


def covers(here: int, other: int) -> bool:
    """Return whether each register here is at least as high as the other's."""
    for shift in (0, 6):
        # The bit above a register stays where nothing has to be borrowed from it.
        left = (here >> shift & _LOWER | _ABOVE) - (other >> shift & _LOWER)
        if left & _ABOVE != _ABOVE:
            return False
    return True
