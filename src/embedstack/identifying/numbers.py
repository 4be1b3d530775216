"""Vectors as they were read -> what their numbers were rounded to, and how far that moves a vector. Pure."""

from dataclasses import dataclass

import numpy as np

from embedstack.proof.fidelity import TINY, Array
from embedstack.types import Floats

MANTISSAS = {"float32": 24, "float16": 11, "bfloat16": 8}  # bits, the one that is not written among them
DECIMALS = range(2, 6)  # digits behind the point that somebody may have rounded to; more are as good as float32
OFFSET = 128  # of uint8, which holds -128..127 from 0 on
NEAR = 1e-3  # of a step: float32 does not hold 0.123 itself


@dataclass(frozen=True, slots=True)
class Stored:
    """How numbers are kept.

    Args:
        noise: 1 - cosine of a stored vector to the one that was made, on average.
        keeps_length: False of whole numbers, whose scale nobody knows.
    """

    name: str
    noise: float
    keeps_length: bool = True


def stored_as(vectors: Floats) -> tuple[Stored, Array]:
    """What the numbers show of their type, whatever the database calls it; and the vectors that they stand for.

    Args:
        vectors: (rows, dim), finite and none of them zero.
    """
    wide = np.asarray(vectors, np.float64)
    if (wide == np.rint(wide)).all() and np.abs(wide).max() > 1:
        return _whole(wide)
    for name, keeps in (("bfloat16", _bfloat16), ("float16", _float16)):
        if np.array_equal(keeps(vectors), vectors):
            return Stored(name, _of_mantissa(wide, MANTISSAS[name])), wide
    for digits in DECIMALS:
        steps = wide * 10**digits
        if (np.abs(steps - np.rint(steps)) < NEAR).all():
            return Stored(f"{digits} decimals", _noise(wide, np.full_like(wide, 10.0**-digits))), wide
    return Stored("float32", _of_mantissa(wide, MANTISSAS["float32"])), wide


def _whole(wide: Array) -> tuple[Stored, Array]:
    """Of 8 bits if they fit; from 0 on and around 128, they are shifted back."""
    if wide.min() >= 0 and wide.max() < 2 * OFFSET and abs(float(np.median(wide)) - OFFSET) < OFFSET / 4:
        name, meant = "uint8", wide - OFFSET
    else:
        name, meant = "int8" if np.abs(wide).max() <= OFFSET else "whole numbers", wide
    return Stored(name, _noise(meant, np.ones_like(meant)), keeps_length=False), meant


def _of_mantissa(wide: Array, bits: int) -> float:
    _, exponents = np.frexp(wide)
    return _noise(wide, np.ldexp(1.0, exponents - bits))


def _noise(wide: Array, steps: Array) -> float:
    """Of numbers rounded to multiples of these: each is off by a twelfth of its step's square on average.

    1 - cosine is half of the sum of that, as a share of the vector's square.
    """
    squares = np.maximum((wide * wide).sum(axis=1), TINY)
    return float(((steps * steps).sum(axis=1) / (24 * squares)).mean())


def _float16(vectors: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return vectors.astype(np.float16).astype(np.float32)


def _bfloat16(vectors: Floats) -> Floats:
    bits = np.ascontiguousarray(vectors, np.float32).view(np.uint32)
    return np.asarray((bits & np.uint32(0xFFFF0000)).view(np.float32), np.float32)
