"""The bytes of a PNG or JPEG -> nothing, or why reading it would take far longer than its size tells (pure).

A JPEG of a few bytes can ask for any number of passes over all of its pixels: one of 10 MB, 50 million pixels and
300,000 passes would keep libjpeg busy for half a day. Notes beside the pixels cost, too: 2 MB of packed colour profiles
take Pillow 13 five seconds. No other format that is read has either.
"""

import re
from collections.abc import Iterator

from embedstack.errors import TooLong

MAX_PASS_PIXELS = 1_000_000_000  # of all passes together: 3 ns each, whatever little a pass holds (Zen 3)
MAX_JPEG_SEGMENTS = 512  # beside passes; the largest colour profile has 255, 10 MB of anything else 160
MAX_PNG_NOTES = 256  # chunks beside pixels and frames; each may unpack to 1 MB, which takes 2.5 ms
PIXELS = frozenset((b"IDAT", b"fdAT", b"fcTL"))
MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")  # of JPEG, and none that stands among the bits of a pass
ALONE = frozenset((0x01, 0xD8))  # markers without a length
PASS, END = 0xDA, 0xD9


def check_effort(data: bytes, name: str, pixels: int, what: str = "an image") -> None:
    """Refuse what would take long.

    Args:
        name: of the format. Only PNG and JPEG are looked at.
        what: how messages call it.
    Raises:
        TooLong: over one of the limits above.
    """
    if name == "png":
        _check_notes(data, what)
    elif name == "jpeg":
        _check_passes(data, pixels, what)


def _check_notes(data: bytes, what: str) -> None:
    at, notes = 8, 0
    while at + 8 <= len(data):
        notes += data[at + 4 : at + 8] not in PIXELS
        if notes > MAX_PNG_NOTES:
            raise TooLong(
                f"{what} (png) holds more than {MAX_PNG_NOTES} chunks beside its pixels; save it again without metadata"
            )
        at += 12 + int.from_bytes(data[at : at + 4], "big")


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


def _check_passes(data: bytes, pixels: int, what: str) -> None:
    passes = segments = 0
    for kind, _ in markers(data):
        if kind == END:
            return
        passes += kind == PASS
        segments += kind != PASS
        if passes * pixels > MAX_PASS_PIXELS:
            raise TooLong(
                f"{what} (jpeg) goes {passes} times or more over its {pixels} pixels, the limit is {MAX_PASS_PIXELS} "
                "in all; save it again without progressive passes"
            )
        if segments > MAX_JPEG_SEGMENTS:
            raise TooLong(f"{what} (jpeg) holds more than {MAX_JPEG_SEGMENTS} segments; save it again without metadata")
