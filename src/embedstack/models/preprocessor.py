"""preprocessor_config.json -> how a picture is fitted into the model's square and normalised, or why it cannot be.

What a file leaves out is what the class that it names has as its default (transformers 5.23,
`models/clip/image_processing_pil_clip.py` and `models/siglip/image_processing_pil_siglip.py`).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from embedstack.errors import Unsupported
from embedstack.models.folder import Fields

Fit = Literal["crop", "squash"]
Resample = Literal["nearest", "bilinear", "bicubic", "lanczos"]
Colour: TypeAlias = tuple[float, float, float]

RESAMPLES: Mapping[int, Resample] = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's own numbers
SUFFIXES = ("Pil", "Fast", "ImageProcessor", "FeatureExtractor")  # of the same processor's older and newer classes
_STEPS: Mapping[str, bool] = {"do_resize": True, "do_rescale": True, "do_convert_rgb": True, "do_pad": False}
_NEAR = 1e-9  # between a factor as files write it and 1 / 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Preprocess:
    """What is done with a picture before the tower reads it; the fields of `Vision` that are not of the graph."""

    side: int  # pixels of the square
    fit: Fit
    resample: Resample
    mean: Colour  # of red, green and blue, from 0 to 1
    std: Colour


DEFAULTS: Mapping[str, Preprocess] = {
    "CLIP": Preprocess(
        side=224,
        fit="crop",
        resample="bicubic",
        mean=(0.48145466, 0.4578275, 0.40821073),
        std=(0.26862954, 0.26130258, 0.27577711),
    ),
    "Siglip": Preprocess(side=224, fit="squash", resample="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3),
}


def read_fit(preprocessor: Fields, name: str) -> Preprocess:
    """What the file asks for.

    Args:
        preprocessor: preprocessor_config.json, or processor_config.json, which holds the same under image_processor.
        name: the model, for messages.
    Raises:
        Unsupported: another processor, or a step that is left out, added or done otherwise.
        ConfigError: a field of the wrong type or range.
    """
    if "image_processor" in preprocessor:
        preprocessor = preprocessor.table("image_processor")
    usual = _usual(preprocessor, name)
    _refuse_steps(preprocessor, name)
    fit, side = _size(preprocessor, usual)
    _check_crop(preprocessor, name, usual, fit, side)
    normalises = preprocessor.flag("do_normalize", default=True)
    return Preprocess(
        side=side,
        fit=fit,
        resample=_resample(preprocessor, name, usual),
        mean=_colour(preprocessor, "image_mean", usual.mean) if normalises else (0.0, 0.0, 0.0),
        std=_colour(preprocessor, "image_std", usual.std, above=0.0) if normalises else (1.0, 1.0, 1.0),
    )


def _usual(preprocessor: Fields, name: str) -> Preprocess:
    """The defaults of the class that the file names."""
    kind = preprocessor.text("image_processor_type") or preprocessor.text("feature_extractor_type")
    stem = kind
    for suffix in SUFFIXES:
        stem = stem.removesuffix(suffix)
    if not kind:
        raise preprocessor.wrong("image_processor_type", "the name of an image processor")
    if stem not in DEFAULTS:
        known = ", ".join(f"{one}ImageProcessor" for one in DEFAULTS)
        raise Unsupported(f"{name!r} prepares pictures with {kind!r} (image_processor_type); embedstack has: {known}")
    return DEFAULTS[stem]


def _refuse_steps(preprocessor: Fields, name: str) -> None:
    """Steps that are always done here, or never."""
    for step, usual in _STEPS.items():
        if preprocessor.flag(step, default=usual) != usual:
            wanted, given = ("true", "false") if usual else ("false", "true")
            raise Unsupported(f"{name!r} sets {step}={given}; embedstack prepares pictures with {step}={wanted} only")
    factor = preprocessor.number("rescale_factor", 1 / 255)
    if not math.isclose(factor, 1 / 255, rel_tol=_NEAR):
        raise Unsupported(f"{name!r} sets rescale_factor={factor}; embedstack divides pixels by 255")


def _size(preprocessor: Fields, usual: Preprocess) -> tuple[Fit, int]:
    """A number or a shortest edge keeps the shape of a picture, height and width do not."""
    given = preprocessor.values.get("size")
    if given is None:
        return usual.fit, usual.side
    if isinstance(given, int):
        return "crop", _side(preprocessor, preprocessor, "size")
    size = preprocessor.table("size")
    if size.values.keys() == {"shortest_edge"}:
        return "crop", _side(preprocessor, size, "shortest_edge")
    if size.values.keys() == {"height", "width"} and size.values["height"] == size.values["width"]:
        return "squash", _side(preprocessor, size, "height")
    raise preprocessor.wrong("size", "a number, a shortest_edge alone, or a height and an equal width")


def _side(preprocessor: Fields, holder: Fields, key: str) -> int:
    side = holder.integer(key)
    if not side:
        raise preprocessor.wrong("size", "pixels from 1 on")
    return side


def _check_crop(preprocessor: Fields, name: str, usual: Preprocess, fit: Fit, side: int) -> None:
    """What is left after cutting must be the whole square, and there must be a square.

    Raises:
        Unsupported: a picture would keep its shape, or lose or gain a border.
    """
    crops = preprocessor.flag("do_center_crop", default=usual.fit == "crop")
    if fit == "crop" and not crops:
        raise Unsupported(f"{name!r} keeps the shape of pictures (do_center_crop=false); embedstack reads squares")
    crop = _crop_size(preprocessor, usual) if crops else side
    if crop != side:
        raise Unsupported(f"{name!r} resizes to {side} pixels and cuts to {crop} (crop_size); both must be the same")


def _crop_size(preprocessor: Fields, usual: Preprocess) -> int:
    given = preprocessor.values.get("crop_size")
    if given is None:
        return usual.side
    if isinstance(given, int):
        return preprocessor.integer("crop_size")
    size = preprocessor.table("crop_size")
    if size.values.keys() != {"height", "width"} or size.values["height"] != size.values["width"]:
        raise preprocessor.wrong("crop_size", "a number, or a height and an equal width")
    return size.integer("height")


def _resample(preprocessor: Fields, name: str, usual: Preprocess) -> Resample:
    if "resample" not in preprocessor:
        return usual.resample
    number = preprocessor.integer("resample")
    if number not in RESAMPLES:
        known = ", ".join(f"{key} ({word})" for key, word in RESAMPLES.items())
        raise Unsupported(f"{name!r} sets resample={number}; embedstack has: {known}")
    return RESAMPLES[number]


def _colour(preprocessor: Fields, key: str, usual: Colour, above: float = -math.inf) -> Colour:
    """Three numbers, of red, green and blue."""
    given = preprocessor.values.get(key)
    if given is None:
        return usual
    if not isinstance(given, list) or len(given) != 3 or not all(_is_number(one) and one > above for one in given):
        raise preprocessor.wrong(key, "three numbers" + (f" above {above:g}" if above > -math.inf else ""))
    red, green, blue = map(float, given)
    return red, green, blue


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
