"""The bytes of a picture -> an upright RGB picture of 8 bits a colour, or why it cannot be had.

The pixels are those that transformers' image processors see (5.23, `image_transforms.convert_to_rgb` after
`image_utils.load_image` has turned the picture upright): what is transparent lies on white, of a moving picture the
first frame counts, colour profiles are not applied. Two things differ on purpose, see `_eight_bits` and `_opaque_key`.
"""

import io
import struct
from collections.abc import Callable, Mapping
from traceback import clear_frames

import numpy as np
from PIL import GifImagePlugin, ImageFile, JpegImagePlugin, PngImagePlugin, WebPImagePlugin
from PIL import Image as Pillow

from embedstack.errors import BadRequest, EmbedstackError, RuntimeFailed, TooLong
from embedstack.inputs.effort import walk
from embedstack.inputs.ending import check_ending
from embedstack.inputs.picture import check_picture

READERS: Mapping[str, Callable[[io.BytesIO], ImageFile.ImageFile]] = {  # but for PNG, see `_whole_png`
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
MARKS = (85, 0)  # two values of a pixel that no kind of picture takes for one


def decode(data: bytes, *, max_bytes: int, max_pixels: int, what: str = "an image") -> Pillow.Image:
    """Mode RGB. The limits are checked before anything is decoded.

    Args:
        what: how messages call it.
    Raises:
        TooLong: over a limit. Unsupported: of no format that is read.
        BadRequest: empty, broken, shorter than it says, or two in one. RuntimeFailed: there is no memory for it.
    """
    name, width, height = measure(data, max_bytes=max_bytes, max_pixels=max_pixels, what=what)
    check_ending(data, name, width * height, walk(data, name, width * height, what), what)
    try:
        return _decoded(name, data, (width, height), what)
    except EmbedstackError:
        raise
    except MemoryError as error:
        clear_frames(error.__traceback__)
        raise RuntimeFailed(f"there is no memory for the {width} x {height} pixels of {what}; try later") from error
    except Pillow.DecompressionBombError as error:  # Pillow's own limit, where the given one lies above it
        raise TooLong(f"{what} has {width} x {height} pixels, Pillow takes fewer; send a smaller one") from error
    except Exception as error:  # a broken file can raise almost anything in Pillow's readers
        clear_frames(error.__traceback__)  # else half a picture is kept for as long as the error is
        why = str(error)[:SHOWN_CHARS] or type(error).__name__
        raise BadRequest(f"{what} ({name}) cannot be decoded ({why}); send the whole file") from error


def measure(data: bytes, *, max_bytes: int, max_pixels: int, what: str = "an image") -> tuple[str, int, int]:
    """Format, width and height as its head tells them; see `decode`."""
    if not data:
        raise BadRequest(f"{what} is empty; send the bytes of a PNG, JPEG, WebP or GIF")
    return check_picture(data, max_bytes=max_bytes, max_pixels=max_pixels, what=what)


def _decoded(name: str, data: bytes, size: tuple[int, int], what: str) -> Pillow.Image:
    picture = _whole_png(data, size, what) if name == "png" else _whole(READERS[name](io.BytesIO(data)), size, what)
    turn = UPRIGHT.get(_orientation(picture))
    _opaque_key(picture, name, data)
    rgb = _on_white(picture)
    return rgb if turn is None else rgb.transpose(turn)


class _MarkedPng(PngImagePlugin.PngImageFile):
    """A PNG whose last pixel is set before it is read, so that it shows whether it was."""

    ink = MARKS[0]
    mark: object = None

    @property
    def last(self) -> tuple[int, int]:
        """The pixel that is read last. Source: https://www.w3.org/TR/png-3/#8Interlace"""
        width, height = self.size
        if not self.info.get("interlace"):
            return width - 1, height - 1
        if height > 1:  # the seventh pass has all of every second row
            return width - 1, height - 1 - height % 2
        return max(0, width - 1 - width % 2), 0  # the sixth has every second column

    def load_prepare(self) -> None:
        """Called by Pillow when there is memory for the pixels, and none of them."""
        super().load_prepare()
        self.im.putpixel(self.last, self.ink if len(self.getbands()) == 1 else (self.ink,) * len(self.getbands()))
        self.mark = self.im.getpixel(self.last)

    def is_whole(self) -> bool:
        """Whether its last pixel was read, or happens to be as it was set."""
        return bool(self.im.getpixel(self.last) != self.mark)


def _whole_png(data: bytes, size: tuple[int, int], what: str) -> ImageFile.ImageFile:
    """All of it: Pillow 13 takes pixels that end after any row for all of them, and leaves the rest black.

    Where the last pixel is as it was set before, the file is read once more with another one; to unpack every file
    twice and count would take two thirds as long again.
    """
    for ink in MARKS:
        picture = _MarkedPng(io.BytesIO(data))
        picture.ink = ink
        if any(tile[1] != (0, 0, *size) for tile in picture.tile):  # which an animation can say
            raise BadRequest(f"{what} (png) is {size[0]} x {size[1]} pixels and its first frame is not; save it again")
        _whole(picture, size, what)
        if picture.is_whole():
            return picture
        picture.close()
    raise BadRequest(f"{what} (png) cannot be decoded (it ends before its last row); send the whole file")


def _whole(picture: ImageFile.ImageFile, size: tuple[int, int], what: str) -> ImageFile.ImageFile:
    """With its pixels, if they are as many as its head was found to say, which memory was set aside for."""
    if picture.size != size:
        said = " and ".join(f"{width} x {height}" for width, height in (size, picture.size))
        raise BadRequest(f"{what} says that it is {said} pixels; save it again")
    picture.load()
    return picture


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
