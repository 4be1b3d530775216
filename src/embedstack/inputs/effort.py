"""The bytes of a PNG or JPEG -> how often reading goes over its pixels and where they end, or why it is refused (pure).

A JPEG of a few bytes can ask for any number of passes over all of its pixels: one of 10 MB, 50 million pixels and
300,000 passes would keep libjpeg busy for half a day. Notes beside the pixels cost, too: 2 MB of packed colour profiles
take Pillow 13 five seconds. No other format that is read has either.
"""

import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from embedstack.errors import BadRequest, TooLong

MAX_PASS_PIXELS = 1_000_000_000  # of all passes together: 3 ns each, whatever little a pass holds (Zen 3)
MAX_PASSES = 1_000  # however few the pixels are; libjpeg writes 10
MAX_JPEG_SEGMENTS = 512  # beside passes; the largest colour profile has 255, 10 MB of anything else 160
MAX_PNG_NOTES = 256  # chunks beside pixels and frames; each may unpack to 1 MB, which takes 2.5 ms
MAX_PNG_CHUNKS = 20_000  # of all kinds, empty ones too: 10 MB in pieces of 500 bytes; libpng's have 8192
BLOCK_PIXELS = 64  # of each a JPEG holds a bit at least, for some colour of it, unless it is coded arithmetically
PIXELS = frozenset((b"IDAT", b"fdAT", b"fcTL"))
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # of JPEG, and none that stands among the bits of a pass
ALONE = frozenset((0x01, 0xD8))  # markers without a length
HUFFMAN = frozenset((0xC0, 0xC1, 0xC2))  # frames whose numbers are coded so
PASS, END = 0xDA, 0xD9


@dataclass(frozen=True, slots=True)
class Walk:
    """What lies between a file's head and its end."""

    passes: int = 1
    head: int = 0  # where the first pass of a JPEG begins
    end: int | None = None  # where the picture is over; None if it does not say


def walk(data: bytes, name: str, pixels: int, what: str = "an image") -> Walk:
    """Refuse what would take long, or is seen to be broken without being decoded.

    Args:
        name: of the format. Only PNG and JPEG are looked at.
        what: how messages call it.
    Raises:
        TooLong: over one of the limits above.
        BadRequest: a PNG with two heads or a wrong checksum; a JPEG with fewer bits than its pixels need.
    """
    match name:
        case "png":
            return _png(data, what)
        case "jpeg":
            return _jpeg(data, pixels, what)
        case _:
            return Walk()


# ------------------------------------------------------------------------------------------------ PNG


def _png(data: bytes, what: str) -> Walk:
    """Source: https://www.w3.org/TR/png-3/#5Chunk-layout"""
    at, notes, heads = 8, 0, 0
    for _ in range(MAX_PNG_CHUNKS):
        if at + 12 > len(data):
            return Walk()  # what is missing is told by who reads it
        kind, start = data[at + 4 : at + 8], at
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        notes += kind not in PIXELS
        heads += kind == b"IHDR"
        if notes > MAX_PNG_NOTES:
            raise TooLong(
                f"{what} (png) holds more than {MAX_PNG_NOTES} chunks beside its pixels; save it again without metadata"
            )
        if heads > 1:
            raise BadRequest(f"{what} (png) has {heads} heads, which may differ; save it again")
        if kind == b"IDAT" and at <= len(data) and not _is_sound(data, start, at):
            raise BadRequest(f"{what} (png) cannot be decoded (a checksum of its pixels is wrong); send the whole file")
        if kind == b"IEND":
            return Walk(end=at)
    raise TooLong(f"{what} (png) holds more than {MAX_PNG_CHUNKS} chunks (a fixed limit); save it again")


def _is_sound(data: bytes, start: int, stop: int) -> bool:
    """Whether a chunk is what its checksum says; of those with pixels Pillow does not look at it."""
    return zlib.crc32(memoryview(data)[start + 4 : stop - 4]) == int.from_bytes(data[stop - 4 : stop], "big")


# ------------------------------------------------------------------------------------------------ JPEG


def markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Those of a JPEG up to its end, each with where it is over; what looks like one in a segment is none."""
    at = 2
    while marker := MARKER.search(data, at):
        at, kind = marker.end(), data[marker.end() - 1]
        yield kind, at
        if kind == END:
            return
        if kind not in ALONE:
            at += int.from_bytes(data[at : at + 2], "big")


def _jpeg(data: bytes, pixels: int, what: str) -> Walk:
    passes = segments = 0
    head, end, is_huffman = len(data), None, False
    for kind, at in markers(data):
        if kind == END:
            end = at
            break
        if kind == PASS:
            head = min(head, at)
        passes += kind == PASS
        segments += kind != PASS
        is_huffman |= kind in HUFFMAN
        _check_passes(passes, segments, pixels, what)
    size = (len(data) if end is None else end) - head
    if is_huffman and 8 * BLOCK_PIXELS * size < pixels:
        raise BadRequest(
            f"{what} (jpeg) cannot be decoded (its {pixels} pixels are in {size} bytes, and take more); "
            "send the whole file"
        )
    return Walk(passes, head, end)


def _check_passes(passes: int, segments: int, pixels: int, what: str) -> None:
    if passes * pixels > MAX_PASS_PIXELS:
        raise TooLong(
            f"{what} (jpeg) goes {passes} times or more over its {pixels} pixels, the limit is {MAX_PASS_PIXELS} "
            "in all (a fixed one); save it again without progressive passes"
        )
    if passes > MAX_PASSES:
        raise TooLong(
            f"{what} (jpeg) goes more than {MAX_PASSES} times over its pixels; save it again without progressive passes"
        )
    if segments > MAX_JPEG_SEGMENTS:
        raise TooLong(f"{what} (jpeg) holds more than {MAX_JPEG_SEGMENTS} segments; save it again without metadata")
