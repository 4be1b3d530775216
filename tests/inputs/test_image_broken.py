"""Files that are not whole, say two things, hold two pictures or ask for much work, and what looks like them."""

import io
import struct
import weakref
import zlib

import numpy as np
import pytest
from PIL import Image as Pillow

from embedstack.errors import BadRequest, TooLong
from embedstack.inputs import decode, ending
from embedstack.inputs.decode import MARKS
from embedstack.inputs.effort import MAX_PASSES, MAX_PNG_CHUNKS
from embedstack.inputs.image import ImageInput
from embedstack.modelspec import Vision
from embedstack.types import Image
from support import pictures
from support.pictures import COLOUR, COLOUR_ALPHA, GREY, GREY_ALPHA, animation, chunk, picture, png, saved, scene

TOWER = {"layers": 1, "hidden": 8, "heads": 1, "intermediate": 8, "activation": "gelu", "norm_eps": 1e-5}
SEEN = Vision(**TOWER, side=32, patch=8, fit="squash", mean=(0.5,) * 3, std=(0.5,) * 3)
PNG, JPEG, GIF, WEBP = (saved(picture(mode, 70, 50), kind) for mode, kind in
                        (("RGB", "PNG"), ("RGB", "JPEG"), ("P", "GIF"), ("RGB", "WEBP")))  # fmt: skip
PHOTOGRAPH = saved(picture("RGB", 70, 50), "JPEG", exif=pictures.exif(1))
SEVERAL = JPEG[:2] + b"\xff\xe2\0\x08MPF\0ab" + JPEG[2:]  # as phones mark a photograph that holds another


def pixels(data: bytes) -> np.ndarray:
    return ImageInput(SEEN).pixels(Image(data))


# ------------------------------------------------------------------------------------------------ PNG, not whole

PALETTE = 3
KINDS = {  # depth, kind of colour, bands
    "colour": (8, COLOUR, 3),
    "colour alpha": (8, COLOUR_ALPHA, 4),
    "grey": (8, GREY, 1),
    "grey alpha": (8, GREY_ALPHA, 2),
    "one bit": (1, GREY, 1),
    "two bits": (2, GREY, 1),
    "16-bit grey": (16, GREY, 1),
    "16-bit colour": (16, COLOUR, 3),
    "16-bit colour alpha": (16, COLOUR_ALPHA, 4),
    "palette": (8, PALETTE, 1),
    "palette of 4 bits": (4, PALETTE, 1),
}


def made(name: str, size: tuple[int, int], *, interlaced: bool = False, value: int | None = None) -> bytes:
    """A PNG, of the scene or all of one value."""
    depth, kind, bands = KINDS[name]
    values = scene(*size, bands, 1 << depth) if value is None else np.full((*size[::-1], bands), value, np.uint16)
    data = png(values, depth, kind, interlaced=interlaced)
    colours = chunk(b"PLTE", scene(1 << min(depth, 8), 1).tobytes()) if kind == PALETTE else b""
    return data[:33] + colours + data[33:]


def stream(data: bytes) -> tuple[int, bytes]:
    """Where a PNG's one chunk of pixels begins, and what it unpacks to."""
    start = data.index(b"IDAT") - 4
    length = int.from_bytes(data[start : start + 4], "big")
    return start, zlib.decompress(data[start + 8 : start + 8 + length])


def cut(data: bytes, count: int) -> bytes:
    """Without so many of the last unpacked bytes, and sound otherwise."""
    start, unpacked = stream(data)
    return data[:start] + chunk(b"IDAT", zlib.compress(unpacked[:-count])) + chunk(b"IEND", b"")


def row_bytes(name: str, width: int) -> int:
    depth, _, bands = KINDS[name]
    return 1 + (width * depth * bands + 7) // 8


@pytest.mark.parametrize("interlaced", [False, True], ids=["", "interlaced"])
@pytest.mark.parametrize("name", KINDS)
def test_a_png_that_lacks_its_last_row_is_refused(name, interlaced):
    data = made(name, (31, 23), interlaced=interlaced)

    assert pixels(data).shape == (32, 32, 3)
    with pytest.raises(BadRequest, match=r"image 0 \(png\) cannot be decoded \(it ends before its last row\)"):
        pixels(cut(data, row_bytes(name, 31)))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 1), (9, 1), (1, 2), (1, 3), (2, 2), (5, 4), (8, 9)])
def test_an_interlaced_png_of_any_size_is_whole_or_refused(size):
    data = made("grey", size, interlaced=True)
    unpacked = len(stream(data)[1])

    assert pixels(data).shape == (32, 32, 3)
    for count in range(1, unpacked):
        with pytest.raises(BadRequest, match="cannot be decoded"):
            pixels(cut(data, count))


@pytest.mark.parametrize("interlaced", [False, True], ids=["", "interlaced"])
@pytest.mark.parametrize("value", sorted({*MARKS, 1, 255}))
@pytest.mark.parametrize("name", KINDS)
def test_a_png_is_read_whatever_its_last_pixel_is(name, value, interlaced):
    data = made(name, (31, 23), interlaced=interlaced, value=value & (1 << KINDS[name][0]) - 1)

    assert (pixels(data) == pixels(data)[0, 0]).all()


def test_a_png_whose_pixels_are_damaged_is_refused_by_its_checksum():
    start = PNG.index(b"IDAT")
    damaged = PNG[: start + 40] + bytes([PNG[start + 40] ^ 1]) + PNG[start + 41 :]

    with pytest.raises(BadRequest, match=r"image 0 \(png\) cannot be decoded \(a checksum of its pixels is wrong\)"):
        pixels(damaged)


def test_a_png_whose_first_frame_is_not_all_of_it_is_refused():
    control = struct.pack(">IIIIIHHBB", 0, 70, 25, 0, 25, 1, 1, 0, 0)
    moving = PNG[:33] + chunk(b"acTL", struct.pack(">II", 1, 0)) + chunk(b"fcTL", control) + PNG[33:]

    with pytest.raises(BadRequest, match=r"70 x 50 pixels and its first frame is not"):
        pixels(moving)


# ------------------------------------------------------------------------------------------------ JPEG, not whole


def test_a_jpeg_of_fewer_bits_than_blocks_is_refused():
    frame = JPEG.index(b"\xff\xc0") + 5
    claims = JPEG[:frame] + (6000).to_bytes(2, "big") * 2 + JPEG[frame + 4 :]

    with pytest.raises(BadRequest, match=r"image 0 \(jpeg\) cannot be decoded \(its 36000000 pixels are in \d+ bytes"):
        pixels(claims)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_an_empty_jpeg_of_any_kind_has_enough_bits(mode, progressive):
    blank = saved(Pillow.new(mode, (1000, 1000)), "JPEG", progressive=progressive, quality=1, optimize=True)

    assert (pixels(blank) == pixels(blank)[0, 0]).all()


# ------------------------------------------------------------------------------------------------ two sizes


def test_a_png_with_two_heads_is_refused():
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 7000, 7000, 8, COLOUR, 0, 0, 0))

    with pytest.raises(BadRequest, match=r"image 0 \(png\) has 2 heads"):
        pixels(PNG[:33] + head + PNG[33:])


def test_a_gif_whose_first_frame_is_found_elsewhere_is_refused():
    """An empty extension, behind which Pillow reads the length of a block where others see a frame."""
    screen = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0) + b"\x21\x01\0"
    small = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
    large = b"\x2c" + struct.pack("<HHHHB", 0, 0, 7000, 7000, 0) + b"\x08\x01\0\0\x3b"

    with pytest.raises(BadRequest, match="says that it is 1 x 1 and 7000 x 7000 pixels"):
        pixels(screen + small + bytes(0x2C - 9) + b"\0" + large)


def test_a_jpeg_with_two_frames_is_refused():
    frame = JPEG.index(b"\xff\xc0")
    length = 2 + int.from_bytes(JPEG[frame + 2 : frame + 4], "big")
    other = JPEG[frame : frame + 5] + (7000).to_bytes(2, "big") * 2 + JPEG[frame + 9 : frame + length]

    with pytest.raises(BadRequest, match="says that it is 70 x 50 and 7000 x 7000 pixels"):
        pixels(JPEG[: frame + length] + other + JPEG[frame + length :])


# ------------------------------------------------------------------------------------------------ two in one


@pytest.mark.parametrize("second", [PNG, GIF, WEBP], ids=["PNG", "GIF", "WebP"])
@pytest.mark.parametrize("between", [b"", b"\0\0", b"\r\n"], ids=["", "zeros", "a line"])
@pytest.mark.parametrize("first", [JPEG, PHOTOGRAPH, SEVERAL], ids=["JPEG", "a photograph", "marked as several"])
def test_another_kind_of_file_behind_a_jpeg_is_refused(first, between, second):
    with pytest.raises(BadRequest, match=r"image 0 \(jpeg\) is followed by a second picture"):
        pixels(first + between + second)


@pytest.mark.parametrize("between", [b"\0\0", b"\r\n", b" " * 300], ids=["zeros", "a line", "blanks"])
def test_two_photographs_are_refused_whatever_stands_between(between):
    with pytest.raises(BadRequest, match=r"image 0 \(jpeg\) is followed by a second picture"):
        pixels(PHOTOGRAPH + between + JPEG)


@pytest.mark.parametrize("between", [b"", b"\0" * 9])
@pytest.mark.parametrize("first", [PHOTOGRAPH, SEVERAL], ids=["a photograph", "marked as several"])
def test_a_preview_is_left_wherever_it_begins(first, between):
    preview = saved(picture("RGB", 16, 12), "JPEG")

    np.testing.assert_array_equal(pixels(first + between + preview), pixels(first))


@pytest.mark.parametrize("first", [PNG, GIF, WEBP, animation(3)], ids=["PNG", "GIF", "WebP", "moving GIF"])
def test_a_jpeg_that_begins_with_its_tables_is_refused_behind_others(first):
    bare = JPEG[:2] + JPEG[JPEG.index(b"\xff\xdb") :]

    with pytest.raises(BadRequest, match=r"is followed by a second picture"):
        pixels(first + bare)


def test_what_looks_like_the_end_of_a_gif_within_it_is_none():
    comment = b"\x21\xfe\x0a" + b"\0;\xff\xd8\xff\xe0\0\x10JF" + b"\0"
    start = GIF.index(b"\x2c", 13 + 768)

    np.testing.assert_array_equal(pixels(GIF[:start] + comment + GIF[start:]), pixels(GIF))


def test_zeros_behind_a_png_are_no_chunks_of_it():
    np.testing.assert_array_equal(pixels(PNG + bytes(50_000)), pixels(PNG))


# ------------------------------------------------------------------------------------------------ much work


def test_a_jpeg_of_very_many_passes_is_refused_however_small_it_is():
    progressive = saved(picture("L", 8, 8), "JPEG", progressive=True)
    start = progressive.rindex(b"\xff\xda")

    with pytest.raises(TooLong, match=rf"image 0 \(jpeg\) goes more than {MAX_PASSES} times over its pixels"):
        pixels(progressive[:-2] + progressive[start:-2] * (MAX_PASSES + 1) + b"\xff\xd9")


@pytest.mark.parametrize("kind", [b"IDAT", b"fdAT"])
def test_a_png_of_endless_chunks_is_refused(kind):
    with pytest.raises(TooLong, match=rf"image 0 \(png\) holds more than {MAX_PNG_CHUNKS} chunks \(a fixed limit\)"):
        pixels(PNG[:33] + chunk(kind, b"") * MAX_PNG_CHUNKS + PNG[33:])


def test_a_png_in_many_pieces_is_read():
    start = PNG.index(b"IDAT") - 4
    length = int.from_bytes(PNG[start : start + 4], "big")
    body = PNG[start + 8 : start + 8 + length]
    pieces = b"".join(chunk(b"IDAT", body[at : at + 1]) for at in range(length))

    np.testing.assert_array_equal(pixels(PNG[:start] + pieces + PNG[start + 12 + length :]), pixels(PNG))


def test_a_gif_of_endless_blocks_is_refused(monkeypatch):
    monkeypatch.setattr(ending, "MAX_GIF_BLOCKS", 50)

    with pytest.raises(TooLong, match=r"image 0 \(gif\) holds more than 50 blocks \(a fixed limit\)"):
        pixels(GIF[:-1] + b"\x21\xfe" + b"\x01a" * 50 + b"\0;")


@pytest.mark.parametrize(("data", "passes"), [
    (PNG, 1), (GIF, 1), (WEBP, 1), (JPEG, 1), (saved(picture("RGB", 70, 50), "JPEG", progressive=True), 10),
], ids=["PNG", "GIF", "WebP", "JPEG", "progressive JPEG"])  # fmt: skip
def test_the_effort_of_a_picture_counts_its_pixels_its_passes_and_its_resizing(data, passes):
    assert ImageInput(SEEN).needs(Image(data)).effort == (8 + passes) * 70 * 50 + 8 * 32 * (50 + 32)


# ------------------------------------------------------------------------------------------------ memory


def test_an_error_keeps_nothing_of_the_picture_that_it_is_about(monkeypatch, uncollected):
    opened = []

    def noting(file: io.BytesIO):
        picture = reader(file)
        opened.append(weakref.ref(picture))
        return picture

    reader = decode.READERS["jpeg"]
    monkeypatch.setitem(decode.READERS, "jpeg", noting)
    with pytest.raises(BadRequest) as caught:
        pixels(JPEG[: len(JPEG) // 2])

    assert caught.value.__cause__ is not None
    assert [one() for one in opened] == [None]
