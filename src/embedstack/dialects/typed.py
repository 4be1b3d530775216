"""Dense rows become what Cohere's and Jina's names of vector types stand for."""

from typing import Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from embedstack.dialects.wire import as_base64, dump
from embedstack.errors import Unsupported
from embedstack.quantize import quantized
from embedstack.types import Floats

TypeName = Literal["float", "int8", "uint8", "binary", "ubinary", "base64", "float16"]
"""Cohere's, and float16, which none of the originals has: the shortest digits that numpy reads back to the same."""


def typed(dense: Floats, name: TypeName) -> list[object]:
    """One JSON value for each row: numbers, or base64 of little-endian float32.

    Raises:
        Unsupported: the numbers do not fit the type; see `quantize`, and `_halves`.
    """
    match name:
        case "base64":
            return [as_base64(row) for row in dense]
        case "float":
            return _numbers(dense)
        case "float16":
            return _numbers(_halves(dense))
        case _:
            return _numbers(quantized(dense, name))


def _halves(dense: Floats) -> NDArray[np.generic]:
    """In float16, whose largest number is 65504."""
    with np.errstate(over="ignore"):  # what becomes infinite is refused
        rows = quantized(dense, "float16")
    if not np.isfinite(rows).all():
        raise Unsupported("a number of a vector is over 65504, the most that float16 holds; ask for float")
    return rows


def _numbers(rows: NDArray[np.generic]) -> list[object]:
    return [orjson.Fragment(dump(row)) for row in rows]
