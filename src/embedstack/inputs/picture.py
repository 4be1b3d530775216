"""What a caller sends as an image -> its bytes or its link; its bytes -> format and size, read without decoding."""

import base64
import binascii
import re
from collections.abc import Callable, Iterator

from embedstack.errors import BadRequest, TooLong, Unsupported
from embedstack.types import Image, Link

Size = tuple[int, int]

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,19}:")
DATA_URL = re.compile(r"data:(?P<media>[^;,]{0,100})(?:;[^;,]{1,100}){0,4}?(?P<coded>;base64)?,", re.IGNORECASE)
MAX_SEGMENTS = 4096  # of a file before its size; photographs have some tens, colour profiles 255 at most
MAX_SIDE = 65_535  # what JPEG and GIF can say; resizing needs memory for a whole row or column
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # the markers of JPEG that hold a size
ALONE = frozenset((0x01, *range(0xD0, 0xD8)))  # those without a length
MARKER = re.compile(rb"\xff+([^\xff])")
SEEMS = {  # what people send instead, by how it begins
    b"<svg": "SVG",
    b"<?xml": "XML or SVG",
    b"<!doctype": "a web page",
    b"<html": "a web page",
    b"%pdf": "PDF",
    b"bm": "BMP",
    b"ii*\0": "TIFF",
    b"mm\0*": "TIFF",
    b"\0\0\x01\0": "ICO",
}
SEEMS_BOXED = {b"avif": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF"}  # after `ftyp` at byte 4
SEEMS_VIDEO = {  # after `ftyp`, too; https://mp4ra.org/registered-types/brands
    **dict.fromkeys((b"isom", b"iso2", b"iso4", b"iso5", b"iso6", b"mp41", b"mp42", b"avc1", b"M4V "), "MP4"),
    b"qt  ": "QuickTime",
}
EBML = b"\x1aE\xdf\xa3"  # how WebM and Matroska begin, RFC 8794


class ForeignFormat(Unsupported):
    """The bytes are of no format that is read; the message says of which they seem to be."""


def picture_from(text: str) -> Image | Link:
    """An image as APIs take it: a link, a data URL, or base64 alone.

    Raises:
        BadRequest: none of these, or empty; the message does not quote it.
    """
    text = text.strip()
    head = text[:16].lower()
    if head.startswith(("http://", "https://")):
        return Link(text)
    if head.startswith("data:"):
        return Image(_unpacked(_coded(text)))
    if scheme := SCHEME.match(text):
        raise BadRequest(f"an image is given as {scheme[0]!r}; send an http or https link, a data URL or base64")
    return Image(_unpacked(text))


def _coded(text: str) -> str:
    """What a data URL holds, still as base64 (RFC 2397)."""
    found = DATA_URL.match(text)
    if found is None or not found["coded"]:
        raise BadRequest("a data URL has no base64; send data:image/png;base64,... and the bytes")
    if not found["media"].lower().startswith("image/"):
        raise BadRequest("a data URL is not of an image; send data:image/png;base64,... and the bytes")
    return text[found.end() :]


def _unpacked(text: str) -> bytes:
    """The bytes of base64 in either alphabet, with or without line breaks and padding."""
    joined = "".join(text.split()).rstrip("=").replace("-", "+").replace("_", "/")
    if not joined:
        raise BadRequest("an image is empty; send its bytes as base64, or a link")
    try:
        return base64.b64decode(joined + "=" * (-len(joined) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest("an image is neither a link nor base64; send https://..., a data URL or base64") from error


# ------------------------------------------------------------------------------------------------ format and size


def check_picture(data: bytes, *, max_bytes: int, max_pixels: int, what: str = "an image") -> tuple[str, int, int]:
    """Format, width and height, if it may be decoded.

    Args:
        what: how messages call it.
    Raises:
        TooLong: too many bytes, or too many pixels, which a small file can claim.
        Unsupported: of no format that is read. BadRequest: it ends or breaks before its size.
    """
    if len(data) > max_bytes:
        raise TooLong(f"{what} has {len(data)} bytes, the limit is {max_bytes}; send a smaller one")
    name, measure = _format(data, what)
    try:
        width, height = measure(data)
    except (IndexError, ValueError) as error:
        raise BadRequest(f"{what} begins like {name} and is broken before its size; send the whole file") from error
    if not width or not height:
        raise BadRequest(f"{what} ({name}) claims to be {width} x {height} pixels; send another")
    if max(width, height) > MAX_SIDE:
        raise TooLong(f"{what} has {width} x {height} pixels, the limit is {MAX_SIDE} on a side; send a part of it")
    if width * height > max_pixels:
        raise TooLong(f"{what} has {width} x {height} pixels, the limit is {max_pixels}; send a smaller one")
    return name, width, height


def _format(data: bytes, what: str) -> tuple[str, Callable[[bytes], Size]]:
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png", _png
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg", _jpeg
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "gif", _gif
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp", _webp
    raise ForeignFormat(f"{what} is not PNG, JPEG, WebP or GIF{_seems(data)}")


def _seems(data: bytes) -> str:
    """What is sent instead, where it is known, and what to do."""
    start, brand = data[:64].lstrip().lower(), data[8:12] if data[4:8] == b"ftyp" else b""
    video = "WebM or Matroska" if data.startswith(EBML) else SEEMS_VIDEO.get(brand)
    if video:
        return f", it seems to be a video ({video}); send its frames as pictures"
    kind = SEEMS_BOXED.get(brand) or next((kind for begin, kind in SEEMS.items() if start.startswith(begin)), None)
    return f", it seems to be {kind}; send one of these" if kind else "; send one of these"


def _big(data: bytes, at: int, count: int) -> int:
    """A whole number, its highest byte first; ValueError where the file has ended."""
    if at + count > len(data):
        raise ValueError("the file has ended")
    return int.from_bytes(data[at : at + count], "big")


def _little(data: bytes, at: int, count: int) -> int:
    """A whole number, its lowest byte first; ValueError where the file has ended."""
    if at + count > len(data):
        raise ValueError("the file has ended")
    return int.from_bytes(data[at : at + count], "little")


def _png(data: bytes) -> Size:
    """Source: https://www.w3.org/TR/png-3/#11IHDR; the header comes first and has 13 bytes."""
    if _big(data, 8, 4) != 13 or data[12:16] != b"IHDR":
        raise ValueError("no header")
    return _big(data, 16, 4), _big(data, 20, 4)


def _jpeg(data: bytes) -> Size:
    """Source: ITU-T T.81, annex B: segments of a marker and a length, one of them with the size, before the pixels."""
    at = 2
    for _ in range(MAX_SEGMENTS):
        marker = MARKER.match(data, at)
        if marker is None:
            raise ValueError("no marker")
        at = marker.end()
        kind = marker[1][0]
        if kind in ALONE:
            continue
        if kind in FRAMES:
            return _big(data, at + 5, 2), _big(data, at + 3, 2)
        length = _big(data, at, 2)
        if kind in (0xD8, 0xD9, 0xDA) or length < 2:
            raise ValueError("pixels before their size")
        at += length
    raise ValueError("too many segments")


def _gif(data: bytes) -> Size:
    """The screen, or the first frame where that reaches over it: decoders make the picture so large.

    Source: https://www.w3.org/Graphics/GIF/spec-gif89a.txt, sections 18 to 26.
    """
    width, height = _little(data, 6, 2), _little(data, 8, 2)
    at = 13 + table_bytes(_little(data, 10, 1))
    budget = iter(range(MAX_SEGMENTS))  # of extensions and their blocks together
    for _ in budget:
        match _little(data, at, 1):
            case 0x2C:
                left, top, wide, high = (_little(data, at + step, 2) for step in (1, 3, 5, 7))
                return max(width, left + wide), max(height, top + high)
            case 0x21:
                at = after_blocks(data, at + 2, budget)
            case _:
                raise ValueError("no frame")
    raise ValueError("too many segments")


def table_bytes(flags: int) -> int:
    """Of the colour table that follows these flags of a GIF."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def after_blocks(data: bytes, at: int, budget: Iterator[int]) -> int:
    """Where a run of blocks ends, each led by its length, the last one empty.

    Raises:
        IndexError: the file has ended. ValueError: the budget has.
    """
    for _ in budget:
        length = data[at]
        at += 1 + length
        if not length:
            return at
    raise ValueError("too many blocks")


def _webp(data: bytes) -> Size:
    """Source: https://developers.google.com/speed/webp/docs/riff_container, and RFC 6386 9.1 for the lossy form."""
    if _little(data, 4, 4) + 8 > len(data):
        raise ValueError("shorter than it says")
    match data[12:16]:
        case b"VP8X":
            return _little(data, 24, 3) + 1, _little(data, 27, 3) + 1
        case b"VP8L" if data[20:21] == b"\x2f":
            bits = _little(data, 21, 4)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8 " if data[23:26] == b"\x9d\x01\x2a":
            return _little(data, 26, 2) & 0x3FFF, _little(data, 28, 2) & 0x3FFF
        case _:
            raise ValueError("no header")
