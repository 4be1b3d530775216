"""The model worker's `/embed/batch`: texts and pictures with ids become one request, its vectors results with ids.

Texts go to the model for texts and pictures to the one for images, as in the original: with two models that is a
request for each, and the reply holds vectors of two spaces in one list. Its headers name both models, the one of the
texts first. A body that names a model gets all its vectors from that one.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from embedstack.dialects.dialect import Limits, Wire
from embedstack.dialects.pictures import picture
from embedstack.dialects.wire import Name, as_floats, check_count, decode, dump, milliseconds, model_for
from embedstack.modelspec import Input, ModelSpec
from embedstack.types import Encode, Encoded, Floats, Image, Link, Text

KINDS: tuple[Input, ...] = ("text", "image")  # in the order of their answers


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


def ask_batch(body: BatchBody, limits: Limits, models: Sequence[ModelSpec]) -> Encode | tuple[Encode, ...] | None:
    """One request of all items, in order; or one of the texts and one of the pictures, where two models read them.

    None of no items, for which the original has an answer, too.
    """
    if not body.items:
        return None
    check_count(len(body.items), limits, "items")
    items = [_item(item, place) for place, item in enumerate(body.items)]
    kinds = [kind for kind in KINDS if any(item.type == kind for item in body.items)]
    names = {kind: body.model or model_for("embed", None, models, kind) for kind in kinds}

    def asked(name: str) -> Encode:
        own = tuple(made for item, made in zip(body.items, items, strict=True) if names[item.type] == name)
        return Encode(model=name, items=own, normalize=True, truncate=limits.truncate)

    requests = tuple(asked(name) for name in dict.fromkeys(names.values()))
    return requests if len(requests) > 1 else requests[0]


def places_of(body: BatchBody, number: int) -> list[int]:
    """Where the items of one of two requests stand in the body."""
    return [place for place, item in enumerate(body.items) if item.type == KINDS[number]]


def write_batch(body: BatchBody, answer: Encoded | tuple[Encoded, ...] | None) -> Wire:
    """The vectors beside the ids of their items."""
    answers = answer if isinstance(answer, tuple) else () if answer is None else (answer,)
    rows = [_rows(one) for one in answers]
    by_kind = dict(zip(KINDS, rows * 2 if len(rows) == 1 else rows, strict=False))  # one model may read both kinds
    vectors = [next(by_kind[item.type]) for item in body.items]
    total = len(body.items)
    images = sum(item.type == "image" for item in body.items)
    duration = max((milliseconds(one.usage) for one in answers), default=0)  # they were computed at once
    metadata = {"total": total, "text": total - images, "image": images, "duration": duration}
    results = [{"id": item.id, "embedding": as_floats(row)} for item, row in zip(body.items, vectors, strict=True)]
    return Wire(200, dump({"results": results, "metadata": metadata}))


def _rows(answer: Encoded) -> Iterator[Floats]:
    assert answer.dense is not None
    return iter(answer.dense)


def _item(item: BatchItem, place: int) -> Text | Image | Link:
    return Text(item.content) if item.type == "text" else picture(item.content, "items", place)
