"""A weights file -> a read-only memory map, and arrays that are windows into it."""

import mmap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embedstack.errors import ConfigError
from embedstack.types import Floats

# how each kind of number lies in a file; both formats are little-endian
LAYOUTS: dict[str, np.dtype[Any]] = {
    "float64": np.dtype("<f8"),
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),  # numpy has no bfloat16: the upper half of a float32
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint64": np.dtype("<u8"),
    "uint32": np.dtype("<u4"),
    "uint16": np.dtype("<u2"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
    "float8": np.dtype("u1"),
    "complex64": np.dtype("<c8"),
}
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor as it lies in its file."""

    kind: str  # a key of LAYOUTS
    raw: NDArray[Any]  # a window into the map; it may be strided

    def floats(self) -> Floats:
        """The tensor in float32: the window itself where possible, else a copy; read-only and contiguous.

        Raises:
            ConfigError: it holds no floats.
        """
        match self.kind:
            case "float32":
                # a graph compiler may read the memory as it is, so a window must be contiguous and aligned
                values = np.require(self.raw, np.float32, ["C", "A"])
            case "bfloat16":
                wide = self.raw.astype(np.uint32, order="C")
                values = np.left_shift(wide, 16, out=wide).view(np.float32)
            case "float16" | "float64":
                values = self.raw.astype(np.float32, order="C")
            case _:
                raise ConfigError(f"holds {self.kind}, a graph reads float64, float32, float16 or bfloat16")
        values.flags.writeable = False
        return values


def open_map(path: Path) -> memoryview:
    """The bytes of a file, read from the disk when they are touched.

    Raises:
        ConfigError: it cannot be opened, is empty, or only points to the weights.
    """
    try:
        with path.open("rb") as file:
            size_bytes = file.seek(0, 2)
            # copy on write: nobody writes, but a graph compiler that shares the memory wants it writable
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) if size_bytes else b"")
    except OSError as error:
        raise ConfigError(f"{str(path)!r} cannot be read: {error.strerror}") from error
    if not size_bytes:
        raise ConfigError(f"{str(path)!r} is empty (0 bytes); download it again")
    if data[: len(LFS_POINTER)] == LFS_POINTER:
        raise ConfigError(
            f"{str(path)!r} is a Git LFS pointer of {size_bytes} bytes, not the weights; run: git lfs pull"
        )
    return data


def window(data: memoryview, kind: str, shape: Sequence[int], offset: int, strides: Sequence[int]) -> NDArray[Any]:
    """An array over `data` without a copy; offset and strides count numbers, not bytes.

    Raises:
        ValueError: it would reach outside `data`, or numpy cannot hold the shape.
    """
    width = LAYOUTS[kind].itemsize
    # in Python's whole numbers first: numpy's own check can overflow
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    numbers = len(data) // width
    if min([offset, *shape, *strides]) < 0 or (0 not in shape and last >= numbers) or offset > numbers:
        raise ValueError(f"it reaches outside its {numbers} numbers")
    try:
        array: NDArray[Any] = np.ndarray(
            shape, LAYOUTS[kind], data, offset * width, [stride * width for stride in strides]
        )
    except OverflowError as error:
        raise ValueError(str(error)) from error
    return array
