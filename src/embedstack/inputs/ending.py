"""The bytes of a picture -> nothing, or a refusal where a second picture follows (pure).

Two files sent as one would give the vector of the first alone. What else follows a picture is left: films behind
photographs, previews and second exposures of cameras, what an editor did not cut off.
"""

import re

from embedstack.errors import BadRequest, TooLong
from embedstack.inputs.effort import Walk
from embedstack.inputs.picture import after_blocks, check_picture, table_bytes

JPEG = b"\xff\xd8\xff"
FILE = re.compile(rb"[\0\s]*(\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|\xff\xd8\xff[\xc0-\xfe])", re.DOTALL)
EXIF = b"Exif\0"
SEVERAL = (b"MPF\0", b"Container:Directory")  # where a JPEG says itself that it holds more
"""CIPA's multi-picture format, and the XMP of https://developer.android.com/media/platform/hdr-image-format."""
MAX_GIF_BLOCKS = 200_000  # of all frames: 10 MB have 41,000 where they are full; so many take 20 ms


def check_ending(data: bytes, name: str, pixels: int, walked: Walk, what: str = "an image") -> None:
    """Refuse two files in one.

    Args:
        name: of the format.
        walked: what `walk` says of the file.
        what: how messages call it.
    Raises:
        BadRequest: another picture follows the first. TooLong: a GIF of endless blocks.
    """
    end = _end(data, name, walked, what)
    found = None if end is None else FILE.match(data, end)
    if found is None:
        return
    if found[1].startswith(JPEG) and _is_part(data, found.start(1), data[: walked.head], pixels):
        return
    raise BadRequest(f"{what} ({name}) is followed by a second picture in the same bytes; send each on its own")


def _end(data: bytes, name: str, walked: Walk, what: str) -> int | None:
    """Where the picture is over; None if it does not say."""
    match name:
        case "webp":
            length = int.from_bytes(data[4:8], "little")
            return 8 + length + length % 2
        case "gif":
            return _gif_end(data, what)
        case _:
            return walked.end


def _gif_end(data: bytes, what: str) -> int | None:
    """After all of its frames. Source: https://www.w3.org/Graphics/GIF/spec-gif89a.txt, sections 18 to 27."""
    budget = iter(range(MAX_GIF_BLOCKS))
    at = 13 + table_bytes(data[10])
    try:
        for _ in budget:
            match data[at]:
                case 0x2C:
                    at = after_blocks(data, at + 11 + table_bytes(data[at + 9]), budget)
                case 0x21:
                    at = after_blocks(data, at + 2, budget)
                case 0x3B:
                    return at + 1
                case _:
                    return None
    except IndexError:  # the file has ended
        return None
    except ValueError:
        pass
    raise TooLong(f"{what} (gif) holds more than {MAX_GIF_BLOCKS} blocks (a fixed limit); send its first frame")


def _is_part(data: bytes, at: int, head: bytes, pixels: int) -> bool:
    """Whether what begins like a JPEG behind another belongs to that, as a camera's preview does, or is none."""
    if any(mark in head for mark in SEVERAL):
        return True
    try:
        _, width, height = check_picture(data[at:], max_bytes=len(data), max_pixels=1 << 32)
    except BadRequest:
        return True
    return EXIF in head and width * height < pixels
