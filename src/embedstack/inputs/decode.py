"""The bytes of a picture -> an upright RGB picture of 8 bits a colour, or why it cannot be had.

The pixels are those that transformers' image processors see (5.23, `image_transforms.convert_to_rgb` after
`image_utils.load_image` has turned the picture upright): what is transparent lies on white, of a moving picture the
first frame counts, colour profiles are not applied. Two things differ on purpose, see `_eight_bits` and `_opaque_key`.
"""

import io
import struct
from collections.abc import Callable, Mapping

import numpy as np
from PIL import GifImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL import Image as Pillow

from embedstack.errors import BadRequest, EmbedstackError, RuntimeFailed, TooLong
from embedstack.inputs.effort import check_effort
from embedstack.inputs.ending import check_ending
from embedstack.inputs.picture import check_picture

READERS: Mapping[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {
    "png": PngImagePlugin.PngImageFile,
    "jpeg": JpegImagePlugin.JpegImageFile,
    "gif": GifImagePlugin.GifImageFile,
    "webp": WebPImagePlugin.WebPImageFile,
}
ORIENTATION = 0x0112  # the tag of EXIF
UPRIGHT: Mapping[int, Pillow.Transpose] = {  # by its value; 1 stands upright already
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
UNREADABLE = (
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    Warning,
)
BAND_PIXELS = 1 << 20  # that are laid on white at a time, so that a picture is not held three times
SHOWN_CHARS = 100  # of what Pillow says


def decode(data: bytes, *, max_bytes: int, max_pixels: int, what: str = "an image") -> Pillow.Image:
    """Mode RGB. The limits are checked before anything is decoded.

    Args:
        what: how messages call it.
    Raises:
        TooLong: over a limit. Unsupported: of no format that is read.
        BadRequest: empty, broken, or shorter than it says. RuntimeFailed: there is no memory for it.
    """
    name, width, height = measure(data, max_bytes=max_bytes, max_pixels=max_pixels, what=what)
    check_effort(data, name, width * height, what)
    check_ending(data, name, width * height, what)
    try:
        return _decoded(name, data, max_pixels, what)
    except EmbedstackError:
        raise
    except MemoryError as error:
        raise RuntimeFailed(f"there is no memory for the {width} x {height} pixels of {what}; try later") from error
    except Pillow.DecompressionBombError as error:  # Pillow's own limit, where the given one lies above it
        raise TooLong(f"{what} has {width} x {height} pixels, Pillow takes fewer; send a smaller one") from error
    except Exception as error:  # a broken file can raise almost anything in Pillow's readers
        why = str(error)[:SHOWN_CHARS] or type(error).__name__
        raise BadRequest(f"{what} ({name}) cannot be decoded ({why}); send the whole file") from error


def measure(data: bytes, *, max_bytes: int, max_pixels: int, what: str = "an image") -> tuple[str, int, int]:
    """Format, width and height as its head tells them; see `decode`."""
    if not data:
        raise BadRequest(f"{what} is empty; send the bytes of a PNG, JPEG, WebP or GIF")
    return check_picture(data, max_bytes=max_bytes, max_pixels=max_pixels, what=what)


def _decoded(name: str, data: bytes, max_pixels: int, what: str) -> Pillow.Image:
    picture = READERS[name](io.BytesIO(data))
    if picture.width * picture.height > max_pixels:
        raise TooLong(f"{what} has {picture.width} x {picture.height} pixels, the limit is {max_pixels}")
    picture.load()
    turn = UPRIGHT.get(_orientation(picture))
    _opaque_key(picture, name, data)
    rgb = _on_white(picture)
    return rgb if turn is None else rgb.transpose(turn)


def _orientation(picture: Pillow.Image) -> int:
    """The number of EXIF, or of XMP where that has none; 1 where it cannot be read, as browsers have it."""
    try:
        return int(picture.getexif().get(ORIENTATION, 1))
    except UNREADABLE:  # the pixels are whole: only words about them are broken
        return 1


def _opaque_key(picture: Pillow.Image, name: str, data: bytes) -> None:
    """Bring the one colour that a PNG calls transparent to the 8 bits that its pixels have now.

    Pillow 13 leaves it in the file's own bits, and then takes other pixels for transparent.
    Source: https://www.w3.org/TR/png-3/#11tRNS; the depth is byte 24 of the file.
    """
    key = picture.info.get("transparency")
    if name != "png" or key is None:
        return
    depth = data[24]
    if picture.mode == "RGB" and depth == 16:
        picture.info["transparency"] = tuple(value >> 8 for value in key)
    elif picture.mode == "L" and depth < 8:
        picture.info["transparency"] = (key & (1 << depth) - 1) * 255 // ((1 << depth) - 1)


def _on_white(picture: Pillow.Image) -> Pillow.Image:
    if picture.mode.startswith("I"):
        return _eight_bits(picture)
    if "A" not in picture.getbands() and picture.info.get("transparency") is None:
        return picture if picture.mode == "RGB" else picture.convert("RGB")
    rgb = Pillow.new("RGB", picture.size)
    rows = max(1, BAND_PIXELS // picture.width)
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(top + rows, picture.height))).convert("RGBA")
        white = Pillow.new("RGBA", band.size, (255, 255, 255, 255))
        rgb.paste(Pillow.alpha_composite(white, band).convert("RGB"), (0, top))
    return rgb


def _eight_bits(picture: Pillow.Image) -> Pillow.Image:
    """The higher byte of 16-bit grey, which is what Pillow takes of 16-bit colour."""
    grey = np.asarray(picture)
    levels = (grey >> 8).astype(np.uint8)
    key = picture.info.get("transparency")
    if key is not None:
        levels[grey == key] = 255
    return Pillow.fromarray(levels).convert("RGB")
