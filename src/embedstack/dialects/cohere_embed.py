"""Cohere's embed bodies, v1 and v2, become requests, and vectors become their replies in the types that were asked for.

Source: https://docs.cohere.com/reference/embed, https://docs.cohere.com/v1/reference/embed, and the types of
cohere-python at bc495daa. More than there: an `input_type` may be another role that the model has, `embedding_types`
has float16, and `model` may be left out.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal

import msgspec

from embedstack.dialects.cohere_shape import Cut, Meta, Version, cut_of, meta, new_id, truncate
from embedstack.dialects.dialect import Field, Heard, Limits, Wire
from embedstack.dialects.pictures import picture, pictures
from embedstack.dialects.reply import must_carry, one_role, texts_of, understood, vectors
from embedstack.dialects.roles import Published, role_for, word_for
from embedstack.dialects.typed import TypeName, typed
from embedstack.dialects.wire import Count, Misfit, Name, check_count, decode, dump, model_for
from embedstack.errors import Unsupported
from embedstack.modelspec import Input, ModelSpec
from embedstack.types import Encode, Encoded, Image, Link, Text

INPUT_TYPES: Published = {
    "search_document": ("document",),
    "search_query": ("query",),
    "classification": ("classification",),
    "clustering": ("clustering",),
    "image": ("image",),
}
CARRIES: frozenset[Field] = frozenset({"role", "dim", "max_tokens", "truncate"})
MIXED = (
    "inputs[{place}] has {count} parts, and each becomes one vector here; send inputs of one text or one image, "
    "until a model that reads several together is served"
)

Types = Annotated[list[TypeName], msgspec.Meta(min_length=1, max_length=7)]


class ImageUrl(msgspec.Struct, forbid_unknown_fields=True):
    """Where an image is; a data URL holds it."""

    url: str
    detail: str | None = None  # of the original's larger models; the size is the model's own here


class TextPart(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """A text of an input."""

    text: str


class ImagePart(msgspec.Struct, forbid_unknown_fields=True, tag_field="type", tag="image_url"):
    """An image of an input."""

    image_url: ImageUrl


class EmbedInput(msgspec.Struct, forbid_unknown_fields=True):
    """An input: one part here."""

    content: list[TextPart | ImagePart]


class EmbedV1Body(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is asked for: texts or images, not both."""

    texts: list[str] | None = None
    images: list[str] | None = None
    model: Name | None = None
    input_type: Name | None = None
    embedding_types: Types | None = None  # without it, a plain list of vectors
    truncate: Cut | None = None


class EmbedV2Body(EmbedV1Body, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What is asked for: texts, images or inputs."""

    inputs: list[EmbedInput] | None = None
    max_tokens: Count | None = None
    output_dimension: Count | None = None
    priority: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0  # 0 is the most urgent


class ByType(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The vectors in each type that was asked for."""

    floats: list[list[float]] | msgspec.UnsetType = msgspec.field(default=msgspec.UNSET, name="float")
    int8: list[list[int]] | msgspec.UnsetType = msgspec.UNSET
    uint8: list[list[int]] | msgspec.UnsetType = msgspec.UNSET
    binary: list[list[int]] | msgspec.UnsetType = msgspec.UNSET
    ubinary: list[list[int]] | msgspec.UnsetType = msgspec.UNSET
    base64: list[str] | msgspec.UnsetType = msgspec.UNSET
    float16: list[list[float]] | msgspec.UnsetType = msgspec.UNSET  # not of the original


class EmbedReply(msgspec.Struct, forbid_unknown_fields=True):
    """The vectors, in the order of the inputs."""

    id: str
    texts: list[str]  # as they were sent; empty for images
    embeddings: list[list[float]] | ByType
    meta: Meta
    response_type: Literal["embeddings_floats", "embeddings_by_type"]


class HeardVectors(msgspec.Struct):
    """What a client needs of the vectors."""

    floats: list[list[float]] = msgspec.field(name="float")


class HeardUnits(msgspec.Struct):
    """What a client needs of the bill."""

    input_tokens: float | None = None


class HeardMeta(msgspec.Struct):
    """Where the bill is."""

    billed_units: HeardUnits | None = None


class HeardReply(msgspec.Struct):
    """What a client needs of a reply."""

    embeddings: HeardVectors
    meta: HeardMeta | None = None


_V1 = msgspec.json.Decoder(EmbedV1Body)
_V2 = msgspec.json.Decoder(EmbedV2Body)
_HEARD = msgspec.json.Decoder(HeardReply)


def read_v1(raw: bytes) -> EmbedV1Body:
    """Bytes to a body."""
    return decode(_V1, raw)


def read_v2(raw: bytes) -> EmbedV2Body:
    """Bytes to a body."""
    return decode(_V2, raw)


def ask_v1(body: EmbedV1Body, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Vectors of the texts or images."""
    return _asked(body, None, limits, models)


def ask_v2(body: EmbedV2Body, limits: Limits, models: Sequence[ModelSpec]) -> Encode:
    """Vectors of the texts, images or inputs."""
    return replace(
        _asked(body, body.inputs, limits, models),
        dim=body.output_dimension,
        max_tokens=body.max_tokens,
        priority="bulk" if body.priority else "interactive",
    )


def _asked(
    body: EmbedV1Body, inputs: Sequence[EmbedInput] | None, limits: Limits, models: Sequence[ModelSpec]
) -> Encode:
    parts = _parts(body, inputs, limits)
    kind: Input = "text" if all(isinstance(part, str) for part in parts) else "image"
    model = model_for("embed", body.model, models, kind)
    role = role_for(body.input_type, "input_type", INPUT_TYPES, limits.spec_of(model, models))
    return Encode(
        model=model,
        items=tuple(Text(part, role) if isinstance(part, str) else part for part in parts),
        truncate=truncate(body.truncate, limits),
    )


def _parts(body: EmbedV1Body, inputs: Sequence[EmbedInput] | None, limits: Limits) -> list[str | Image | Link]:
    """The items of the one field that holds them."""
    fields = {"texts": body.texts, "images": body.images, "inputs": inputs}
    given = {name: values for name, values in fields.items() if values is not None}
    if len(given) != 1:
        raise Misfit(f"the body has {' and '.join(given) or 'no items'}; send one of: texts, images, inputs (v2)")
    name, values = next(iter(given.items()))
    check_count(len(values), limits, name)
    if body.texts is not None:
        return list(body.texts)
    if body.images is not None:
        return list(pictures(body.images, name))
    return [_part(one, place) for place, one in enumerate(inputs or ())]


def _part(one: EmbedInput, place: int) -> str | Image | Link:
    if len(one.content) != 1:
        raise Unsupported(MIXED.format(place=place, count=len(one.content)))
    part = one.content[0]
    return part.text if isinstance(part, TextPart) else picture(part.image_url.url, "inputs", place)


def write_v1(body: EmbedV1Body, answer: Encoded) -> Wire:
    """A plain list of vectors, or the types that were asked for."""
    if body.embedding_types is not None:
        return _by_type(body, body.embedding_types, "1", answer)
    assert answer.dense is not None
    return _reply(body, "1", answer, {"response_type": "embeddings_floats", "embeddings": typed(answer.dense, "float")})


def write_v2(body: EmbedV2Body, answer: Encoded) -> Wire:
    """The types that were asked for, floats if none was."""
    return _by_type(body, body.embedding_types or ["float"], "2", answer)


def _by_type(body: EmbedV1Body, types: Sequence[TypeName], version: Version, answer: Encoded) -> Wire:
    assert answer.dense is not None
    vectors_of = {name: typed(answer.dense, name) for name in types}
    return _reply(body, version, answer, {"response_type": "embeddings_by_type", "embeddings": vectors_of})


def _reply(body: EmbedV1Body, version: Version, answer: Encoded, embeddings: dict[str, object]) -> Wire:
    pictures = _pictures(body)
    units = {"input_tokens": answer.usage.tokens, **({"images": pictures} if pictures else {})}
    about = meta(version, units, answer.usage)
    return Wire(200, dump({"id": new_id(), "texts": body.texts or [], **embeddings, "meta": about}))


def _pictures(body: EmbedV1Body) -> int:
    inputs = (isinstance(body, EmbedV2Body) and body.inputs) or ()
    return len(body.images or ()) + sum(isinstance(one.content[0], ImagePart) for one in inputs)


def say_v2(request: Encode) -> EmbedV2Body:
    """What a client says."""
    must_carry(request, CARRIES, "cohere")
    return EmbedV2Body(
        texts=texts_of(request),
        model=request.model or None,
        input_type=word_for(one_role(request), INPUT_TYPES),
        embedding_types=["float"],  # older models of the original have no base64
        output_dimension=request.dim,
        max_tokens=request.max_tokens,
        truncate=cut_of(request.truncate),
    )


def hear_v2(wire: Wire, request: Encode) -> Heard:
    """The vectors of a reply, in the order of the request."""
    reply = understood(_HEARD, wire)
    units = reply.meta and reply.meta.billed_units
    rows = vectors(reply.embeddings.floats, len(request.items))
    return Heard(rows, round((units and units.input_tokens) or 0))
