"""Dense float32 rows become the types that APIs and databases keep: float16, int8, uint8, binary, ubinary; pure."""

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import Unsupported
from embedstack.types import Floats, VectorType

SCALE = 127  # int8 holds -1..1 in steps of 1/127, so that 0 stays 0


def quantized(dense: Floats, kind: VectorType) -> NDArray[np.generic]:
    """The same rows in another type.

    Args:
        dense: (items, dim), for the 8 bit types with numbers from -1 to 1, as rows of length 1 have them.
    Returns:
        (items, dim); for binary and ubinary (items, dim / 8), eight signs a byte, the first dimension in the highest
        bit. A bit is 1 where the number is above 0; binary is ubinary - 128, as signed bytes.
    Raises:
        Unsupported: binary of a width that is no multiple of 8; 8 bits of numbers outside -1..1.
    Source:
        binary and ubinary: `quantize_embeddings` of sentence-transformers 5, util/quantization.py, which Cohere's and
        Jina's APIs agree with. int8 is round(127 x) and uint8 is that plus 128: symmetric, without a calibration set.
    """
    match kind:
        case "float32":
            return dense
        case "float16":
            return dense.astype(np.float16)
        case "int8":
            return _steps(dense).astype(np.int8)
        case "uint8":
            return (_steps(dense) + 128).astype(np.uint8)
        case "ubinary":
            return _bits(dense)
        case "binary":
            return (_bits(dense).astype(np.int16) - 128).astype(np.int8)


def _steps(dense: Floats) -> NDArray[np.generic]:
    if dense.size and float(np.abs(dense).max()) > 1.0 + 1e-3:
        raise Unsupported("8 bits hold numbers from -1 to 1, and these vectors are longer; ask for normalised ones")
    return np.clip(np.rint(dense * SCALE), -SCALE, SCALE)


def _bits(dense: Floats) -> NDArray[np.uint8]:
    if dense.shape[-1] % 8:
        raise Unsupported(f"binary vectors need a width that is a multiple of 8, not {dense.shape[-1]}; ask for floats")
    return np.packbits(dense > 0, axis=-1)
