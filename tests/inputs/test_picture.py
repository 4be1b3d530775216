"""Images as they are sent, and what their files say of themselves."""

import base64
import struct
import zlib

import pytest

from embedstack.errors import BadRequest, TooLong, Unsupported
from embedstack.inputs.picture import MAX_SEGMENTS, check_picture, picture_from
from embedstack.types import Image, Link


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")


def segment(marker: int, data: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data


def jpeg(width: int, height: int, before: bytes = b"", frame: int = 0xC0) -> bytes:
    size = struct.pack(">BHHB", 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8" + segment(0xE0, b"JFIF\0") + before + segment(frame, size) + b"\xff\xda"


def gif(width: int, height: int, frame: tuple[int, int, int, int] | None = None, before: bytes = b"") -> bytes:
    left, top, wide, high = frame or (0, 0, width, height)
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6)
    return screen + before + b"\x2c" + struct.pack("<HHHHB", left, top, wide, high, 0) + b"\x02\x00\x3b"


def webp(kind: bytes, data: bytes) -> bytes:
    inside = b"WEBP" + kind + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(inside)) + inside


def lossy(width: int, height: int) -> bytes:
    return webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", width, height))


def lossless(width: int, height: int) -> bytes:
    return webp(b"VP8L", b"\x2f" + struct.pack("<I", (width - 1) | (height - 1) << 14) + b"\0")


def extended(width: int, height: int) -> bytes:
    return webp(b"VP8X", bytes(4) + (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little"))


def check(data: bytes, max_bytes: int = 10_000_000, max_pixels: int = 50_000_000) -> tuple[str, int, int]:
    return check_picture(data, max_bytes=max_bytes, max_pixels=max_pixels)


PILLOWS = [  # 2 x 3 grey pixels, by Pillow 13.0: Image.new("L", (2, 3), 128).save(...), the last one with alpha
    (
        "png",
        "iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAAAAACcgYFdAAAAEUlEQVR4nGNsYGBiYGBiYAAABCQAhhWbxiQAAAAASUVORK5CYII=",
    ),
    (
        "jpeg",
        "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAP//////////////////////////////////////////////////////////////////////"
        "////////////////wAALCAADAAIBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAD8A"
        "P//Z",
    ),
    ("gif", "R0lGODdhAgADAIEAAICAgAAAAAAAAAAAACwAAAAAAgADAAAIBgABCBwYEAA7"),
    ("webp", "UklGRiQAAABXRUJQVlA4IBgAAABQAQCdASoCAAMAAUAmJaQABHQAAORAAAA="),
    ("webp", "UklGRh4AAABXRUJQVlA4TBEAAAAvAYAAAAdQwAIWsP+BiOh/AAA="),
    (
        "webp",
        "UklGRkYAAABXRUJQVlA4WAoAAAAQAAAAAQAAAgAAQUxQSAcAAAAABwcHBwcHAFZQOCAYAAAAUAEAnQEqAgADAAFAJiWkAAR0AADkQAAA",
    ),
]


# ------------------------------------------------------------------------------------------------ format and size


@pytest.mark.parametrize(("name", "packed"), PILLOWS)
def test_files_that_others_wrote_are_read(name, packed):
    assert check(base64.b64decode(packed)) == (name, 2, 3)


@pytest.mark.parametrize(
    ("make", "name"),
    [(png, "png"), (jpeg, "jpeg"), (gif, "gif"), (lossy, "webp"), (lossless, "webp"), (extended, "webp")],
)
def test_format_and_size_are_read_from_the_head_of_the_file(make, name):
    assert check(make(640, 427)) == (name, 640, 427)


@pytest.mark.parametrize("make", [png, jpeg, gif, extended])
def test_a_small_file_that_claims_many_pixels_is_refused_with_both_numbers(make):
    with pytest.raises(TooLong, match="30000 x 30000 pixels, the limit is 50000000"):
        check(make(30_000, 30_000))


@pytest.mark.parametrize("size", [(65_536, 1), (1, 65_536), (50_000_000, 1)])
def test_a_side_that_needs_much_memory_for_few_pixels_is_refused(size):
    with pytest.raises(TooLong, match="the limit is 65535 on a side"):
        check(png(*size))


def test_the_longest_side_is_read():
    assert check(png(65_535, 1)) == ("png", 65_535, 1)


def test_a_file_over_the_limit_is_refused_with_both_numbers():
    with pytest.raises(TooLong, match="has 101 bytes, the limit is 100"):
        check(png(1, 1).ljust(101, b"\0"), max_bytes=100)


@pytest.mark.parametrize("size", [(0, 10), (10, 0)])
def test_an_image_without_pixels_is_refused(size):
    with pytest.raises(BadRequest, match="send another"):
        check(png(*size))


@pytest.mark.parametrize("make", [png, jpeg, gif, lossy, lossless, extended])
def test_a_file_that_ends_before_its_size_is_refused_at_every_length(make):
    whole = make(640, 427)
    for length in range(12, len(whole)):
        try:
            name, *size = check(whole[:length])
        except BadRequest:
            continue
        assert size == [640, 427], f"{name} cut to {length} bytes"


@pytest.mark.parametrize(
    ("data", "seems"),
    [
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"  <?xml version='1.0'?><svg/>", "XML or SVG"),
        (b"<!DOCTYPE html><title>login</title>", "a web page"),
        (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"BM6\0", "BMP"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41", "a video (MP4); send its frames as pictures"),
        (b"\0\0\0\x18ftypmp42", "a video (MP4); send its frames as pictures"),
        (b"\0\0\0\x1cftypavc1", "a video (MP4); send its frames as pictures"),
        (b"\0\0\0\x14ftypqt  ", "a video (QuickTime); send its frames as pictures"),
        (b"\x1aE\xdf\xa3\x9fB\x86\x81\x01webm", "a video (WebM or Matroska); send its frames as pictures"),
        (b"a text that was named cat.jpg", ""),
        (b"", ""),
        (b"RIFF\x10\0\0\0WAVEfmt ", ""),
    ],
)
def test_another_format_is_refused_and_named_where_it_is_known(data, seems):
    with pytest.raises(Unsupported, match="is not PNG, JPEG, WebP or GIF") as caught:
        check(data)

    assert (f"it seems to be {seems}" if seems else "send one of these") in str(caught.value)


# ------------------------------------------------------------------------------------------------ JPEG


@pytest.mark.parametrize("frame", [0xC0, 0xC1, 0xC2, 0xC9])
def test_each_kind_of_jpeg_has_its_size(frame):
    assert check(jpeg(640, 427, frame=frame)) == ("jpeg", 640, 427)


def test_the_tables_of_a_jpeg_are_not_its_size():
    tables = b"".join(segment(marker, struct.pack(">BHHB", 8, 9, 9, 1)) for marker in (0xC4, 0xC8, 0xCC))

    assert check(jpeg(640, 427, before=tables)) == ("jpeg", 640, 427)


def test_a_thumbnail_inside_a_jpeg_is_not_its_size():
    assert check(jpeg(640, 427, before=segment(0xE1, b"Exif\0\0" + jpeg(16, 12)))) == ("jpeg", 640, 427)


def test_the_padding_before_a_marker_is_skipped():
    assert check(jpeg(640, 427, before=b"\xff" * 1_000_000)) == ("jpeg", 640, 427)


def test_a_jpeg_of_endless_segments_is_given_up():
    with pytest.raises(BadRequest, match="broken before its size"):
        check(jpeg(640, 427, before=segment(0xFE, b"") * MAX_SEGMENTS))


def test_a_jpeg_whose_pixels_come_first_is_refused():
    with pytest.raises(BadRequest, match="broken before its size"):
        check(jpeg(640, 427, before=b"\xff\xda"))


# ------------------------------------------------------------------------------------------------ GIF


def test_a_frame_that_reaches_over_the_screen_counts():
    assert check(gif(10, 10, frame=(5, 0, 640, 427))) == ("gif", 645, 427)


def test_a_small_screen_hides_no_bomb():
    with pytest.raises(TooLong, match="65535 x 65535 pixels"):
        check(gif(1, 1, frame=(0, 0, 65535, 65535)))


def test_the_extensions_of_a_gif_are_skipped():
    assert check(gif(640, 427, before=b"\x21\xfe\x03abc\x02de\x00" * 3)) == ("gif", 640, 427)


def test_a_gif_of_endless_blocks_is_given_up():
    with pytest.raises(BadRequest, match="broken before its size"):
        check(gif(640, 427, before=b"\x21\xfe" + b"\x01a" * MAX_SEGMENTS + b"\x00"))


def test_the_extensions_of_a_gif_and_their_blocks_share_one_limit():
    many = (b"\x21\xfe" + b"\x01a" * 99 + b"\x00") * (MAX_SEGMENTS // 100 + 1)

    with pytest.raises(BadRequest, match="broken before its size"):
        check(gif(640, 427, before=many))


# ------------------------------------------------------------------------------------------------ as it is sent

BYTES = bytes(range(256))
PACKED = base64.b64encode(BYTES).decode()


@pytest.mark.parametrize("url", ["http://a.example/cat.png", "https://a.example/", "HTTPS://A.example/x"])
def test_an_address_is_a_link(url):
    assert picture_from(f" {url}\n") == Link(url)


@pytest.mark.parametrize(
    "head", ["data:image/png;base64,", "DATA:IMAGE/PNG;BASE64,", "data:image/svg+xml;charset=utf-8;base64,"]
)
def test_a_data_url_is_an_image(head):
    assert picture_from(head + PACKED) == Image(BYTES)


@pytest.mark.parametrize(
    "text",
    [
        PACKED,
        PACKED.rstrip("="),
        base64.urlsafe_b64encode(BYTES).decode(),
        base64.encodebytes(BYTES).decode(),
    ],
)
def test_base64_alone_is_an_image_in_every_usual_form(text):
    assert picture_from(text) == Image(BYTES)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("data:image/png;base64,", "is empty"),
        ("data:image/png;base64,====", "is empty"),
        ("data:image/png,abc", "no base64"),
        ("data:image/png", "no base64"),
        ("data:text/html;base64,QUJD", "not of an image"),
        ("data:;base64,QUJD", "not of an image"),
        ("a cat on a mat!", "neither a link nor base64"),
        ("QUJDR", "neither a link nor base64"),
        ("QUJ=DREVG", "neither a link nor base64"),
        ("QQ==QUJD", "neither a link nor base64"),
        ("QUI=\nQUI=", "neither a link nor base64"),
        ("data:image/png;base64,QUJD data:image/png;base64,QUJD", "neither a link nor base64"),
        ("data:image/png;base64,QUJD,QUJD", "neither a link nor base64"),
        ("Ünïcode", "neither a link nor base64"),
        ("ftp://a.example/cat.png", "given as 'ftp:'"),
        ("file:///etc/passwd", "given as 'file:'"),
        ("javascript:alert(1)", "given as 'javascript:'"),
    ],
)
def test_what_is_no_image_is_refused_with_the_reason(text, why):
    with pytest.raises(BadRequest, match=why):
        picture_from(text)


def test_a_refusal_does_not_quote_what_was_sent():
    with pytest.raises(BadRequest) as caught:
        picture_from("my secret words")

    assert "secret" not in str(caught.value)
