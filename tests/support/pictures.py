"""Pictures of every kind that people send, made of arithmetic: no file, no random numbers."""

import base64
import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from PIL import Image

ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""Column, row and their steps of each pass; https://www.w3.org/TR/png-3/#8Interlace"""
GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6  # the colour types of PNG


def scene(width: int, height: int, bands: int = 3, values: int = 256) -> np.ndarray:
    """(height, width, bands), edges and ramps in all directions, another one in each band."""
    y, x, band = np.ogrid[:height, :width, :bands]
    ramp = x * 5 + y * 3 * (band + 1) + (x * y) // 7 + band * 40
    return ((ramp + 90 * ((x // 9 + y // 5) % 2)) % values).astype(np.uint8 if values <= 256 else np.uint16)


def picture(mode: str, width: int, height: int) -> Image.Image:
    """The scene in one of Pillow's modes."""
    bands = len(Image.new(mode, (1, 1)).getbands())
    pixels = scene(width, height, bands)
    if mode == "1":
        return Image.fromarray(scene(width, height, 1)[..., 0] > 127)
    made = Image.frombytes(mode, (width, height), pixels.tobytes())
    if mode == "P":
        made.putpalette(scene(256, 1).tobytes())
    return made


def saved(made: Image.Image, kind: str, **how: object) -> bytes:
    """The file that Pillow makes of it."""
    file = io.BytesIO()
    made.save(file, kind, **how)
    return file.getvalue()


# ------------------------------------------------------------------------------------------------ by hand


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(pixels: np.ndarray, depth: int, kind: int, *, key: bytes = b"", interlaced: bool = False) -> bytes:
    """A PNG of any depth, of (height, width, bands); `key` is what tRNS holds."""
    height, width = pixels.shape[:2]
    head = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, int(interlaced))
    parts = [pixels[row::rows, column::columns] for column, row, columns, rows in ADAM7] if interlaced else [pixels]
    body = b"".join(b"\0" + line for part in parts if part.size for line in _lines(part, depth))
    keyed = chunk(b"tRNS", key) if key else b""
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + keyed + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")
    )


def _lines(pixels: np.ndarray, depth: int) -> Iterator[bytes]:
    for row in pixels.reshape(len(pixels), -1):
        if depth == 16:
            yield row.astype(">u2").tobytes()
        elif depth == 8:
            yield row.astype(np.uint8).tobytes()
        else:
            bits = (row[:, None] >> np.arange(depth - 1, -1, -1)) & 1
            yield np.packbits(bits.astype(np.uint8).ravel()).tobytes()


def animation(frames: int, *, kind: str = "GIF", size: tuple[int, int] = (41, 29)) -> bytes:
    """Frames that move over each other, with a colour that lets through, and are taken away in three ways."""
    first = picture("P", *size) if kind == "GIF" else picture("RGBA", *size)
    rolled = (np.roll(np.asarray(first), step + 1, axis=1) for step in range(frames - 1))
    others = [Image.frombytes(first.mode, size, pixels.tobytes()) for pixels in rolled]
    if kind == "WEBP":
        return saved(first, kind, save_all=True, append_images=others, duration=40, lossless=True, exact=True)
    for other in others:
        other.putpalette(first.getpalette())
    disposal = [1 + step % 3 for step in range(frames)]
    return saved(first, kind, save_all=True, append_images=others, duration=40, transparency=7, disposal=disposal)


# ------------------------------------------------------------------------------------------------ all of them

SIZES = ((1, 1), (1, 500), (500, 1), (2, 3), (224, 224), (225, 224), (224, 225), (448, 447), (40, 333), (640, 97))
ALPHAS = bytes((0, 64, 128, 255, 3) * 51 + (9,))
ROTATIONS = range(1, 9)


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


EXACT: Mapping[str, Callable[[], bytes]] = {  # formats that keep every pixel: the same file whoever writes it
    **{f"{w}x{h}": lambda w=w, h=h: saved(picture("RGB", w, h), "PNG") for w, h in SIZES},
    "grey": lambda: saved(picture("L", 61, 47), "PNG"),
    "grey alpha": lambda: saved(picture("LA", 61, 47), "PNG"),
    "colour alpha": lambda: saved(picture("RGBA", 300, 250), "PNG"),
    "one bit": lambda: saved(picture("1", 61, 47), "PNG"),
    "one bit, white lets through": lambda: saved(picture("1", 61, 47), "PNG", transparency=255),
    "grey, one lets through": lambda: saved(picture("L", 61, 47), "PNG", transparency=120),
    "colour, one lets through": lambda: saved(picture("RGB", 61, 47), "PNG", transparency=(90, 130, 170)),
    "palette": lambda: saved(picture("P", 61, 47), "PNG"),
    "palette, one lets through": lambda: saved(picture("P", 61, 47), "PNG", transparency=95),
    "palette with alphas": lambda: saved(picture("P", 61, 47), "PNG", transparency=ALPHAS),
    "two bits": lambda: png(scene(61, 47, 1, 4), 2, GREY),
    "interlaced": lambda: png(scene(61, 47), 8, COLOUR, interlaced=True),
    "16-bit colour": lambda: png(scene(61, 47, 3, 65536) * 7, 16, COLOUR),
    "16-bit colour alpha": lambda: png(scene(61, 47, 4, 65536) * 131, 16, COLOUR_ALPHA),
    "16-bit grey alpha": lambda: png(scene(61, 47, 2, 65536) * 131, 16, GREY_ALPHA),
    "GIF": lambda: saved(picture("P", 61, 47), "GIF"),
    "moving GIF": lambda: animation(5),
    "lossless WebP": lambda: saved(picture("RGBA", 61, 47), "WEBP", lossless=True, exact=True),
    "moving WebP": lambda: animation(5, kind="WEBP"),
}
TURNED: Mapping[str, Callable[[], bytes]] = {
    **{
        f"PNG turned {value}": lambda value=value: saved(picture("RGB", 61, 47), "PNG", exif=exif(value))
        for value in ROTATIONS
    },
    **{
        f"JPEG turned {value}": lambda value=value: saved(picture("RGB", 61, 47), "JPEG", exif=exif(value))
        for value in ROTATIONS
    },
    "WebP turned 6": lambda: saved(picture("RGB", 61, 47), "WEBP", lossless=True, exif=exif(6)),
}
LOSSY: Mapping[str, Callable[[], bytes]] = {  # what is read depends on who wrote it
    "JPEG": lambda: saved(picture("RGB", 333, 250), "JPEG", quality=80),
    "JPEG, full colour": lambda: saved(picture("RGB", 61, 47), "JPEG", quality=95, subsampling=0),
    "progressive JPEG": lambda: saved(picture("RGB", 333, 250), "JPEG", progressive=True),
    "grey JPEG": lambda: saved(picture("L", 61, 47), "JPEG"),
    "CMYK JPEG": lambda: saved(picture("CMYK", 61, 47), "JPEG"),
    "WebP": lambda: saved(picture("RGB", 61, 47), "WEBP", quality=70),
    "WebP with alpha": lambda: saved(picture("RGBA", 61, 47), "WEBP", quality=70),
}


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()
