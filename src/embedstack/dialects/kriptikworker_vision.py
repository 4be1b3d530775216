"""Jobs of KripTik's SigLIP and VL-JEPA workers become Encodes, and what comes of them the jobs' outputs."""

from collections.abc import Sequence

import numpy as np

from embedstack.dialects.dialect import Limits
from embedstack.dialects.frames import GROWTH, aggregated, segments, unit
from embedstack.dialects.kriptikworker_shapes import SiglipBody, SiglipInput, VisionBody, VisionInput
from embedstack.dialects.kriptikworker_text import listed, text_model
from embedstack.dialects.pictures import picture
from embedstack.dialects.wire import Misfit, as_floats, check_count, model_for
from embedstack.errors import Unsupported
from embedstack.likeness import probabilities
from embedstack.modelspec import ModelSpec
from embedstack.types import Encode, Encoded, Floats, Image, Link, Text

PREDICTIVE = (
    "type 'predictive' is not served: a probability of success needs outcomes of earlier attempts, and none are here; "
    "send type 'intent', and compare its vector with your own patterns"
)

Json = dict[str, object]


# ------------------------------------------------------------------------------------------------ SigLIP


def ask_siglip(body: SiglipBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    given = body.input
    items: list[Text | Image | Link] = []
    kind = _kind(given)
    if kind != "text":
        items.append(_picture(given.image))
    if kind != "image":
        items += [Text(text) for text in _texts(given)]
    model = _towers(given.model, limits, models)
    spec = limits.spec_of(model, models)
    if kind == "similarity" and spec is not None and not spec.similarity:
        raise Unsupported(
            f"{spec.name!r} does not say how likely a text is about a picture; send type 'image' and 'text'"
        )
    return _encode(items, model, limits)


def _towers(named: str | None, limits: Limits, models: Sequence[ModelSpec]) -> str:
    """The model that is named, else the only one for pictures and texts."""
    both = [spec for spec in models if {"text", "image"} <= set(spec.inputs)]
    return model_for("embed", named, both or models, "image")


def _kind(given: SiglipInput) -> str:
    """Where it is left to us, an empty picture beside a text is none, as clients say it that fill every field."""
    if given.type != "auto":
        return given.type
    has_text = any(given.texts or ()) or any(given.text or ())
    return "text" if given.image is None or (given.image == "" and has_text) else "image"


def _texts(given: SiglipInput) -> list[str]:
    return listed("texts", given.texts, given.text)


def siglip_output(body: SiglipBody, answer: Encoded) -> Json:
    assert answer.dense is not None
    kind, rows = _kind(body.input), answer.dense
    match kind:
        case "image":
            return {"type": kind, "embeddings": [as_floats(row) for row in rows]}
        case "text":
            return {"type": kind, "embeddings": [as_floats(row) for row in rows], "texts_processed": len(rows)}
    return {
        "type": kind,
        "image_embedding": as_floats(rows[0]),
        "text_embeddings": [as_floats(row) for row in rows[1:]],
        **_likeness(answer.spec, rows[0], rows[1:]),
    }


# ------------------------------------------------------------------------------------------------ VL-JEPA's requests


def ask_vision(body: VisionBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    given = body.input
    match given.type:
        case "intent":
            items: list[Text | Image | Link] = [Text(_intent(given))]
            model = text_model(given.model, limits, models)
        case "visual_text":
            items = [_picture(given.image), *_text(given)]
            model = _towers(given.model, limits, models)
        case "video":
            items = [*(_picture(frame, "frames", place) for place, frame in enumerate(_frames(given))), *_text(given)]
            model = _towers(given.model, limits, models)
        case "predictive":
            raise Unsupported(PREDICTIVE)
    return _encode(items, model, limits)


def _intent(given: VisionInput) -> str:
    if not given.text:
        raise Misfit("input.text is missing; send what is intended", "text")
    if isinstance(given.context, dict):
        raise Misfit("input.context is an object; for an intent send a text", "context")
    return f"{given.context}\n{given.text}" if given.context else given.text


def _text(given: VisionInput) -> list[Text]:
    return [Text(given.text)] if given.text else []


def _frames(given: VisionInput) -> list[str]:
    frames = given.frames or given.video
    if not frames:
        raise Misfit("input.frames is missing; send the frames of the video as pictures", "frames")
    return [frames] if isinstance(frames, str) else frames


def _picture(image: str | None, name: str = "image", place: int = 0) -> Image | Link:
    """Whatever a data URL says that it is, the original took what stands behind `base64,`."""
    if image is None:
        raise Misfit(f"input.{name} is missing; send base64, a data URL or a link", name)
    _, comma, data = image.partition("base64,")
    return picture(data if comma and not image.startswith("http") else image, name, place)


def _encode(items: Sequence[Text | Image | Link], model: str, limits: Limits) -> Encode:
    check_count(len(items), limits, "input")
    return Encode(model=model, items=tuple(items), normalize=True, truncate=limits.truncate)


def vision_output(body: VisionBody, answer: Encoded) -> Json:
    assert answer.dense is not None
    given, rows = body.input, answer.dense
    match given.type:
        case "intent":
            return {"type": given.type, "engine": "text-encoder", "embedding": as_floats(rows[0])}
        case "visual_text":
            return {"type": given.type, "engine": "dual-encoder", **_with_text(answer, rows)}
    frames = rows[:-1] if given.text else rows
    growth = GROWTH if given.segment_growth is None else given.segment_growth
    output: Json = {
        "type": given.type,
        "engine": "dual-encoder",
        "embedding": as_floats(aggregated(frames)),
        "aggregation": "mean",
        "frame_embeddings": [as_floats(row) for row in frames],
        "segments": [{"start": one.start, "stop": one.stop} for one in segments(frames, growth)],
    }
    if given.text:
        output |= {"text_embedding": as_floats(rows[-1]), "cosines": _cosines(rows[-1], frames)}
    return output


def _with_text(answer: Encoded, rows: Floats) -> Json:
    """The picture, and beside a text the mean of both."""
    image = rows[0]
    if len(rows) == 1:
        return {"embedding": as_floats(image), "image_embedding": as_floats(image)}
    return {
        "embedding": as_floats(aggregated(rows)),
        "aggregation": "mean",
        "image_embedding": as_floats(image),
        "text_embedding": as_floats(rows[1]),
        **_likeness(answer.spec, image, rows[1:]),
    }


def _likeness(spec: ModelSpec, image: Floats, texts: Floats) -> Json:
    """How likely each text is about the picture, and how near; one text alone has no share among several."""
    cosines: Json = {"cosines": _cosines(image, texts)}
    if not spec.similarity or (spec.similarity == "softmax" and len(texts) < 2):
        return cosines
    return {"similarity_scores": probabilities(spec, image[None], texts)[0].tolist(), **cosines}


def _cosines(row: Floats, others: Floats) -> list[float]:
    cosines: list[float] = np.asarray(unit(others) @ unit(row), np.float32).tolist()
    return cosines
