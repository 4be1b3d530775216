"""The pictures that every image vector is judged by, as PNG files that are made of arithmetic."""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from functools import cache

import numpy as np
from numpy.typing import NDArray

PICTURE = "image-"  # begins the name of every one; one that changes needs another name, or old truth would judge it
Pixels = NDArray[np.uint8]


@cache
def drawn() -> Mapping[str, bytes]:
    """By name: from one pixel to one larger than any model's square, flat and noisy, wide and tall."""
    return {f"{PICTURE}{name}": _png(pixels) for name, pixels in _pixels().items()}


def is_picture(name: str) -> bool:
    """Whether the probe of this name is one."""
    return name.startswith(PICTURE)


def _pixels() -> dict[str, Pixels]:
    """(height, width, 3) each."""
    return {
        "pixel": np.full((1, 1, 3), (200, 90, 20), np.uint8),
        "gradient": _gradient(224, 224),
        "checkers": _checkers(64, 48, 8),
        "noise": _noise(160, 96),
        "wide": _gradient(600, 1000) ^ _checkers(600, 1000, 50),
        "tall": _gradient(400, 30),
        "fine": _checkers(299, 301, 1),
    }


def _gradient(height: int, width: int) -> Pixels:
    """Red from left to right, green from top to bottom, blue along the diagonal."""
    y, x = np.mgrid[:height, :width]
    red, green = 255 * x // max(1, width - 1), 255 * y // max(1, height - 1)
    return np.stack([red, green, (red + green) // 2], axis=2).astype(np.uint8)


def _checkers(height: int, width: int, side: int) -> Pixels:
    y, x = np.mgrid[:height, :width]
    is_light = ((x // side + y // side) % 2 == 1)[..., None]
    return np.where(is_light, np.array([250, 230, 30]), np.array([10, 40, 120])).astype(np.uint8)


def _noise(height: int, width: int) -> Pixels:
    """Of a hash, which is the same in every release of every library."""
    data = hashlib.shake_256(b"embedstack noise").digest(height * width * 3)
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _png(pixels: Pixels) -> bytes:
    """Source: https://www.w3.org/TR/png-3/, colour type 2, 8 bits, no filter."""
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in parts)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
