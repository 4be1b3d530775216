"""Dense rows become what Cohere's and Jina's names of vector types stand for."""

from typing import Literal

import numpy as np
import orjson
from numpy.typing import NDArray

from embedstack.dialects.wire import as_base64, dump
from embedstack.quantize import quantized
from embedstack.types import Floats

TypeName = Literal["float", "int8", "uint8", "binary", "ubinary", "base64"]


def typed(dense: Floats, name: TypeName) -> list[object]:
    """One JSON value for each row: numbers, or base64 of little-endian float32.

    Raises:
        Unsupported: the numbers do not fit the type; see `quantize`.
    """
    match name:
        case "base64":
            return [as_base64(row) for row in dense]
        case "float":
            return _numbers(dense)
        case _:
            return _numbers(quantized(dense, name))


def _numbers(rows: NDArray[np.generic]) -> list[object]:
    return [orjson.Fragment(dump(row)) for row in rows]
