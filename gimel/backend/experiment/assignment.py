"""The assignment of visitors to variants: a published hash, computed alike wherever it is needed.

`gimel/backend/browser/assignment.mjs` computes the same in a page or in Node.
docs/assignment-vectors.json holds examples that both must reproduce.

Two numbers from 0 to 1 follow from a visitor and an experiment. The one with the seed 1 decides
whether the visitor takes part. The one with the seed 0 decides which variant the visitor is shown.
So a visitor who takes part keeps the variant when `traffic` is raised.
"""

from collections.abc import Mapping

_MASK = 0xFFFFFFFF
_VARIANT_SEED, _TRAFFIC_SEED = 0, 1


def murmur3(data: bytes, seed: int) -> int:
    """Return the MurmurHash3 of the data: the x86 variant of 32 bits.

    Source: Austin Appleby, https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp
    """
    result = seed
    whole = len(data) & ~3
    for start in range(0, whole, 4):
        result ^= _scrambled(int.from_bytes(data[start : start + 4], "little"))
        result = (result << 13 | result >> 19) & _MASK
        result = (result * 5 + 0xE6546B64) & _MASK
    result ^= _scrambled(int.from_bytes(data[whole:], "little")) ^ len(data)
    result = (result ^ result >> 16) * 0x85EBCA6B & _MASK
    result = (result ^ result >> 13) * 0xC2B2AE35 & _MASK
    return result ^ result >> 16


def _scrambled(block: int) -> int:
    block = block * 0xCC9E2D51 & _MASK
    return (block << 15 | block >> 17) * 0x1B873593 & _MASK


def _fraction(experiment: str, visitor: str, seed: int) -> float:
    """Return a number from 0 to 1, without 1. A name holds no line break, so the pair is unique."""
    return murmur3(f"{experiment}\n{visitor}".encode(), seed) / 2**32


def takes_part(experiment: str, visitor: str, traffic: float) -> bool:
    """Return whether the visitor is in the share of visitors who take part. 1 is everybody."""
    return _fraction(experiment, visitor, _TRAFFIC_SEED) < traffic


def assigned_variant(experiment: str, visitor: str, weights: Mapping[str, float]) -> str:
    """Return the variant of a visitor who takes part.

    `weights` holds each variant's share, in any unit; at least one is above 0. Their order does not
    matter: the variants are taken in the order of their names in UTF-16, which is JavaScript's.
    """
    names = sorted(weights, key=lambda name: name.encode("utf-16-be"))
    total = 0.0
    # From Python 3.12 on, sum() rounds differently from additions in JavaScript.
    for name in names:
        total += weights[name]
    left = _fraction(experiment, visitor, _VARIANT_SEED) * total
    for name in names:
        left -= weights[name]
        if left < 0:
            return name
    # Rounding may leave a rest of 0.
    return next(name for name in reversed(names) if weights[name] > 0)
