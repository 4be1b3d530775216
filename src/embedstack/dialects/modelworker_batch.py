"""The model worker's `/embed/batch`: texts and pictures with ids become one request, its vectors results with ids.

One request holds one model. Where texts and pictures need two, the body is refused with both names: the original gave
vectors of two spaces in one list, and nothing in the reply told them apart.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from embedstack.dialects.dialect import Limits, Wire
from embedstack.dialects.pictures import picture
from embedstack.dialects.wire import Misfit, Name, as_floats, check_count, decode, dump, milliseconds, model_for
from embedstack.errors import Unsupported
from embedstack.types import Encode, Encoded, Image, Link, ModelSpec, Text


class BatchItem(msgspec.Struct):
    """A text, or a picture as a data URL or base64, and the caller's name for it."""

    id: str
    type: Literal["text", "image"]
    content: str


class BatchBody(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is asked for."""

    items: list[BatchItem]
    model: Name | None = None


class BatchResult(msgspec.Struct, forbid_unknown_fields=True):
    """The vector of one item."""

    id: str
    embedding: list[float]


class BatchMetadata(msgspec.Struct, forbid_unknown_fields=True):
    """How many vectors, of what, in how many milliseconds."""

    total: int
    text: int
    image: int
    duration: int


class BatchReply(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors, in the order of the items."""

    results: list[BatchResult]
    metadata: BatchMetadata


_DECODER = msgspec.json.Decoder(BatchBody)


def read_batch(raw: bytes) -> BatchBody:
    """The body as its struct."""
    return decode(_DECODER, raw)


def ask_batch(body: BatchBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """One request of all items, in order."""
    check_count(len(body.items), limits, "items")
    return Encode(
        model=body.model or _model(body, models),
        items=tuple(_item(item, place) for place, item in enumerate(body.items)),
        normalize=True,
        truncate=limits.truncate,
    )


def write_batch(body: BatchBody, answer: Encoded) -> Wire:
    """The vectors beside the ids of their items."""
    assert answer.dense is not None
    rows = zip(body.items, answer.dense, strict=True)
    total = len(body.items)
    images = sum(item.type == "image" for item in body.items)
    duration = milliseconds(answer.usage)
    metadata = {"total": total, "text": total - images, "image": images, "duration": duration}
    results = [{"id": item.id, "embedding": as_floats(row)} for item, row in rows]
    return Wire(200, dump({"results": results, "metadata": metadata}))


def _item(item: BatchItem, place: int) -> Text | Image | Link:
    return Text(item.content) if item.type == "text" else picture(item.content, "items", place)


def _model(body: BatchBody, models: Sequence[ModelSpec]) -> str:
    """The one model that can read all items.

    Raises:
        Unsupported: there is none; the message says what is missing.
    """
    kinds = {item.type for item in body.items}
    if len(kinds) == 1:
        return model_for("embed", None, models, kinds.pop())
    both = [spec.name for spec in models if spec.task == "embed" and kinds <= set(spec.inputs)]
    if len(both) > 1:
        raise Misfit(f"several models are served; name one of: {', '.join(both)}", "model")
    if both:
        return both[0]
    image, text = (model_for("embed", None, models, kind) for kind in ("image", "text"))
    raise Unsupported(
        f"the items hold texts, for {text!r}, and images, for {image!r}, and one reply holds vectors of one model; "
        "send the texts and the images in two requests"
    )
