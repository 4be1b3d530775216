"""Pictures become encodings: decode, resize, cut out the middle, normalise, cut into patches.

Every step and its rounding are those of transformers 5.23 (`CLIPImageProcessorPil`, `SiglipImageProcessorPil`): Pillow
resizes bytes, so that the pixels are the same, and a table of the 256 values of each colour gives the same float32.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from traceback import clear_frames

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from embedstack.errors import RuntimeFailed, TooLong
from embedstack.inputs.decode import decode, measure
from embedstack.inputs.effort import walk
from embedstack.modelspec import Vision
from embedstack.types import Encoding, Floats, Image

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 50_000_000
PIXEL_EFFORT = 8  # passes that take as long as all else that is done to a pixel: 13 ns and 1.7 ns (Zen 3)
DECODING_BYTES: Mapping[str, int] = {"png": 12, "jpeg": 13, "gif": 9, "webp": 21}
"""For each pixel, at most: of 6 million pixels in Pillow 13, transparent, turned, progressive, CMYK or lossless."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a picture takes, told before it is decoded."""

    decoding_bytes: int  # of memory, at most
    effort: int  # in passes of a progressive JPEG over a pixel, some 2 ns each


class ImageInput:
    """What one model does with a picture before its graph; safe to call from several threads.

    Pillow decodes and resizes without the interpreter's lock, so pictures are worth giving to several threads, one
    each; `needs` says what such a thread holds at most.
    """

    def __init__(self, vision: Vision, *, max_bytes: int = MAX_BYTES, max_pixels: int = MAX_PIXELS) -> None:
        self._vision = vision
        self._max_bytes = max_bytes
        self._max_pixels = max_pixels
        self._resample = Pillow.Resampling[vision.resample.upper()]
        self._levels = _levels(vision)
        self._ids = np.zeros(vision.tokens, np.int32)
        self._ids.flags.writeable = False

    def encode(self, items: Sequence[Image], *, first: int = 0) -> list[Encoding]:
        """One encoding per picture, in order.

        Args:
            first: the number of the first picture in its request, for messages.
        Raises:
            BadRequest, TooLong, Unsupported: a picture that cannot be had; the message has its place.
        """
        return [self.encode_one(item, place) for place, item in enumerate(items, first)]

    def encode_one(self, item: Image, place: int = 0) -> Encoding:
        """One picture alone; its place in its request is for messages. See `encode`."""
        return Encoding(self._ids, patches=self._patches(self.pixels(item, place)))

    def needs(self, item: Image, place: int = 0) -> Needs:
        """What decoding and resizing it take, told by its head, and of a JPEG by its passes.

        Raises:
            BadRequest, TooLong, Unsupported: see `encode`.
        """
        what = f"image {place}"
        name, width, height = measure(item.data, max_bytes=self._max_bytes, max_pixels=self._max_pixels, what=what)
        wide, high = self._size(width, height, what)
        pixels, resized = width * height, wide * (height + high)
        passes = walk(item.data, name, pixels, what).passes if name == "jpeg" else 1
        effort = pixels * (PIXEL_EFFORT + passes) + resized * PIXEL_EFFORT
        return Needs(pixels * DECODING_BYTES[name] + 4 * resized, effort)

    def pixels(self, item: Image, place: int = 0) -> NDArray[np.uint8]:
        """The square that the model sees, before it is normalised: (side, side, 3)."""
        what = f"image {place}"
        picture = decode(item.data, max_bytes=self._max_bytes, max_pixels=self._max_pixels, what=what)
        size = self._size(picture.width, picture.height, what)
        try:
            return np.asarray(self._square(picture, *size))
        except MemoryError as error:
            said = f"{picture.width} x {picture.height}"
            clear_frames(error.__traceback__)
            del picture  # the error would keep it
            raise RuntimeFailed(f"there is no memory to resize the {said} pixels of {what}; try later") from error

    def _square(self, picture: Pillow.Image, width: int, height: int) -> Pillow.Image:
        """The middle of the picture at its new size.

        Pillow resizes in two passes and rounds after each, so their order shows in the pixels. It is fixed here to that
        of Pillow 13 (https://github.com/python-pillow/Pillow/pull/9549), so that older ones give the same vectors.
        What is cut off is cut before the second pass.
        """
        side, filtered = self._vision.side, self._resample
        left, top = (width - side) // 2, (height - side) // 2
        if height < picture.height and picture.height - height > 2 * (picture.width - width):
            rows = picture.resize((picture.width, height), filtered).crop((0, top, picture.width, top + side))
            return rows.resize((width, side), filtered).crop((left, 0, left + side, side))
        columns = picture.resize((width, picture.height), filtered).crop((left, 0, left + side, picture.height))
        return columns.resize((side, height), filtered).crop((0, top, side, top + side))

    def _size(self, width: int, height: int, what: str) -> tuple[int, int]:
        """Width and height after resizing; the longer side is rounded down."""
        side = self._vision.side
        if self._vision.fit == "squash":
            return side, side
        longer = int(side * max(width, height) / min(width, height))
        if side * longer > self._max_pixels:
            raise TooLong(
                f"{what} is {width} x {height} pixels: with {side} on its shorter side it has {side * longer}, "
                f"the limit is {self._max_pixels}; send a part of it"
            )
        return (side, longer) if width <= height else (longer, side)

    def _patches(self, pixels: NDArray[np.uint8]) -> Floats:
        """(tokens, patch_width)."""
        patch, count = self._vision.patch, self._vision.side // self._vision.patch
        whole = pixels[: count * patch, : count * patch].reshape(count, patch, count, patch, 3)
        rows = np.zeros((self._vision.tokens, 3, patch, patch), np.float32)
        for colour, levels in enumerate(self._levels):
            shaped = rows[int(self._vision.has_class) :, colour].reshape(count, count, patch, patch)
            shaped[...] = levels[whole[..., colour].swapaxes(1, 2)]
        return rows.reshape(len(rows), self._vision.patch_width)


def _levels(vision: Vision) -> Floats:
    """What the 256 values of each colour become: (3, 256); float64 up to the division by 255, float32 from there."""
    unit = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    mean, std = np.array(vision.mean, np.float32), np.array(vision.std, np.float32)
    return ((unit - mean[:, None]) / std[:, None]).astype(np.float32)
