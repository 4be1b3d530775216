"""The bytes of a picture -> nothing, or a refusal where a second picture follows (pure).

Two files sent as one would give the vector of the first alone. What else follows a picture is left: films behind
photographs, previews and second exposures of cameras, what an editor did not cut off.
"""

import re

from embedstack.errors import BadRequest
from embedstack.inputs.effort import END, PASS, markers
from embedstack.inputs.picture import check_picture

PNG_END = b"\0\0\0\0IEND\xaeB`\x82"  # https://www.w3.org/TR/png-3/#11IEND; always these bytes
FILE = re.compile(rb"[\0\s]*(?:\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|\xff\xd8\xff[\xdb\xe0-\xef])", re.DOTALL)
GIF_AND_FILE = re.compile(
    rb"\0;[\0\s]*(?:\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBP|\xff\xd8\xff[\xe0\xe1]..(?:JFIF|Exif)\0)", re.DOTALL
)
JPEG, EXIF, SEVERAL = b"\xff\xd8\xff", b"Exif\0", b"MPF\0"  # the last where a JPEG says itself that it holds more


def check_ending(data: bytes, name: str, pixels: int, what: str = "an image") -> None:
    """Refuse two files in one.

    Args:
        name: of the format; the file has passed `check_effort`.
        what: how messages call it.
    Raises:
        BadRequest: another picture follows the first.
    """
    if _is_followed(data, name, pixels):
        raise BadRequest(f"{what} ({name}) is followed by a second picture in the same bytes; send each on its own")


def _is_followed(data: bytes, name: str, pixels: int) -> bool:
    match name:
        case "png":
            end = data.find(PNG_END)
            return end >= 0 and FILE.match(data, end + len(PNG_END)) is not None
        case "webp":
            length = int.from_bytes(data[4:8], "little")
            return FILE.match(data, 8 + length + length % 2) is not None
        case "gif":  # whose end only a walk over all frames would tell
            return GIF_AND_FILE.search(data) is not None
        case _:
            return _is_other_photograph(data, pixels)


def _is_other_photograph(data: bytes, pixels: int) -> bool:
    """Whether another JPEG begins where one ends, and is neither part of it nor a camera's preview of it."""
    found = dict(reversed(list(markers(data))))  # the first of each kind
    end = found.get(END, len(data))
    head = data[: found.get(PASS, len(data))]
    if not data.startswith(JPEG, end) or SEVERAL in head:
        return False
    try:
        _, width, height = check_picture(data[end:], max_bytes=len(data), max_pixels=1 << 32)
    except BadRequest:
        return False
    return EXIF not in head or width * height >= pixels
