"""Pictures become the very numbers that the reference's image processors make of them."""

import contextlib
import dataclasses
import hashlib
import io
import json
import random
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from embedstack.errors import BadRequest, RuntimeFailed, TooLong, Unsupported
from embedstack.inputs.image import ImageInput
from embedstack.modelspec import Vision
from embedstack.types import Image
from support import pictures
from support.pictures import COLOUR, EXACT, GREY, LOSSY, TURNED, animation, chunk, data_url, picture, png, saved, scene
from support.proofs import RECORDS

GOLDEN = Path(__file__).parents[1] / "golden" / "pictures.json"
TOWER = {"layers": 1, "hidden": 8, "heads": 1, "intermediate": 8, "activation": "gelu", "norm_eps": 1e-5}
VISIONS = {
    "clip-vit-base-patch32": Vision(
        **TOWER, side=224, patch=32, has_class=True, fit="crop", resample="bicubic",
        mean=(0.48145466, 0.4578275, 0.40821073), std=(0.26862954, 0.26130258, 0.27577711),
    ),
    "siglip-so400m-patch14-384": Vision(**TOWER, side=384, patch=14, fit="squash", resample="bicubic"),
    "siglip2-base-patch16-224": Vision(**TOWER, side=224, patch=16, fit="squash", resample="bilinear"),
}  # fmt: skip
CLIP = VISIONS["clip-vit-base-patch32"]
SMALL = dataclasses.replace(CLIP, side=32, patch=8)
RECORDED = {**EXACT, **{name: make for name, make in TURNED.items() if not name.startswith("JPEG")}}
needs_transformers = pytest.mark.skipif(find_spec("transformers") is None, reason="transformers is not installed")


def pixels(data: bytes, vision: Vision = SMALL) -> np.ndarray:
    return ImageInput(vision).pixels(Image(data))


def square(patches: np.ndarray, vision: Vision) -> np.ndarray:
    """The patches put together again, one number after the other: (3, height, width)."""
    patch, count = vision.patch, vision.side // vision.patch
    made = np.full((3, count * patch, count * patch), np.nan, np.float32)
    for place, row in enumerate(patches[int(vision.has_class) :]):
        top, left = place // count * patch, place % count * patch
        made[:, top : top + patch, left : left + patch] = row.reshape(3, patch, patch)
    return made


def digests(square_pixels: np.ndarray, floats: np.ndarray, vision: Vision) -> list[str]:
    """Of bytes (side, side, 3), and of the floats that patches are cut of."""
    whole = vision.side // vision.patch * vision.patch
    kept = np.ascontiguousarray(floats[:, :whole, :whole])
    return [hashlib.sha256(np.ascontiguousarray(one)).hexdigest()[:16] for one in (square_pixels, kept)]


def ours(data: bytes, vision: Vision) -> list[str]:
    reader = ImageInput(vision)
    patches = reader.encode([Image(data)])[0].patches
    return digests(reader.pixels(Image(data)), square(patches, vision), vision)


# ------------------------------------------------------------------------------------------------ the judge


def judged(data: bytes, vision: Vision) -> tuple[np.ndarray, np.ndarray]:
    """What transformers' own processor makes of it: bytes (side, side, 3), floats (3, side, side)."""
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    how = {"image_mean": list(vision.mean), "image_std": list(vision.std), "return_tensors": "np"}
    how["resample"] = Pillow.Resampling[vision.resample.upper()]
    if vision.fit == "crop":
        made = CLIPImageProcessorPil(size={"shortest_edge": vision.side}, crop_size=vision.side)
    else:
        made = SiglipImageProcessorPil(size={"height": vision.side, "width": vision.side})
    opened = upright(data)
    raw = made(opened, do_rescale=False, do_normalize=False, **how)["pixel_values"][0]
    return raw.transpose(1, 2, 0), made(opened, **how)["pixel_values"][0]


def upright(data: bytes) -> Pillow.Image:
    """As transformers loads what it is given as a path, a link or base64; that would lose alpha, so only if turned."""
    from transformers.image_utils import load_image

    opened = Pillow.open(io.BytesIO(data))
    return opened if opened.getexif().get(0x0112, 1) == 1 else load_image(data_url(data))


@pytest.mark.reference
@needs_transformers
@pytest.mark.parametrize("model", VISIONS)
@pytest.mark.parametrize("name", [*EXACT, *TURNED, *LOSSY])
def test_every_number_is_the_references(name, model):
    data, vision = {**EXACT, **TURNED, **LOSSY}[name](), VISIONS[model]
    bytes_wanted, floats_wanted = judged(data, vision)
    reader = ImageInput(vision)

    whole = vision.side // vision.patch * vision.patch
    np.testing.assert_array_equal(reader.pixels(Image(data)), bytes_wanted)
    np.testing.assert_array_equal(
        square(reader.encode([Image(data)])[0].patches, vision), floats_wanted[:, :whole, :whole]
    )


@pytest.mark.reference
@needs_transformers
def test_what_the_reference_says_is_written_down():
    origin = {
        "made by": "EMBEDSTACK_RECORD=1 python -m pytest tests/inputs/test_image.py -m reference",
        "versions": {name: version(name) for name in ("transformers", "pillow", "numpy")},
        "holds": "sha256 (16 digits) of the resized and cut bytes, and of the floats that patches are cut of",
    }
    made = {
        model: {name: digests(*judged(make(), vision), vision) for name, make in RECORDED.items()}
        for model, vision in VISIONS.items()
    }
    if RECORDS:
        GOLDEN.write_text(json.dumps({"origin": origin, "models": made}, indent=1) + "\n")
    assert json.loads(GOLDEN.read_text())["models"] == made


THREADS = ("1x500", "500x1")  # of 25 million pixels once they are resized


@pytest.mark.parametrize(
    ("name", "model"),
    [
        pytest.param(name, model, marks=[pytest.mark.slow] if name in THREADS and vision.fit == "crop" else [])
        for name in RECORDED
        for model, vision in VISIONS.items()
    ],
)
def test_every_number_is_the_one_that_the_reference_gave(name, model):
    wanted = json.loads(GOLDEN.read_text())["models"][model]

    assert ours(RECORDED[name](), VISIONS[model]) == wanted[name]


# ------------------------------------------------------------------------------------------------ formats


@pytest.mark.parametrize("name", LOSSY)
def test_a_file_that_loses_pixels_is_read_as_pillow_reads_it(name):
    data = LOSSY[name]()
    opened = Pillow.open(io.BytesIO(data))
    white = Pillow.new("RGBA", opened.size, "white")
    plain = Pillow.alpha_composite(white, opened.convert("RGBA")) if opened.mode == "RGBA" else opened
    twin = plain.convert("RGB").resize((384, 384), Pillow.Resampling.BICUBIC)

    np.testing.assert_array_equal(pixels(data, VISIONS["siglip-so400m-patch14-384"]), np.asarray(twin))


@pytest.mark.parametrize("name", TURNED)
def test_a_turned_photograph_stands_upright(name):
    """A field of three colours shows which way is up."""
    turns = {1: [], 2: ["h"], 3: ["h", "v"], 4: ["v"], 5: ["t"], 6: ["v", "t"], 7: ["h", "v", "t"], 8: ["h", "t"]}
    wanted = np.zeros((64, 96, 3), np.uint8)
    wanted[:32, :48], wanted[:32, 48:], wanted[32:, :48] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    stored = wanted
    orientation = int(name[-1])
    for turn in reversed(turns[orientation]):
        stored = {"h": stored[:, ::-1], "v": stored[::-1], "t": stored.transpose(1, 0, 2)}[turn]
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    file = saved(Pillow.fromarray(np.ascontiguousarray(stored)), name.split()[0], exif=exif.tobytes(), quality=95)

    seen = pixels(file)

    assert seen[4, 4].argmax() == 0
    assert seen[4, -4].argmax() == 1
    assert seen[-4, 4].argmax() == 2
    assert seen[-4, -4].max() < 30


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_picture_whose_exif_is_broken_is_taken_as_it_lies(kind):
    plain, junk = saved(picture("RGB", 40, 30), kind), b"\xee" * 40
    note = b"\xff\xe1" + (2 + 6 + 40).to_bytes(2, "big") + b"Exif\0\0" + junk
    broken = plain[:2] + note + plain[2:] if kind == "JPEG" else plain[:33] + chunk(b"eXIf", junk) + plain[33:]

    np.testing.assert_array_equal(pixels(broken), pixels(plain))


@pytest.mark.parametrize("name", ["colour alpha", "lossless WebP", "palette, one lets through"])
def test_what_is_transparent_lies_on_white(name):
    opened = Pillow.open(io.BytesIO(EXACT[name]())).convert("RGBA")
    colour, alpha = np.split(np.asarray(opened).astype(float), [3], axis=2)
    wanted = colour * (alpha / 255) + 255 * (1 - alpha / 255)
    vision = dataclasses.replace(SMALL, side=min(opened.size))
    left, top = ((length - vision.side) // 2 for length in opened.size)

    seen = pixels(EXACT[name](), vision).astype(float)

    assert np.abs(seen - wanted[top : top + vision.side, left : left + vision.side]).max() <= 1


def test_a_large_transparent_picture_is_laid_on_white_band_by_band():
    small = picture("RGBA", 250, 150)
    made = Pillow.fromarray(np.tile(np.asarray(small), (10, 6, 1)))
    whole = Pillow.alpha_composite(Pillow.new("RGBA", made.size, "white"), made).convert("RGB")

    np.testing.assert_array_equal(*(pixels(saved(one, "PNG", compress_level=1)) for one in (made, whole)))


@pytest.mark.parametrize("step", [1, 200])
def test_grey_of_16_bits_is_the_grey_that_it_means(step):
    deep = (scene(61, 47, 1, 65536) * step).astype(np.uint16)

    seen = pixels(png(deep, 16, GREY))

    np.testing.assert_array_equal(seen, pixels(png(np.repeat(deep, 3, axis=2), 16, COLOUR)))
    np.testing.assert_array_equal(seen, pixels(png(deep >> 8, 8, GREY)))


@pytest.mark.parametrize(
    ("deep", "depth", "kind"),
    [
        (scene(61, 47, 1, 4), 2, GREY),
        (scene(61, 47, 1, 16), 4, GREY),
        (scene(61, 47, 1, 65536) * 131, 16, GREY),
        (scene(61, 47, 3, 65536) // 256 * 256, 16, COLOUR),
    ],
    ids=["2 bits", "4 bits", "16 bits", "16 bits a colour"],
)
def test_the_one_colour_that_lets_through_is_found_at_every_depth(deep, depth, kind):
    key = deep[20, 30]
    alone = png(deep, depth, kind)
    keyed = png(deep, depth, kind, key=key.astype(">u2").tobytes())
    vision = dataclasses.replace(SMALL, side=47)
    through = (deep == key).all(axis=2)[:, 7:54]

    seen = pixels(keyed, vision)

    assert through.any()
    assert (seen[through] == 255).all()
    np.testing.assert_array_equal(seen[~through], pixels(alone, vision)[~through])


@pytest.mark.parametrize("model", VISIONS)
@pytest.mark.parametrize("size", [(40, 333), (97, 640), (640, 97), (30, 20), (400, 399), (210, 600)])
def test_the_order_of_the_two_passes_is_one_under_every_pillow(size, model):
    """Down first where height shrinks by more than twice what width does, else across first."""
    vision, made = VISIONS[model], picture("RGB", *size)
    side, (width, height) = vision.side, size
    longer = int(side * max(size) / min(size)) if vision.fit == "crop" else side
    wide, high = (side, longer) if width <= height else (longer, side)
    down_first = high < height and height - high > 2 * (width - wide)
    halfway = (width, high) if down_first else (wide, height)
    for step in (halfway, (wide, high)):
        made = made.resize(step, Pillow.Resampling[vision.resample.upper()])
    left, top = (wide - side) // 2, (high - side) // 2

    np.testing.assert_array_equal(
        pixels(saved(picture("RGB", *size), "PNG"), vision), np.asarray(made)[top : top + side, left : left + side]
    )


def test_an_interlaced_file_gives_the_same_pixels():
    plain, interlaced = (png(scene(61, 47), 8, COLOUR, interlaced=value) for value in (False, True))

    np.testing.assert_array_equal(pixels(interlaced), pixels(plain))


@pytest.mark.slow
def test_of_500_frames_only_the_first_is_read():
    moving = animation(500, size=(40, 30))
    alone = saved(picture("P", 40, 30), "GIF", transparency=7)
    start = b"\x21\xf9\x04"  # of each frame
    second = moving.index(start, moving.index(start) + 1)
    rest_is_noise = moving[:second] + b"\xee" * (len(moving) - second)

    np.testing.assert_array_equal(pixels(moving), pixels(alone))
    np.testing.assert_array_equal(pixels(rest_is_noise), pixels(alone))


# ------------------------------------------------------------------------------------------------ patches


def test_a_class_token_stands_first_and_holds_nothing():
    patches = ImageInput(CLIP).encode([Image(saved(picture("RGB", 50, 40), "PNG"))])[0].patches

    assert patches.shape == (50, 3 * 32 * 32)
    assert not patches[0].any()
    assert patches[1:].any(axis=1).all()


def test_a_patch_is_red_then_green_then_blue_each_row_by_row():
    vision = Vision(**TOWER, side=4, patch=2, fit="squash", mean=(0, 0, 0), std=(1 / 255,) * 3)
    numbers = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    red_of_first = [0, 3, 12, 15]

    rows = ImageInput(vision).encode([Image(saved(Pillow.fromarray(numbers), "PNG"))])[0].patches

    assert [number.tolist() for number in np.rint(rows[0]).reshape(3, 4)] == [
        [value + band for value in red_of_first] for band in range(3)
    ]
    assert np.rint(rows[:, 0]).tolist() == [0, 6, 24, 30]


def test_pixels_past_the_last_whole_patch_are_left_out():
    vision = VISIONS["siglip-so400m-patch14-384"]
    one = scene(384, 384)
    other = one.copy()
    other[378:], other[:, 378:] = 0, 0
    reader = ImageInput(vision)

    first, second = reader.encode([Image(saved(Pillow.fromarray(pixels), "PNG")) for pixels in (one, other)])

    assert first.patches.shape == (27 * 27, 3 * 14 * 14)
    np.testing.assert_array_equal(first.patches, second.patches)


def test_a_picture_costs_its_tokens():
    encoding = ImageInput(CLIP).encode([Image(saved(picture("RGB", 9, 9), "PNG"))])[0]

    assert encoding.cost == CLIP.tokens == 50
    assert encoding.ids.dtype == np.int32
    assert encoding.patches.dtype == np.float32


@pytest.mark.slow
def test_several_threads_get_what_one_gets():
    reader = ImageInput(SMALL)
    items = [Image(make()) for name, make in {**EXACT, **LOSSY}.items() if name not in THREADS]
    alone = [encoding.patches for encoding in reader.encode(items)]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(reader.encode_one, items * 3))

    for place, encoding in enumerate(together):
        np.testing.assert_array_equal(encoding.patches, alone[place % len(items)])


# ------------------------------------------------------------------------------------------------ what is refused


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    return png(scene(4, 4), 8, COLOUR).replace((4).to_bytes(4, "big") * 2, b"".join(
        length.to_bytes(4, "big") for length in (width, height)
    ))  # fmt: skip


PNG, JPEG, GIF, WEBP = (saved(picture(mode, 70, 50), kind) for mode, kind in
                        (("RGB", "PNG"), ("RGB", "JPEG"), ("P", "GIF"), ("RGB", "WEBP")))  # fmt: skip
REFUSED = {
    "nothing": (b"", BadRequest, "image 3 is empty"),
    "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"/>', Unsupported, "image 3 .*seems to be SVG"),
    "a text named .jpg": (b"this is not a picture at all", Unsupported, "image 3 is not PNG, JPEG, WebP or GIF"),
    "BMP": (saved(picture("RGB", 9, 9), "BMP"), Unsupported, "image 3 .*BMP"),
    "TIFF": (saved(picture("RGB", 9, 9), "TIFF"), Unsupported, "image 3 .*TIFF"),
    "a bomb": (bomb(), TooLong, "image 3 has 30000 x 30000 pixels, the limit is 50000000"),
    "a large file": (PNG.ljust(11 * 2**20, b"\0"), TooLong, "image 3 has 11534336 bytes, the limit is 10485760"),
    "a thread": (saved(picture("RGB", 1, 3000), "PNG"), TooLong, "image 3 is 1 x 3000 pixels: with 224 .*50000000"),
    "half a PNG": (PNG[: len(PNG) // 2], BadRequest, "image 3 .png. cannot be decoded"),
    "half a JPEG": (JPEG[: len(JPEG) // 2], BadRequest, "image 3 .jpeg. cannot be decoded"),
    "half a GIF": (GIF[: len(GIF) // 2], BadRequest, "image 3 .gif. cannot be decoded"),
    "half a WebP": (WEBP[: len(WEBP) // 2], BadRequest, "image 3 begins like webp and is broken"),
    "a PNG of two bytes": (PNG[:2], Unsupported, "image 3 is not"),
    "a PNG whose pixels lie": (PNG.replace(PNG[60:64], b"\0\0\0\0"), BadRequest, "image 3 .png. cannot be decoded"),
    "a PNG without pixels": (PNG[:33] + chunk(b"IEND", b""), BadRequest, "image 3 .png. cannot be decoded"),
    "a PNG with a few of its rows": (
        PNG[:33] + chunk(b"IDAT", zlib.compress(b"\0" * 400)) + chunk(b"IEND", b""),
        BadRequest,
        "image 3 .png. cannot be decoded",
    ),
    "a PNG of no depth": (png(scene(9, 9, 1), 8, 7), BadRequest, "image 3 .png. cannot be decoded"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_picture_is_refused_with_its_place(name):
    data, error, words = REFUSED[name]

    with pytest.raises(error, match=words):
        ImageInput(CLIP).encode([Image(PNG), Image(data)], first=2)


def test_a_limit_above_pillows_own_is_answered_in_the_same_way(monkeypatch):
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 1000)

    with pytest.raises(TooLong, match="image 0 has 61 x 47 pixels, Pillow takes fewer"):
        ImageInput(CLIP).encode([Image(EXACT["lossless WebP"]())])


def passes(count: int, side: int = 1000, before: bytes = b"") -> bytes:
    """A JPEG that goes over its pixels so often: its smallest pass again and again, each after some bytes."""
    progressive = saved(Pillow.new("RGB", (side, side)), "JPEG", progressive=True)
    start = progressive.rindex(b"\xff\xda")
    return progressive[:-2] + (before + progressive[start:-2]) * (count - progressive.count(b"\xff\xda")) + b"\xff\xd9"


@pytest.mark.parametrize("before", [b"", b"\xff\x01", b"\xff\xff\xff", b"\0"], ids=["", "marker", "filler", "junk"])
def test_a_jpeg_of_endless_passes_is_refused_before_it_is_decoded(before):
    with pytest.raises(TooLong, match=r"image 0 .jpeg. (goes 1001 times or more over its 1000000|holds more than 512)"):
        ImageInput(CLIP).encode([Image(passes(100_000, before=before))])


def test_passes_are_counted_up_to_the_end_of_the_picture_alone():
    """What follows may hold anything: cameras put films there."""
    once = passes(20, side=300)
    after = b"\xff\xda\0\x02" * 100_000

    np.testing.assert_array_equal(pixels(once + after), pixels(once))


@pytest.mark.parametrize("marker", ["exif", "comment"])
def test_a_jpeg_of_endless_segments_is_refused_before_it_is_decoded(marker):
    note = {"exif": b"\xff\xe1\0\x0aExif\0\0ab", "comment": b"\xff\xfe\0\x02"}[marker]

    with pytest.raises(TooLong, match=r"image 0 .jpeg. holds more than 512 segments"):
        ImageInput(CLIP).encode([Image(JPEG[:2] + note * 600 + JPEG[2:])])


def test_a_png_of_endless_profiles_is_refused_before_it_is_decoded():
    profile = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**20), 9))

    with pytest.raises(TooLong, match=r"image 0 .png. holds more than 256 chunks beside its pixels"):
        ImageInput(CLIP).encode([Image(PNG[:33] + profile * 300 + PNG[33:])])


# ------------------------------------------------------------------------------------------------ two in one

PHOTOGRAPH = saved(picture("RGB", 70, 50), "JPEG", exif=pictures.exif(1))
PREVIEW = saved(picture("RGB", 16, 12), "JPEG")
SEVERAL = JPEG[:2] + b"\xff\xe2\0\x08MPF\0ab" + JPEG[2:]  # as phones mark a photograph that holds another
XMP = b"http://ns.adobe.com/xap/1.0/\0<rdf:RDF><Container:Directory/></rdf:RDF>"
ULTRA_HDR = JPEG[:2] + b"\xff\xe1" + (2 + len(XMP)).to_bytes(2, "big") + XMP + JPEG[2:]


@pytest.mark.parametrize("second", [PNG, JPEG, GIF, WEBP], ids=["PNG", "JPEG", "GIF", "WebP"])
@pytest.mark.parametrize("between", [b"", b"\0\0", b"\r\n"], ids=["", "zeros", "a line"])
@pytest.mark.parametrize("first", [PNG, GIF, WEBP], ids=["PNG", "GIF", "WebP"])
def test_two_files_in_one_are_refused(first, between, second):
    with pytest.raises(BadRequest, match=r"image 0 \(\w+\) is followed by a second picture"):
        ImageInput(CLIP).encode([Image(first + between + second)])


@pytest.mark.parametrize("first", [PNG, GIF, WEBP, JPEG], ids=["PNG", "GIF", "WebP", "JPEG"])
def test_what_an_editor_did_not_cut_off_is_left(first):
    np.testing.assert_array_equal(pixels(first + PNG[40:] + b"\0"), pixels(first))


@pytest.mark.parametrize(("first", "second"), [(JPEG, JPEG), (JPEG, PREVIEW), (PHOTOGRAPH, JPEG)])
def test_two_photographs_in_one_are_refused(first, second):
    with pytest.raises(BadRequest, match=r"image 0 \(jpeg\) is followed by a second picture"):
        ImageInput(CLIP).encode([Image(first + second)])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (PHOTOGRAPH, PREVIEW),
        (SEVERAL, JPEG),
        (ULTRA_HDR, JPEG),
        (JPEG, b"\xff\xd8\xff and then noise"),
        (JPEG, b"\0ftypmp42"),
    ],
    ids=["a preview", "marked as several", "a list in its XMP", "noise", "a film"],
)
def test_what_cameras_put_behind_a_photograph_is_left(first, second):
    np.testing.assert_array_equal(pixels(first + second), pixels(first))


# ------------------------------------------------------------------------------------------------ memory


def test_a_picture_that_there_is_no_memory_to_resize_is_answered(monkeypatch):
    def full(*_):
        raise MemoryError

    monkeypatch.setattr(Pillow.Image, "resize", full)

    with pytest.raises(RuntimeFailed, match="image 0; try later"):
        ImageInput(CLIP).encode([Image(PNG)])


@pytest.mark.parametrize("data", [PNG, JPEG, GIF, WEBP], ids=["PNG", "JPEG", "GIF", "WebP"])
def test_the_memory_that_a_picture_needs_is_told_by_its_head(data):
    needs = ImageInput(VISIONS["siglip2-base-patch16-224"]).needs(Image(data[:64] if data is PNG else data))

    assert 9 <= (needs.decoding_bytes - 4 * 224 * (50 + 224)) / (70 * 50) <= 21


def test_the_memory_that_resizing_needs_counts():
    narrow, square = (saved(picture("RGB", *size), "PNG") for size in ((1, 2500), (50, 50)))

    narrow_bytes, square_bytes = (ImageInput(SMALL).needs(Image(data)).decoding_bytes for data in (narrow, square))

    assert narrow_bytes > 10 * square_bytes


# ------------------------------------------------------------------------------------------------ hostile files


def mutated(data: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, a piece cut out or doubled, or the end lost."""
    changed = bytearray(data)
    start = draw.randrange(len(data))
    piece = slice(start, start + draw.randrange(1, 40))
    match draw.randrange(5):
        case 0:
            changed[piece] = b""
        case 1:
            changed[piece] *= 2
        case 2:
            del changed[start:]
        case _:
            for _ in range(draw.randrange(1, 9)):
                changed[draw.randrange(len(changed))] = draw.choice((0, 255, 127, draw.randrange(256)))
    return bytes(changed)


def repaired(data: bytes) -> bytes:
    """A PNG whose checksums are right again, so that its chunks are really read."""
    out, at = data[:8], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        if length > len(data):
            break
        out += chunk(data[at + 4 : at + 8], data[at + 8 : at + 8 + length])
        at += 12 + length
    return out + data[at:]


HOSTILE = {
    "PNG": lambda: saved(picture("RGB", 31, 23), "PNG", exif=pictures.exif(6)),
    "palette PNG": lambda: saved(picture("P", 31, 23), "PNG", transparency=pictures.ALPHAS),
    "16-bit PNG": lambda: png(scene(31, 23, 1, 65536), 16, GREY, key=b"\1\2"),
    "JPEG": lambda: saved(picture("RGB", 31, 23), "JPEG", exif=pictures.exif(6)),
    "progressive JPEG": lambda: saved(picture("CMYK", 31, 23), "JPEG", progressive=True),
    "GIF": lambda: animation(3, size=(31, 23)),
    "WebP": lambda: saved(picture("RGB", 31, 23), "WEBP", exif=pictures.exif(6)),
    "lossless WebP": lambda: saved(picture("RGBA", 31, 23), "WEBP", lossless=True),
    "moving WebP": lambda: animation(3, kind="WEBP", size=(31, 23)),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # of broken EXIF; users see them once
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_a_picture_or_refused_and_takes_no_time(name):
    draw, whole = random.Random(name), HOSTILE[name]()
    reader = ImageInput(SMALL, max_pixels=1_000_000)
    read, slowest = 0, 0.0

    for _ in range(200):
        data = mutated(whole, draw)
        data = repaired(data) if "PNG" in name else data
        start = time.thread_time()
        with contextlib.suppress(BadRequest):
            read += reader.encode_one(Image(data)).patches.shape == (17, 192)
        slowest = max(slowest, time.thread_time() - start)

    assert 0 < read < 200
    assert slowest < 1
