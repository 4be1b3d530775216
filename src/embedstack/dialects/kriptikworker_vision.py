"""Jobs of KripTik's SigLIP and VL-JEPA workers become Encodes, and what comes of them the jobs' outputs."""

from collections.abc import Sequence

import numpy as np

from embedstack.dialects.dialect import Limits
from embedstack.dialects.frames import aggregated, segments, unit
from embedstack.dialects.kriptikworker_shapes import SiglipBody, SiglipInput, VisionBody, VisionInput
from embedstack.dialects.kriptikworker_text import listed, text_model
from embedstack.dialects.pictures import picture, pictures
from embedstack.dialects.wire import Misfit, as_floats, check_count, model_for
from embedstack.errors import Unsupported
from embedstack.likeness import probabilities
from embedstack.types import Encode, Encoded, Floats, Image, Link, ModelSpec, Text

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
    check_count(len(items), limits, "input")
    return _encode(items, model_for("embed", given.model, models, "image"), limits)


def _kind(given: SiglipInput) -> str:
    if given.type != "auto":
        return given.type
    return "image" if given.image else "text"


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
        "similarity_scores": probabilities(answer.spec, rows[:1], rows[1:])[0].tolist(),
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
            model = model_for("embed", given.model, models, "image")
        case "video":
            items = [*pictures(_frames(given), "frames"), *_text(given)]
            model = model_for("embed", given.model, models, "image")
        case "predictive":
            raise Unsupported(PREDICTIVE)
    check_count(len(items), limits, "input")
    return _encode(items, model, limits)


def _intent(given: VisionInput) -> str:
    if not given.text:
        raise Misfit("input.text is missing; send what is intended", "text")
    return f"{given.context}\n{given.text}" if given.context else given.text


def _text(given: VisionInput) -> list[Text]:
    return [Text(given.text)] if given.text else []


def _frames(given: VisionInput) -> list[str]:
    frames = given.frames if given.frames is not None else given.video
    if not frames:
        raise Misfit("input.frames is missing; send the frames of the video as pictures", "frames")
    return [frames] if isinstance(frames, str) else frames


def _picture(image: str | None) -> Image | Link:
    if not image:
        raise Misfit("input.image is missing; send base64, a data URL or a link", "image")
    return picture(image, "image", 0)


def _encode(items: Sequence[Text | Image | Link], model: str, limits: Limits) -> Encode:
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
    output: Json = {
        "type": given.type,
        "engine": "dual-encoder",
        "embedding": as_floats(aggregated(frames)),
        "aggregation": "mean",
        "frame_embeddings": [as_floats(row) for row in frames],
        "segments": [{"start": one.start, "stop": one.stop} for one in segments(frames)],
    }
    if given.text:
        output["text_embedding"] = as_floats(rows[-1])
        output["frame_scores"] = _cosines(frames, rows[-1])
    return output


def _with_text(answer: Encoded, rows: Floats) -> Json:
    """The picture, and beside a text the mean of both."""
    image = rows[0]
    if len(rows) == 1:
        return {"embedding": as_floats(image), "image_embedding": as_floats(image)}
    return {
        "embedding": as_floats(unit(unit(rows).mean(axis=0))),
        "aggregation": "mean",
        "image_embedding": as_floats(image),
        "text_embedding": as_floats(rows[1]),
        **_likely(answer.spec, rows),
    }


def _likely(spec: ModelSpec, rows: Floats) -> Json:
    """How likely the text is about the picture; nothing where the model can only rank several texts."""
    if spec.similarity != "sigmoid":
        return {}
    return {"similarity_scores": probabilities(spec, rows[:1], rows[1:])[0].tolist()}


def _cosines(frames: Floats, text: Floats) -> list[float]:
    cosines: list[float] = np.asarray(unit(frames) @ unit(text), np.float32).tolist()
    return cosines
