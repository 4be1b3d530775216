"""What callers send as pictures becomes items; the message about a wrong one names its place."""

import base64
from collections.abc import Iterable, Sequence

from embedstack.dialects.wire import Misfit
from embedstack.errors import BadRequest
from embedstack.inputs.picture import picture_from
from embedstack.types import Image, Link

DARK = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mNgAAAAAgAB5Sfe/AAAAABJRU5ErkJggg=="
LIGHT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR42mP4DwABAQEAHLCMmQAAAABJRU5ErkJggg=="
"""A black and a white pixel as PNG, for examples."""


def pictures(texts: Sequence[str], name: str) -> tuple[Image | Link, ...]:
    """One picture for each data URL, address or base64.

    Args:
        name: the field of the body that held them.
    Raises:
        Misfit: one is none of these.
    """
    return tuple(picture(text, name, place) for place, text in enumerate(texts))


def pictures_said(items: Iterable[object]) -> list[str]:
    """What a client says for its pictures: base64, or where they lie."""
    return [
        base64.b64encode(item.data).decode("ascii") if isinstance(item, Image) else item.url
        for item in items
        if isinstance(item, Image | Link)
    ]


def picture(text: str, name: str, place: int) -> Image | Link:
    """One of them.

    Args:
        place: its number in the field.
    Raises:
        Misfit: as `pictures`.
    """
    try:
        return picture_from(text)
    except BadRequest as error:
        raise Misfit(f"{name} {place}: {error.message}", name) from error
